# SPDX-License-Identifier: GPL-2.0-or-later
"""Copy the database consistently while other processes read and write.

SQLite's backup API copies page by page within one read transaction, so the copy
is one snapshot. In WAL mode this blocks no other process. The copy gets a
``txn`` row of kind ``strip`` (see ``writer``). It makes the first writer, or
``hg recover``, remove the revisions of changesets that do not exist. So the
copy may be put beside a changelog that is older than itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from mercurial import pycompat
from mercurial.i18n import _

from ...amalgam import durable, sidefiles
from .. import errors
from ..database import uris
from ..formats import statements

if TYPE_CHECKING:
    from ..database.connection import Database

# How many pages to copy between two calls of ``progress``: 4 MB.
STEP = 1024

# More changesets than a repository can have, so that the recorded strip always
# appears to be unfinished.
ANY_CHANGESETS = 1 << 31


def backup(
    db: Database, dest: bytes, progress: Callable[[int, int], None]
) -> int:
    """Copy the database to a new file ``dest``, and return its size in bytes.

    ``progress`` is called with the number of pages done and their total. Raises
    StoreUnavailable if ``dest`` exists or cannot be written. A failure or an
    interruption leaves no ``dest``.
    """
    if os.path.lexists(dest):
        raise errors.StoreUnavailable(_(b"'%s' already exists") % dest)
    partial = dest + b'.part'
    try:
        _copy(db, partial, progress)
        durable.sync_file(partial)
        os.chmod(partial, os.stat(db.path).st_mode & 0o777)
        os.rename(partial, dest)
        durable.sync_directory(os.path.dirname(dest) or b'.')
    except OSError as exc:
        raise errors.StoreUnavailable(
            _(b'cannot write %s: %s') % (dest, pycompat.bytestr(exc.strerror))
        ) from exc
    finally:
        sidefiles.remove(partial)
    return os.stat(dest).st_size


def _copy(
    db: Database, dest: bytes, progress: Callable[[int, int], None]
) -> None:
    """Write the copy to ``dest``, and check it."""
    import sqlite3

    # SQLite would create the file without regard to the user's umask.
    os.close(os.open(dest, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o666))
    source = db.connection()
    try:
        target = sqlite3.connect(uris.uri(dest), uri=True, isolation_level=None)
        try:
            # The file is synced as a whole.
            target.execute(statements.SET_SYNCHRONOUS[b'off'])
            db.execute(statements.BEGIN_SNAPSHOT)
            try:
                # The snapshot is taken by the first read.
                db.row(statements.COUNT_SCHEMA)
                source.backup(
                    target,
                    pages=STEP,
                    progress=lambda _status, left, total: progress(
                        total - left, total
                    ),
                )
                db.check_unchanged()
            finally:
                db.execute(statements.ROLLBACK)
            target.execute(statements.DELETE_MARKS)
            note = (statements.STRIP, ANY_CHANGESETS)
            target.execute(statements.REPLACE_TXN, note)
            (verdict,) = target.execute(statements.QUICK_CHECK).fetchone()
        finally:
            target.close()
    except sqlite3.Error as exc:
        raise db.translated(exc) from exc
    if verdict != 'ok':
        raise errors.CorruptStore(
            _(b'%s is damaged: %s') % (db.path, verdict.encode()),
            hint=_(b"run 'hg verify'"),
        )
