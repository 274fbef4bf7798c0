# SPDX-License-Identifier: GPL-2.0-or-later
"""The figures of the database that pages of hgweb show.

Those that queries answer at once are always current. The others are in a survey
(see ``amalgam.pages.surveys``). Nothing here knows what a page looks like.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

from ...amalgam import sidefiles
from ...amalgam.pages import surveys
from ..formats import schema, statements
from ..reading import stats, statsview

SURVEY = 'storage'

# The biggest paths, and the kinds of files, that a survey has.
_MOST_PATHS = 20
_MOST_KINDS = 15

# Rows and changesets, or bytes of the database, from which on a survey is made
# by a thread. So many rows take about half a second.
_MANY_ROWS = 30_000
_MANY_BYTES = 256 << 20

_DAY = 24 * 60 * 60


def sizes(repo: Any) -> dict[str, int]:
    """Return the bytes of the database and of its log."""
    state = _state(repo.svfs.join(schema.FILENAME))
    return {
        'size': state[0][0] if state[0] else 0,
        'wal': state[1][0] if state[1] else 0,
    }


def counts(repo: Any) -> dict[str, int]:
    """Return what queries answer at once.

    ``repacked`` is the POSIX time of the last repack, or 0.
    """
    db = repo.unfiltered().sqlitestore.db

    def number(sql: str, *params: object) -> int:
        row = db.row(sql, params)
        return int(row[0] or 0) if row else 0

    loose = number(statements.COUNT_ROWS['rev'])
    return {
        **sizes(repo),
        'files': number(statements.COUNT_PATHS, schema.FILE),
        'manifests': number(statements.COUNT_PATHS, schema.DIRECTORY),
        'revisions': number(statements.COUNT_SEALED) + loose,
        'loose': loose,
        'runs': number(statements.COUNT_ROWS['idx']),
        'framecount': number(statements.COUNT_ROWS['frame']),
        'repacked': number(statements.SELECT_COUNTER, statements.REPACKED),
    }


def survey(
    repo: Any, found: Mapping[str, int]
) -> tuple[surveys.Survey | None, bool]:
    """Return the newest survey, or None, and whether it is current.

    ``repo`` is what the reader may see; ``found`` are its ``counts``.
    """
    hidden = repo.changelog.filteredrevs
    path = repo.svfs.join(schema.FILENAME)
    view = surveys.view_of(repo)
    known = len(repo.unfiltered())
    state = [_state(path), known, view]
    key = hashlib.sha256(repr(state).encode()).hexdigest()

    def measure(own: Any) -> Mapping[str, Any]:
        return _measure(own, known, hidden, own is repo)

    rows = found['loose'] + found['runs'] + len(repo)
    long = rows > _MANY_ROWS or found['size'] > _MANY_BYTES
    task = surveys.Task(SURVEY, key, view, long, measure)
    result = surveys.find(repo, task)
    return result, result is not None and result.key == key


def _state(path: bytes) -> tuple[tuple[int, int] | None, ...]:
    """Return the state of the database file and of its log.

    An empty log is as none: whoever reads the database creates it.
    """
    found: list[tuple[int, int] | None] = []
    for name in (path, sidefiles.beside(path, sidefiles.LOG)):
        try:
            file = os.stat(name)
        except FileNotFoundError:
            found.append(None)
        else:
            state = file.st_size, file.st_mtime_ns
            found.append(state if file.st_size else None)
    return tuple(found)


def _measure(
    repo: Any, known: int, hidden: Any, keep_open: bool
) -> Mapping[str, Any]:
    """Return all figures; names of paths are text.

    ``hidden`` are those of the first ``known`` changesets that the reader must
    not see. Whether they may see others is not known.
    """
    repo = repo.unfiltered()
    store = repo.sqlitestore
    try:
        found = stats.collect(
            store, lambda done: None, _months(repo)[:known], hidden
        )
    finally:
        if not keep_open:
            store.db.close()
    values = statsview.figures(found, _MOST_PATHS)
    values['kinds'] = statsview.kinds(found, _MOST_KINDS)
    values['growth'] = statsview.growth(found)
    texts: Mapping[str, Any] = _as_text(values)
    return texts


def _as_text(value: Any) -> Any:
    """Return figures with text instead of bytes."""
    if isinstance(value, bytes):
        return surveys.text_of(value)
    if isinstance(value, dict):
        return {key: _as_text(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_text(item) for item in value]
    return value


def _months(repo: Any) -> Sequence[str]:
    """Return the month of each changeset, in UTC, such as 2026-03."""
    changelog = repo.changelog
    names: dict[int, str] = {}
    found = []
    for rev in changelog:
        day = changelog.changelogrevision(rev).date[0] // _DAY
        if day not in names:
            names[day] = time.strftime('%Y-%m', time.gmtime(day * _DAY))
        found.append(names[day])
    return found
