# SPDX-License-Identifier: GPL-2.0-or-later
"""Spans: several closed segments that are sent as one pack.

A segment is small, so that little is built anew when history grows. Large packs
are better for everything else: files and manifests repeat less often in them,
and a repository that was cloned from few packs is read faster. So closed
segments are joined in the way of log-structured merge trees. Which segments are
joined follows from their sizes alone. Most of the history is in one span that
seldom changes, the rest in a few small ones.

Pure: repositories are unknown here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from . import cut
from .cut import Segment

#: A span has a multiple of a power of this many segments. Each changeset is
#: packed again less than this many times for each power.
FANOUT = 4

#: Bytes (estimated, as stored) at which a span is not joined with more. About a
#: third of that is sent. Caches hold responses of this size by default.
MOST_BYTES = 64 * 1024 * 1024


def cover(sizes: Sequence[int]) -> list[tuple[int, int]]:
    """Return how segments of these sizes are joined.

    Each pair is the first segment of a span and the one after its last.
    """
    spans = []
    start = 0
    for _full in range(len(sizes)):
        stop = start
        size = 0
        while stop < len(sizes) and size + sizes[stop] <= MOST_BYTES:
            size += sizes[stop]
            stop += 1
        if stop == len(sizes):
            break
        # What comes after a full span can never be joined with it.
        spans.append((start, max(stop, start + 1)))
        start = spans[-1][1]
    while start < len(sizes):
        power = 1
        while power * FANOUT <= len(sizes) - start:
            power *= FANOUT
        stop = start + (len(sizes) - start) // power * power
        spans.append((start, stop))
        start = stop
    return spans


def join(segments: Sequence[Segment]) -> Segment:
    """Return consecutive segments as one."""
    if len(segments) == 1:
        return segments[0]
    hasher = hashlib.blake2b(digest_size=20)
    hasher.update(b'amalgam-span %d\n' % cut.VERSION)
    for segment in segments:
        hasher.update(segment.name)
    return Segment(
        name=hasher.digest(),
        # Not by way of revisions: spans are found anew for each request, and
        # together they hold the whole history.
        ranges=cut.joined_ranges(r for s in segments for r in s.ranges),
        # Some may have children in later segments of the span. That does no
        # harm: whoever has all of them has everything.
        heads=tuple(head for s in segments for head in s.heads),
        changesets=sum(s.changesets for s in segments),
        size=sum(s.size for s in segments),
        last=segments[-1].last,
    )
