# SPDX-License-Identifier: GPL-2.0-or-later
"""Keep the write-ahead log when the last connection closes the database.

The last connection to close moves the log into the database and removes it, for
which it locks the file exclusively. SQLite can be told not to do so, but Python
passes that on only since 3.12 (``Connection.setconfig``). This way works with all
versions: a connection that opened the file for reading only cannot lock it
exclusively. So each connection that writes is accompanied by one that reads, and
that one is closed last.

Knows nothing of what is in the database.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..formats import statements

if TYPE_CHECKING:
    import sqlite3


def accompany(
    conn: sqlite3.Connection, connect: Callable[[], sqlite3.Connection]
) -> sqlite3.Connection:
    """Return a connection that keeps the log if it is closed after ``conn``.

    ``connect`` opens the same file for reading only. ``conn`` must have read from
    the database, so that the process has opened the index of the log for writing.
    """
    conn.execute(statements.KEEP_LOG).fetchall()
    reader = connect()
    try:
        # The first query takes the lock that a connection holds while it is open.
        reader.execute(statements.COUNT_SCHEMA).fetchall()
    except BaseException:
        reader.close()
        raise
    return reader
