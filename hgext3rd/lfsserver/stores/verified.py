# SPDX-License-Identifier: GPL-2.0-or-later
"""Which blobs have been hashed already: a cache from file state to verdict.

A verdict holds as long as size and modification time of the file stay.  The
cache lives in memory and in SQLite; without a writable disk it is memory
only.  Losing it costs a hash per blob, nothing else.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from os import stat_result, unlink

from . import database

KIND = database.Kind(
    application_id=0x4C465356,  # "LFSV"
    version=1,
    schema=(
        'CREATE TABLE verified ('
        ' oid BLOB PRIMARY KEY,'
        ' size INTEGER NOT NULL,'
        ' mtime INTEGER NOT NULL,'  # nanoseconds
        ' intact INTEGER NOT NULL'
        ') WITHOUT ROWID',
    ),
    durable=False,
)

SELECT = 'SELECT oid, size, mtime, intact FROM verified WHERE oid IN (%s)'
INSERT = 'INSERT OR REPLACE INTO verified VALUES (?, ?, ?, ?)'
DELETE = 'DELETE FROM verified WHERE oid = ?'

# Bound parameters a statement; SQLite guarantees 999.
BATCH = 900

# Verdicts kept in memory, about 200 bytes each; the oldest go first.
MAX_REMEMBERED = 50_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """That a file of this state did or did not match its name."""

    size: int
    mtime: int
    intact: bool

    def holds(self, state: stat_result) -> bool:
        """Whether the file is still in the state that was hashed."""
        return (self.size, self.mtime) == (state.st_size, state.st_mtime_ns)


class Verified:
    """The verdicts of one store, kept in the database at ``path``."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._memory: dict[str, Verdict] = {}
        self._lock = threading.Lock()

    def get(self, oids: Iterable[str]) -> Mapping[str, Verdict]:
        """What is known about ``oids``; callers compare the file's state."""
        with self._lock:
            wanted = list(oids)
            known = {
                oid: self._memory[oid] for oid in wanted if oid in self._memory
            }
        missing = [oid for oid in wanted if oid not in known]
        if missing:
            found = self._select(missing)
            self._remember(found)
            known.update(found)
        return known

    def add(self, verdicts: Mapping[str, Verdict]) -> None:
        """Record verdicts, replacing older ones."""
        self._remember(verdicts)
        rows = [
            (bytes.fromhex(oid), item.size, item.mtime, item.intact)
            for oid, item in verdicts.items()
        ]
        if rows:
            self._write(INSERT, rows)

    def discard(self, oid: str) -> None:
        """Forget about a blob that is gone."""
        with self._lock:
            self._memory.pop(oid, None)
        self._write(DELETE, [(bytes.fromhex(oid),)])

    def _remember(self, verdicts: Mapping[str, Verdict]) -> None:
        with self._lock:
            self._memory.update(verdicts)
            excess = len(self._memory) - MAX_REMEMBERED
            if excess > 0:
                for oid in list(self._memory)[:excess]:
                    del self._memory[oid]

    def _select(self, oids: list[str]) -> dict[str, Verdict]:
        found = {}
        try:
            opened = database.connection(self._path, KIND)
            for start in range(0, len(oids), BATCH):
                keys = [bytes.fromhex(o) for o in oids[start : start + BATCH]]
                marks = ','.join('?' * len(keys))
                for oid, size, mtime, intact in opened.execute(
                    SELECT % marks, keys
                ):
                    found[oid.hex()] = Verdict(size, mtime, bool(intact))
        except (sqlite3.Error, database.UnknownSchema, OSError) as error:
            self._drop(error)
        return found

    def _write(
        self, statement: str, rows: Sequence[tuple[object, ...]]
    ) -> None:
        try:
            opened = database.connection(self._path, KIND)
            with database.transaction(opened):
                opened.executemany(statement, rows)
        except (sqlite3.Error, database.UnknownSchema, OSError) as error:
            self._drop(error)

    def _drop(self, error: Exception) -> None:
        """After an error go on without the file; remove it if it is broken."""
        database.forget(self._path)
        broken = isinstance(error, database.UnknownSchema) or (
            isinstance(error, sqlite3.DatabaseError)
            and not isinstance(error, sqlite3.OperationalError)
        )
        if broken:
            for suffix in ('', '-wal', '-shm'):
                with suppress(OSError):
                    unlink(self._path + suffix)
