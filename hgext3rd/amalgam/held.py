# SPDX-License-Identifier: GPL-2.0-or-later
"""Connections of ``sqlite3`` that are closed as soon as nobody holds them.

By itself, an open connection is part of a reference cycle, with its cache of
statements. It is not closed when the last reference to it is dropped, or when
the thread ends whose local data refers to it, but by a later garbage
collection. A server with a thread for each client would collect open files.

Imported whenever a repository is opened: keep it light, without ``sqlite3``.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

# Connections that were inherited through a fork. Closing one would run a
# checkpoint on behalf of the parent, and drop locks, so they stay, unused, until
# the process ends.
_inherited: list[Any] = []


class Held:
    """Holds the connection ``conn``, which no one else may refer to for long.

    ``last`` is a second connection, which is closed after the first, or None.

    The last reference to a holder may be dropped in another thread, which then
    closes the connection: open it with ``check_same_thread=False``.
    """

    __slots__ = ('_last', '_pid', 'conn')

    def __init__(self, conn: Any, last: Any = None) -> None:
        self.conn = conn
        self._last = last
        self._pid = os.getpid()

    @property
    def inherited(self) -> bool:
        """Whether this process must not use the connection, after a fork."""
        return self._pid != os.getpid()

    def close(self) -> None:
        """Close the connections, unless they are inherited."""
        for conn in (self.conn, self._last):
            if conn is None:
                continue
            if self.inherited:
                _keep_forever(conn)
            else:
                conn.close()

    def __del__(self) -> None:
        # When the interpreter shuts down, modules may be empty already.
        with suppress(AttributeError, ImportError, TypeError):
            self.close()


def _keep_forever(conn: Any) -> None:
    """Make sure that ``conn`` is never closed in this process."""
    import ctypes

    if any(conn is known for known in _inherited):
        return
    _inherited.append(conn)
    # The interpreter clears the list above at shutdown, which would close the
    # connection after all.
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(conn))
