# SPDX-License-Identifier: GPL-2.0-or-later
"""Connections to the SQLite file.

This module does not know what the tables mean. It keeps these rules:

* nothing is opened before the first query, and ``sqlite3`` is not imported;
* each thread has its own connection, and a connection is never used across a
  fork: Mercurial's update workers and command servers fork;
* a connection is closed when its thread or its ``Database`` ends;
* a database that this process cannot write to is still read: on read-only
  media, of another user, or on a full disk;
* every exception of ``sqlite3`` becomes an error of this package that names the
  file.
"""

from __future__ import annotations

import itertools
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from mercurial import pycompat
from mercurial.i18n import _

from ...amalgam import durable
from ...amalgam.held import Held
from .. import errors
from ..formats import statements
from . import commits, failures, keeping, links, location, uris, wholefile

if TYPE_CHECKING:
    import sqlite3

Row = tuple[Any, ...]
T = TypeVar('T')

# Readers never wait in WAL mode, and Mercurial's own lock keeps writers apart.
# Only other tools, a checkpoint or a backup can hold the file.
BUSY_SECONDS = 60.0

# The values of ``synchronous`` with which a commit survives a power failure once
# it has returned.
_DURABLE = (b'full', b'extra')

# Numbers of connections, in the order in which they were opened.
_openings = itertools.count()

# Connections below this number that do not write beside the file should be
# opened anew: see Database._refused_by_readers.
_outdated = 0

# All instances of Database. _before_fork closes their connections.
_databases: weakref.WeakSet[Database] = weakref.WeakSet()


