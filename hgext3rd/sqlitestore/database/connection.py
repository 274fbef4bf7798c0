# SPDX-License-Identifier: GPL-2.0-or-later
"""Opening the SQLite file, and nothing about what it means.

Rules kept here:

* nothing is opened, not even ``sqlite3`` imported, before the first query;
* one connection per thread, and never one that crossed a fork: Mercurial's
  update workers and command servers fork;
* a database this process cannot write (read-only media, another user's
  repository) is still read;
* every ``sqlite3`` error leaves as one of ``errors``, naming the file.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from mercurial import pycompat
from mercurial.i18n import _

from .. import errors
from ..formats import schema
from . import links, uris

if TYPE_CHECKING:
    import sqlite3

Row = tuple[Any, ...]
T = TypeVar('T')

# Readers never wait in WAL mode, and Mercurial's own lock keeps writers
# apart: only other tools, a checkpoint or a backup can hold the file.
BUSY_SECONDS = 60.0

READ_WRITE = 'mode=rw'
READ_ONLY = 'mode=ro'
IMMUTABLE = 'immutable=1'

# SQLite's limit on Unix is 512, with the name of the log.
LONGEST_PATH = 500

# How often to look whether a log without its index goes away.
CLOSING_LOOKS = 50

BEGIN = 'BEGIN IMMEDIATE'
SELECT_CODE = """
    SELECT 1 FROM sqlite_master WHERE type IN ('trigger', 'view') LIMIT 1"""
DATA_VERSION = 'PRAGMA data_version'
SELECT_WIPE = "SELECT value FROM counter WHERE name = 'wipe'"
CLEAR_WIPE = "UPDATE counter SET value = 0 WHERE name = 'wipe'"

SYNCHRONOUS = (b'off', b'normal', b'full', b'extra')

# Connections inherited through a fork. Closing one would run a checkpoint on
# behalf of the parent, so they are kept, unused, until the process ends.
_inherited: list[Any] = []

# All objects below, for _before_fork.
_databases: weakref.WeakSet[Database] = weakref.WeakSet()


class Database:
    """The file at ``path`` (bytes); opened on first use.

    ``synchronous`` is one of SYNCHRONOUS, ``busy`` how many seconds to wait
    for a lock, ``mode`` what permissions the file must have (None: any).
    """

    def __init__(
        self,
        path: bytes,
        synchronous: bytes = b'full',
        busy: float = BUSY_SECONDS,
        mode: int | None = None,
    ) -> None:
        if synchronous not in SYNCHRONOUS:
            raise errors.StoreUnavailable(
                _(b"invalid value for storage.sqlite.synchronous: '%s'")
                % synchronous,
                hint=_(b'use one of: %s') % b', '.join(SYNCHRONOUS),
            )
        self.path = path
        self._synchronous = synchronous.decode('ascii')
        self._busy = busy
        self._permissions = mode
        self._local = threading.local()
        self._openings = itertools.count()
        _databases.add(self)

    # queries

    def rows(self, sql: str, params: Sequence[Any] = ()) -> list[Row]:
        """All rows of a query."""
        return self._read(lambda conn: conn.execute(sql, params).fetchall())

    def row(self, sql: str, params: Sequence[Any] = ()) -> Row | None:
        """The first row of a query, or None."""
        return self._read(lambda conn: conn.execute(sql, params).fetchone())

    def iterate(self, sql: str, params: Sequence[Any] = ()) -> Iterator[Row]:
        """The rows of a query, not all at once."""
        conn = self.connection()
        if self._local.mode == IMMUTABLE:
            # what was handed out could not be taken back
            yield from self.rows(sql, params)
            return
        try:
            yield from conn.execute(sql, params)
        except Exception as exc:
            raise self.translated(exc) from exc

    def _read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """What a query finds.

        A file that we cannot write may change under our hands: SQLite takes no
        locks on an immutable one. What such a query found, and if it failed,
        only counts if nothing changed meanwhile.
        """
        for _attempt in range(CLOSING_LOOKS):
            conn = self.connection()
            mode = self._local.mode
            try:
                found = query(conn)
            except Exception as exc:
                if conn.in_transaction or not self._changed:
                    raise self.translated(exc) from exc
            else:
                if mode != IMMUTABLE or not self._changed:
                    return found
            self.close()
        raise self._restless()

    def execute(self, sql: str, params: Sequence[Any] = ()) -> int:
        """Run a statement; returns the number of rows it changed."""
        conn = self.connection()
        try:
            return conn.execute(sql, params).rowcount
        except Exception as exc:
            raise self.translated(exc) from exc

    def execute_many(self, sql: str, params: Iterable[Sequence[Any]]) -> None:
        """Run a statement once per item of ``params``."""
        conn = self.connection()
        try:
            conn.executemany(sql, params)
        except Exception as exc:
            raise self.translated(exc) from exc

    def begin(self) -> None:
        """Open a transaction to write in, with the repository's lock held."""
        if links.is_linked(self.path) and self.writable:
            links.separate(self)
        self.execute(BEGIN)

    @property
    def in_transaction(self) -> bool:
        """Whether this thread's connection has an open transaction."""
        conn = self._current()
        return conn is not None and conn.in_transaction

    # connections

    def connection(self) -> sqlite3.Connection:
        """This thread's connection, opened if need be."""
        conn = self._current()
        if conn is None:
            conn = self._open()
            self._local.conn = conn
            self._local.pid = os.getpid()
            self._local.opening = next(self._openings)
        return conn

    def _current(self) -> sqlite3.Connection | None:
        conn: sqlite3.Connection | None = getattr(self._local, 'conn', None)
        if conn is not None and self._local.pid != os.getpid():
            _keep_forever(conn)
            self._local.conn = conn = None
        return conn

    def version(self) -> tuple[int, int]:
        """What is another after others wrote, or may have written.

        SQLite's number only means something for one connection.
        """
        row = self.row(DATA_VERSION)
        return self._local.opening, row[0] if row else 0

    def refresh(self) -> None:
        """Forget the connection if it shows what is no more.

        There may be another file now, as after a restore. And another user may
        have changed a database we cannot write: SQLite itself does not look at
        a file opened as immutable again.
        """
        if self.replaced or self._changed:
            self.close()

    @property
    def _changed(self) -> bool:
        """Whether someone wrote to a database that we cannot write."""
        seen = getattr(self._local, 'seen', None)
        return seen is not None and seen != self._signature()

    @property
    def replaced(self) -> bool:
        """Whether there is another file now than the one that is open."""
        if self._current() is None:
            return False
        found = self._file_id()
        return found is not None and found != self._local.file

    def _file_id(self) -> tuple[int, int] | None:
        """Which file is at the path, whatever is in it."""
        try:
            stat = os.stat(self.path)
        except OSError:
            return None
        return stat.st_dev, stat.st_ino

    def _signature(self) -> tuple[Any, ...]:
        """What changes when someone writes to the database."""
        found: list[Any] = []
        real = self._real
        for suffix in (b'', b'-wal', b'-shm'):
            try:
                stat = os.stat(real + suffix)
            except OSError:
                found.append(None)
            else:
                found.append((stat.st_mtime_ns, stat.st_size, stat.st_ino))
        return tuple(found)

    def close(self) -> None:
        """Close this thread's connection; the next query opens another."""
        conn = self._current()
        if conn is not None:
            self._local.conn = None
            conn.close()

    def create(self) -> None:
        """Make a new, empty database; the file must not exist."""
        import sqlite3

        try:
            # Made through os.open for its O_EXCL and the process's umask.
            os.close(
                os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
            )
        except OSError as exc:
            raise errors.StoreUnavailable(
                _(b'cannot create %s: %s')
                % (self.path, pycompat.bytestr(exc.strerror)),
            ) from exc
        conn = None
        try:
            conn = self._connect(sqlite3, READ_WRITE)
            conn.execute('PRAGMA page_size = %d' % schema.PAGE_SIZE)
            conn.execute('PRAGMA journal_mode = WAL')
            conn.execute('PRAGMA synchronous = %s' % self._synchronous)
            conn.execute(BEGIN)
            for statement in schema.CREATE:
                conn.execute(statement)
            conn.execute('COMMIT')
        except sqlite3.Error as exc:
            raise self.translated(exc) from exc
        finally:
            if conn is not None:
                conn.close()

    def wipe(self) -> bool:
        """Overwrite what was deleted: free pages, slack and the WAL.

        Returns False, and leaves the request on record, if a reader in
        another process still needs the WAL.
        """
        row = self.row(SELECT_WIPE)
        if row is None or not row[0]:
            return True
        self.execute('VACUUM')
        result = self.row('PRAGMA wal_checkpoint(TRUNCATE)')
        if result is not None and result[0]:
            return False
        self.execute(CLEAR_WIPE)
        return True

    def copy(self, path: bytes) -> None:
        """Write a consistent copy to ``path``, also while others write.

        The copy is complete by itself: it has no WAL.
        """
        import sqlite3

        source = self.connection()
        try:
            target = sqlite3.connect(os.fsdecode(path), isolation_level=None)
            try:
                source.backup(target)
                # Opening a copy must not need to write beside it, whatever
                # mode the original was in.
                target.execute('PRAGMA journal_mode = WAL')
            finally:
                target.close()
        except sqlite3.Error as exc:
            raise self.translated(exc) from exc

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
        for _attempt in range(CLOSING_LOOKS):
            try:
                return self._open_once(sqlite3)
            except sqlite3.Error as exc:
                if self.writable or not self._changed:
                    raise self.translated(exc) from exc
                # its owner came or went between our looking and opening
        raise self._restless()

    def _open_once(self, sqlite3: Any) -> sqlite3.Connection:
        self._local.seen = self._signature()
        self._local.mode = mode = self._mode()
        if mode == READ_WRITE:
            self._local.seen = None
            self._follow_directory()
        self._local.file = self._file_id()
        conn = self._connect(sqlite3, mode)
        self._check(conn)
        if mode == READ_WRITE:
            conn.execute('PRAGMA synchronous = %s' % self._synchronous)
        return conn

    @property
    def writable(self) -> bool:
        """Whether file and directory may be written by this process."""
        real = self._real
        return os.access(real, os.W_OK) and os.access(
            os.path.dirname(real), os.W_OK
        )

    @property
    def _real(self) -> bytes:
        """Where the file is, and SQLite keeps its log, if a link is there."""
        return os.path.realpath(self.path)

    def _follow_directory(self) -> None:
        """Give the files the permissions that new files would get.

        A repository is shared with a group by changing its directories, when
        the database is there already. One made read-only stays so.
        """
        if self._permissions is None:
            return
        wanted = self._permissions & 0o666
        for suffix in (b'', b'-wal', b'-shm'):
            # the files of other users, and those that vanish, stay as they are
            with contextlib.suppress(OSError):
                found = os.stat(self.path + suffix).st_mode & 0o666
                if found != wanted and found & 0o600 == wanted & 0o600:
                    os.chmod(self.path + suffix, wanted)

    def _mode(self) -> str:
        if self.writable:
            return READ_WRITE
        log, shared = self._real + b'-wal', self._real + b'-shm'
        for _attempt in range(CLOSING_LOOKS):
            if os.access(shared, os.R_OK) and os.path.exists(log):
                # A writer is at work: its index of the WAL can be read.
                return READ_ONLY
            if not _size(log):
                # No writer, and we could not make the files WAL mode needs.
                return IMMUTABLE
            # Whoever closes the database removes the index first.
            time.sleep(0.01)
        raise errors.StoreUnavailable(
            _(b'cannot read %s without %s') % (log, os.path.basename(shared)),
            hint=_(b'read the repository once as a user who may write to it'),
        )

    def _connect(self, sqlite3: Any, mode: str) -> sqlite3.Connection:
        conn: sqlite3.Connection = sqlite3.connect(
            uris.uri(self.path, mode),
            uri=True,
            timeout=self._busy,
            isolation_level=None,
        )
        return conn

    def _check(self, conn: sqlite3.Connection) -> None:
        (application,) = conn.execute('PRAGMA application_id').fetchone()
        if application != schema.APPLICATION_ID:
            raise errors.StoreUnavailable(
                _(b'%s is not a file store of the sqlitestore extension')
                % self.path,
                hint=_(b'restore it from a backup'),
            )
        (version,) = conn.execute('PRAGMA user_version').fetchone()
        if version != schema.SCHEMA_VERSION:
            raise errors.StoreUnavailable(
                _(b'%s has unknown schema version %d') % (self.path, version),
                hint=_(b'upgrade the sqlitestore extension'),
            )
        # It may come from a server that nobody knows well.
        conn.execute('PRAGMA trusted_schema = OFF')
        if conn.execute(SELECT_CODE).fetchone() is not None:
            raise errors.StoreUnavailable(
                _(b'%s contains triggers or views') % self.path,
                hint=_(b'they were added to it; restore it from a backup'),
            )

    def _restless(self) -> errors.StoreUnavailable:
        return errors.StoreUnavailable(
            _(b'cannot read %s: it changes all the time') % self.path,
            hint=_(b'another process writes to it; try again'),
        )

    def translated(self, exc: Exception) -> Exception:
        """What to raise for an exception that sqlite3 raised."""
        import sqlite3

        if isinstance(exc, OverflowError):
            # such a number can only come out of the database
            return errors.CorruptStore(
                _(b'%s: a number is out of range') % self.path,
                hint=_(b"run 'hg verify'; restore the file from a backup"),
            )
        if not isinstance(exc, sqlite3.Error):
            return exc
        message = pycompat.bytestr(str(exc))
        if isinstance(exc, sqlite3.OperationalError):
            if b'locked' in message or b'busy' in message:
                hint = _(b'another process holds it; try again')
            elif b'full' in message:
                hint = _(b'free some disk space')
            elif b'unable' in message and len(self.path) > LONGEST_PATH:
                hint = _(b'SQLite opens no files with so long a path')
            elif b'readonly' in message or b'unable to open' in message:
                hint = _(b'check the permissions of the file and its directory')
            elif b'disk I/O' in message:
                hint = _(b'check the disk')
            else:
                hint = _(b"run 'hg verify'")
            return errors.StoreUnavailable(
                _(b'cannot use %s: %s') % (self.path, message), hint=hint
            )
        return errors.CorruptStore(
            _(b'%s: %s') % (self.path, message),
            hint=_(b"run 'hg verify'; restore the file from a backup"),
        )


def _size(path: bytes) -> int:
    """The size of a file, 0 if there is none."""
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


def _before_fork() -> None:
    """Close what this thread has open, unless it is in use.

    SQLite notes in memory which locks the process holds, because there can be
    just one of each. A child inherits the note but no lock: its own connections
    would do without, and others delete the log under their hands.
    """
    for database in list(_databases):
        if not database.in_transaction:
            database.close()


if hasattr(os, 'register_at_fork'):
    os.register_at_fork(before=_before_fork)


def _keep_forever(conn: Any) -> None:
    """Make sure that ``conn`` is never closed in this process."""
    import ctypes

    _inherited.append(conn)
    # Interpreter shutdown would clear the list above and close it after all.
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(conn))
