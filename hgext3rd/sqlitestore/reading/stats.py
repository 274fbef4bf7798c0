# SPDX-License-Identifier: GPL-2.0-or-later
"""What a database holds: figures for ``admin::sqlite-stats``.

Reads indexes and frame heads, never content, in one pass each; knows nothing
of how the figures are shown.
"""

from __future__ import annotations

import collections
import dataclasses
import os
from collections.abc import Callable, Iterator

from .. import errors
from ..formats import frames, index
from .store import Store

TABLES = ('frame', 'piece', 'idx', 'rev', 'path', 'content')

# Also counts the indexes of a table with it; not in every build of SQLite.
SELECT_PAGES = """
    SELECT m.tbl_name, sum(d.pgsize) FROM dbstat AS d
    JOIN sqlite_schema AS m ON m.name = d.name
    WHERE d.aggregate = TRUE GROUP BY m.tbl_name"""
# What the rows of a table hold, where pages cannot be counted.
SELECT_PAYLOAD = {
    'frame': 'SELECT sum(length(head) + length(data)) FROM frame',
    'piece': 'SELECT sum(length(data)) FROM piece',
    'idx': 'SELECT sum(length(data)) FROM idx',
    'rev': 'SELECT sum(length(data) + 48) FROM rev',
    'path': 'SELECT sum(length(path) + 8) FROM path',
    'content': 'SELECT count(*) * 16 FROM content',
}
SELECT_COUNT = 'SELECT count(*) FROM %s'
SELECT_FRAMES = """
    SELECT f.id, f.head, length(f.data) + coalesce((
        SELECT sum(length(p.data)) FROM piece AS p
        WHERE p.id > f.id << 16 AND p.id < (f.id + 1) << 16), 0)
    FROM frame AS f"""
SELECT_PATH_IDS = 'SELECT path, id FROM path'
PAGE_SIZE = 'PRAGMA page_size'
FREE_PAGES = 'PRAGMA freelist_count'


@dataclasses.dataclass
class Table:
    """Rows and bytes of a table, its indexes included."""

    name: str
    rows: int
    size: int


@dataclasses.dataclass
class File:
    """One tracked path: its revisions, their texts and what is stored.

    ``stored`` of sealed revisions is their part of a frame, by length.
    """

    path: bytes
    revisions: int = 0
    raw: int = 0
    stored: float = 0.0


@dataclasses.dataclass
class Stats:
    """Sizes are in bytes.

    ``loose`` revisions have a row each, waiting for a repack; ``unused`` entries
    of frames belong to no revision any more. ``deltas`` counts revisions by how many deltas a read applies; ``frames``
    counts frames by entries. Keys of both are the lower bound of a power of
    two: 0, 1, 2, 4, 8 and so on.
    """

    size: int = 0
    wal: int = 0
    free: int = 0
    revisions: int = 0
    loose: int = 0
    raw: int = 0
    loose_stored: int = 0
    frame_count: int = 0
    frame_stored: int = 0
    unused: int = 0
    tables: list[Table] = dataclasses.field(default_factory=list)
    files: list[File] = dataclasses.field(default_factory=list)
    deltas: dict[int, int] = dataclasses.field(default_factory=dict)
    frames: dict[int, int] = dataclasses.field(default_factory=dict)


def bucket(value: int) -> int:
    """The lower bound of the power of two that ``value`` falls into."""
    return 1 << (value.bit_length() - 1) if value else 0


@dataclasses.dataclass(slots=True)
class _Head:
    """What is kept of a frame's head: depth of each entry, bytes stored."""

    depths: list[int]
    lengths: list[int]
    ratio: float


def collect(store: Store, progress: Callable[[int], None]) -> Stats:
    """All figures; ``progress`` gets the number of paths done."""
    db = store.db
    result = Stats(size=os.stat(db.path).st_size)
    try:
        result.wal = os.stat(db.path + b'-wal').st_size
    except FileNotFoundError:
        # no process has the database open but this one
        pass
    page = _number(store, PAGE_SIZE)
    result.free = page * _number(store, FREE_PAGES)
    result.tables = list(_tables(store))
    heads = _heads(store, result)
    deltas: collections.Counter[int] = collections.Counter()
    # several revisions may share an entry
    used: dict[int, set[int]] = collections.defaultdict(set)
    for done, (path, path_id) in enumerate(db.rows(SELECT_PATH_IDS)):
        idx = store.read_index(path_id)
        file = File(bytes(path), len(idx))
        _measure(idx, heads, file, deltas, used)
        result.loose += len(idx.stored)
        result.loose_stored += sum(idx.stored.values())
        result.revisions += len(idx)
        result.raw += file.raw
        result.files.append(file)
        progress(done)
    for frame_id, head in heads.items():
        result.unused += len(head.depths) - len(used[frame_id])
    result.deltas = dict(sorted(deltas.items()))
    return result


def _number(store: Store, sql: str) -> int:
    row = store.db.row(sql)
    return int(row[0] or 0) if row else 0


def _tables(store: Store) -> Iterator[Table]:
    try:
        sizes = dict(store.db.rows(SELECT_PAGES))
    except (errors.StoreUnavailable, errors.CorruptStore):
        # this build of SQLite has no dbstat table
        sizes = {name: _number(store, SELECT_PAYLOAD[name]) for name in TABLES}
    for name in TABLES:
        rows = _number(store, SELECT_COUNT % name)
        yield Table(name, rows, sizes.get(name, 0))


def _heads(store: Store, result: Stats) -> dict[int, _Head]:
    heads = {}
    entries: collections.Counter[int] = collections.Counter()
    for frame_id, data, stored in store.db.iterate(SELECT_FRAMES):
        try:
            head = frames.decode_head(data)
        except ValueError:
            # hg verify is the place to complain
            continue
        lengths = head.sizes
        raw = sum(lengths)
        depths = [0] * len(lengths)
        for n, distance in enumerate(head.distances):
            if distance:
                depths[n] = depths[n - distance] + 1
        heads[frame_id] = _Head(depths, lengths, stored / max(1, raw))
        result.frame_count += 1
        result.frame_stored += stored
        entries[bucket(len(lengths))] += 1
    result.frames = dict(sorted(entries.items()))
    return heads


def _measure(
    idx: index.FileIndex,
    heads: dict[int, _Head],
    file: File,
    deltas: collections.Counter[int],
    used: dict[int, set[int]],
) -> None:
    """Add up the revisions of one file."""
    depths: list[int] = []
    for rev in range(len(idx)):
        file.raw += idx.core[rev][2]
        frame_id, place = idx.frames[rev], idx.places[rev]
        depth = 0
        if frame_id:
            head = heads.get(frame_id)
            if head is not None and place < len(head.depths):
                depth = head.depths[place]
                file.stored += head.lengths[place] * head.ratio
                used[frame_id].add(place)
        else:
            if place > 0:
                depth = depths[rev - place] + 1
            elif place < 0:
                # what the base in another file costs is not followed
                depth = 1
            file.stored += idx.stored.get(rev, 0)
        depths.append(depth)
        deltas[bucket(depth)] += 1
