# SPDX-License-Identifier: GPL-2.0-or-later
"""The server's list of the segments of its history, checked while it is read.

Reads the response to the command ``segments``. Nothing here knows how segments
are fetched.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..client import failures
from ..client.exchange import CommandCall, Exchange
from ..client.transport import Transport
from ..proto import cbor
from ..proto.errors import CBORError, ProtocolError
from . import records

# The version of the response that this client reads.
VERSION = 1

# The most segments. A history has hundreds; each takes some 200 bytes here.
MAX_SEGMENTS = 1_000_000

# The most heads of all segments together, at some 60 bytes each.
MAX_HEADS = 2_000_000

# The most bytes in the name of a segment. Names are digests.
MAX_NAME = 64

# A span is fetched if this part of it is missing at least, by estimated bytes.
LEAST_PART = 2 / 3

# Limits for the description of one segment, which consists mostly of heads.
LISTING_LIMITS = cbor.Limits(depth=4, items=100_000, size=4 * 1024 * 1024)


@dataclass(frozen=True)
class ListedSegment:
    """What is known about a segment before it is fetched.

    ``changesets`` is their number. ``estimate`` is a rough number of bytes. A
    repository that has all ``heads`` has the whole segment. A segment that is
    not ``final`` will be replaced when the history grows. ``missing`` is how
    many of the changesets the server assumes to be missing.
    """

    name: bytes
    changesets: int
    estimate: int
    heads: tuple[bytes, ...]
    final: bool
    missing: int = 0

    @property
    def mostly_missing(self) -> bool:
        """Whether fetching the segment costs little more than what is missing."""
        return self.missing >= self.changesets * LEAST_PART


@dataclass(frozen=True)
class Span:
    """Consecutive segments that the server has as one.

    ``first`` is the index of the first of them.
    """

    name: bytes
    first: int
    changesets: int


@dataclass(frozen=True)
class SegmentList:
    """All segments of a history in the order in which they must be applied.

    ``cgversion`` is the version of the changegroups inside. ``spans`` are in
    their order and do not overlap.
    """

    segments: tuple[ListedSegment, ...]
    cgversion: bytes
    spans: tuple[Span, ...] = ()

    def inside(self, span: Span) -> tuple[ListedSegment, ...]:
        """Return the segments of a span, none if it does not consist of any."""
        stop = span.first
        changesets = 0
        while changesets < span.changesets and stop < len(self.segments):
            changesets += self.segments[stop].changesets
            stop += 1
        found = self.segments[span.first : stop]
        if changesets != span.changesets or not all(s.final for s in found):
            return ()
        return found

    def without(self, names: Collection[bytes]) -> SegmentList:
        """Return a list without spans that hold one of the segments ``names``."""
        kept = tuple(
            span
            for span in self.spans
            if not any(segment.name in names for segment in self.inside(span))
        )
        return replace(self, spans=kept)

    def plan(self, missing: Iterable[ListedSegment]) -> list[ListedSegment]:
        """Return what to fetch to get the segments ``missing``.

        A span takes the place of its segments if most of it is missing.
        """
        wanted = {segment.name for segment in missing}
        joined: dict[int, tuple[int, ListedSegment]] = {}
        for span in self.spans:
            inside = self.inside(span)
            if not inside:
                continue
            stop = span.first + len(inside)
            whole = sum(segment.estimate for segment in inside)
            part = sum(s.estimate for s in inside if s.name in wanted)
            if part and part >= whole * LEAST_PART:
                joined[span.first] = (
                    stop,
                    ListedSegment(
                        span.name,
                        span.changesets,
                        whole,
                        tuple(head for s in inside for head in s.heads),
                        True,
                    ),
                )
        plan: list[ListedSegment] = []
        index = 0
        while index < len(self.segments):
            if index in joined:
                index, segment = joined[index]
                plan.append(segment)
                continue
            if self.segments[index].name in wanted:
                plan.append(self.segments[index])
            index += 1
        return plan


def text(value: Any, key: bytes) -> bytes:
    """Return ``value[key]``; raise ``CBORError`` if it is not a bytestring."""
    found = value.get(key) if isinstance(value, dict) else None
    if type(found) is not bytes:
        raise CBORError(b'malformed response: %s is missing' % key)
    return found


def request(
    client: Transport, known: Sequence[bytes] = ()
) -> tuple[SegmentList | None, list[bytes], frozenset[bytes]]:
    """Ask the server for its segments and for the heads of its history.

    The list may lack segments of which all changesets are ancestors of the
    nodes ``known``. It is None if it has an unknown version; then there are no
    heads either. The last result are those of the nodes that the server has.
    Raises ``failures.RemoteFailure``.
    """
    # Both in one request: the clone of a history that is shorter than a
    # segment needs the heads next.
    exchange = Exchange(
        client,
        CommandCall(
            b'segments',
            {b'known': list(known)} if known else {},
            limits=LISTING_LIMITS,
        ),
        CommandCall(b'heads'),
        *([CommandCall(b'known', {b'nodes': list(known)})] if known else []),
    )
    try:
        listing = parse(exchange.values(0))
        heads: list[bytes] = []
        there: frozenset[bytes] = frozenset()
        if listing is not None:
            heads = records.heads(exchange.values(1))
            if known:
                there = frozenset(_known(exchange.values(2), known))
            exchange.finish()
        return listing, heads, there
    except ProtocolError as exc:
        raise failures.RemoteFailure(client.url, exc.message) from exc
    finally:
        exchange.close()


def _known(values: Iterable[Any], nodes: Sequence[bytes]) -> Iterator[bytes]:
    """Yield the nodes that a response to ``known`` says the server has.

    Raises ``CBORError``.
    """
    answers = list(values)
    if (
        len(answers) != 1
        or type(answers[0]) is not bytes
        or len(answers[0]) != len(nodes)
    ):
        raise CBORError(b'malformed response: not one answer for each node')
    for node, digit in zip(nodes, answers[0], strict=True):
        if digit == ord('1'):
            yield node


def parse(values: Iterable[Any]) -> SegmentList | None:
    """Read a response to ``segments``; None if it has an unknown version.

    Raises ``CBORError``.
    """
    values = iter(values)
    head = next(values, None)
    if head is None:
        raise CBORError(b'malformed response: it is empty')
    if records.count(head, b'version') != VERSION:
        return None
    total = records.count(head, b'totalitems')
    if total > MAX_SEGMENTS:
        raise CBORError(b'malformed response: too many segments')
    segments: list[ListedSegment] = []
    heads_left = MAX_HEADS
    for value in values:
        if len(segments) == total:
            raise CBORError(b'malformed response: more than announced')
        segment = _parse_segment(value)
        heads_left -= len(segment.heads)
        if heads_left < 0:
            raise CBORError(b'malformed response: too many heads')
        segments.append(segment)
    if len(segments) < total:
        raise CBORError(b'malformed response: segments are missing')
    return SegmentList(
        tuple(segments),
        text(head, b'cgversion'),
        tuple(map(_parse_span, head.get(b'spans', ()))),
    )


def _parse_span(value: Any) -> Span:
    """Read the description of a span. Raises ``CBORError``."""
    name = text(value, b'name')
    if len(name) > MAX_NAME:
        raise CBORError(b'malformed response: the name of a span is too long')
    return Span(
        name,
        records.count(value, b'first'),
        records.count(value, b'changesets'),
    )


def _parse_segment(value: Any) -> ListedSegment:
    """Read the description of one segment. Raises ``CBORError``."""
    heads = value.get(b'heads') if isinstance(value, dict) else None
    if (
        type(heads) is not list
        or not heads
        or not all(type(h) is bytes and len(h) == 20 for h in heads)
    ):
        raise CBORError(b'malformed response: a segment has no heads')
    name = text(value, b'name')
    if len(name) > MAX_NAME:
        raise CBORError(
            b'malformed response: the name of a segment is too long'
        )
    return ListedSegment(
        name,
        records.count(value, b'changesets'),
        records.count(value, b'estimate'),
        tuple(heads),
        value.get(b'final') is True,
        records.count(value, b'missing') if b'missing' in value else 0,
    )
