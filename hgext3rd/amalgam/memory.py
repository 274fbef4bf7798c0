# SPDX-License-Identifier: GPL-2.0-or-later
"""Settings of the memory allocator."""

from __future__ import annotations

import functools
import os

# glibc's number of the parameter M_MMAP_THRESHOLD. Blocks of this size (in bytes)
# and more are returned to the system when they are freed.
_M_MMAP_THRESHOLD = -3
_RETURNED_SIZE = 1024 * 1024

# The environment variables that set parameters of glibc's allocator.
_ALLOCATOR_VARIABLES = ('MALLOC_MMAP_THRESHOLD_', 'GLIBC_TUNABLES')


@functools.cache
def return_large_blocks() -> None:
    """Have large blocks of memory returned to the system when they are freed.

    glibc stops doing so after the first large block was freed: it keeps blocks
    up to 32 MB for the next request, in an arena for each few threads. A server
    that once sent 20 large responses at the same time keeps their memory for
    ever. Other allocators, and settings in the environment, are left alone.
    """
    if any(name in os.environ for name in _ALLOCATOR_VARIABLES):
        return
    import ctypes

    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _RETURNED_SIZE)
