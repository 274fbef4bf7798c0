# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading many files at once, before they are asked for one by one.

Core says what it is going to read before update, archive, cat and revert. All
indexes are then read by one query, each only as far as the one revision needs;
the texts are read frame by frame. What was read waits in the store until it is
asked for, is checked against its node then, like any other text, and forgotten.

Update workers are forked after this, and find it in their memory.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from mercurial.node import nullid

from .. import errors
from ..compat import mpatch
from ..formats import chunks, columns, index, schema
from .store import Store

# Fewer files are not worth it.
MIN_FILES = 16

# Text bytes kept ready; the files beyond are read one by one.
BUDGET = 128 << 20

# A larger text would leave no room for others.
MAX_SIZE = 8 << 20

# From this part of all paths on, reading a whole table is cheaper.
WHOLE_TABLE = 4

SELECT_ALL_PATHS = 'SELECT path, id FROM path'
COUNT_PATHS = 'SELECT count(*) FROM path'
SELECT_ALL_SEGMENTS = 'SELECT id, n, data FROM idx'
SELECT_SEGMENTS = 'SELECT id, n, data FROM idx WHERE id BETWEEN ? AND ?'

Segment = tuple[int, int, bytes]


class Ready(NamedTuple):
    """A text that was read, and what its node is made of besides."""

    text: bytes
    p1: bytes
    p2: bytes


class _Found(NamedTuple):
    frame: int
    place: int
    size: int
    key: tuple[bytes, bytes]
    p1: bytes
    p2: bytes


def prefetch(repo: Any, store: Store, revmatches: Iterable[Any]) -> None:
    """Core's hook: read the files that match, in each of the revisions."""
    wanted: set[tuple[bytes, bytes]] = set()
    for rev, match in revmatches:
        if rev is None or match is None:
            continue
        manifest = repo[rev].manifest()
        names = match.files() if match.isexact() else manifest.walk(match)
        for name in names:
            node = manifest.get(name)
            if node is not None:
                wanted.add((name, node))
    store.ready.clear()
    if len(wanted) < MIN_FILES or not store.exists:
        return
    # or the first index read would drop it all as perhaps outdated
    store.revalidate()
    try:
        _load(store, wanted)
    except (columns.ColumnError, chunks.ChunkError, errors.CorruptStore):
        # Whoever asks for the damaged file will be told.
        return


def _load(store: Store, wanted: set[tuple[bytes, bytes]]) -> None:
    found = [
        place
        for key, segments in _segments(store, wanted)
        for place in _locate(key, segments)
    ]
    found.sort()
    held = 0
    for frame_id, places in itertools.groupby(found, lambda place: place.frame):
        # Not kept: update workers would be forked with it all in their memory.
        frame = store.read_frame(frame_id)
        for place in places:
            held += place.size
            if held > BUDGET:
                return
            try:
                text = frame.text(place.place)
            except mpatch.mpatchError:
                # reading it by itself says what is wrong
                continue
            store.ready[place.key] = Ready(text, place.p1, place.p2)


def _segments(
    store: Store, wanted: set[tuple[bytes, bytes]]
) -> Iterator[tuple[tuple[bytes, bytes], list[Segment]]]:
    """Each of ``wanted`` with all segments of its file's index."""
    row = store.db.row(COUNT_PATHS)
    if row is not None and row[0] < len(wanted) * WHOLE_TABLE:
        ids = {
            bytes(path): path_id
            for path, path_id in store.db.rows(SELECT_ALL_PATHS)
        }
        segments: dict[int, list[Segment]] = {}
        for gid, n, data in store.db.iterate(SELECT_ALL_SEGMENTS):
            segments.setdefault(gid >> schema.REV_BITS, []).append(
                (gid, n, data)
            )
        for key in wanted:
            yield key, segments.get(ids.get(key[0], 0), [])
    else:
        for key in sorted(wanted):
            path_id = store.path_id(key[0])
            if path_id is not None:
                bounds = (
                    schema.global_id(path_id, 0),
                    schema.global_id(path_id, schema.REV_MASK),
                )
                yield key, store.db.rows(SELECT_SEGMENTS, bounds)


def _locate(
    key: tuple[bytes, bytes], segments: list[Segment]
) -> Iterator[_Found]:
    """Where a sealed revision without flags is; nothing for all others."""
    node = key[1]
    for gid, n, data in segments:
        position = data.find(node, 0, n * index.NODE_SIZE)
        while position > 0 and position % index.NODE_SIZE:
            position = data.find(node, position + 1, n * index.NODE_SIZE)
        if position < 0:
            continue
        entry = index.decode_entry(n, data, position // index.NODE_SIZE)
        rev = (gid & schema.REV_MASK) + position // index.NODE_SIZE
        parents = [
            _node(segments, rev - distance) if distance else nullid
            for distance in (entry.d1, entry.d2)
        ]
        if not entry.flags and entry.size <= MAX_SIZE and entry.frame:
            yield _Found(entry.frame, entry.place, entry.size, key, *parents)
        return


def _node(segments: list[Segment], rev: int) -> bytes:
    for gid, n, data in segments:
        number = rev - (gid & schema.REV_MASK)
        if 0 <= number < n:
            start = number * index.NODE_SIZE
            return data[start : start + index.NODE_SIZE]
    # a loose parent cannot be below a sealed revision
    return nullid
