# SPDX-License-Identifier: GPL-2.0-or-later
"""Make files and renames survive a power loss.

Paths may be bytes or str. Errors are the OSError of the system call.
"""

from __future__ import annotations

import errno
import os

Path = bytes | str

# The errors of file systems that cannot sync a directory, such as some network
# file systems. Nothing can make renames survive there.
_UNSUPPORTED = (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


def sync_file(path: Path) -> None:
    """Wait until the content of the file at ``path`` is on the disk."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_directory(path: Path) -> None:
    """Wait until renames and new names in the directory are on the disk.

    Does nothing where the file system cannot sync directories.
    """
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
    finally:
        os.close(fd)
