# SPDX-License-Identifier: GPL-2.0-or-later
"""The database as a file: who may write to it, and whether it changed.

Knows nothing of connections and never opens the file. SQLite keeps its log
beside the file that a symbolic link leads to. The checks whether the file is in
use, or was changed, therefore follow links.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import Any

from mercurial.i18n import _

from ...amalgam import sidefiles
from .. import errors

READ_WRITE = 'mode=rw'
READ_ONLY = 'mode=ro'
IMMUTABLE = 'immutable=1'

# How often to check whether a log that lost its index is removed as well.
CLOSING_CHECKS = 50


class Location:
    """The file at ``path`` and the files beside it.

    ``permissions`` is the mode that new files in the repository get, or None
    to leave modes alone.
    """

    def __init__(self, path: bytes, permissions: int | None) -> None:
        self.path = path
        self._permissions = permissions

    @property
    def _real(self) -> bytes:
        """The path that symbolic links lead to."""
        return os.path.realpath(self.path)

    @property
    def writable(self) -> bool:
        """Whether this process may write to the file and its directory."""
        real = self._real
        return os.access(real, os.W_OK) and os.access(
            os.path.dirname(real), os.W_OK
        )

    def file_id(self) -> tuple[int, int] | None:
        """Return (device, inode) of the file at the path, or None."""
        try:
            stat = os.stat(self.path)
        except OSError:
            return None
        return stat.st_dev, stat.st_ino

    def signature(self) -> tuple[Any, ...]:
        """Return a value that changes when another process writes."""
        found: list[Any] = []
        for name in sidefiles.files_of(self._real):
            try:
                stat = os.stat(name)
            except OSError:
                found.append(None)
            else:
                found.append((stat.st_mtime_ns, stat.st_size, stat.st_ino))
        return tuple(found)

    def mode(self) -> str:
        """Return how to open the file: one of the three modes above.

        Raises StoreUnavailable for a log that cannot be read without writing.
        """
        if self.writable:
            return READ_WRITE
        log = sidefiles.beside(self._real, sidefiles.LOG)
        shared = sidefiles.beside(self._real, sidefiles.SHARED)
        for _attempt in range(CLOSING_CHECKS):
            if os.access(shared, os.R_OK) and os.path.exists(log):
                # A writer has the database open; its index of the log can be
                # read.
                return READ_ONLY
            if not _size(log):
                # There is no writer, and this process cannot create the side
                # files that WAL mode needs.
                return IMMUTABLE
            # The last process to close the database removes the index of the
            # log first, then the log.
            time.sleep(0.01)
        raise errors.StoreUnavailable(
            _(b'cannot read %s without %s') % (log, os.path.basename(shared)),
            hint=_(b'read the repository once as a user who may write to it'),
        )

    def follow_directory(self) -> None:
        """Give the files the permissions that new files would get.

        To share a repository with a group, users change the modes of its
        directories. Revlogs get the new modes when they are written anew. A
        database that was made read-only stays read-only.
        """
        if self._permissions is None:
            return
        wanted = self._permissions & 0o666
        for name in sidefiles.files_of(self.path):
            # Files of other users, and files that were just removed, are left
            # alone.
            with contextlib.suppress(OSError):
                found = os.stat(name).st_mode & 0o666
                if found != wanted and found & 0o600 == wanted & 0o600:
                    os.chmod(name, wanted)


def _size(path: bytes) -> int:
    """Return the size of a file in bytes, 0 if there is none."""
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0
