# SPDX-License-Identifier: GPL-2.0-or-later
"""Fetching one segment: from the server, or from where it redirects to.

Reads the response to the command ``segmentdata``. The length and the digest of
a segment are checked before it is handed out. Nothing here knows how a segment
is applied.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any

from mercurial.i18n import _
from mercurial.node import hex

from ..client import failures, redirects
from ..client.exchange import CommandCall, Exchange
from ..client.http import HTTPClient
from ..client.offer import OfferedTarget
from ..proto import cbor
from ..proto.errors import CBORError, ProtocolError
from ..segments.bundle import MEDIA_TYPES
from . import records
from .listing import ListedSegment, text

# Bytes of a segment held in memory; more goes to a temporary file. With four
# connections and six segments waiting to be applied, that is 24 MB.
SPOOL = 4 * 1024 * 1024

# The most bytes of one segment. Servers aim at 32 MB before compression, but a
# segment holds whole changesets, and one of them may add a huge file.
MAX_SEGMENT = 16 * 1024 * 1024 * 1024


class DigestMismatch(failures.RemoteFailure):
    """A segment does not have the length or digest that was announced."""


class SegmentSource:
    """Fetches one segment after the other over one connection.

    ``targets`` are the places to which the server may redirect. ``received`` is
    called with the number of bytes of every read.
    """

    def __init__(
        self,
        ui: Any,
        client: HTTPClient,
        targets: Sequence[OfferedTarget],
        received: Callable[[int], None],
    ) -> None:
        self._ui = ui
        self._client = client
        self._targets = tuple(targets)
        self._received = received

    def fetch(self, segment: ListedSegment) -> IO[bytes]:
        """Return a file with the bundle of ``segment``, at its beginning.

        Asks again after lost connections, and asks the server itself after
        failed redirects. Raises ``failures.RemoteFailure``.
        """
        client = self._client
        targets = self._targets
        failed = 0
        mismatched = False
        while True:
            try:
                return self._fetch(segment, targets)
            except ProtocolError as exc:
                raise failures.RemoteFailure(client.url, exc.message) from exc
            except redirects.RedirectFailure as exc:
                targets = ()
                self._ui.warn(
                    _(b'(%s; fetching from the server itself)\n') % exc.message
                )
            except DigestMismatch as exc:
                if mismatched and not targets:
                    raise
                mismatched = True
                targets = ()
                self._ui.warn(
                    _(b'(%s; fetching it from the server again)\n')
                    % exc.message
                )
            except failures.ConnectionFailure as exc:
                failed += 1
                if failed >= client.attempts:
                    raise
                client.pause(failed, exc.reason)

    def _fetch(
        self, segment: ListedSegment, targets: Sequence[OfferedTarget]
    ) -> IO[bytes]:
        """Fetch a segment with one request, which may be redirected."""
        exchange = Exchange(
            self._client,
            CommandCall(
                b'segmentdata',
                {b'name': segment.name},
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
                return self._follow(segment, exchange.locations[0], targets)
            stream = self._store(segment, first, values)
            exchange.finish()
            return stream
        finally:
            exchange.close()

    def _follow(
        self,
        segment: ListedSegment,
        location: Any,
        targets: Sequence[OfferedTarget],
    ) -> IO[bytes]:
        """Fetch a segment from ``location``.

        Raises ``RedirectFailure`` if it cannot be fetched there, and
        ``DigestMismatch`` if the content is not that of the segment.
        """
        self._ui.debug(b'fetching %s\n' % location.url)
        values = self._counted(
            _decoded(redirects.fetch(self._ui, location, targets))
        )
        try:
            return self._store(segment, next(values, None), values)
        except ProtocolError as exc:
            where = location.url.partition(b'?')[0]
            raise redirects.RedirectFailure(where, exc.message) from exc

    def _counted(self, values: Iterator[Any]) -> Iterator[Any]:
        """Yield ``values``; report the sizes of chunks to ``received``."""
        for value in values:
            if isinstance(value, cbor.BytesChunk):
                self._received(len(value.data))
            yield value

    def _store(
        self, segment: ListedSegment, head: Any, values: Iterator[Any]
    ) -> IO[bytes]:
        """Return a file with the payload, after checking it.

        ``head`` is the first value of the response, ``values`` are the others.
        """
        size = records.count(head, b'size')
        digest = text(head, b'sha256')
        if text(head, b'name') != segment.name:
            raise CBORError(b'malformed response: another segment')
        if text(head, b'mediatype') not in MEDIA_TYPES or size > MAX_SEGMENT:
            raise CBORError(b'malformed response: not a segment')
        hasher = hashlib.sha256()
        left = size
        last = False
        stream = tempfile.SpooledTemporaryFile(
            max_size=SPOOL, prefix='hg-segment-'
        )
        try:
            for value in values:
                if last or not isinstance(value, cbor.BytesChunk):
                    raise CBORError(b'malformed response: not a segment')
                left -= len(value.data)
                if left < 0:
                    raise self._mismatch(segment)
                hasher.update(value.data)
                stream.write(value.data)
                last = value.last
            if left or hasher.digest() != digest:
                raise self._mismatch(segment)
            stream.seek(0)
        except BaseException:
            stream.close()
            raise
        return stream

    def _mismatch(self, segment: ListedSegment) -> DigestMismatch:
        return DigestMismatch(
            self._client.url,
            _(b'segment %s is damaged') % hex(segment.name)[:12],
        )


def _decoded(chunks: Iterator[bytes]) -> Iterator[Any]:
    """Yield the CBOR values in ``chunks``; raise ``CBORError`` if cut short."""
    decoder = cbor.Decoder(chunked=True)
    for chunk in chunks:
        yield from decoder.feed(chunk)
    decoder.finish()
