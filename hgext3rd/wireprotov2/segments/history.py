# SPDX-License-Identifier: GPL-2.0-or-later
"""The public history of a repository as segments, for one requester.

The server reaches segments only through ``History``, to answer commands and to
build segments ahead of time. ``History`` combines cutting history, building the
bytes of segments, and keeping these bytes in a cache. It knows neither wire
frames nor HTTP.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Any

from ...amalgam.packs import layout
from .. import censoring
from ..access import visibility
from ..access.requester import Requester
from ..cache import factory, identity, keys, service
from ..proto import cbor
from . import bundle, listing, spans
from .agreement import CacheAgreement
from .cut import Segment
from .listing import SegmentListing

#: Bytes of the payload in one chunk of its CBOR bytestring.
CHUNK = 64 * 1024


class History:
    """The segments that a requester may have of a repository."""

    def __init__(self, requester: Requester) -> None:
        self._repo = requester.repo
        self._agreement = CacheAgreement(self._repo)
        #: Whether the requester may have segments at all.
        self.offered = requester.may_have_segments()

    def segments(self) -> SegmentListing:
        """Return all segments, none if they are not offered."""
        if not self.offered:
            return SegmentListing()
        return listing.list_segments(self._repo, self._agreement)

    def missing(self, nodes: Sequence[bytes]) -> list[int]:
        """Return how many changesets each segment has that are not known.

        Known are ``nodes`` and their ancestors. Nodes that the requester does
        not see are ignored.
        """
        changelog = self._repo.changelog
        known = [changelog.rev(n) for n in nodes if changelog.hasnode(n)]
        # From the heads of the history, not of each segment: the walk ends where
        # everything is known, so a small pull does not walk all of history.
        missing = sorted(changelog.findmissingrevs(common=known))

        def count(start: int, stop: int) -> int:
            return bisect_left(missing, stop) - bisect_left(missing, start)

        return [
            sum(count(start, stop) for start, stop in segment.ranges)
            for segment in self.segments().segments()
        ]

    def joined(self) -> list[tuple[int, Segment]]:
        """Return the spans of the closed segments.

        Each comes with the index of its first segment. A span may be a single
        segment.
        """
        return [(start, spans.join(parts)) for start, parts in self._covered()]

    def _covered(self) -> Iterator[tuple[int, Sequence[Segment]]]:
        """Yield the segments of each span, with the index of the first."""
        closed = self.segments().closed
        for start, stop in spans.cover([s.size for s in closed]):
            yield start, closed[start:stop]

    def spans(self) -> list[tuple[int, Segment]]:
        """Return the spans of several segments that are in the cache."""
        closed = self.segments().closed
        cache = factory.silent_for_repo(self._repo)
        if cache is None:
            return []
        found = []
        for start, span in self.joined():
            if span.name == closed[start].name:
                continue
            state = self.key_state(span.name)
            key = None if state is None else cache.key(state)
            if key is not None and cache.has(key, bundle.LEVEL_AHEAD):
                found.append((start, span))
        return found

    def changegroup_version(self) -> bytes:
        """Return the version of the changegroups in the segments."""
        return listing.changegroup_version(self._repo)

    def find(self, name: bytes) -> Segment | None:
        """Return the segment or span of that name, or None.

        It holds exactly the changesets that its name stands for.
        """
        if not self.offered:
            return None
        found = self._checked(name)
        if found is not None:
            return found
        for _start, parts in self._covered():
            span = spans.join(parts)
            if span.name == name:
                if all(self._checked(segment.name) for segment in parts):
                    return span
                break
        return None

    def _checked(self, name: bytes) -> Segment | None:
        """Return a segment that has the changesets its name stands for."""
        return listing.find(self._repo, name, self._agreement)

    def payload(
        self, segment: Segment, level: int, outline: bool = False
    ) -> bundle.Payload:
        """Return a segment as bytes, compressed at zstd's ``level``.

        An ``outline`` has files without their data. The caller closes the
        stream.
        """
        version = self.changegroup_version()
        whole = self.segments().complete(segment)
        return bundle.build(self._repo, segment, version, level, whole, outline)

    def build(
        self, segment: Segment, level: int, outline: bool = False
    ) -> Iterator[bytes]:
        """Yield a segment as clients receive it: a map, then a bytestring.

        It is compressed at zstd's ``level``. This is what caches keep.
        """
        payload = self.payload(segment, level, outline)
        with payload.stream as stream:
            yield cbor.encode(
                {
                    b'name': segment.name,
                    b'size': payload.size,
                    b'sha256': payload.sha256,
                    b'changesets': segment.changesets,
                    b'cgversion': self.changegroup_version(),
                    b'mediatype': payload.mediatype,
                }
            )
            chunks = iter(lambda: stream.read(CHUNK), b'')
            yield from cbor.encode_indefinite_bytes(chunks)

    def key_state(
        self, name: bytes, outline: bool = False
    ) -> keys.KeyState | None:
        """Return what the bytes of a segment depend on, None if not cacheable.

        All generations of the protocol share the bytes. They must not come out
        of a cache if the segment is not offered, or if it holds or once held
        changesets that are not for everybody.
        """
        if not self.offered:
            return None
        if not visibility.all_public(self._repo):
            known = {segment.name for segment in self.segments().segments()}
            known.update(span.name for _start, span in self.joined())
            if name not in known:
                return None
        args: dict[bytes, Any] = {b'name': name, b'pack': layout.VERSION}
        if outline:
            args[b'outline'] = True
        return keys.KeyState(
            api=b'',
            framing=b'',
            command=b'segmentdata',
            args=args,
            encoding=b'identity',
            repository=identity.of(self._repo),
            censored=censoring.generation(self._repo),
        )

    def fill(
        self,
        cache: service.ResponseCache,
        segment: Segment,
        level: int,
        outline: bool = False,
    ) -> int | None:
        """Put a segment into ``cache``, compressed at zstd's ``level``.

        An ``outline`` has files without their data.

        Returns the number of bytes built, 0 if the cache has the segment
        compressed as well already, or None if the cache must not hold it.
        Raises ``CacherError`` if the cacher does not work.
        """
        state = self.key_state(segment.name, outline)
        key = None if state is None else cache.key(state)
        if key is None:
            return None
        size = 0

        def produce() -> bytes:
            nonlocal size
            body = b''.join(self.build(segment, level, outline))
            size = len(body)
            return body

        cache.fill(key, produce, level)
        return size
