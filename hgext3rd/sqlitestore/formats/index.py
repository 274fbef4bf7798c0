# SPDX-License-Identifier: GPL-2.0-or-later
"""The index of one file: stored rows on one side, Mercurial's on the other.

Sealed revisions come as *segments* (one ``idx`` row for a run of revisions,
as compressed columns), loose ones as ``rev`` rows. In memory a file's index is
core's own index object, which answers every question about the graph in C,
beside two lists that say where a revision's content is:

========== =============== ==========================================
frames[r]  places[r]       content
========== =============== ==========================================
f > 0      n >= 0          entry n of frame f
0          0               loose, a full text
0          k > 0           loose, a delta of revision r-k
0          g < 0           loose, a delta of the revision with global id -g
========== =============== ==========================================

No SQL here.
"""

from __future__ import annotations

import collections
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from mercurial.node import nullrev

from .. import compat
from . import chunks, columns, schema

NODE_SIZE = 20

# Makes a stored chunk of data.
Encoder = Callable[[bytes], bytes]

_SEGMENT_COLUMNS = 7

# One entry of a revlog version 1 index: offset and flags, stored and full
# length, delta base, linkrev, parents, node. See ``hg help internals.revlogs``.
# Only graph questions are asked of it: our offsets and lengths are elsewhere.
_CORE_ENTRY = struct.Struct('>Qiiiiii20s12x').pack


class Revision(NamedTuple):
    """What an index knows of a revision; p1 and p2 are revision numbers."""

    node: bytes
    p1: int
    p2: int
    linkrev: int
    flags: int
    rawsize: int
    frame: int
    place: int


def encode_segment(
    first: int, revs: Sequence[Revision], codec: chunks.Codec
) -> bytes:
    """The ``idx.data`` of consecutive revisions starting at number ``first``.

    The nodes, then a chunk holding a table of: linkrev, distance to p1 and p2
    (0: null), flags, raw size, frame, place; linkrev, raw size, frame and
    place as differences.
    """
    _nodes, p1s, p2s, linkrevs, flags, sizes, frames, places = zip(
        *revs, strict=True
    )
    table = columns.pack(
        (
            columns.diff(linkrevs),
            [_distance(first + i, p) for i, p in enumerate(p1s)],
            [_distance(first + i, p) for i, p in enumerate(p2s)],
            flags,
            columns.diff(sizes),
            columns.diff(frames),
            columns.diff(places),
        )
    )
    return b''.join(_nodes) + codec.encode(table)


def decode_segment(first: int, n: int, data: bytes) -> list[Revision]:
    """The inverse of ``encode_segment``. Raises ValueError on damage."""
    split = n * NODE_SIZE
    links, d1, d2, flags, sizes, frames, places = columns.unpack(
        chunks.decode(data[split:]), _SEGMENT_COLUMNS, n
    )
    numbers = range(first, first + n)
    p1 = [r - d if d else nullrev for r, d in zip(numbers, d1, strict=True)]
    p2 = [r - d if d else nullrev for r, d in zip(numbers, d2, strict=True)]
    if n and (min(min(p1), min(p2)) < nullrev or min(min(d1), min(d2)) < 0):
        raise columns.ColumnError('parent out of range')
    return list(
        map(
            Revision,
            [data[i : i + NODE_SIZE] for i in range(0, split, NODE_SIZE)],
            p1,
            p2,
            columns.undiff(links),
            flags,
            columns.undiff(sizes),
            columns.undiff(frames),
            columns.undiff(places),
        )
    )


def check_parents(rev: int, p1: int, p2: int) -> None:
    """Raise ColumnError unless these can be parents of ``rev``."""
    if not (nullrev <= p1 < rev and nullrev <= p2 < rev):
        raise columns.ColumnError('parent out of range')


class Entry(NamedTuple):
    """One revision of a segment; parents as distances, 0 for null."""

    d1: int
    d2: int
    flags: int
    size: int
    frame: int
    place: int


def decode_entry(n: int, data: bytes, number: int) -> Entry:
    """One of the ``n`` revisions of a segment, without decoding the others."""
    table = chunks.decode(data[n * NODE_SIZE :])
    return Entry(
        *columns.pick(
            table,
            n,
            number,
            # linkrev is left out; the last three are differences
            (0, 1, 1, 1, 2, 2, 2),
        )
    )


