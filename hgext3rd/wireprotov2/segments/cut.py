# SPDX-License-Identifier: GPL-2.0-or-later
"""How public history is cut into segments that never change.

Pure: revisions are numbers and nodes are bytes; repositories are unknown here.
Public changesets are taken in the order of their revision numbers, which puts
ancestors first. A segment is closed as soon as it is large enough. From then on
it is never looked at again, so later changesets cannot change it. A draft or
secret changeset with a low revision number may become public late. It then goes
into a later segment, and its ancestors are in the same segment or in earlier
ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

#: Version of the way segments are cut and named, and of the record of them.
VERSION = 1

#: A segment is closed at this many bytes (estimated, as stored) or changesets.
#: Strongly compressed that is 1 MB, which is what an interrupted clone may
#: lose. Half of it costs 9% more bytes in all, since repetitions are found
#: within one segment only.
LEAST_BYTES = 2 * 1024 * 1024
LEAST_CHANGESETS = 2000
#: ... or at 1/GROWTH of everything before it, if that is more, up to
#: GROWN_BYTES. The bytes are limited because the open segment is built anew after
#: each push, which must not cost more as history grows.
GROWTH = 128
GROWN_BYTES = 2 * LEAST_BYTES
#: A segment of fewer changesets is not closed because of its bytes: successive
#: releases have most in common, and applying a segment opens all files again.
FEW_CHANGESETS = 16
#: ... but it is closed at these limits, so that it fits into memory and caches.
MOST_BYTES = 32 * 1024 * 1024
MOST_CHANGESETS = 50_000

#: First and one-past-last revision.
Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Segment:
    """Whole changesets whose ancestors are in it or in earlier segments.

    ``name`` (20 bytes) is a hash of the nodes inside, ``ranges`` are their
    revisions. ``heads`` are the nodes without children inside: a repository
    that has these has the whole segment. ``size`` is an estimate in bytes.
    ``last`` is the node of the highest revision; it differs when changesets
    were stripped.
    """

    name: bytes
    ranges: tuple[Range, ...]
    heads: tuple[bytes, ...]
    changesets: int
    size: int
    last: bytes

    def revs(self) -> Iterator[int]:
        """Yield the revisions in ascending order."""
        for start, stop in self.ranges:
            yield from range(start, stop)

    @property
    def highest(self) -> int:
        """The highest revision."""
        return self.ranges[-1][1] - 1


def segment_name(changegroup: bytes, nodes: Iterable[bytes]) -> bytes:
    """Return the name (20 bytes) of a segment with these nodes.

    ``changegroup`` is the version of changegroup that carries it. The order of
    ``nodes`` makes no difference, since replicas may have received them in
    different orders.
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
    """Divide ``candidates`` into groups that are closed and an open rest.

    ``candidates`` are ascending public revisions that are in no segment yet.
    ``weight`` returns an estimate of the bytes of a revision. ``before_bytes``
    and ``before_changesets`` are the sums over all earlier segments. The same
    changesets are always grouped in the same way, whatever follows them.
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
        # A changeset larger than a segment gets a segment of its own.
        if group and size + added > 2 * most:
            close()
        group.append(rev)
        size += added
        most = most_bytes if len(group) >= FEW_CHANGESETS else MOST_BYTES
        if size >= most or len(group) >= most_changesets:
            close()
    return closed, group


def _limits(before_bytes: int, before_changesets: int) -> tuple[int, int]:
    """Return the bytes and changesets at which the next segment is closed."""
    return (
        min(max(before_bytes // GROWTH, LEAST_BYTES), GROWN_BYTES),
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


def joined_ranges(ranges: Iterable[Range]) -> tuple[Range, ...]:
    """Return ranges that do not overlap, sorted and with adjacent ones joined."""
    joined: list[Range] = []
    for start, stop in sorted(ranges):
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], stop)
        else:
            joined.append((start, stop))
    return tuple(joined)
