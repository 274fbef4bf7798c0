# SPDX-License-Identifier: GPL-2.0-or-later
"""Index runs: the stored index of consecutive sealed revisions of one file.

A run is one ``idx`` row: the nodes of its revisions, followed by a chunk that
holds a table of integers (see ``columns``). Loose revisions have a ``rev`` row
each instead. ``reading.fileindex`` joins both into the index of a file.

The columns ``frame`` and ``place`` say where the content of a revision is and
in which form:

========= ============ ====================================================
frame     place        content
========= ============ ====================================================
f > 0     n >= 0       entry n of frame f
0         0            loose, a full text
0         k > 0        loose, a delta of revision r-k of the same file
0         g < 0        loose, a delta of the revision with global id -g
========= ============ ====================================================

This module knows nothing of SQLite.
"""

from __future__ import annotations

import operator
from array import array
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

from mercurial.node import nullrev

from ...amalgam.codecs import chunks, columns

NODE_SIZE = 20

# Mercurial keeps flags in 16 bits.
CORE_FLAGS = 0xFFFF

# The bits above hold one more than the bytes of the metadata that the text begins
# with, such as the source of a copy; 0 if these are not known. A revision that has
# a first parent has no metadata; of others, Mercurial would have to read the text.
METADATA_SHIFT = 16
MOST_METADATA = 0x7FFE

MOST_FLAGS = (MOST_METADATA + 1) << METADATA_SHIFT | CORE_FLAGS

# The most revisions in a run that this extension writes. To find one revision,
# a reader need not decode the runs of others.
RUN_SIZE = 1 << 12

# The columns of a table, in their order: those with 2 are stored as differences
# (see ``_pack``).
_KINDS = (2, 1, 1, 1, 2, 2, 2)
_COLUMNS = len(_KINDS)


class Revision(NamedTuple):
    """The fields of a revision in an index.

    ``p1``, ``p2`` and ``linkrev`` are revision numbers. ``flags`` are those of
    Mercurial, and the size of the metadata. ``rawsize`` is the size of the raw
    text in bytes.
    """

    node: bytes
    p1: int
    p2: int
    linkrev: int
    flags: int
    rawsize: int
    frame: int
    place: int


def encode_run(
    first: int, revs: Sequence[Revision], codec: chunks.Codec
) -> bytes:
    """Return ``idx.data`` for consecutive revisions from number ``first`` on."""
    nodes, p1, p2, *others = zip(*revs, strict=True)
    d1, d2 = (
        [_distance(first + i, p) for i, p in enumerate(parents)]
        for parents in (p1, p2)
    )
    return b''.join(nodes) + codec.encode(_pack(d1, d2, *others))


def encode_fields(
    nodes: bytes, fields: Sequence[Sequence[int]], codec: chunks.Codec
) -> bytes:
    """Return ``idx.data`` for revisions with these nodes, which are joined.

    ``fields`` are the columns of the table, in their order; distances to parents
    are 0 for null.
    """
    linkrevs, d1, d2, flags, sizes, frames, places = fields
    packed = _pack(d1, d2, linkrevs, flags, sizes, frames, places)
    return nodes + codec.encode(packed)


def encode_differences(
    nodes: bytes, fields: Sequence[Sequence[int]], codec: chunks.Codec
) -> bytes:
    """Return ``idx.data`` for revisions whose columns are as they are stored.

    ``nodes`` has their nodes. ``fields`` are the columns of the table, those that
    are stored as differences as differences.
    """
    return nodes + codec.encode(columns.pack(fields))


def _pack(
    d1: Sequence[int],
    d2: Sequence[int],
    linkrevs: Sequence[int],
    flags: Sequence[int],
    sizes: Sequence[int],
    frames: Sequence[int],
    places: Sequence[int],
) -> bytes:
    """Return the table of integers of a run.

    The columns are: linkrev, distance to p1 and to p2 (0: null), flags, raw
    size, frame, place. Linkrev, raw size, frame and place are stored as
    differences.
    """
    return columns.pack(
        (
            columns.diff(linkrevs),
            d1,
            d2,
            flags,
            columns.diff(sizes),
            columns.diff(frames),
            columns.diff(places),
        )
    )


