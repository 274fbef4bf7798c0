# SPDX-License-Identifier: GPL-2.0-or-later
"""The segments of one repository: found, extended and remembered.

Reads the public changesets of the repository and keeps the record of closed
segments in its cache folder, so that segments stay as they are. Losing the
record changes the names of some segments and does no other harm. ``access``
decides which changesets are for everybody. Nothing here knows bundles or the
wire.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from mercurial import changegroup
from mercurial.utils import stringutil

from ...amalgam.lru import LRU
from .. import censoring
from ..access import visibility
from . import cut, record
from .cut import Segment
from .record import ClosedSegments

#: The record, in the cache folder of the repository.
FILE = b'wireprotov2-segments'

#: The weight of a changeset is the size of its changelog entry, which lists the
#: files it touches, times a factor: the bytes of the store for each byte of the
#: changelog. The factor is a power of two, so that replicas agree on it and it
#: seldom changes. It is at least this value, since a lower one would say
#: little. Measuring it takes the longer, the more history there is. So that is
#: done when the number of segments has doubled.
LEAST_FACTOR = 2

#: The most repositories whose listing a process remembers.
MOST_LISTINGS = 64


@dataclass(frozen=True, slots=True)
class SegmentListing:
    """All public changesets in segments, in the order of application.

    ``closed`` segments stay forever. ``rest`` holds the newest changesets; it
    is replaced as history grows.
    """

    closed: tuple[Segment, ...] = ()
    rest: Segment | None = None

    def segments(self) -> tuple[Segment, ...]:
        """Return every segment."""
        return self.closed if self.rest is None else (*self.closed, self.rest)

    def complete(self, segment: Segment) -> bool:
        """Return whether nothing before the end of a segment or span is left out.

        Then its revisions are a single range, and all revisions before it are
        in segments before it.
        """
        changesets = 0
        for found in self.segments():
            changesets += found.changesets
            if found.highest >= segment.highest:
                return (
                    len(segment.ranges) == 1
                    and found.highest == segment.highest
                    and changesets == segment.highest + 1
                )
        return False


class Agreement(Protocol):
    """Where replicas tell each other how they cut.

    This is best effort. Without it, replicas that received changesets in
    different orders cut them differently, and share less.
    """

    def learn(self, version: bytes, previous: bytes) -> list[bytes] | None:
        """Return the nodes of the segment after the one named ``previous``.

        ``version`` is that of the changegroup. None means that no replica has
        closed that segment.
        """

    def teach(
        self, version: bytes, previous: bytes, nodes: list[bytes]
    ) -> None:
        """Tell other replicas of a segment that was closed here."""


#: What a listing depends on: length and tip of the changelog, the revisions
#: left out, and the version of the changegroup.
_Key = tuple[int, bytes, frozenset[int], bytes]

_lock = threading.Lock()
_listings: LRU[bytes, tuple[_Key, SegmentListing]] = LRU(MOST_LISTINGS)


def _after_fork() -> None:
    """Renew what a thread of the parent may have held or been changing."""
    global _lock, _listings
    _lock = threading.Lock()
    _listings = LRU(MOST_LISTINGS)


os.register_at_fork(after_in_child=_after_fork)


def changegroup_version(repo: Any) -> bytes:
    """Return the oldest changegroup version that can carry this history.

    Version 03 is the first that says of a revision that it was censored.
    """
    version: bytes = changegroup.safeversion(repo)
    if censoring.generation(repo):
        versions = changegroup.supportedoutgoingversions(repo)
        version = min((v for v in versions if v >= b'03'), default=version)
    return version


def list_segments(
    repo: Any, agreement: Agreement | None = None
) -> SegmentListing:
    """Return the segments of ``repo``, closing those that are full by now."""
    changelog = repo.unfiltered().changelog
    excluded = visibility.not_for_everybody(repo)
    version = changegroup_version(repo)
    key = (len(changelog), changelog.tip(), excluded, version)
    with _lock:
        known = _listings.get(repo.spath)
    if known is not None and known[0] == key:
        return known[1]
    found = _cut(repo, version, excluded, agreement)
    with _lock:
        _listings.put(repo.spath, (key, found), 1)
    return found


def find(
    repo: Any, name: bytes, agreement: Agreement | None = None
) -> Segment | None:
    """Return the segment ``name`` after comparing it with the repository."""
    for segment in list_segments(repo, agreement).segments():
        if segment.name == name:
            node = repo.unfiltered().changelog.node
            nodes = (node(rev) for rev in segment.revs())
            version = changegroup_version(repo)
            if cut.segment_name(version, nodes) == name:
                return segment
            # Changesets were renumbered in a way that nothing noticed.
            with _lock:
                _listings.pop(repo.spath)
            repo.cachevfs.tryunlink(FILE)
            return None
    return None


def _cut(
    repo: Any,
    version: bytes,
    excluded: frozenset[int],
    agreement: Agreement | None,
) -> SegmentListing:
    """Return all segments, and write the record if it changed."""
    changelog = repo.unfiltered().changelog
    # A closed segment may hold a draft that was rewritten since. It is then
    # cut anew, as are the segments after it.
    known = _read(repo, version).without(sorted(excluded))
    candidates = [rev for rev in known.skipped() if rev not in excluded]
    later = range(known.upto, len(changelog))
    candidates.extend(rev for rev in later if rev not in excluded)
    closed = known
    if not closed.factor:
        closed = replace(closed, factor=_factor(repo))
    if agreement is not None:
        closed, candidates = _agreed(repo, closed, candidates, agreement)
    factor = closed.factor
    rawsize = changelog.rawsize
    groups, rest = cut.cut(
        candidates,
        lambda rev: rawsize(rev) * factor,
        closed.size,
        closed.changesets,
    )
    for revs in groups:
        if agreement is not None:
            nodes = [changelog.node(rev) for rev in revs]
            agreement.teach(version, closed.last_name, nodes)
        closed = closed.with_segment(_segment(repo, closed, revs))
    if _doubled(len(known.segments), len(closed.segments)):
        closed = replace(closed, factor=_factor(repo))
    if closed != known:
        _write(repo, closed)
    return SegmentListing(
        closed.segments, _segment(repo, closed, rest) if rest else None
    )


def _agreed(
    repo: Any,
    closed: ClosedSegments,
    candidates: list[int],
    agreement: Agreement,
) -> tuple[ClosedSegments, list[int]]:
    """Close segments as other replicas did; return them and what remains."""
    left = set(candidates)
    while left:
        nodes = agreement.learn(closed.changegroup, closed.last_name)
        revs = _usable(repo, nodes, left) if nodes else None
        if not revs:
            break
        closed = closed.with_segment(_segment(repo, closed, revs))
        left.difference_update(revs)
    return closed, sorted(left)


def _usable(
    repo: Any, nodes: list[bytes], candidates: set[int]
) -> list[int] | None:
    """Return the revisions of a segment that another replica cut, or None.

    All of them must be candidates here, and no candidate outside may be an
    ancestor.
    """
    changelog = repo.unfiltered().changelog
    get_rev = changelog.index.get_rev
    revs = {get_rev(node) for node in nodes}
    if not revs <= candidates:
        return None
    outside = candidates - revs
    for rev in revs:
        if not outside.isdisjoint(changelog.parentrevs(rev)):
            return None
    return sorted(revs)


def _segment(repo: Any, closed: ClosedSegments, revs: Sequence[int]) -> Segment:
    """Return the segment of these revisions that follows ``closed``."""
    changelog = repo.unfiltered().changelog
    parents = {p for rev in revs for p in changelog.parentrevs(rev)}
    nodes = [changelog.node(rev) for rev in revs]
    return Segment(
        name=cut.segment_name(closed.changegroup, nodes),
        ranges=cut.as_ranges(revs),
        heads=tuple(
            node
            for rev, node in zip(revs, nodes, strict=True)
            if rev not in parents
        ),
        changesets=len(revs),
        size=sum(map(changelog.rawsize, revs)) * closed.factor,
        last=nodes[-1],
    )


def _doubled(before: int, after: int) -> bool:
    """Return whether a power of two is between two numbers of segments."""
    return before.bit_length() != after.bit_length()


def _factor(repo: Any) -> int:
    """Return the bytes of the store for each byte of the changelog."""
    changelog = repo.unfiltered().changelog
    described = sum(changelog.rawsize(rev) for rev in changelog)
    ratio = _store_size(repo) / max(described, 1)
    factor: int = 2 ** round(math.log2(max(ratio, LEAST_FACTOR)))
    return factor


def _store_size(repo: Any) -> int:
    """Return the bytes in the store without LFS blobs."""
    total = 0
    for folder, subfolders, names in os.walk(repo.spath):
        if b'lfs' in subfolders and folder == repo.spath:
            subfolders.remove(b'lfs')
        for name in names:
            try:
                total += os.lstat(os.path.join(folder, name)).st_size
            except FileNotFoundError:
                continue
    return total


def _read(repo: Any, version: bytes) -> ClosedSegments:
    """Return the record up to the first segment that is outdated.

    Changesets may have been stripped since it was written.
    """
    data = repo.cachevfs.tryread(FILE)
    closed = record.decode(data) if data else None
    if closed is None or closed.changegroup != version:
        return ClosedSegments(version)
    changelog = repo.unfiltered().changelog
    for index, segment in enumerate(closed.segments):
        highest = segment.highest
        if highest >= len(changelog) or changelog.node(highest) != segment.last:
            return closed.first(index)
    return closed


def _write(repo: Any, closed: ClosedSegments) -> None:
    """Write the record."""
    try:
        with repo.cachevfs(FILE, b'wb', atomictemp=True) as stream:
            stream.write(record.encode(closed))
    except OSError as e:
        # On read-only media, every process finds the same segments again.
        repo.ui.debug(
            b'cannot record segments: %s\n' % stringutil.forcebytestr(e)
        )
