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

from collections.abc import Sequence
from typing import NamedTuple

from mercurial.node import nullrev

from . import chunks, columns

NODE_SIZE = 20

# The most revisions in a run that this extension writes. To find one revision,
# a reader need not decode the runs of others.
RUN_SIZE = 1 << 12

_COLUMNS = 7


class Revision(NamedTuple):
    """The fields of a revision in an index.

    ``p1``, ``p2`` and ``linkrev`` are revision numbers. ``rawsize`` is the size
    of the raw text in bytes.
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
    """Return ``idx.data`` for consecutive revisions from number ``first`` on.

    The columns of the table are: linkrev, distance to p1 and to p2 (0: null),
    flags, raw size, frame, place. Linkrev, raw size, frame and place are
    stored as differences.
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


def decode_run(first: int, n: int, data: bytes) -> list[Revision]:
    """Return the ``n`` revisions of a run that starts at number ``first``.

    Raises ValueError if the run is damaged.
    """
    split = n * NODE_SIZE
    links, d1, d2, flags, sizes, frames, places = columns.unpack(
        chunks.decode(data[split:]), _COLUMNS, n
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
    """Raise ColumnError unless ``p1`` and ``p2`` can be parents of ``rev``."""
    if not (nullrev <= p1 < rev and nullrev <= p2 < rev):
        raise columns.ColumnError('parent out of range')


class Entry(NamedTuple):
    """One revision of a run; ``d1`` and ``d2`` are distances, 0 for null."""

    d1: int
    d2: int
    flags: int
    size: int
    frame: int
    place: int


def decode_entry(n: int, data: bytes, number: int) -> Entry:
    """Return revision ``number`` of a run of ``n``; decode only that one."""
    table = chunks.decode(data[n * NODE_SIZE :])
    return Entry(
        *columns.pick(
            table,
            n,
            number,
            # The linkrev is left out; the last three columns are differences.
            (0, 1, 1, 1, 2, 2, 2),
        )
    )


def _distance(rev: int, parent: int) -> int:
    return rev - parent if parent != nullrev else 0
