# SPDX-License-Identifier: GPL-2.0-or-later
"""The record of the segments that are closed, and its bytes.

Pure: ``listing`` knows where the record is kept, and compares it with the
repository.
"""

from __future__ import annotations

import bisect
import hashlib
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import cbor2

from . import cut
from .cut import Segment

#: Bytes of the digest in front of the record.
_DIGEST_SIZE = 20


@dataclass(frozen=True, slots=True)
class ClosedSegments:
    """The closed segments of a repository, in the order of application.

    ``changegroup`` is the version of changegroup they are named for. ``factor``
    is how many bytes a byte of the changelog stands for in estimates, or 0 if
    that is unknown.
    """

    changegroup: bytes
    segments: tuple[Segment, ...] = ()
    factor: int = 0

    @property
    def upto(self) -> int:
        """One more than the highest revision in any segment."""
        return max((s.highest + 1 for s in self.segments), default=0)

    @property
    def size(self) -> int:
        """Estimated bytes in all segments."""
        return sum(segment.size for segment in self.segments)

    @property
    def changesets(self) -> int:
        """How many changesets all segments hold."""
        return sum(segment.changesets for segment in self.segments)

    @property
    def last_name(self) -> bytes:
        """The name of the last segment, empty if there is none."""
        return self.segments[-1].name if self.segments else b''

    def skipped(self) -> Iterator[int]:
        """Yield the revisions below ``upto`` that are in no segment."""
        gap = 0
        for start, stop in sorted(r for s in self.segments for r in s.ranges):
            yield from range(gap, start)
            gap = stop

    def first(self, count: int) -> ClosedSegments:
        """Return the first ``count`` segments."""
        return replace(self, segments=self.segments[:count])

    def with_segment(self, segment: Segment) -> ClosedSegments:
        """Return these segments with another at their end."""
        return replace(self, segments=(*self.segments, segment))

    def without(self, revs: Iterable[int]) -> ClosedSegments:
        """Return the segments before the first that holds one of ``revs``."""
        starts = sorted(
            (start, stop, index)
            for index, segment in enumerate(self.segments)
            for start, stop in segment.ranges
        )
        keep = len(self.segments)
        for rev in revs:
            position = bisect.bisect_right(starts, (rev, sys.maxsize)) - 1
            if position >= 0:
                _start, stop, index = starts[position]
                if rev < stop:
                    keep = min(keep, index)
        return self.first(keep)


def encode(closed: ClosedSegments) -> bytes:
    """Return the record as CBOR, with a digest in front."""
    segments = [
        [s.name, s.ranges, s.heads, s.changesets, s.size, s.last]
        for s in closed.segments
    ]
    fields = [cut.VERSION, closed.changegroup, closed.factor, segments]
    data: bytes = cbor2.dumps(fields)
    return _digest(data) + data


def decode(data: bytes) -> ClosedSegments | None:
    """Return the record in ``data``; None if torn or of another version."""
    digest, data = data[:_DIGEST_SIZE], data[_DIGEST_SIZE:]
    if _digest(data) != digest:
        return None
    version, *rest = cbor2.loads(data)
    if version != cut.VERSION:
        return None
    changegroup, factor, segments = rest
    return ClosedSegments(
        changegroup, tuple(map(_decode_segment, segments)), factor
    )


def _decode_segment(fields: list[Any]) -> Segment:
    name, ranges, heads, changesets, size, last = fields
    return Segment(
        name,
        tuple((start, stop) for start, stop in ranges),
        tuple(heads),
        changesets,
        size,
        last,
    )


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_DIGEST_SIZE).digest()
