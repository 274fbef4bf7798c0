# SPDX-License-Identifier: GPL-2.0-or-later
"""The database as a file: who may write to it, and whether it changed.

Knows nothing of connections and never opens the database. SQLite keeps its log
beside the file that a symbolic link leads to. The checks whether the file is in
use, or was changed, therefore follow links.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import Any

from mercurial.i18n import _

from ...amalgam import durable, sidefiles
from .. import errors

# How a database is opened.
READ_WRITE = 'read-write'
READ_ONLY = 'read-only'
IMMUTABLE = 'immutable'
# While no other process has it open.
ALONE = 'alone'
# Beside a connection that writes (see ``keeping``).
BESIDE = 'beside'

# The parameters of its URI in each mode.
PARAMETERS = {
    READ_WRITE: 'mode=rw',
    # Without the second parameter, SQLite would empty and rebuild the index of
    # the log if it may write to it. With it, SQLite reads the index if a writer
    # keeps it up to date, and otherwise builds one in memory, from the log.
    READ_ONLY: 'mode=ro&readonly_shm=1',
    IMMUTABLE: 'immutable=1',
    # The index of the log is in memory, too (statements.LOCK_ALONE).
    ALONE: 'mode=rw',
    BESIDE: 'mode=ro',
}

# File systems note times of changes with the precision of a clock tick, at most
# 10 ms. A file that changed less than this many nanoseconds ago may change
# again without getting another time.
_TICKS = 25_000_000

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

    @property
    def _log(self) -> bytes:
        return sidefiles.beside(self._real, sidefiles.LOG)

    def has_log(self) -> bool:
        """Return whether there is a log.

        A process has the database open, or died with it, or kept the log.
        """
        return os.path.exists(self._log)

    def log_is_empty(self) -> bool:
        """Return whether nothing was written to the log."""
        return not _size(self._log)

    def sync_log(self) -> None:
        """Wait until the log and its name are on the disk.

        SQLite locks neither of them, so they can be opened here.
        """
        durable.sync_file(self._log)
        durable.sync_directory(os.path.dirname(self._log))

    def file_id(self) -> tuple[int, int] | None:
        """Return (device, inode) of the file at the path, or None."""
        try:
            stat = os.stat(self.path)
        except OSError:
            return None
        return stat.st_dev, stat.st_ino

    def signature(self) -> tuple[Any, ...]:
        """Return a value that changes when another process writes.

        SQLite writes to the log before it changes anything else. An empty log
        counts as none: processes that try to open the database while the disk
        is full leave one.
        """
        real = self._real
        return (
            _state(real),
            _state(sidefiles.beside(real, sidefiles.LOG), or_empty=True),
        )

    def settled_signature(self) -> tuple[Any, ...]:
        """Return a signature that the next write certainly changes."""
        found = self.signature()
        for _attempt in range(CLOSING_CHECKS):
            newest = max((state[0] for state in found if state), default=0)
            # Times in the future come from another clock.
            if not 0 <= time.time_ns() - newest < _TICKS:
                break
            time.sleep(_TICKS / 1e9)
            found = self.signature()
        return found

    def reading_mode(self) -> str:
        """Return how to open the file without writing beside it.

        Raises StoreUnavailable for a log that cannot be read without writing.
        """
        log = self._log
        shared = sidefiles.beside(self._real, sidefiles.SHARED)
        if _size(sidefiles.beside(self._real, sidefiles.JOURNAL)):
            # Another tool changed the journal mode. SQLite knows what to do.
            return READ_ONLY
        for _attempt in range(CLOSING_CHECKS):
            if not _size(log):
                # Everything is in the database itself.
                return IMMUTABLE
            if os.access(shared, os.R_OK):
                return READ_ONLY
            # The last process to close the database removes the index of the
            # log first, then the log.
            time.sleep(0.01)
        if self.writable:
            # There is no space for another file: not even an empty one.
            return ALONE
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
        for name in sidefiles.files_of(self._real):
            # Files of other users, and files that were just removed, are left
            # alone.
            with contextlib.suppress(OSError):
                found = os.stat(name).st_mode & 0o666
                if found != wanted and found & 0o600 == wanted & 0o600:
                    os.chmod(name, wanted)


def _state(path: bytes, *, or_empty: bool = False) -> tuple[int, ...] | None:
    """Return (time of the last change, size, inode) of a file, None if absent.

    With ``or_empty``, return None for an empty file as well.
    """
    try:
        stat = os.stat(path)
    except OSError:
        return None
    if or_empty and not stat.st_size:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _size(path: bytes) -> int:
    """Return the size of a file in bytes, 0 if there is none."""
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0
