# SPDX-License-Identifier: GPL-2.0-or-later
"""Pieces of history fetched by several connections, handed out in order.

Reads what ``segments`` and ``segmentdata`` answer; checks length and digest
before anyone sees a byte. What is done with a piece is not known here.
"""

from __future__ import annotations

import hashlib
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any

from mercurial.i18n import _
from mercurial.node import hex

from ..client import failures, redirects
from ..client.http import Command, HTTPClient
from ..client.offer import Target
from ..proto import cbor
from ..proto.errors import CBORError, ProtocolError
from ..segments.bundle import MEDIA_TYPES
from . import records

VERSION = 1

# Bytes of a piece held in memory; more goes to a temporary file. With four
# connections and six pieces at hand: 24 MB.
SPOOL = 4 * 1024 * 1024

# The most bytes of one piece. Servers aim at 32 MB before compression, but a
# piece holds whole changesets, and one may add a huge file.
MAX_PIECE = 16 * 1024 * 1024 * 1024

# Seconds waited for pieces that could be applied together with another.
PATIENCE = 0.3

# The most pieces: servers aim at hundreds. Each costs some 200 bytes here.
MAX_PIECES = 1_000_000

# The most heads of all pieces together, at some 60 bytes.
MAX_HEADS = 2_000_000

# What describes a piece: its heads are nearly all.
LISTING_LIMITS = cbor.Limits(depth=4, items=100_000, size=4 * 1024 * 1024)

# Names are digests.
MAX_NAME = 64


@dataclass(frozen=True)
class Piece:
    """Whole changesets: what is known of them before they are fetched.

    ``estimate`` is in bytes and rough; ``heads`` are such that who has them
    has all of the piece; a piece that is not ``final`` will be replaced.
    """

    name: bytes
    changesets: int
    estimate: int
    heads: tuple[bytes, ...]
    final: bool


@dataclass(frozen=True)
class Listing:
    """All pieces, in order of application, and their changegroup version."""

    pieces: tuple[Piece, ...]
    cgversion: bytes


class DigestMismatch(failures.ServerFailure):
    """A piece is not what its own description says."""


def _number(value: Any, key: bytes) -> int:
    number = value.get(key) if isinstance(value, dict) else None
    if type(number) is not int or number < 0:
        raise CBORError(b'malformed response: %s is missing' % key)
    return number


def _text(value: Any, key: bytes) -> bytes:
    text = value.get(key) if isinstance(value, dict) else None
    if type(text) is not bytes:
        raise CBORError(b'malformed response: %s is missing' % key)
    return text


def list_pieces(client: HTTPClient) -> tuple[Listing | None, list[bytes]]:
    """Ask how history is cut, and for its heads.

    There is no listing if it is of an unknown version. Raises
    ``failures.ServerFailure``.
    """
    # in one request: a clone that is smaller than a piece needs the heads next
    exchange = client.start(
        Command(b'segments', limits=LISTING_LIMITS), Command(b'heads')
    )
    try:
        listing = parse_listing(exchange.values(0))
        heads: list[bytes] = []
        if listing is not None:
            heads = records.heads(exchange.values(1))
            exchange.finish()
        return listing, heads
    except ProtocolError as exc:
        raise failures.ServerFailure(client.url, exc.message) from exc
    finally:
        exchange.close()


def parse_listing(values: Iterable[Any]) -> Listing | None:
    """Read a response to ``segments``; None if it is of an unknown version.

    Raises ``CBORError``.
    """
    values = iter(values)
    head = next(values, None)
    if head is None:
        raise CBORError(b'malformed response: it is empty')
    if _number(head, b'version') != VERSION:
        return None
    total = _number(head, b'totalitems')
    if total > MAX_PIECES:
        raise CBORError(b'malformed response: too many pieces')
    pieces: list[Piece] = []
    left = MAX_HEADS
    for value in values:
        if len(pieces) == total:
            raise CBORError(b'malformed response: more than announced')
        heads = value.get(b'heads') if isinstance(value, dict) else None
        if (
            type(heads) is not list
            or not heads
            or not all(type(h) is bytes and len(h) == 20 for h in heads)
        ):
            raise CBORError(b'malformed response: a piece has no heads')
        left -= len(heads)
        name = _text(value, b'name')
        if left < 0 or len(name) > MAX_NAME:
            raise CBORError(b'malformed response: a piece is too large')
        pieces.append(
            Piece(
                name,
                _number(value, b'changesets'),
                _number(value, b'estimate'),
                tuple(heads),
                value.get(b'final') is True,
            )
        )
    if len(pieces) < total:
        raise CBORError(b'malformed response: pieces are missing')
    return Listing(tuple(pieces), _text(head, b'cgversion'))


