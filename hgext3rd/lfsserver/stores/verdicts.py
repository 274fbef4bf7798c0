# SPDX-License-Identifier: GPL-2.0-or-later
"""A cache of verdicts: whether the content of a file matches its name.

A verdict is valid while the size and the modification time of the file stay the
same. The cache is kept in memory and in SQLite, or only in memory if the disk
cannot be written. Losing the cache only means that each blob is hashed again.
Therefore errors of the database are never reported, and verdicts on small files
are written many at a time.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from os import stat_result

from ...amalgam import sidefiles
from ...amalgam.lru import LRU
from . import database
from .files import PRIVATE, FileCreator

FORMAT = database.DatabaseFormat(
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

# Bound parameters of a statement; every build of SQLite allows 999.
BATCH = 900

# Verdicts kept in memory, at about 200 bytes each.
MAX_REMEMBERED = 50_000

# Verdicts are written when they are on this many files, or bytes. Hashing a
# small file again takes less time than a transaction.
MAX_UNWRITTEN = 100
MAX_UNWRITTEN_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a file with this ``size`` and ``mtime`` (ns) matches its name."""

    size: int
    mtime: int
    intact: bool

    def holds(self, state: stat_result) -> bool:
        """Return whether the file is still in the state that was hashed."""
        return (self.size, self.mtime) == (state.st_size, state.st_mtime_ns)


class VerdictCache:
    """The verdicts of one store, kept in the database at ``path``.

    ``creator`` creates the file. Threads may share it.
    """

    def __init__(self, path: str, creator: FileCreator = PRIVATE) -> None:
        self._path = path
        self._creator = creator
        self._memory: LRU[str, Verdict] = LRU(MAX_REMEMBERED)
        self._unwritten: dict[str, Verdict] = {}
        self._unwritten_bytes = 0
        self._lock = threading.Lock()

    def get(self, oids: Iterable[str]) -> Mapping[str, Verdict]:
        """Return the known verdicts on ``oids``.

        Callers have to compare them with the states of the files.
        """
        known = {}
        missing = []
        with self._lock:
            for oid in oids:
                verdict = self._memory.get(oid)
                if verdict is None:
                    missing.append(oid)
                else:
                    known[oid] = verdict
        if missing:
            found = self._select(missing)
            self._remember(found)
            known.update(found)
        return known

    def add(self, verdicts: Mapping[str, Verdict]) -> None:
        """Record verdicts, replacing older ones."""
        self._remember(verdicts)
        with self._lock:
            self._unwritten.update(verdicts)
            self._unwritten_bytes += sum(v.size for v in verdicts.values())
            if (
                len(self._unwritten) < MAX_UNWRITTEN
                and self._unwritten_bytes < MAX_UNWRITTEN_BYTES
            ):
                return
        self.flush()

    def flush(self) -> None:
        """Write all verdicts to the database."""
        with self._lock:
            unwritten, self._unwritten = self._unwritten, {}
            self._unwritten_bytes = 0
        rows = [
            (bytes.fromhex(oid), item.size, item.mtime, item.intact)
            for oid, item in unwritten.items()
        ]
        if rows:
            self._write(INSERT, rows)

    def discard(self, oid: str) -> None:
        """Forget the verdict on a blob that has been removed."""
        with self._lock:
            self._memory.pop(oid)
            self._unwritten.pop(oid, None)
        self._write(DELETE, [(bytes.fromhex(oid),)])

    def _remember(self, verdicts: Mapping[str, Verdict]) -> None:
        with self._lock:
            for oid, verdict in verdicts.items():
                self._memory.put(oid, verdict, 1)

    def _select(self, oids: list[str]) -> dict[str, Verdict]:
        found = {}
        try:
            opened = database.connection(self._path, FORMAT, self._creator)
            for start in range(0, len(oids), BATCH):
                keys = [bytes.fromhex(o) for o in oids[start : start + BATCH]]
                marks = ','.join('?' * len(keys))
                for oid, size, mtime, intact in opened.execute(
                    SELECT % marks, keys
                ):
                    found[oid.hex()] = Verdict(size, mtime, bool(intact))
        except (sqlite3.Error, database.UnknownFormat, OSError) as error:
            self._drop(error)
        return found

    def _write(
        self, statement: str, rows: Sequence[tuple[object, ...]]
    ) -> None:
        try:
            opened = database.connection(self._path, FORMAT, self._creator)
            with database.transaction(opened):
                opened.executemany(statement, rows)
        except (sqlite3.Error, database.UnknownFormat, OSError) as error:
            self._drop(error)

    def _drop(self, error: Exception) -> None:
        """Close the database after an error; remove it if it is damaged."""
        database.forget(self._path)
        damaged = isinstance(error, database.UnknownFormat) or (
            isinstance(error, sqlite3.DatabaseError)
            and not isinstance(error, sqlite3.OperationalError)
        )
        if damaged:
            with suppress(OSError):
                sidefiles.remove(self._path)
