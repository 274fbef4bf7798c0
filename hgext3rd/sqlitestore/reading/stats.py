# SPDX-License-Identifier: GPL-2.0-or-later
"""The figures that ``admin::sqlite-stats`` shows.

Reads all indexes and all heads of frames once, and no content. ``statsview``
shows the figures.
"""

from __future__ import annotations

import collections
import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence

from ...amalgam import sidefiles
from .. import errors
from ..formats import frames, schema, statements
from .fileindex import FileIndex
from .store import Store


@dataclasses.dataclass
class TableSize:
    """The rows and bytes of a table, including the indexes on it."""

    name: str
    rows: int
    size: int


@dataclasses.dataclass
class FileSize:
    """The number of revisions of one path and their sizes in bytes.

    ``raw`` is the size of all texts, ``stored`` their size in the database. A
    sealed revision takes the same share of its frame as its entry does
    before compression.
    """

    path: bytes
    revisions: int = 0
    raw: int = 0
    stored: float = 0.0


@dataclasses.dataclass
class Stats:
    """The figures of a whole database. Sizes are in bytes.

    ``files`` are all paths: files, and ``manifests`` directories of manifests.
    ``loose`` revisions have a row each and wait for a repack. ``unused``
    counts entries of frames that no revision refers to any more. ``deltas``
    counts revisions by the number of deltas that reading one applies;
    ``frames`` counts frames by their number of entries. The keys of both are
    the lower bounds of powers of two: 0, 1, 2, 4, 8 and so on.
    """

    size: int = 0
    wal: int = 0
    free: int = 0
    manifests: int = 0
    revisions: int = 0
    loose: int = 0
    raw: int = 0
    loose_stored: int = 0
    frame_count: int = 0
    frame_stored: int = 0
    unused: int = 0
    tables: list[TableSize] = dataclasses.field(default_factory=list)
    files: list[FileSize] = dataclasses.field(default_factory=list)
    deltas: dict[int, int] = dataclasses.field(default_factory=dict)
    frames: dict[int, int] = dataclasses.field(default_factory=dict)


def bucket(value: int) -> int:
    """Return the largest power of two that is not above ``value``, or 0."""
    return 1 << (value.bit_length() - 1) if value else 0


@dataclasses.dataclass(slots=True)
class _FrameSummary:
    """The figures that are taken from the head of a frame.

    ``depths`` and ``lengths`` have one value per entry: how many deltas lead to
    it, and its bytes before compression. ``ratio`` is compressed to
    uncompressed size.
    """

    depths: Sequence[int]
    lengths: Sequence[int]
    ratio: float


def collect(store: Store, progress: Callable[[int], None]) -> Stats:
    """Return all figures.

    ``progress`` is called with the number of paths done.
    """
    db = store.db
    result = Stats(size=os.stat(db.path).st_size)
    try:
        result.wal = os.stat(sidefiles.beside(db.path, sidefiles.LOG)).st_size
    except FileNotFoundError:
        # This process has not opened the database yet, and no other process
        # has it open.
        pass
    page = _number(store, statements.SELECT_PAGE_SIZE)
    result.free = page * _number(store, statements.SELECT_FREE_PAGES)
    result.tables = list(_tables(store))
    heads = _heads(store, result)
    deltas: collections.Counter[int] = collections.Counter()
    # Sets, because several revisions may share an entry.
    used: dict[int, set[int]] = collections.defaultdict(set)
    for done, (kind, path, path_id) in enumerate(
        db.rows(statements.SELECT_ALL_PATHS)
    ):
        idx = store.read_index(path_id)
        file = FileSize(schema.display_name(kind, bytes(path)), len(idx))
        result.manifests += kind == schema.DIRECTORY
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
    """Return the single number that a query finds; NULL counts as 0."""
    row = store.db.row(sql)
    return int(row[0] or 0) if row else 0


def _tables(store: Store) -> Iterator[TableSize]:
    """Yield the size of each table."""
    try:
        sizes = dict(store.db.rows(statements.SELECT_TABLE_SIZES))
    except (errors.StoreUnavailable, errors.CorruptStore):
        # This build of SQLite has no dbstat table.
        sizes = {
            name: _number(store, sql)
            for name, sql in statements.SELECT_PAYLOAD.items()
        }
    for name in statements.TABLES:
        rows = _number(store, statements.COUNT_ROWS[name])
        yield TableSize(name, rows, sizes.get(name, 0))


def _heads(store: Store, result: Stats) -> dict[int, _FrameSummary]:
    """Return a summary of each frame, and add all frames to ``result``."""
    heads = {}
    entries: collections.Counter[int] = collections.Counter()
    for frame_id, data, stored in store.db.iterate(
        statements.SELECT_FRAME_SIZES
    ):
        try:
            head = frames.decode_head(data)
        except ValueError:
            # Damage is reported by hg verify.
            continue
        lengths = head.sizes
        raw = sum(lengths)
        depths = [0] * len(lengths)
        for n, distance in enumerate(head.distances):
            if distance:
                depths[n] = depths[n - distance] + 1
        heads[frame_id] = _FrameSummary(depths, lengths, stored / max(1, raw))
        result.frame_count += 1
        result.frame_stored += stored
        entries[bucket(len(lengths))] += 1
    result.frames = dict(sorted(entries.items()))
    return heads


def _measure(
    idx: FileIndex,
    heads: dict[int, _FrameSummary],
    file: FileSize,
    deltas: collections.Counter[int],
    used: dict[int, set[int]],
) -> None:
    """Add the revisions of one file to ``file``, ``deltas`` and ``used``."""
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
                # The deltas below a base in another file are not counted.
                depth = 1
            file.stored += idx.stored.get(rev, 0)
        depths.append(depth)
        deltas[bucket(depth)] += 1
