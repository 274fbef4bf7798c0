# SPDX-License-Identifier: GPL-2.0-or-later
"""The figures that ``admin::sqlite-stats`` shows.

Reads all indexes and all heads of frames once, and no content. ``statsview``
and the page of hgweb show the figures.
"""

from __future__ import annotations

import collections
import dataclasses
import os
from collections.abc import Callable, Container, Iterator, Sequence

from ...amalgam import sidefiles
from .. import errors
from ..formats import frames, schema, statements
from . import everyindex
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
    before compression. It is not ``visible`` if all
    revisions belong to changesets that the reader must not see.
    """

    path: bytes
    revisions: int = 0
    raw: int = 0
    stored: float = 0.0
    is_file: bool = True
    visible: bool = True


@dataclasses.dataclass(slots=True)
class Growth:
    """What the revisions of some time are: their number and sizes in bytes."""

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
    the lower bounds of powers of two: 0, 1, 2, 4, 8 and so on. ``growth`` has
    what was added by the names that ``collect`` was given for changesets.
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
    growth: dict[str, Growth] = dataclasses.field(default_factory=dict)


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


def collect(
    store: Store,
    progress: Callable[[int], None],
    times: Sequence[str] = (),
    hidden: Container[int] = (),
) -> Stats:
    """Return all figures.

    ``progress`` is called with the number of paths done. ``times`` has a name,
    such as a month, for each changeset; ``growth`` stays empty without it.
    With it, only paths are visible that changesets with a name have, except for
    ``hidden`` ones, which the reader of the figures must not see.
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
    measure = _Measure(_heads(store, result), result, times, hidden)
    paths = {
        path_id: (kind, bytes(path))
        for kind, path, path_id in db.rows(statements.SELECT_ALL_PATHS)
    }
    for done, found in enumerate(everyindex.columns(store)):
        # A path may be new, or gone.
        if found.path_id in paths:
            measure.add(found, *paths[found.path_id])
        progress(done)
    measure.end()
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


class _Measure:
    """Adds up revisions, given the heads of all frames."""

    def __init__(
        self,
        heads: dict[int, _FrameSummary],
        result: Stats,
        times: Sequence[str],
        hidden: Container[int],
    ) -> None:
        self._heads = heads
        self._result = result
        self._times = times
        self._hidden = hidden
        self._deltas: collections.Counter[int] = collections.Counter()
        # Sets, because several revisions may share an entry.
        self._used: dict[int, set[int]] = collections.defaultdict(set)

    def add(self, found: everyindex.Columns, kind: int, path: bytes) -> None:
        """Add the revisions of a path."""
        result = self._result
        is_file = kind == schema.FILE
        name = schema.display_name(kind, path)
        file = FileSize(name, len(found), sum(found.sizes), is_file=is_file)
        stored = self._stored(found)
        file.stored = sum(stored)
        if self._times:
            file.visible = any(
                0 <= link < len(self._times) and link not in self._hidden
                for link in found.linkrevs
            )
        self._grow(found, stored)
        result.manifests += not is_file
        result.loose += len(found.stored)
        result.loose_stored += sum(found.stored.values())
        result.revisions += len(found)
        result.raw += file.raw
        result.files.append(file)

    def _stored(self, found: everyindex.Columns) -> list[float]:
        """Return the stored size of each revision of a path."""
        depths: list[int] = []
        sizes: list[float] = []
        for rev, (frame_id, place) in enumerate(
            zip(found.frames, found.places, strict=True)
        ):
            depth = 0
            size = 0.0
            if frame_id:
                head = self._heads.get(frame_id)
                if head is not None and 0 <= place < len(head.depths):
                    depth = head.depths[place]
                    size = head.lengths[place] * head.ratio
                    self._used[frame_id].add(place)
            else:
                if 0 < place <= rev:
                    depth = depths[rev - place] + 1
                elif place:
                    # The deltas below a base in another file are not counted.
                    depth = 1
                size = found.stored.get(rev, 0)
            depths.append(depth)
            sizes.append(size)
        self._deltas.update(map(bucket, depths))
        return sizes

    def _grow(self, found: everyindex.Columns, stored: list[float]) -> None:
        times, growth = self._times, self._result.growth
        for link, raw, size in zip(
            found.linkrevs, found.sizes, stored, strict=True
        ):
            # A changeset may be newer than the list. In a damaged database,
            # the number may be anything.
            if 0 <= link < len(times):
                time = growth.setdefault(times[link], Growth())
                time.revisions += 1
                time.raw += raw
                time.stored += size

    def end(self) -> None:
        """Complete the figures."""
        result = self._result
        for frame_id, head in self._heads.items():
            result.unused += len(head.depths) - len(self._used[frame_id])
        result.deltas = dict(sorted(self._deltas.items()))
        result.growth = dict(sorted(result.growth.items()))
