# SPDX-License-Identifier: GPL-2.0-or-later
"""The file locks of a repository, kept in SQLite.

A lock belongs to one ref, or to all refs if it was created without one. Two
locks on the same path exclude each other if their refs are the same or one of
them belongs to all refs. Nothing here knows HTTP or JSON.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from contextlib import AbstractContextManager
from dataclasses import dataclass

from .. import errors
from . import database
from .files import PRIVATE, FileCreator

FORMAT = database.DatabaseFormat(
    application_id=0x4C46534C,  # "LFSL"
    version=1,
    schema=(
        # seq orders listings; AUTOINCREMENT never reuses a number.
        'CREATE TABLE lock ('
        ' seq INTEGER PRIMARY KEY AUTOINCREMENT,'
        ' id TEXT NOT NULL UNIQUE,'
        ' path TEXT NOT NULL,'
        ' ref TEXT NOT NULL,'  # empty: all refs
        ' owner TEXT NOT NULL,'
        ' locked_at REAL NOT NULL,'  # POSIX seconds
        ' UNIQUE (path, ref)'
        ')',
    ),
    durable=True,
)

COLUMNS = 'seq, id, path, ref, owner, locked_at'
INSERT = (
    'INSERT INTO lock (id, path, ref, owner, locked_at) VALUES (?, ?, ?, ?, ?)'
)
SELECT_ID = f'SELECT {COLUMNS} FROM lock WHERE id = ?'
SELECT_CONFLICT = (
    f'SELECT {COLUMNS} FROM lock WHERE path = ?1'
    " AND (?2 = '' OR ref IN (?2, '')) ORDER BY seq LIMIT 1"
)
SELECT_PAGE = (
    f'SELECT {COLUMNS} FROM lock WHERE seq >= ?1'
    ' AND (?2 IS NULL OR path = ?2)'
    ' AND (?3 IS NULL OR id = ?3)'
    " AND (?4 IS NULL OR ref IN (?4, ''))"
    ' ORDER BY seq LIMIT ?5'
)
SELECT_OWNERS = 'SELECT path, owner FROM lock WHERE owner <> ?'
SELECT_COUNT = 'SELECT count(*) FROM lock'
DELETE = 'DELETE FROM lock WHERE id = ?'

DEFAULT_LIMIT = 100

# A page with this many locks has about 200 kB of JSON.
MAX_LIMIT = 1000

_MAX_SEQ = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock; ``ref`` is None for all refs, ``locked_at`` is a POSIX time."""

    seq: int
    id: str
    path: str
    ref: str | None
    owner: str
    locked_at: float


@dataclass(frozen=True, slots=True)
class LockPage:
    """A page of a listing, in the order of creation.

    ``next_cursor`` requests the next page; it is None on the last one.
    """

    locks: tuple[Lock, ...]
    next_cursor: str | None


class LockHeld(errors.Conflict):
    """The existing ``lock`` excludes the requested one."""

    def __init__(self, lock: Lock) -> None:
        super().__init__(f'{lock.path} is already locked by {lock.owner}')
        self.lock = lock


def page_size(limit: int | None) -> int:
    """Return the number of locks on a page for a requested ``limit``.

    Raises Invalid for a limit below 1.
    """
    if limit is None:
        return DEFAULT_LIMIT
    if limit < 1:
        raise errors.Invalid('"limit" must be at least 1')
    return min(limit, MAX_LIMIT)


def _first(cursor: str | None) -> int:
    """Return the first ``seq`` of the page that a cursor requests."""
    if cursor is None:
        return 0
    if not cursor.isascii() or not cursor.isdigit() or len(cursor) > 19:
        raise errors.Invalid('"cursor" does not come from this server')
    return min(int(cursor), _MAX_SEQ)


def _lock(row: tuple[int, str, str, str, str, float]) -> Lock:
    seq, lock_id, path, ref, owner, locked_at = row
    return Lock(seq, lock_id, path, ref or None, owner, locked_at)


class LockStore:
    """The locks of one repository, in the database file at ``path``.

    ``creator`` creates the file.

    All methods raise StoreUnavailable if the database cannot be used.
    """

    def __init__(self, path: str, creator: FileCreator = PRIVATE) -> None:
        self._path = path
        self._creator = creator

    def _database(self) -> AbstractContextManager[sqlite3.Connection]:
        return database.required(
            self._path, FORMAT, self._creator, 'lock database'
        )

    def create(
        self, path: str, ref: str | None, owner: str, now: float
    ) -> Lock:
        """Create a lock; raises LockHeld if another one excludes it.

        ``now`` is the POSIX time.
        """
        with self._database() as db, database.transaction(db):
            conflict = db.execute(SELECT_CONFLICT, (path, ref or '')).fetchone()
            if conflict is not None:
                raise LockHeld(_lock(conflict))
            lock_id = secrets.token_hex(16)
            cursor = db.execute(INSERT, (lock_id, path, ref or '', owner, now))
            assert cursor.lastrowid is not None
            return Lock(cursor.lastrowid, lock_id, path, ref, owner, now)

    def page(
        self,
        *,
        path: str | None = None,
        lock_id: str | None = None,
        ref: str | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> LockPage:
        """Return a page of the locks that match all filters.

        A lock on all refs matches any ``ref``. Raises Invalid for a malformed
        cursor or a limit below 1.
        """
        size = page_size(limit)
        first = _first(cursor)
        with self._database() as db:
            rows = db.execute(
                SELECT_PAGE, (first, path, lock_id, ref, size + 1)
            ).fetchall()
        following = str(rows[size][0]) if len(rows) > size else None
        return LockPage(tuple(_lock(row) for row in rows[:size]), following)

    def count(self) -> int:
        """Return the number of locks."""
        if not os.path.exists(self._path):
            return 0
        with self._database() as db:
            (count,) = db.execute(SELECT_COUNT).fetchone()
        return int(count)

    def owners(self, *, excluding: str) -> dict[str, str]:
        """Return the owners of locked paths, on whatever ref.

        The locks of the user ``excluding`` are left out.
        """
        if not os.path.exists(self._path):
            return {}
        with self._database() as db:
            return dict(db.execute(SELECT_OWNERS, (excluding,)))

    def delete(self, lock_id: str, owner: str, force: bool) -> Lock:
        """Delete a lock and return it.

        Raises NotFound, or Forbidden if the lock belongs to another user and
        ``force`` is false.
        """
        with self._database() as db, database.transaction(db):
            row = db.execute(SELECT_ID, (lock_id,)).fetchone()
            if row is None:
                raise errors.NotFound('the lock does not exist')
            lock = _lock(row)
            if lock.owner != owner and not force:
                raise errors.Forbidden(
                    f'the lock belongs to {lock.owner}; '
                    'deleting it requires force'
                )
            db.execute(DELETE, (lock_id,))
            return lock