class Table:
    """The index of consecutive revisions, as one column for each field.

    A file can have many revisions, and its index is read to read a single one.
    So a table is made and joined by functions that run in C, with no object for
    a revision. ``nodes`` holds the nodes one after the other; the others are
    arrays of signed integers: ``p1``, ``p2``, ``linkrevs``, ``flags`` and
    ``sizes`` of 4 bytes, ``frames`` and ``places`` of 8.
    """

    __slots__ = (
        'flags',
        'frames',
        'linkrevs',
        'nodes',
        'p1',
        'p2',
        'places',
        'sizes',
    )

    def __init__(self, revs: Sequence[Revision] = ()) -> None:
        fields = (
            zip(*revs, strict=True) if revs else [()] * len(Revision._fields)
        )
        nodes, p1, p2, linkrevs, flags, sizes, frames, places = fields
        self.nodes = b''.join(nodes)
        self.p1 = array('i', p1)
        self.p2 = array('i', p2)
        self.linkrevs = array('i', linkrevs)
        self.flags = array('i', flags)
        self.sizes = array('i', sizes)
        self.frames = array('q', frames)
        self.places = array('q', places)

    def __len__(self) -> int:
        return len(self.frames)

    def __iter__(self) -> Iterator[Revision]:
        nodes = self.nodes
        return map(
            Revision,
            [nodes[i : i + NODE_SIZE] for i in range(0, len(nodes), NODE_SIZE)],
            self.p1,
            self.p2,
            self.linkrevs,
            self.flags,
            self.sizes,
            self.frames,
            self.places,
        )

    def revision(self, number: int) -> Revision:
        """Return a single revision, numbered from 0."""
        start = number * NODE_SIZE
        return Revision(
            self.nodes[start : start + NODE_SIZE],
            self.p1[number],
            self.p2[number],
            self.linkrevs[number],
            self.flags[number],
            self.sizes[number],
            self.frames[number],
            self.places[number],
        )

    def extend(self, other: Table) -> None:
        """Add the revisions of a table that follow those of this one."""
        self.nodes += other.nodes
        self.p1 += other.p1
        self.p2 += other.p2
        self.linkrevs += other.linkrevs
        self.flags += other.flags
        self.sizes += other.sizes
        self.frames += other.frames
        self.places += other.places


def decode_table(first: int, n: int, data: bytes) -> Table:
    """Return the ``n`` revisions of a run that starts at number ``first``.

    Raises ValueError if the run is damaged.
    """
    try:
        return _decode_table(first, n, data)
    except OverflowError as exc:
        raise columns.ColumnError(str(exc)) from exc


def _decode_table(first: int, n: int, data: bytes) -> Table:
    split = n * NODE_SIZE
    links, d1, d2, flags, sizes, frames, places = columns.unpack(
        chunks.decode(data[split:]), _COLUMNS, n
    )
    table = Table()
    table.nodes = data[:split]
    table.p1 = parents_of(first, d1)
    table.p2 = parents_of(first, d2)
    table.linkrevs = array('i', accumulate(links))
    # These columns are constant for most files, which is faster to see than to
    # add up differences.
    table.flags = array('i', flags if any(flags) else bytes(4 * n))
    table.sizes = array('i', accumulate(sizes))
    if any(frames[1:]):
        table.frames = columns.undiff(frames)
    else:
        table.frames = array('q', frames[:1]) * n
    table.places = columns.undiff(places)
    return table


def parents_of(first: int, distances: Sequence[int]) -> array[int]:
    """Return the parents of the revisions from number ``first`` on.

    Raises ColumnError if a distance leads to no earlier revision.
    """
    n = len(distances)
    # A column of zeros: every parent is null. Most second parents are.
    if not any(distances):
        return array('i', [nullrev]) * n
    parents = array('i', map(operator.sub, range(first, first + n), distances))
    if min(distances) < 0 or min(parents) < 0:
        raise columns.ColumnError('parent out of range')
    null = -1
    for _ in range(distances.count(0)):
        null = distances.index(0, null + 1)
        parents[null] = nullrev
    return parents


def decode_run(first: int, n: int, data: bytes) -> list[Revision]:
    """Return the ``n`` revisions of a run that starts at number ``first``.

    Raises ValueError if the run is damaged.
    """
    return list(decode_table(first, n, data))


def check_parents(rev: int, p1: int, p2: int) -> None:
    """Raise ColumnError unless ``p1`` and ``p2`` can be parents of ``rev``."""
    if not (nullrev <= p1 < rev and nullrev <= p2 < rev):
        raise columns.ColumnError('parent out of range')


def decode_revision(first: int, n: int, data: bytes, number: int) -> Revision:
    """Return revision ``number`` of a run of ``n``; decode only that one.

    The run starts at revision ``first`` of the file; ``number`` is counted from
    there. Raises ValueError if the run is damaged.
    """
    start = number * NODE_SIZE
    linkrev, d1, d2, flags, size, frame, place = columns.pick(
        chunks.decode(data[n * NODE_SIZE :]), n, number, _KINDS
    )
    rev = first + number
    p1 = rev - d1 if d1 else nullrev
    p2 = rev - d2 if d2 else nullrev
    check_parents(rev, p1, p2)
    return Revision(
        data[start : start + NODE_SIZE],
        p1,
        p2,
        linkrev,
        flags,
        size,
        frame,
        place,
    )


def _distance(rev: int, parent: int) -> int:
    return rev - parent if parent != nullrev else 0
