# SPDX-License-Identifier: GPL-2.0-or-later
"""Blobs that clients were told they need not upload, kept in SQLite.

The changesets that refer to such a blob arrive later, and the blob may be old.
A promise keeps garbage collection from deleting it meanwhile. Nothing here knows
HTTP or a store of blobs.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager

from . import database
from .files import PRIVATE, FileCreator

FORMAT = database.DatabaseFormat(
    application_id=0x4C465350,  # "LFSP"
    version=1,
    schema=(
        'CREATE TABLE promise ('
        ' oid BLOB PRIMARY KEY,'
        ' at REAL NOT NULL'  # POSIX seconds
        ') WITHOUT ROWID',
    ),
    durable=True,
)

SELECT = 'SELECT at FROM promise WHERE oid = ?'
INSERT = (
    'INSERT INTO promise VALUES (?1, ?2)'
    ' ON CONFLICT (oid) DO UPDATE SET at = ?2 WHERE at < ?3'
)
PRUNE = 'DELETE FROM promise WHERE at < ?'

# Seconds for which a blob or a promise counts as new, so that a client that
# pushes the same blobs again and again does not write each time. Garbage
# collection has to keep blobs for longer.
FRESH = 3600.0


class PromiseStore:
    """The promises of one repository, in the database file at ``path``.

    ``creator`` creates the file.

    All methods raise StoreUnavailable if the database cannot be used.
    """

    def __init__(self, path: str, creator: FileCreator = PRIVATE) -> None:
        self._path = path
        self._creator = creator

    def _database(self) -> AbstractContextManager[sqlite3.Connection]:
        return database.required(
            self._path, FORMAT, self._creator, 'database of promised blobs'
        )

    def renew(self, oids: Iterable[str], now: float) -> None:
        """Promise at the POSIX time ``now`` that blobs are kept.

        The caller has to look again whether the blobs exist.
        """
        rows = [(bytes.fromhex(oid), now, now - FRESH) for oid in oids]
        with self._database() as db, database.transaction(db):
            db.executemany(INSERT, rows)

    def reader(self, before: float) -> Callable[[str], bool]:
        """Return a function like that of ``halted``, for a moment's view."""
        if not os.path.exists(self._path):
            return lambda oid: False

        def promised(oid: str) -> bool:
            with self._database() as db:
                row = db.execute(SELECT, (bytes.fromhex(oid),)).fetchone()
            return row is not None and row[0] >= before

        return promised

    @contextmanager
    def halted(self, before: float) -> Iterator[Callable[[str], bool]]:
        """Let nobody promise anything for the duration of the block.

        The block gets a function that tells whether a blob has been promised
        at or after ``before``, a POSIX time. Older promises are forgotten.
        """
        with self._database() as db, database.transaction(db):
            db.execute(PRUNE, (before,))

            def promised(oid: str) -> bool:
                key = (bytes.fromhex(oid),)
                return db.execute(SELECT, key).fetchone() is not None

            yield promised
