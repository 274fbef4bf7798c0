# SPDX-License-Identifier: GPL-2.0-or-later
"""Making files and renames survive a power loss.

Paths may be bytes or str. Errors are the OSError of the system call.
"""

from __future__ import annotations

import contextlib
import os

Path = bytes | str


def sync_file(path: Path) -> None:
    """Wait until the content of the file at ``path`` is on the disk."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_directory(path: Path) -> None:
    """Wait until renames and new names in the directory are on the disk.

    Some network file systems cannot sync a directory. What they keep is out of
    our hands, so a failure of the sync itself is ignored.
    """
    fd = os.open(path, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(fd)
    finally:
        os.close(fd)
