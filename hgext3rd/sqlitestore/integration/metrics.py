# SPDX-License-Identifier: GPL-2.0-or-later
"""The state of the database of a repository, for monitoring.

Every scrape asks, for each repository of a server. So the sizes of the files
are read from the directory, and the database is opened only if they have changed
since the last scrape. Nothing here knows how samples are shown.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ...amalgam import sidefiles
from ...amalgam.lru import LRU
from ...amalgam.serving.metrics import COUNTER, GAUGE, Sample
from .. import requirements
from ..database import connection
from ..formats import schema, statements

# Size and modification time of each file of a database.
_State = tuple[tuple[int, int] | None, ...]


@dataclass(frozen=True, slots=True)
class _Content:
    """What was read from the database when its files had the state ``state``.

    ``repacked`` is a POSIX time, or 0 if the database never was repacked.
    """

    state: _State
    loose: int
    repacks: int
    repacked: int


# The databases that were measured last. 1,000 take 700 kB.
_contents: LRU[bytes, _Content] = LRU(1000)
_lock = threading.Lock()


def _after_fork() -> None:
    """Renew the lock, which a thread of the parent may have held."""
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)


def samples(repo: Any) -> Iterator[Sample]:
    """Yield the samples of a repository; none if it is not in SQLite.

    Raises StoreUnavailable or CorruptStore.
    """
    if not requirements.uses_sqlite(repo):
        return
    path = repo.svfs.join(schema.FILENAME)
    state = _state(path)
    if state[0] is None:
        # Nothing was committed yet.
        return
    database, log = (found[0] if found else 0 for found in state)
    content = _content(path, state, requirements.keeps_log(repo.ui))
    yield Sample(
        'amalgam_store_database_bytes',
        'Size of the database with files and manifests.',
        GAUGE,
        database,
    )
    yield Sample(
        'amalgam_store_log_bytes',
        'Size of the write-ahead log of the database.',
        GAUGE,
        log,
    )
    yield Sample(
        'amalgam_store_loose_revisions',
        'Revisions that were added since the last repack and are not packed.',
        GAUGE,
        content.loose,
    )
    yield Sample(
        'amalgam_store_repacks_total',
        'Repacks of the database that were completed.',
        COUNTER,
        content.repacks,
    )
    if content.repacked:
        yield Sample(
            'amalgam_store_last_repack_seconds',
            'POSIX time at which the last repack was completed.',
            GAUGE,
            content.repacked,
        )


def _state(path: bytes) -> _State:
    """Return the state of the database file and of its log."""
    return tuple(
        map(_file_state, (path, sidefiles.beside(path, sidefiles.LOG)))
    )


def _file_state(path: bytes) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_size, found.st_mtime_ns


def _content(path: bytes, state: _State, keep_log: bool) -> _Content:
    """Return what the database holds; read it if its state has changed."""
    with _lock:
        known = _contents.get(path)
    if known is not None and known.state == state:
        return known
    # A connection of its own: what a server keeps open is for its requests.
    db = connection.Database(path, keep_log=keep_log)
    try:
        loose = db.row(statements.COUNT_ROWS['rev'])
        counters: dict[str, int] = dict(db.rows(statements.SELECT_COUNTERS))
    finally:
        db.close()
    content = _Content(
        state,
        loose[0] if loose else 0,
        counters.get(statements.REPACKS, 0),
        counters.get(statements.REPACKED, 0),
    )
    with _lock:
        _contents.put(path, content, 1)
    return content