class Database:
    """The database file at ``path``, opened on first use.

    ``synchronous`` is a value of ``storage.sqlite.synchronous``. ``busy`` is
    how many seconds to wait for a lock. ``mode`` holds the permissions that the
    file must have, or None for any. With ``keep_log``, the write-ahead log stays
    when the last connection is closed (see ``keeping``). Raises StoreUnavailable
    for an unknown value of ``synchronous``.
    """

    def __init__(
        self,
        path: bytes,
        synchronous: bytes = b'full',
        busy: float = BUSY_SECONDS,
        mode: int | None = None,
        keep_log: bool = False,
    ) -> None:
        if synchronous not in statements.SET_SYNCHRONOUS:
            raise errors.StoreUnavailable(
                _(b"invalid value for storage.sqlite.synchronous: '%s'")
                % synchronous,
                hint=_(b'use one of: %s')
                % b', '.join(statements.SET_SYNCHRONOUS),
            )
        self.path = path
        self._location = location.Location(path, mode)
        self._synchronous = synchronous
        self._busy = busy
        #: whether the log stays when the last connection is closed
        self.keep_log = keep_log
        self._local = threading.local()
        _databases.add(self)

    # queries

    def rows(self, sql: str, params: Sequence[Any] = ()) -> list[Row]:
        """Return all rows of a query."""
        return self._read(lambda conn: conn.execute(sql, params).fetchall())

    def row(self, sql: str, params: Sequence[Any] = ()) -> Row | None:
        """Return the first row of a query, or None."""
        return self._read(lambda conn: conn.execute(sql, params).fetchone())

    def iterate(self, sql: str, params: Sequence[Any] = ()) -> Iterator[Row]:
        """Yield the rows of a query without holding all of them in memory."""
        conn = self.connection()
        if self._local.mode == location.IMMUTABLE:
            # The result counts only if the file did not change meanwhile. Rows
            # that were already yielded could not be taken back.
            yield from self.rows(sql, params)
            return
        try:
            yield from conn.execute(sql, params)
        except Exception as exc:
            raise self.translated(exc) from exc

    def _read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Return the result of a query.

        SQLite takes no locks on a file that was opened as immutable, so
        another process may change it during a query. Neither the result nor a
        failure of such a query counts if the file changed meanwhile.

        A query that fails because SQLite cannot write beside the file is
        repeated with a connection that does not have to.
        """
        for _attempt in range(location.CLOSING_CHECKS):
            conn = self.connection()
            mode = self._local.mode
            try:
                found = query(conn)
            except Exception as exc:
                if conn.in_transaction:
                    raise self.translated(exc) from exc
                if mode == location.READ_WRITE and failures.cannot_write(exc):
                    # It cannot be written to any more, since it was opened.
                    self.close()
                    self._keep(self._open_for_reading(exc))
                    continue
                if not self._changed:
                    raise self.translated(exc) from exc
            else:
                if mode != location.IMMUTABLE or not self._changed:
                    return found
            self.close()
        raise failures.changing(self.path)

    def execute(self, sql: str, params: Sequence[Any] = ()) -> int:
        """Run a statement and return the number of rows that it changed."""
        conn = self.connection()
        try:
            return conn.execute(sql, params).rowcount
        except Exception as exc:
            raise self.translated(exc) from exc

    def execute_many(self, sql: str, params: Iterable[Sequence[Any]]) -> None:
        """Run a statement once for each item of ``params``."""
        conn = self.connection()
        try:
            conn.executemany(sql, params)
        except Exception as exc:
            raise self.translated(exc) from exc

    def begin(self) -> None:
        """Begin a write transaction. The repository must be locked.

        Raises StoreUnavailable if the database cannot be written.
        """
        if self._current() is not None and self._local.refused is not None:
            # There may be space again.
            self.close()
        if links.is_linked(self.path) and self.writable:
            links.separate(self)
        conn = self.connection()
        refused: errors.StoreUnavailable | None = self._local.refused
        if refused is not None:
            raise refused
        try:
            if self._local.made_log:
                self._local.made_log = False
                self._local.unsynced = commits.start_log(
                    conn, self._location.log_is_empty
                )
                if not self._local.unsynced:
                    self._set_synchronous(conn)
            conn.execute(statements.BEGIN)
        except Exception as exc:
            if failures.is_read_only(exc) and self.writable:
                raise self._refused_by_readers() from exc
            raise self.translated(exc) from exc

    def _refused_by_readers(self) -> errors.StoreUnavailable:
        """Return the error if other threads keep this one from writing.

        All connections of a process share the index of the log. If a thread
        opened it for reading only, because the disk was full, no other thread
        can write. Such threads open the database anew before they read again.
        """
        global _outdated
        self.close()
        _outdated = next(_openings)
        return errors.StoreUnavailable(
            _(b'cannot write to %s: other threads of this process only read it')
            % self.path,
            hint=_(b'they could not write when they opened it; try again'),
        )

    def commit(self, *, more: bool = False) -> None:
        """Commit the write transaction that ``begin`` began.

        It is durable afterwards, unless ``synchronous`` does not demand that.
        With ``more``, other transactions follow at once. Raises
        StoreUnavailable if the transaction could not be committed, or perhaps
        is not durable.
        """
        conn = self.connection()
        self.execute(statements.COMMIT)
        if self._local.unsynced:
            self._local.unsynced = False
            try:
                if more or self.keep_log or not commits.copy_log(conn):
                    self._location.sync_log()
            except OSError as exc:
                raise errors.StoreUnavailable(
                    _(b'cannot sync the write-ahead log of %s: %s')
                    % (self.path, pycompat.bytestr(exc.strerror)),
                    hint=_(b'check the disk'),
                ) from exc
            finally:
                self._set_synchronous(conn)

    def _set_synchronous(self, conn: sqlite3.Connection) -> None:
        conn.execute(statements.SET_SYNCHRONOUS[self._synchronous])

    @property
    def in_transaction(self) -> bool:
        """Whether this thread's connection has an open transaction."""
        conn = self._current()
        return conn is not None and conn.in_transaction

    # connections

    def connection(self) -> sqlite3.Connection:
        """Return this thread's connection, and open it if necessary."""
        conn = self._current()
        if conn is None:
            conn = self._open()
            self._keep(conn)
        return conn

    def _keep(self, conn: sqlite3.Connection) -> None:
        """Make ``conn`` this thread's connection."""
        self._local.held = self._hold(conn, self._local.mode)
        self._local.opening = next(_openings)

    def _hold(self, conn: sqlite3.Connection, mode: str) -> Held:
        """Return the holder of a connection that was opened in ``mode``."""
        if not self.keep_log or mode != location.READ_WRITE:
            return Held(conn)
        try:
            last = keeping.accompany(
                conn, lambda: self._connect(location.BESIDE)
            )
        except Exception as exc:
            conn.close()
            raise self.translated(exc) from exc
        return Held(conn, last)

    def _current(self) -> sqlite3.Connection | None:
        held: Held | None = getattr(self._local, 'held', None)
        if held is None:
            return None
        if held.inherited:
            self._local.held = None
            return None
        conn: sqlite3.Connection = held.conn
        return conn

    def close(self) -> None:
        """Close this thread's connection; the next query opens another."""
        if self._current() is not None:
            held, self._local.held = self._local.held, None
            held.close()

    def pause(self) -> None:
        """Close this thread's connection if it may keep others from writing."""
        if self._current() is not None and (
            self._local.mode != location.READ_WRITE
        ):
            self.close()

    def version(self) -> tuple[int, int]:
        """Return a value that changes when another process may have written.

        SQLite's data version can only be compared within one connection, so
        the number of the connection is part of the value.
        """
        row = self.row(statements.SELECT_DATA_VERSION)
        return self._local.opening, row[0] if row else 0

    def refresh(self) -> None:
        """Close the connection if it shows an outdated state.

        The file may have been replaced, for example by a restored backup. Or
        another user changed a database that this process opened as immutable,
        which SQLite does not notice. Or there may be space again for the files
        beside the database.
        """
        if self.replaced or self._changed or self._is_outdated:
            self.close()

    @property
    def _is_outdated(self) -> bool:
        """Whether the connection keeps other threads from writing."""
        return (
            self._current() is not None
            and self._local.mode == location.READ_ONLY
            and self._local.opening < _outdated
        )

    @property
    def _changed(self) -> bool:
        """Whether another process wrote to a database opened for reading."""
        seen = getattr(self._local, 'seen', None)
        return seen is not None and seen != self._location.signature()

    def check_unchanged(self) -> None:
        """Raise StoreUnavailable if a long read may be inconsistent.

        That is so if another process wrote to a file that SQLite does not lock.
        """
        if self._local.mode == location.IMMUTABLE and self._changed:
            raise failures.changing(self.path)

    @property
    def replaced(self) -> bool:
        """Whether the path now leads to another file than the open one."""
        if self._current() is None:
            return False
        found = self._location.file_id()
        return found is not None and found != self._local.file

    @property
    def writable(self) -> bool:
        """Whether this process may write to the file and its directory."""
        return self._location.writable

    def _open(self) -> sqlite3.Connection:
        import sqlite3

        try:
            os.stat(self.path)
        except OSError as exc:
            raise errors.StoreUnavailable(
                _(b'cannot open %s: %s')
                % (self.path, pycompat.bytestr(exc.strerror)),
                hint=_(b'it holds the file history; restore it from a backup'),
            ) from exc
        if self.writable:
            try:
                return self._open_in(location.READ_WRITE)
            except sqlite3.Error as exc:
                if not failures.cannot_write(exc):
                    raise self.translated(exc) from exc
                return self._open_for_reading(exc)
        return self._open_for_reading(None)

    def _open_for_reading(
        self, refused: Exception | None
    ) -> sqlite3.Connection:
        """Open the database without writing to it, or beside it.

        ``refused`` is the exception if this process has permission to write
        and failed, as on a full disk. It is raised if reading is impossible
        as well, or when somebody tries to write.
        """
        import sqlite3

        why = None if refused is None else self.translated(refused)
        for _attempt in range(location.CLOSING_CHECKS):
            seen = self._location.settled_signature()
            try:
                mode = self._location.reading_mode()
            except errors.StoreUnavailable:
                if why is not None:
                    raise why from refused
                raise
            try:
                conn = self._open_in(mode)
            except sqlite3.Error as exc:
                if self._location.signature() == seen:
                    raise (why or self.translated(exc)) from exc
                # Its owner opened or closed it after the mode was chosen.
                continue
            if mode == location.ALONE and commits.copy_log(conn):
                # Closing it removes the log.
                conn.close()
                continue
            self._local.seen = seen
            self._local.refused = why
            return conn
        raise failures.changing(self.path)

    def _open_in(self, mode: str) -> sqlite3.Connection:
        if mode == location.READ_WRITE:
            self._location.follow_directory()
        self._local.mode = mode
        self._local.seen = self._local.refused = None
        self._local.file = self._location.file_id()
        self._local.made_log = (
            mode == location.READ_WRITE
            and self._synchronous in _DURABLE
            and not self._location.has_log()
        )
        self._local.unsynced = False
        conn = self._connect(mode)
        try:
            if mode == location.ALONE:
                conn.execute(statements.LOCK_ALONE)
            wholefile.check(conn, self.path)
            if mode == location.READ_WRITE:
                self._set_synchronous(conn)
        except BaseException:
            # The exception would keep it open.
            conn.close()
            raise
        return conn

    def _connect(self, mode: str) -> sqlite3.Connection:
        import sqlite3

        conn: sqlite3.Connection = sqlite3.connect(
            uris.uri(self.path, location.PARAMETERS[mode]),
            uri=True,
            timeout=self._busy,
            isolation_level=None,
            # Another thread may close it, but none uses it.
            check_same_thread=False,
        )
        return conn

    def translated(self, exc: Exception) -> Exception:
        """Return the error to raise for an exception of ``sqlite3``."""
        return failures.translated(self.path, exc)

    # the file as a whole

    def create(self) -> None:
        """Create an empty database. Raises StoreUnavailable if one exists."""
        import sqlite3

        wholefile.reserve(self.path)
        try:
            wholefile.fill(self._connect(location.READ_WRITE))
        except sqlite3.Error as exc:
            raise self.translated(exc) from exc
        if self._synchronous != b'off':
            # Later commits sync the log only, and the name with the log.
            durable.sync_file(self.path)

    def copy(self, path: bytes) -> None:
        """Write a consistent copy to ``path``, even while others write.

        The copy is complete by itself: it has no write-ahead log. It is not
        synced.
        """
        wholefile.copy(self.connection(), path, self)

    def snapshot(self) -> wholefile.Snapshot | None:
        """Return the database as it is now, to be copied later.

        Return None if the file was opened in a way in which others may change
        it under the reader.
        """
        import sqlite3

        self.connection()
        if self._local.mode != location.READ_WRITE:
            return None
        try:
            conn = self._connect(location.READ_WRITE)
            conn.execute(statements.BEGIN_SNAPSHOT)
            # The first read takes the snapshot.
            conn.execute(statements.COUNT_SCHEMA).fetchone()
            held = self._hold(conn, location.READ_WRITE)
            (size,) = held.conn.execute(statements.SELECT_SIZE).fetchone()
        except sqlite3.Error as exc:
            raise self.translated(exc) from exc
        return wholefile.Snapshot(self, held, size)


def _before_fork() -> None:
    """Close this thread's connections, except those in a transaction.

    SQLite records in memory which locks the process holds, because a process
    holds each lock only once. A child process inherits the record but not the
    locks. Its connections would then work without locks, and other processes
    might delete the log while it is in use.
    """
    for database in list(_databases):
        if not database.in_transaction:
            database.close()


os.register_at_fork(before=_before_fork)
