# SPDX-License-Identifier: GPL-2.0-or-later
"""Small SQLite files: opened by their kind, one connection a thread.

A kind is an ``application_id``, a schema version and the statements that
create it.  Connections are neither shared by threads nor kept over a fork.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from .. import errors

# How long a writer waits for another one, in seconds.  Transactions here take
# milliseconds; a longer wait means a stuck process.
BUSY_TIMEOUT = 10.0

# Connections a thread keeps.  A server thread meets few repositories, and
# each connection costs two file descriptors.
MAX_OPEN = 8


@dataclass(frozen=True, slots=True)
class Kind:
    """What a database file is for.

    ``durable`` data survives a power loss; other data is a cache that may be
    thrown away and is written without waiting for the disk.
    """

    application_id: int
    version: int
    schema: tuple[str, ...]
    durable: bool


class UnknownSchema(errors.StoreUnavailable):
    """The file is not ours, or of a version this release does not know."""


_local = threading.local()


def _pool() -> dict[str, sqlite3.Connection]:
    pid = os.getpid()
    if getattr(_local, 'pid', None) != pid:
        # After a fork the parent's connections must not even be closed here.
        _local.pid = pid
        _local.pool = {}
    pool: dict[str, sqlite3.Connection] = _local.pool
    return pool


def connection(path: str, kind: Kind) -> sqlite3.Connection:
    """This thread's connection to the file at ``path``, created if missing.

    Raises sqlite3.Error, or UnknownSchema.
    """
    pool = _pool()
    known = pool.pop(path, None)
    if known is None or not os.path.exists(path):
        known = _open(path, kind)
    pool[path] = known
    while len(pool) > MAX_OPEN:
        pool.pop(next(iter(pool))).close()
    return known


def forget(path: str) -> None:
    """Close this thread's connection to ``path``."""
    known = _pool().pop(path, None)
    if known is not None:
        known.close()


def _open(path: str, kind: Kind) -> sqlite3.Connection:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    opened = sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None)
    try:
        if not kind.durable:
            opened.execute('PRAGMA journal_mode=WAL')
            opened.execute('PRAGMA synchronous=OFF')
        else:
            opened.execute('PRAGMA synchronous=FULL')
        _prepare(opened, path, kind)
    except BaseException:
        opened.close()
        raise
    return opened


def _identity(opened: sqlite3.Connection) -> tuple[int, int]:
    (application_id,) = opened.execute('PRAGMA application_id').fetchone()
    (version,) = opened.execute('PRAGMA user_version').fetchone()
    return application_id, version


def _prepare(opened: sqlite3.Connection, path: str, kind: Kind) -> None:
    wanted = (kind.application_id, kind.version)
    if _identity(opened) == wanted:
        return
    with transaction(opened):
        found = _identity(opened)
        if found == (0, 0):
            for statement in kind.schema:
                opened.execute(statement)
            opened.execute(f'PRAGMA application_id={kind.application_id}')
            opened.execute(f'PRAGMA user_version={kind.version}')
        elif found != wanted:
            raise UnknownSchema(
                'the lock database cannot be used',
                detail=f'{path} has an unknown format (version {found[1]})',
            )


@contextmanager
def transaction(opened: sqlite3.Connection) -> Iterator[None]:
    """One write transaction: committed at the end, undone by an exception."""
    opened.execute('BEGIN IMMEDIATE')
    try:
        yield
    except BaseException:
        opened.execute('ROLLBACK')
        raise
    opened.execute('COMMIT')
