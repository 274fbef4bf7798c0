# SPDX-License-Identifier: GPL-2.0-or-later
"""How public history is cut into pieces that never change.

Pure: revisions are numbers, nodes are bytes; no repository. Public changesets
are taken in revision order, which puts ancestors first. A piece is closed as
soon as it is large enough and never looked at again, so what comes later
cannot change it: a changeset that becomes public late (it was a draft or a
secret with a low revision number) goes into a later piece, where its public
ancestors are already in earlier ones.
"""

from __future__ import annotations

import bisect
import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cbor2

#: Version of the record and of the way pieces are cut and named.
VERSION = 1

#: A piece is closed at this many bytes (estimated, as stored) or changesets.
#: Strongly compressed that is 1 MB, which an interrupted clone may lose. Half
#: of it costs 9% more bytes in all, as repetitions are found within a piece.
LEAST_BYTES = 2 * 1024 * 1024
LEAST_CHANGESETS = 2000
#: ... or at this share of all that lies before it, so that the number of
#: pieces grows with the logarithm of the history: 128 for the first 256 MB,
#: then 89 for each doubling.
GROWTH = 128
#: A piece of fewer changesets is not closed for its bytes: successive releases
#: have most in common, and each piece opens all files again.
FEW_CHANGESETS = 16
#: ... but at most this much, so that a piece fits into memory and caches.
MOST_BYTES = 32 * 1024 * 1024
MOST_CHANGESETS = 50_000

#: First and one-past-last revision.
Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Piece:
    """Whole changesets whose ancestors are in earlier pieces or in it.

    ``name`` (20 bytes) is a hash of the nodes inside; ``ranges`` are their revisions; ``heads`` the nodes without children inside: who has
    these has the piece. ``size`` is an estimate in bytes. ``last`` is the
    node of the highest revision, by which a strip is noticed.
    """

    name: bytes
    ranges: tuple[Range, ...]
    heads: tuple[bytes, ...]
    changesets: int
    size: int
    last: bytes

    def revs(self) -> Iterator[int]:
        """Yield the revisions, ascending."""
        for start, stop in self.ranges:
            yield from range(start, stop)

    @property
    def highest(self) -> int:
        """The highest revision."""
        return self.ranges[-1][1] - 1


@dataclass(frozen=True, slots=True)
class Record:
    """The closed pieces of a repository, in order of application.

    ``changegroup`` is the version they are named for; ``factor`` is what a
    byte of changelog stands for in estimates, 0 while unknown.
    """

    changegroup: bytes
    pieces: tuple[Piece, ...] = ()
    factor: int = 0

    @property
    def upto(self) -> int:
        """One more than the highest revision in any piece."""
        return max((piece.highest + 1 for piece in self.pieces), default=0)

    @property
    def size(self) -> int:
        """Estimated bytes in all pieces."""
        return sum(piece.size for piece in self.pieces)

    @property
    def changesets(self) -> int:
        """How many changesets all pieces hold."""
        return sum(piece.changesets for piece in self.pieces)

    def skipped(self) -> Iterator[int]:
        """Yield the revisions below ``upto`` that are in no piece."""
        gap = 0
        for start, stop in sorted(r for p in self.pieces for r in p.ranges):
            yield from range(gap, start)
            gap = stop


def intact(record: Record, revs: Iterable[int]) -> Record:
    """Return the record up to the first piece that holds one of ``revs``."""
    starts = sorted(
        (start, stop, index)
        for index, piece in enumerate(record.pieces)
        for start, stop in piece.ranges
    )
    keep = len(record.pieces)
    for rev in revs:
        position = bisect.bisect_right(starts, (rev, sys.maxsize)) - 1
        if position >= 0:
            _start, stop, index = starts[position]
            if rev < stop:
                keep = min(keep, index)
    return replace(record, pieces=record.pieces[:keep])


def piece_name(changegroup: bytes, nodes: Iterable[bytes]) -> bytes:
    """Return the name (20 bytes) of a piece with these nodes.

    Their order does not matter: replicas received them in different ones.
    """
    hasher = hashlib.blake2b(digest_size=20)
    hasher.update(b'amalgam-segment %d %s\n' % (VERSION, changegroup))
    for node in sorted(nodes):
        hasher.update(node)
    return hasher.digest()


def cut(
    candidates: Sequence[int],
    weight: Callable[[int], int],
    before_bytes: int,
    before_changesets: int,
) -> tuple[list[list[int]], list[int]]:
    """Divide ``candidates`` into closed groups and an open rest.

    ``candidates`` are public revisions in no piece yet, ascending;
    ``weight`` estimates one's bytes; ``before_*`` is what earlier pieces sum
    up to. The same changesets are grouped alike whatever follows them.
    """
    closed: list[list[int]] = []
    group: list[int] = []
    size = 0
    most_bytes, most_changesets = _limits(before_bytes, before_changesets)

    def close() -> None:
        nonlocal group, size, before_bytes, before_changesets
        nonlocal most_bytes, most_changesets
        closed.append(group)
        before_bytes += size
        before_changesets += len(group)
        group, size = [], 0
        most_bytes, most_changesets = _limits(before_bytes, before_changesets)

    for rev in candidates:
        added = weight(rev)
        most = most_bytes if len(group) >= FEW_CHANGESETS else MOST_BYTES
        # one changeset larger than a piece does not drag others along
        if group and size + added > 2 * most:
            close()
        group.append(rev)
        size += added
        most = most_bytes if len(group) >= FEW_CHANGESETS else MOST_BYTES
        if size >= most or len(group) >= most_changesets:
            close()
    return closed, group


def _limits(before_bytes: int, before_changesets: int) -> tuple[int, int]:
    return (
        min(max(before_bytes // GROWTH, LEAST_BYTES), MOST_BYTES),
        min(
            max(before_changesets // GROWTH, LEAST_CHANGESETS), MOST_CHANGESETS
        ),
    )


def as_ranges(revs: Iterable[int]) -> tuple[Range, ...]:
    """Return ascending revisions as ranges."""
    ranges: list[Range] = []
    for rev in revs:
        if ranges and ranges[-1][1] == rev:
            ranges[-1] = (ranges[-1][0], rev + 1)
        else:
            ranges.append((rev, rev + 1))
    return tuple(ranges)


def encode_record(record: Record) -> bytes:
    """Return the record as CBOR, with a digest in front."""
    pieces = [
        [p.name, p.ranges, p.heads, p.changesets, p.size, p.last]
        for p in record.pieces
    ]
    fields = [VERSION, record.changegroup, record.factor, pieces]
    data: bytes = cbor2.dumps(fields)
    return hashlib.blake2b(data, digest_size=20).digest() + data


def decode_record(data: bytes) -> Record | None:
    """Return the record in ``data``; None if torn or of another version."""
    digest, data = data[:20], data[20:]
    if hashlib.blake2b(data, digest_size=20).digest() != digest:
        return None
    version, *rest = cbor2.loads(data)
    if version != VERSION:
        return None
    changegroup, factor, pieces = rest
    return Record(changegroup, tuple(map(_decode_piece, pieces)), factor)


def _decode_piece(fields: list[Any]) -> Piece:
    name, ranges, heads, changesets, size, last = fields
    return Piece(
        name,
        tuple((start, stop) for start, stop in ranges),
        tuple(heads),
        changesets,
        size,
        last,
    )
