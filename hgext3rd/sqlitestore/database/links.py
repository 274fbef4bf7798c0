# SPDX-License-Identifier: GPL-2.0-or-later
"""A database that has another name, as after ``cp -al``.

Revlogs break such links when they are written to. The database is changed in
place, with a log for each of its names: two repositories that share one would
take each other's revisions for traces of lost transactions. So whoever is
about to write makes a copy first.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import TYPE_CHECKING, Any

from mercurial import util
from mercurial.i18n import _

from .. import errors

if TYPE_CHECKING:
    from .connection import Database

SUFFIX = b'.own'
SIDE_FILES = (b'-wal', b'-shm')

# All that is in the log goes into the file, unless a reader needs the log.
EMPTY_LOG = 'PRAGMA wal_checkpoint(TRUNCATE)'

# How often a copy is begun anew because the other repository was written to.
ATTEMPTS = 5


def is_linked(path: bytes) -> bool:
    """Whether the file at ``path`` has other names."""
    try:
        return os.stat(path).st_nlink > 1
    except OSError:
        return False


def separate(db: Database) -> None:
    """Have the database be a file of its own; nobody else may write to it.

    Raises StoreUnavailable if others keep it from that. Processes that have
    the old file open read on and notice that it was replaced.
    """
    copy = db.path + SUFFIX
    try:
        for _attempt in range(ATTEMPTS):
            row = db.row(EMPTY_LOG)
            if row is None or row[0]:
                continue
            before = _state(db.path)
            util.tryunlink(copy)
            db.copy(copy)
            if _state(db.path) == before:
                break
        else:
            raise errors.StoreUnavailable(
                _(b'%s is also a file of another repository, and in use')
                % db.path,
                hint=_(b'try again'),
            )
        shutil.copymode(db.path, copy)
        stat = os.stat(db.path)
        with contextlib.suppress(OSError):
            # only root may, but root must, or the owner could not write to it
            os.chown(copy, stat.st_uid, stat.st_gid)
        _sync(copy)
        db.close()
        # Nothing is in them, but they belong to the old file.
        for suffix in SIDE_FILES:
            util.tryunlink(db.path + suffix)
        util.rename(copy, db.path)
        _sync(os.path.dirname(db.path))
    finally:
        for suffix in (b'', *SIDE_FILES):
            util.tryunlink(copy + suffix)


def _state(path: bytes) -> tuple[Any, ...]:
    """What is another when somebody wrote to the file."""
    stat = os.stat(path)
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _sync(path: bytes) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
