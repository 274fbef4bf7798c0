# SPDX-License-Identifier: GPL-2.0-or-later
"""The body of a request on a connection of ``hg serve``.

``hg serve`` passes its raw connection to the application. This module finds
the end of the body, undoes the chunked coding, sends "100 Continue" only when
the body is read, and decides whether the connection can be used again
afterwards. It knows nothing of LFS.
"""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from .. import errors
from ..http import fields
from ..http.chunked import ChunkedReader
from ..stores.content import BLOCK_SIZE
from .handler import HandlerBase

# Bytes of an unwanted body that are read to keep the connection open. About
# this much is in flight anyway. The connection is closed if more is left.
MAX_DISCARD = 256 * 1024

# The shortest timeout of a socket, in seconds; 0 would mean not to wait.
MIN_PATIENCE = 0.001


def body_of(handler: HandlerBase) -> ConnectionBody:
    """Return the body of the request that ``handler`` has parsed.

    Raises BadRequest if the end of the body is ambiguous.
    """
    coding = handler.headers.get('Transfer-Encoding')
    lengths = handler.headers.get_all('Content-Length') or []
    if coding is not None:
        if lengths or coding.strip().lower() != 'chunked':
            raise errors.BadRequest('the framing of the body is ambiguous')
        return ConnectionBody(handler, None, True)
    if len(lengths) > 1:
        raise errors.BadRequest('there is more than one Content-Length')
    length = fields.content_length(lengths[0]) if lengths else None
    return ConnectionBody(handler, length, False)


class ConnectionBody(io.RawIOBase):
    """A request body; serves as ``wsgi.input`` and as a RequestBody.

    ``length`` is the Content-Length, or None without one. ``chunked`` says
    whether the chunked coding is used instead. If ``must_close`` is true, the
    connection has to be closed after the response.
    """

    def __init__(
        self, handler: HandlerBase, length: int | None, chunked: bool
    ) -> None:
        super().__init__()
        self._handler = handler
        self._stream = handler.rfile
        self.length = length
        self.chunked = chunked
        self._left = length or 0
        self._decoder = ChunkedReader(handler.rfile) if chunked else None
        self._continue = (
            handler.headers.get('Expect', '').lower() == '100-continue'
        )
        self._refused = False
        # Extensions may replace the stream with one that intercepts read(), as
        # badserverext of Mercurial's tests does.
        self._direct = type(self._stream) is io.BufferedReader
        self.must_close = False

    @property
    def sends_files(self) -> bool:
        """Whether the connection can send FileSlice objects (it has no TLS)."""
        return type(self._handler.connection) is socket.socket

    @property
    def is_empty(self) -> bool:
        """Whether the request has no body."""
        return not self.length and not self.chunked

    def readable(self) -> bool:
        return True

    @property
    def at_end(self) -> bool:
        """Whether the whole body has been read."""
        if self._decoder is not None:
            return self._decoder.finished
        return not self._left

    def readinto(self, buffer: Any, /) -> int:
        if self._refused or self.at_end:
            return 0
        if self._continue:
            self._continue = False
            self._handler.wfile.write(b'HTTP/1.1 100 Continue\r\n\r\n')
        view = memoryview(buffer)
        if self._decoder is not None:
            data = self._decoder.read(len(view))
            view[: len(data)] = data
            return len(data)
        return self._receive(view)

    def _receive(self, view: memoryview) -> int:
        """Fill ``view`` from a body that has a length."""
        view = view[: self._left]
        if self._direct:
            count: int = self._stream.readinto1(view) or 0
        else:
            data = self._stream.read(len(view))
            count = len(data)
            view[:count] = data
        self._left -= count
        return count

    def read(self, size: int = -1, /) -> bytes:
        """Return ``size`` bytes, or fewer if the body ends before.

        A short result means the end of the body, unlike with other raw
        streams. WSGI applications expect that of ``wsgi.input``.
        """
        data = bytearray()
        while size < 0 or len(data) < size:
            want = BLOCK_SIZE if size < 0 else min(size - len(data), BLOCK_SIZE)
            block = bytearray(want)
            count = self.readinto(block)
            if not count:
                break
            data += memoryview(block)[:count]
        return bytes(data)

    def blocks(self) -> Iterator[memoryview]:
        """Yield the content; see RequestBody.

        All blocks share one buffer.
        """
        size = (
            BLOCK_SIZE if self.length is None else min(self.length, BLOCK_SIZE)
        )
        view = memoryview(bytearray(max(size, 1)))
        try:
            while count := self.readinto(view):
                yield view[:count]
        except TimeoutError:
            self.must_close = True
            raise errors.SlowClient('the request body did not arrive') from None
        except ConnectionError:
            self.must_close = True
            raise errors.ShortBody('the connection was lost') from None
        except errors.BadRequest:
            self.must_close = True
            raise
        if not self.at_end:
            self.must_close = True
            raise errors.ShortBody(
                f'the request body ended {self._left} bytes early'
            )

    def refuse(self) -> None:
        """Stop reading: the application does not want the rest of the body.

        The response can be sent now. ``discard`` afterwards reads a small rest;
        a large one closes the connection.
        """
        self._refused = True
        if self.at_end:
            return
        if self._continue or self._decoder or self._left > MAX_DISCARD:
            self.must_close = True

    def discard(self, deadline: float) -> None:
        """Read the rest of a refused body, unless the connection is closed.

        The connection has to be closed if the rest does not arrive until
        ``deadline``, which is a time of ``time.monotonic``.
        """
        if self.must_close or self.at_end:
            return
        view = memoryview(bytearray(self._left))
        with suppress(OSError):
            while self._left:
                patience = max(deadline - time.monotonic(), MIN_PATIENCE)
                self._handler.connection.settimeout(patience)
                if not self._receive(view):
                    break
        self.must_close = self._left > 0

    def abort(self) -> None:
        """Close the connection after the bytes that have been sent so far."""
        self.must_close = True
        self._handler.close_connection = True