class Source:
    """Fetches single pieces over one connection.

    ``received`` is called with the number of bytes of every read.
    """

    def __init__(
        self,
        ui: Any,
        client: HTTPClient,
        targets: Sequence[Target],
        received: Callable[[int], None],
    ) -> None:
        self._ui = ui
        self._client = client
        self._targets = tuple(targets)
        self._received = received

    def fetch(self, piece: Piece) -> IO[bytes]:
        """Return a file with the bundle of ``piece``, at its beginning.

        Raises ``failures.ServerFailure``.
        """
        client = self._client
        targets = self._targets
        failed = 0
        mismatched = False
        while True:
            try:
                return self._fetch(piece, targets)
            except ProtocolError as exc:
                raise failures.ServerFailure(client.url, exc.message) from exc
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

    def _fetch(self, piece: Piece, targets: Sequence[Target]) -> IO[bytes]:
        redirect = redirects.offer(targets)
        exchange = self._client.start(
            Command(
                b'segmentdata',
                {b'name': piece.name},
                chunked=True,
                redirect=redirect,
            ),
            retry=False,
        )
        try:
            values = self._counted(exchange.values(0))
            first = next(values, None)
            if first is None and 0 in exchange.locations:
                exchange.finish()
                return self._elsewhere(piece, exchange.locations[0], targets)
            stream = self._store(piece, first, values)
            exchange.finish()
            return stream
        finally:
            exchange.close()

    def _elsewhere(
        self, piece: Piece, location: Any, targets: Sequence[Target]
    ) -> IO[bytes]:
        """Fetch a redirected piece; no good is a ``RedirectFailure``."""
        self._ui.debug(b'fetching %s\n' % location.url)
        values = self._counted(
            _decoded(redirects.fetch(self._ui, location, targets))
        )
        try:
            return self._store(piece, next(values, None), values)
        except ProtocolError as exc:
            where = location.url.partition(b'?')[0]
            raise redirects.RedirectFailure(where, exc.message) from exc

    def _counted(self, values: Iterator[Any]) -> Iterator[Any]:
        for value in values:
            if isinstance(value, cbor.BytesChunk):
                self._received(len(value.data))
            yield value

    def _store(
        self, piece: Piece, head: Any, values: Iterator[Any]
    ) -> IO[bytes]:
        """Write the payload to a file and check it."""
        size = _number(head, b'size')
        digest = _text(head, b'sha256')
        if _text(head, b'name') != piece.name:
            raise CBORError(b'malformed response: another piece')
        if _text(head, b'mediatype') not in MEDIA_TYPES or size > MAX_PIECE:
            raise CBORError(b'malformed response: not a piece')
        hasher = hashlib.sha256()
        left = size
        last = False
        stream = tempfile.SpooledTemporaryFile(
            max_size=SPOOL, prefix='hg-piece-'
        )
        try:
            for value in values:
                if last or not isinstance(value, cbor.BytesChunk):
                    raise CBORError(b'malformed response: not a piece')
                left -= len(value.data)
                if left < 0:
                    raise self._mismatch(piece)
                hasher.update(value.data)
                stream.write(value.data)
                last = value.last
            if left or hasher.digest() != digest:
                raise self._mismatch(piece)
            stream.seek(0)
        except BaseException:
            stream.close()
            raise
        return stream

    def _mismatch(self, piece: Piece) -> DigestMismatch:
        return DigestMismatch(
            self._client.url,
            _(b'piece %s is damaged') % hex(piece.name)[:12],
        )


def _decoded(chunks: Iterator[bytes]) -> Iterator[Any]:
    decoder = cbor.Decoder(chunked=True)
    for chunk in chunks:
        yield from decoder.feed(chunk)
    decoder.finish()


class Fetcher:
    """Fetches pieces ahead of whoever takes them, in several threads.

    At most two pieces more than there are threads are ahead. Threads are
    daemons: a connection that hangs must not keep the process from ending.
    """

    def __init__(
        self,
        pieces: Sequence[Piece],
        connections: int,
        make_source: Callable[[Callable[[int], None]], Source],
    ) -> None:
        self._pieces = pieces
        self._ready: dict[int, IO[bytes] | BaseException] = {}
        self._changed = threading.Condition()
        self._next = 0
        self._taken = 0
        self._stopped = False
        self.bytes = 0
        # a thread costs more than it brings for a piece or two
        count = max(1, min(connections, len(pieces) // 2))
        self._ahead = count + 2
        # made here, where a password could be asked for
        sources = [make_source(self._received) for _index in range(count)]
        for source in sources:
            threading.Thread(
                target=self._work, args=(source,), daemon=True
            ).start()

    def _received(self, size: int) -> None:
        with self._changed:
            if self._stopped:
                raise _Stopped
            self.bytes += size

    def _work(self, source: Source) -> None:
        while True:
            with self._changed:
                while (
                    self._next >= self._taken + self._ahead
                    and not self._stopped
                ):
                    self._changed.wait()
                index = self._next
                if self._stopped or index >= len(self._pieces):
                    return
                self._next += 1
            result: IO[bytes] | BaseException
            try:
                result = source.fetch(self._pieces[index])
            except _Stopped:
                return
            except BaseException as exc:
                # raised again where the piece is taken
                result = exc
            with self._changed:
                if self._stopped:
                    if not isinstance(result, BaseException):
                        result.close()
                    return
                self._ready[index] = result
                self._changed.notify_all()

    def take(self, index: int, waiting: Callable[[], None]) -> IO[bytes]:
        """Return piece ``index``; pieces are taken in order.

        ``waiting`` is called several times a second until it is here. Raises
        what fetching it raised.
        """
        with self._changed:
            self._taken = index
            self._changed.notify_all()
            while index not in self._ready:
                self._changed.wait(0.2)
                waiting()
            result = self._ready.pop(index)
        if isinstance(result, BaseException):
            raise result
        return result

    def take_more(self, index: int, most: int) -> list[IO[bytes]]:
        """Return what of the ``most`` pieces from ``index`` on is here, or
        will be at once, up to the first that is not."""
        found: list[IO[bytes]] = []
        until = time.monotonic() + PATIENCE
        most = min(most, len(self._pieces) - index, self._ahead - 1)
        with self._changed:
            while len(found) < most:
                result = self._ready.get(index)
                if isinstance(result, BaseException):
                    # raised when it is its turn
                    break
                if result is not None:
                    found.append(self._ready.pop(index))  # type: ignore
                    index += 1
                    continue
                left = until - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            self._taken = index - 1
            self._changed.notify_all()
        return found

    def stop(self) -> None:
        """End the threads; drop what was not taken."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
            for result in self._ready.values():
                if not isinstance(result, BaseException):
                    result.close()
            self._ready.clear()


class _Stopped(Exception):
    """Nobody wants the piece any more."""