def _distance(rev: int, parent: int) -> int:
    return rev - parent if parent != nullrev else 0


class FileIndex:
    """The index of one file, shared by everything that opens that file.

    ``path_id`` is None until the file has a revision; ``stored`` maps a loose
    revision to the bytes its row's data takes; ``grown`` says whether any were
    added since it was read.
    """

    __slots__ = ('core', 'frames', 'grown', 'path_id', 'places', 'stored')

    def __init__(
        self, path_id: int | None, revs: Iterable[Revision] = ()
    ) -> None:
        revs = list(revs)
        self.path_id = path_id
        self.grown = False
        self.frames = [r.frame for r in revs]
        self.places = [r.place for r in revs]
        self.stored: dict[int, int] = {}
        self.core: Any = compat.make_index(
            b''.join(
                _CORE_ENTRY(
                    r.flags, 0, r.rawsize, i, r.linkrev, r.p1, r.p2, r.node
                )
                for i, r in enumerate(revs)
            )
        )

    def __len__(self) -> int:
        return len(self.frames)

    def revision(self, rev: int) -> Revision:
        """Everything known of revision ``rev``."""
        flags, _clen, size, _base, link, p1, p2, node = self.core[rev][:8]
        return Revision(
            node,
            p1,
            p2,
            link,
            flags & 0xFFFF,
            size,
            self.frames[rev],
            self.places[rev],
        )

    def append(self, r: Revision, stored: int | None = None) -> int:
        """Add a revision; returns its number."""
        rev = len(self.frames)
        self.grown = True
        self.core.append(
            compat.index_entry(
                r.flags, r.rawsize, rev, r.linkrev, r.p1, r.p2, r.node
            )
        )
        self.frames.append(r.frame)
        self.places.append(r.place)
        if stored is not None:
            self.stored[rev] = stored
        return rev

    def truncate(self, n: int) -> None:
        """Forget all revisions from number ``n`` on."""
        if n < len(self.frames):
            del self.core[n:-1]
            del self.frames[n:]
            del self.places[n:]
            self.stored = {r: s for r, s in self.stored.items() if r < n}

    def loose_chain(
        self, rev: int, stop: int = nullrev
    ) -> tuple[list[int], int | None]:
        """The loose rows that ``rev`` needs, newest first, and what they rest on.

        The second value is the global id of the revision below the last row:
        a sealed one of this file, one of another file, or ``stop`` (whose
        text the caller has); None when the last row is a full text.
        """
        revs: list[int] = []
        while True:
            if rev == stop or self.frames[rev]:
                assert self.path_id is not None
                return revs, schema.global_id(self.path_id, rev)
            revs.append(rev)
            place = self.places[rev]
            if not place:
                return revs, None
            if place < 0:
                return revs, -place
            rev -= place


# Revisions in kept indexes, each of about 250 bytes in memory; what an index
# costs by itself, in revisions; and what one costs that was added to: core's
# reserves 256 KB then.
CACHED_REVISIONS = 1 << 14
INDEX_COST = 16
GROWN_COST = 1 << 10


class IndexCache:
    """The indexes used last, by path id."""

    def __init__(self, limit: int = CACHED_REVISIONS) -> None:
        self._indexes: collections.OrderedDict[int, tuple[FileIndex, int]] = (
            collections.OrderedDict()
        )
        self._limit = limit
        self._size = 0

    def get(self, path_id: int) -> FileIndex | None:
        """The index of a file, or None."""
        found = self._indexes.get(path_id)
        if found is None:
            return None
        self._indexes.move_to_end(path_id)
        return found[0]

    def keep(self, path_id: int, idx: FileIndex) -> None:
        """Add an index, or note that one has grown."""
        self.drop(path_id)
        size = len(idx) + (GROWN_COST if idx.grown else INDEX_COST)
        self._indexes[path_id] = idx, size
        self._size += size
        while self._size > self._limit and len(self._indexes) > 1:
            self._size -= self._indexes.popitem(last=False)[1][1]

    def drop(self, path_id: int) -> None:
        """Forget the index of a file."""
        found = self._indexes.pop(path_id, None)
        if found is not None:
            self._size -= found[1]

    def clear(self) -> None:
        """Forget all indexes."""
        self._indexes.clear()
        self._size = 0
