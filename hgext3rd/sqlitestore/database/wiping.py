# SPDX-License-Identifier: GPL-2.0-or-later
"""Overwrite what was deleted, in the database and in its write-ahead log.

Nothing here knows what was deleted.
"""

from __future__ import annotations

from ..formats import schema, statements
from .connection import Database


def wipe(db: Database) -> bool:
    """Overwrite deleted bytes in free pages and the log, if requested.

    A transaction requests it by the counter ``wipe``. Return False, and leave
    the request for the log on record, if the log is kept, or a reader in another
    process still needs it.
    """
    row = db.row(statements.SELECT_COUNTER, ('wipe',))
    wanted = row[0] if row else schema.WIPE_NOTHING
    if wanted == schema.WIPE_ALL:
        db.execute(statements.VACUUM)
        _note(db, schema.WIPE_LOG)
    if wanted != schema.WIPE_NOTHING:
        if not empty_log(db):
            return False
        _note(db, schema.WIPE_NOTHING)
    return True


def _note(db: Database, left: int) -> None:
    """Record what is left to wipe."""
    db.execute(statements.UPDATE_COUNTER, (left, 'wipe'))


def empty_log(db: Database) -> bool:
    """Move the log into the database; return whether nothing is left in it.

    Wait for readers in other processes. A log that is kept stays: Litestream 0.5
    does not notice if others empty it before it has read all of it, and its copy
    of the database would be damaged.
    """
    if db.keep_log:
        return False
    row = db.row(statements.EMPTY_LOG)
    return row is None or not row[0]
