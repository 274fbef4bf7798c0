# SPDX-License-Identifier: GPL-2.0-or-later
"""A consistent copy of the database while others read and write.

The copy is one snapshot: SQLite's backup API copies page by page within a
read transaction, which in WAL mode holds up nobody. It leaves a note in the
copy (a ``txn`` row, see ``transaction``) that makes the first writer, or ``hg
recover``, remove what belongs to changesets that are not there. So the copy
may be put beside a changelog that is older than itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from mercurial import pycompat, util
from mercurial.i18n import _

from .. import errors
from ..database import uris
from . import writer

if TYPE_CHECKING:
    from ..database.connection import Database

# Pages copied between two calls of ``progress``: 4 MB.
STEP = 1024

# More changesets than there can be.
ANY_CHANGESETS = 1 << 31

SNAPSHOT = 'BEGIN'
# A read transaction begins with its first read.
TOUCH = 'SELECT count(*) FROM sqlite_schema'
QUICK_CHECK = 'PRAGMA quick_check(1)'
NOTE = 'INSERT OR REPLACE INTO txn VALUES (1, ?, ?, 1, 1)'


def backup(
    db: Database, dest: bytes, progress: Callable[[int, int], None]
) -> int:
    """Copy the database to a new file ``dest``; returns its size in bytes.

    ``progress`` is called with the pages done and their total. Raises
    StoreUnavailable if ``dest`` exists or cannot be written; whatever
    happens, there is a whole copy at ``dest`` or none.
    """
    if os.path.lexists(dest):
        raise errors.StoreUnavailable(_(b"'%s' already exists") % dest)
    partial = dest + b'.part'
    try:
        _copy(db, partial, progress)
        with open(partial, 'rb+') as file:
            os.fsync(file.fileno())
        os.chmod(partial, os.stat(db.path).st_mode & 0o777)
        os.rename(partial, dest)
        _sync_directory(os.path.dirname(dest) or b'.')
    except OSError as exc:
        raise errors.StoreUnavailable(
            _(b'cannot write %s: %s') % (dest, pycompat.bytestr(exc.strerror))
        ) from exc
    finally:
        for suffix in (b'', b'-journal', b'-wal', b'-shm'):
            util.tryunlink(partial + suffix)
    return os.stat(dest).st_size


def _copy(
    db: Database, dest: bytes, progress: Callable[[int, int], None]
) -> None:
    import sqlite3

    # The file is made here so that it is the user's umask that counts.
    os.close(os.open(dest, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o666))
    source = db.connection()
    try:
        target = sqlite3.connect(uris.uri(dest), uri=True, isolation_level=None)
        try:
            db.execute(SNAPSHOT)
            try:
                db.row(TOUCH)
                source.backup(
                    target,
                    pages=STEP,
                    progress=lambda _status, left, total: progress(
                        total - left, total
                    ),
                )
            finally:
                db.execute(writer.ROLLBACK)
            target.execute(writer.DELETE_MARKS)
            target.execute(NOTE, (writer.STRIP, ANY_CHANGESETS))
            (verdict,) = target.execute(QUICK_CHECK).fetchone()
        finally:
            target.close()
    except sqlite3.Error as exc:
        raise db.translated(exc) from exc
    if verdict != 'ok':
        raise errors.CorruptStore(
            _(b'%s is damaged: %s') % (db.path, verdict.encode()),
            hint=_(b"run 'hg verify'"),
        )


def _sync_directory(path: bytes) -> None:
    """Make the name of a new file survive a power failure."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
