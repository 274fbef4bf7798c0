# SPDX-License-Identifier: GPL-2.0-or-later
"""Fetching one segment: from the server, or from where it redirects to.

Reads the response to the command ``segmentdata``. The length and the digest of
a segment are checked before it is handed out. Nothing here knows how a segment
is applied.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any

from mercurial.i18n import _
from mercurial.node import hex

from ..client import failures, redirects
from ..client.exchange import CommandCall, Exchange
from ..client.offer import OfferedTarget
from ..client.transport import Transport
from ..proto import cbor
from ..proto.errors import CBORError, ProtocolError
from ..segments.bundle import MEDIA_TYPES
from . import records
from .listing import ListedSegment, text
from .parts import Part, Parts

# A download that breaks off is continued if this many bytes are there. Fewer
# are no more than what a request takes.
LEAST_CONTINUED = 64 * 1024

# Bytes of a response that are read to find out where its parts are. Its map
# takes less than half of that.
MOST_HEAD = 1024

# The most bytes of one segment. Servers aim at 32 MB before compression, but a
# segment holds whole changesets, and one of them may add a huge file.
MAX_SEGMENT = 16 * 1024 * 1024 * 1024


class DigestMismatch(failures.RemoteFailure):
    """A segment does not have the length or digest that was announced."""


class SegmentSource:
    """Fetches one segment after the other over one connection.

    ``targets`` are the places to which the server may redirect. ``received`` is
    called with the number of bytes of every read. ``parts`` keeps what has
    arrived. ``continues`` says that the server can send the rest of a segment,
    ``outline`` that files are wanted without their data.
    """

    def __init__(
        self,
        ui: Any,
        client: Transport,
        targets: Sequence[OfferedTarget],
        received: Callable[[int], None],
        parts: Parts,
        continues: bool,
        outline: bool = False,
    ) -> None:
        self._ui = ui
        self._client = client
        self._targets = tuple(targets)
        self._received = received
        self._parts = parts
        self._continues = continues
        self._outline = outline

    def fetch(self, segment: ListedSegment) -> IO[bytes]:
        """Return a file with the bundle of ``segment``, at its beginning.

        Asks again after lost connections, and asks the server itself after
        failed redirects. What has arrived is not fetched again if that is
        possible. Raises ``failures.RemoteFailure``.
        """
        part = self._parts.find(segment.name)
        try:
            if part.received:
                self._received(part.received)
            self._fetch_all(segment, part)
            return part.finished()
        except BaseException:
            part.close()
            raise

    def _fetch_all(self, segment: ListedSegment, part: Part) -> None:
        """Fetch what is missing of a segment."""
        client = self._client
        targets = self._targets
        failed = 0
        mismatched = False
        while True:
            before = part.most
            try:
                self._fetch(segment, part, targets)
                return
            except ProtocolError as exc:
                raise failures.RemoteFailure(client.url, exc.message) from exc
            except redirects.RedirectFailure as exc:
                if isinstance(exc, redirects.WrongContent):
                    part.drop()
                elif (
                    isinstance(exc, redirects.BrokenOff)
                    and client.attempts > 1
                    and part.most - before >= LEAST_CONTINUED
                ):
                    # Continue there, since it works in principle. This ends,
                    # as the bytes of a segment are limited.
                    continue
                targets = ()
                self._ui.warn(
                    _(b'(%s; fetching from the server itself)\n') % exc.message
                )
            except DigestMismatch as exc:
                part.drop()
                if mismatched and not targets:
                    raise
                mismatched = True
                targets = ()
                self._ui.warn(
                    _(b'(%s; fetching it from the server again)\n')
                    % exc.message
                )
            except failures.ConnectionFailure as exc:
                if part.most - before >= LEAST_CONTINUED:
                    failed = 0
                failed += 1
                if failed >= client.attempts:
                    raise
                client.pause(failed, exc)

    def _fetch(
        self,
        segment: ListedSegment,
        part: Part,
        targets: Sequence[OfferedTarget],
    ) -> None:
        """Fetch a segment with one request, which may be redirected."""
        args: dict[bytes, Any] = {b'name': segment.name}
        if self._outline:
            args[b'outline'] = True
        if self._continues and part.received >= LEAST_CONTINUED:
            args |= {b'offset': part.received, b'sha256': part.sha256}
        exchange = Exchange(
            self._client,
            CommandCall(
                b'segmentdata',
                args,
                chunked=True,
                redirect=redirects.argument(targets),
            ),
            retry=False,
        )
        try:
            values = self._counted(exchange.values(0))
            first = next(values, None)
            if first is None and 0 in exchange.locations:
                exchange.finish()
                self._follow(segment, part, exchange.locations[0], targets)
                return
            self._store(segment, part, first, values)
            exchange.finish()
        finally:
            exchange.close()

    def _follow(
        self,
        segment: ListedSegment,
        part: Part,
        location: Any,
        targets: Sequence[OfferedTarget],
    ) -> None:
        """Fetch a segment from ``location``.

        Raises ``RedirectFailure`` if it cannot be fetched there, and
        ``DigestMismatch`` if the content is not that of the segment.
        """
        self._ui.debug(b'fetching %s\n' % location.url)
        try:
            if part.received >= LEAST_CONTINUED:
                try:
                    if self._follow_rest(segment, part, location, targets):
                        return
                except redirects.NoRange as exc:
                    self._ui.debug(b'%s\n' % exc.message)
            values = self._counted(
                _decoded(redirects.fetch(self._ui, location, targets))
            )
            self._store(segment, part, next(values, None), values)
        except ProtocolError as exc:
            where = location.url.partition(b'?')[0]
            raise redirects.WrongContent(where, exc.message) from exc

    def _follow_rest(
        self,
        segment: ListedSegment,
        part: Part,
        location: Any,
        targets: Sequence[OfferedTarget],
    ) -> bool:
        """Fetch what is missing of a segment from ``location``.

        Return False if the content there is not that of ``part``.
        """
        ui = self._ui
        head = redirects.beginning(ui, location, targets, MOST_HEAD)
        decoder = cbor.Decoder(chunked=True)
        found = _begun(head, decoder)
        if found is None or not part.is_of(
            found.about.get(b'size'), found.about.get(b'sha256')
        ):
            return False
        # Chunks of the bytestring have the same size, except for the last.
        count = part.received // found.chunk
        part.cut(count * found.chunk)
        chunk_head = cbor.head(cbor.BYTES, found.chunk)

        def known() -> Iterator[bytes]:
            yield head[: found.start]
            for data in part.content(found.chunk):
                yield chunk_head + data

        start = found.start + count * (len(chunk_head) + found.chunk)
        values = self._counted(
            _decoded(
                redirects.fetch(ui, location, targets, start, known()), decoder
            )
        )
        about = {**found.about, b'offset': part.received}
        self._store(segment, part, about, values)
        return True

    def _counted(self, values: Iterator[Any]) -> Iterator[Any]:
        """Yield ``values``; report the sizes of chunks to ``received``."""
        for value in values:
            if isinstance(value, cbor.BytesChunk):
                self._received(len(value.data))
            yield value

    def _store(
        self,
        segment: ListedSegment,
        part: Part,
        head: Any,
        values: Iterator[Any],
    ) -> None:
        """Add a payload, or the rest of it, to ``part`` and check the whole.

        ``head`` is the first value of the response, ``values`` are the others.
        """
        size = records.count(head, b'size')
        digest = text(head, b'sha256')
        if text(head, b'name') != segment.name:
            raise CBORError(b'malformed response: another segment')
        if text(head, b'mediatype') not in MEDIA_TYPES or size > MAX_SEGMENT:
            raise CBORError(b'malformed response: not a segment')
        if b'offset' not in head:
            part.begin(size, digest)
        elif (
            not part.is_of(size, digest)
            or records.count(head, b'offset') != part.received
        ):
            raise CBORError(b'malformed response: another part of a segment')
        hasher = hashlib.sha256()
        for data in part.content():
            hasher.update(data)
        last = False
        for value in values:
            if last or not isinstance(value, cbor.BytesChunk):
                raise CBORError(b'malformed response: not a segment')
            if part.received + len(value.data) > size:
                raise self._mismatch(segment)
            hasher.update(value.data)
            part.write(value.data)
            last = value.last
        if part.received != size or hasher.digest() != digest:
            raise self._mismatch(segment)

    def _mismatch(self, segment: ListedSegment) -> DigestMismatch:
        return DigestMismatch(
            self._client.url,
            _(b'segment %s is damaged') % hex(segment.name)[:12],
        )


@dataclass(frozen=True, slots=True)
class _Beginning:
    """The beginning of a response with a segment.

    ``about`` is its map, ``start`` the position of the first chunk of the
    bytestring, and ``chunk`` the size of that chunk.
    """

    about: dict[bytes, Any]
    start: int
    chunk: int


def _begun(data: bytes, decoder: cbor.Decoder) -> _Beginning | None:
    """Find out what a response with a segment begins with.

    ``decoder`` gets what precedes the first chunk. Return None if ``data`` is
    not such a response, or not the beginning that is expected.
    """
    values: list[Any] = []
    position = 0
    try:
        while not values and position < len(data):
            values = decoder.feed(data[position : position + 1])
            position += 1
        decoder.feed(data[position : position + 1])
    except ProtocolError:
        return None
    # The head of the first chunk: four bytes with its size.
    sized = data[position + 1 : position + 6]
    if (
        data[position : position + 1] != cbor.BEGIN_INDEFINITE_BYTES
        or sized[:1] != bytes([cbor.BYTES | 26])
        or len(sized) < 5
        or not isinstance(values[0], dict)
    ):
        return None
    size = int.from_bytes(sized[1:], 'big')
    return _Beginning(values[0], position + 1, size) if size else None


def _decoded(
    chunks: Iterator[bytes], decoder: cbor.Decoder | None = None
) -> Iterator[Any]:
    """Yield the CBOR values in ``chunks``; raise ``CBORError`` if cut short."""
    decoder = decoder or cbor.Decoder(chunked=True)
    for chunk in chunks:
        yield from decoder.feed(chunk)
    decoder.finish()
