# SPDX-License-Identifier: GPL-2.0-or-later
"""Make a commit survive a power failure with as few syncs as possible.

A process that opens the database, commits once and closes it syncs five times
if SQLite does it alone (``synchronous=full``):

1. the log, after its header was written. Otherwise frames of an older log in
   the same file could be taken for frames of the new one;
2. the directory, or the name of the log could be lost;
3. the log. The commit is durable then;
4. the log again, when the process closes the database, before frames are
   copied: a commit need not have synced it;
5. the database, before the log is removed.

A new log has no older frames, so 1 is unnecessary; 3 and 4 are the same if the
frames are copied at once. The functions here leave three. They are for the
first transaction of a process that made the log. A process that finds a log
appends to it, with one sync: another process has the database open, and will
copy the frames.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..formats import statements

if TYPE_CHECKING:
    import sqlite3


def start_log(conn: sqlite3.Connection, is_new: Callable[[], bool]) -> bool:
    """Write the header of a new log without syncing it.

    Return whether that was done. It is not if another process has written to
    the log meanwhile, so that ``is_new`` returns False. Afterwards the
    connection does not sync commits either: after the next one, call
    ``copy_log``, or sync the log and its directory.
    """
    conn.execute(statements.SET_SYNCHRONOUS[b'off'])
    try:
        conn.execute(statements.BEGIN)
        # Other processes cannot write now.
        new = is_new()
        if new:
            # SQLite writes the header together with a page.
            conn.execute(statements.REWRITE_FIRST_PAGE)
            conn.execute(statements.COMMIT)
    finally:
        if conn.in_transaction:
            conn.execute(statements.ROLLBACK)
        conn.execute(statements.SET_SYNCHRONOUS[b'normal'])
    return new


def copy_log(conn: sqlite3.Connection) -> bool:
    """Copy the log into the database, with syncs: log, directory, database.

    Return whether that was done completely. It is not if other processes are
    reading or the disk is full. What was committed may not be on the disk then.
    """
    import sqlite3

    try:
        busy, frames, copied = conn.execute(statements.SHRINK_LOG).fetchone()
    except sqlite3.Error:
        return False
    return not busy and frames == copied
