# SPDX-License-Identifier: GPL-2.0-or-later
"""Small SQLite databases: one connection per thread, process and file.

Connections are neither shared between threads nor used after a fork: they are
closed before it, and when their thread ends. This module knows nothing about the
content of a database except its format.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ...amalgam.held import Held
from .. import errors
from .files import PRIVATE, FileCreator

# Seconds that a writer waits for another one. Transactions here take
# milliseconds, so a longer wait means that a process is stuck.
BUSY_TIMEOUT = 10.0

# Connections that a thread keeps open. A thread of a server works for few
# repositories, and each connection costs two file descriptors.
MAX_OPEN = 8


@dataclass(frozen=True, slots=True)
class DatabaseFormat:
    """The format of a database file.

    ``application_id`` and ``version`` (SQLite's ``user_version``) identify it,
    and ``schema`` has the statements that create it. ``durable`` data survives
    a power loss. Other data is a cache, which may be deleted at any time and is
    written without waiting for the disk.
    """

    application_id: int
    version: int
    schema: tuple[str, ...]
    durable: bool


class UnknownFormat(errors.LfsServerError):
    """The file has another application id or an unknown version.

    The message names the path; callers must not send it to clients.
    """


_local = threading.local()


def _pool() -> dict[str, Held]:
    """Return this thread's connections by path, in order of use."""
    pid = os.getpid()
    if getattr(_local, 'pid', None) != pid:
        # A child process must neither use nor close the connections of its
        # parent; see https://www.sqlite.org/howtocorrupt.html, section 2.6.
        # Held does not close those that are dropped here.
        _local.pid = pid
        _local.pool = {}
    pool: dict[str, Held] = _local.pool
    return pool


def _before_fork() -> None:
    """Close this thread's connections, except those in a transaction.

    SQLite keeps a note in memory of the locks that the process holds. A child
    inherits the note without the locks, and its own connections to the same file
    would trust it.
    """
    pool = _pool()
    for path, known in list(pool.items()):
        if not known.conn.in_transaction:
            del pool[path]
            known.close()


os.register_at_fork(before=_before_fork)


def connection(
    path: str, wanted: DatabaseFormat, creator: FileCreator = PRIVATE
) -> sqlite3.Connection:
    """Return this thread's connection to the file at ``path``.

    The file is created by ``creator`` if it does not exist. Raises
    sqlite3.Error, OSError or UnknownFormat.
    """
    pool = _pool()
    known = pool.pop(path, None)
    if known is None or not os.path.exists(path):
        known = Held(_open(path, wanted, creator))
    pool[path] = known
    # The pool is in order of use: the first connection is the oldest.
    while len(pool) > MAX_OPEN:
        pool.pop(next(iter(pool))).close()
    opened: sqlite3.Connection = known.conn
    return opened


def forget(path: str) -> None:
    """Close this thread's connection to ``path``."""
    known = _pool().pop(path, None)
    if known is not None:
        known.close()


@contextmanager
def required(
    path: str, wanted: DatabaseFormat, creator: FileCreator, name: str
) -> Iterator[sqlite3.Connection]:
    """Use the result of ``connection``, without which nothing can be done.

    Raises StoreUnavailable if the database cannot be used; ``name`` is what
    clients read there.
    """
    try:
        yield connection(path, wanted, creator)
    except (sqlite3.Error, OSError, UnknownFormat) as error:
        forget(path)
        raise errors.StoreUnavailable(
            f'the {name} cannot be used', detail=str(error)
        ) from error


def _open(
    path: str, wanted: DatabaseFormat, creator: FileCreator
) -> sqlite3.Connection:
    # SQLite would use the umask. It gives the files beside a database the
    # permissions of the database.
    creator.make_file(path)
    opened = sqlite3.connect(
        path,
        timeout=BUSY_TIMEOUT,
        isolation_level=None,
        # Another thread may close it, but none uses it.
        check_same_thread=False,
    )
    try:
        if not wanted.durable:
            opened.execute('PRAGMA journal_mode=WAL')
            opened.execute('PRAGMA synchronous=OFF')
        else:
            opened.execute('PRAGMA synchronous=FULL')
        _prepare(opened, path, wanted)
    except BaseException:
        opened.close()
        raise
    return opened


def _identity(opened: sqlite3.Connection) -> tuple[int, int]:
    """Return the application id and the version of a database."""
    (application_id,) = opened.execute('PRAGMA application_id').fetchone()
    (version,) = opened.execute('PRAGMA user_version').fetchone()
    return application_id, version


def _prepare(
    opened: sqlite3.Connection, path: str, wanted: DatabaseFormat
) -> None:
    """Create the schema in a new database; check the format of others."""
    identity = (wanted.application_id, wanted.version)
    if _identity(opened) == identity:
        return
    with transaction(opened):
        found = _identity(opened)
        if found == (0, 0):
            for statement in wanted.schema:
                opened.execute(statement)
            opened.execute(f'PRAGMA application_id={wanted.application_id}')
            opened.execute(f'PRAGMA user_version={wanted.version}')
        elif found != identity:
            raise UnknownFormat(
                f'{path} has an unknown format (version {found[1]})'
            )


@contextmanager
def transaction(opened: sqlite3.Connection) -> Iterator[None]:
    """Run a write transaction; roll it back if the block raises."""
    opened.execute('BEGIN IMMEDIATE')
    try:
        yield
    except BaseException:
        opened.execute('ROLLBACK')
        raise
    opened.execute('COMMIT')
