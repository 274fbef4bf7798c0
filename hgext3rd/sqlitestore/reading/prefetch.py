# SPDX-License-Identifier: GPL-2.0-or-later
"""Read the texts of many files before core asks for them one by one.

Core announces which files it is going to read before update, archive, cat and
revert (see ``integration.prefetching``). One query then reads all indexes, of
which only the entries that are needed are decoded, and the texts are read frame
by frame. They wait in ``Store.ready``. When core asks for a text, it is checked
against its node like any other text, and forgotten.

Update workers are forked after this and inherit the texts in their memory.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

from mercurial.node import nullid, nullrev

from ...amalgam.codecs import chunks, columns
from .. import errors
from ..compat import mpatch
from ..formats import index, schema, statements
from .store import Store

# Bytes of texts to read ahead; core reads the other files one by one. Reading
# 8,000 files of 79 MB took 0.41 of the CPU and 3.2 times the memory of revlogs
# with 128 MB, 0.57 and 2.0 with 32 MB, 0.66 and 1.6 with 16 MB.
BUDGET = 32 << 20

# Bytes of the largest text to read ahead: larger ones would leave no room for
# others.
MAX_SIZE = 8 << 20

# If at least one path in WHOLE_TABLE is wanted, whole tables are read. That is
# faster than one query for each path.
WHOLE_TABLE = 4

# An index run: global id of its first revision, number of revisions, data.
Run = tuple[int, int, bytes]

# A path and the node of the wanted revision.
Key = tuple[bytes, bytes]


class Ready(NamedTuple):
    """A text that was read, and the parents that its node depends on."""

    text: bytes
    p1: bytes
    p2: bytes


class _SealedText(NamedTuple):
    """Where a wanted text is, its size in bytes, and its parents."""

    frame: int
    place: int
    size: int
    key: Key
    p1: bytes
    p2: bytes


def prefetch(store: Store, wanted: set[Key]) -> None:
    """Put the wanted texts into ``store.ready``, within limits of memory."""
    # Otherwise the first index that is read might find the store outdated and
    # drop all texts.
    store.revalidate()
    try:
        _load(store, wanted)
    except (columns.ColumnError, chunks.ChunkError, errors.CorruptStore):
        # Reading the damaged file itself reports the damage.
        return


def _load(store: Store, wanted: set[Key]) -> None:
    """Put the wanted texts that are sealed into ``store.ready``."""
    found = [
        place
        for key, runs in _runs(store, wanted)
        for place in _locate(key, runs)
    ]
    found.sort()
    held = 0
    for frame_id, places in itertools.groupby(found, lambda place: place.frame):
        # Frames are not cached here: otherwise update workers would be forked
        # with all frames in their memory.
        frame = store.cached_frame(frame_id) or store.read_frame(frame_id)
        for place in places:
            held += place.size
            if held > BUDGET:
                return
            try:
                text = frame.text(place.place)
            except mpatch.mpatchError:
                # Reading the revision by itself reports the damage.
                continue
            store.ready[place.key] = Ready(text, place.p1, place.p2)


def _runs(store: Store, wanted: set[Key]) -> Iterator[tuple[Key, list[Run]]]:
    """Yield each item of ``wanted`` with all index runs of its file."""
    files = (schema.FILE,)
    row = store.db.row(statements.COUNT_PATHS, files)
    if row is not None and row[0] < len(wanted) * WHOLE_TABLE:
        ids = {
            bytes(path): path_id
            for path, path_id in store.db.rows(
                statements.SELECT_PATHS_AND_IDS, files
            )
        }
        runs: dict[int, list[Run]] = {}
        for gid, n, data in store.db.iterate(
            statements.SELECT_RUNS_OF_KIND, files
        ):
            path_id, _first = schema.split_id(gid)
            runs.setdefault(path_id, []).append((gid, n, data))
        for key in wanted:
            yield key, runs.get(ids.get(key[0], 0), [])
    else:
        for key in sorted(wanted):
            found = store.path_id(key[0])
            if found is not None:
                bounds = schema.file_bounds(found)
                yield key, store.db.rows(statements.SELECT_RUNS, bounds)


def _locate(key: Key, runs: list[Run]) -> Iterator[_SealedText]:
    """Yield where a revision is if it is sealed, has no flags and is small."""
    node = key[1]
    for gid, n, data in runs:
        position = data.find(node, 0, n * index.NODE_SIZE)
        while position > 0 and position % index.NODE_SIZE:
            position = data.find(node, position + 1, n * index.NODE_SIZE)
        if position < 0:
            continue
        number = position // index.NODE_SIZE
        first = schema.split_id(gid)[1]
        r = index.decode_revision(first, n, data, number)
        parents = [
            _node(runs, parent) if parent != nullrev else nullid
            for parent in (r.p1, r.p2)
        ]
        flags = r.flags & index.CORE_FLAGS
        if not flags and r.rawsize <= MAX_SIZE and r.frame:
            yield _SealedText(r.frame, r.place, r.rawsize, key, *parents)
        return


def _node(runs: list[Run], rev: int) -> bytes:
    """Return the node of a revision of the file that has these runs."""
    for gid, n, data in runs:
        number = rev - schema.split_id(gid)[1]
        if 0 <= number < n:
            start = number * index.NODE_SIZE
            return data[start : start + index.NODE_SIZE]
    # Only a damaged index has a sealed revision with a parent that is not
    # sealed. The text will then not match its node.
    return nullid
