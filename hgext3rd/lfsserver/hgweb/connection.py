# SPDX-License-Identifier: GPL-2.0-or-later
"""What ``hg serve`` lacks as an HTTP server for large bodies.

A class mixed into the request handler of ``mercurial.hgweb.server``: for LFS
addresses it undoes the chunked coding, asks for bodies only when they are
read, never waits forever, sends files by the kernel, and closes a connection
whose request body nobody wants.  WSGI servers bring all this along; nothing
here knows LFS beyond its addresses.
"""

from __future__ import annotations

import io
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from .. import errors
from ..api.endpoint import error_response
from ..http import fields
from ..http.chunked import ChunkedReader
from ..stores.blobs import CHUNK, FileSlice

# Connections that wait to be accepted; what most servers use.
BACKLOG = 128

# Answers up to this size leave in one piece with their header: one packet and
# one wake-up of the client less, which is what small blobs cost.
MAX_JOINED = 64 * 1024

# A body that is not wanted is read to its end if no more than this is left,
# so that the connection can be kept; it is about what is in flight anyway.
MAX_DISCARD = 256 * 1024

# Before a connection is closed under a client that still sends, so much is
# taken from it, for so many seconds: long enough to let it read the answer.
MAX_LINGER = 64 * 1024 * 1024
LINGER_TIMEOUT = 2.0

# Parts of a path that make an LFS request; see routes.
_MARKS = ('/info/lfs/', '/.hg/lfs/')


def is_lfs(target: str) -> bool:
    """Whether a request target can be an address of LFS."""
    path = unquote(target.partition('?')[0])
    return any(mark in path for mark in _MARKS)


#: A status line, header fields, and the content.
Answer = tuple[str, list[tuple[str, str]], Iterable[bytes | FileSlice]]


class ServedBody(io.RawIOBase):
    """A request body on a connection of ``hg serve``.

    Serves as ``wsgi.input``.  ``length`` is None without Content-Length,
    ``chunked`` tells whether the coding is used instead.
    """

    def __init__(
        self, handler: Connection, length: int | None, chunked: bool
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
        # Proxies around the stream (fault injection in tests) count reads.
        self._direct = type(self._stream) is io.BufferedReader
        self.must_close = False

    @property
    def sends_files(self) -> bool:
        """Whether pieces of a response may be FileSlice objects."""
        return type(self._handler.connection) is socket.socket

    @property
    def is_empty(self) -> bool:
        """Whether the request has no body at all."""
        return not self.length and not self.chunked

    def readable(self) -> bool:
        return True

    def _at_end(self) -> bool:
        if self._decoder is not None:
            return self._decoder.finished
        return not self._left

    def readinto(self, buffer: Any, /) -> int:
        if self._refused or self._at_end():
            return 0
        if self._continue:
            self._continue = False
            self._handler.wfile.write(b'HTTP/1.1 100 Continue\r\n\r\n')
        view = memoryview(buffer)
        if self._decoder is not None:
            data = self._decoder.read(len(view))
            view[: len(data)] = data
            return len(data)
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
        """As many bytes as asked for, unless the body ends before."""
        data = bytearray()
        while size < 0 or len(data) < size:
            want = CHUNK if size < 0 else min(size - len(data), CHUNK)
            piece = bytearray(want)
            count = self.readinto(piece)
            if not count:
                break
            data += memoryview(piece)[:count]
        return bytes(data)

    def pieces(self) -> Iterator[memoryview]:
        """The content; a piece is overwritten by the next one."""
        size = CHUNK if self.length is None else min(self.length, CHUNK)
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
        if not self._at_end():
            self.must_close = True
            raise errors.ShortBody(
                f'the request body ended {self._left} bytes early'
            )

    def refuse(self) -> None:
        """Say that the application will read no more."""
        if not self._at_end() and not self.must_close:
            if self._continue or self._decoder or self._left > MAX_DISCARD:
                self.must_close = True
            else:
                self._discard(MAX_DISCARD)
        self._refused = True

    def _discard(self, limit: int) -> None:
        view = memoryview(bytearray(CHUNK))
        try:
            while limit > 0 and (count := self.readinto(view)):
                limit -= count
        except (OSError, errors.LfsServerError):
            self.must_close = True
        if not self._at_end():
            self.must_close = True

    def abort(self) -> None:
        """Close the connection after what has been sent so far."""
        self.must_close = True
        self._handler.close_connection = True


if TYPE_CHECKING:
    # what the class is mixed into, as far as it is used here
    class _Handler:
        connection: socket.socket
        rfile: io.BufferedReader
        wfile: Any
        headers: Any
        path: str
        command: str
        close_connection: bool
        length: int | None
        sent_headers: bool
        _headers_buffer: list[bytes]
        timeout: float | None
        server: Any
        url_scheme: bytes

        def setup(self) -> None: ...
        def handle_expect_100(self) -> bool: ...
        def do_hgweb(self) -> None: ...
        def _write(self, data: bytes) -> None: ...
        def _start_response(
            self, status: str, headers: list[tuple[str, str]]
        ) -> Any: ...
        def end_headers(self) -> None: ...
        def send_headers(self) -> None: ...
        def flush_headers(self) -> None: ...
        def send_response(self, code: int) -> None: ...
        def send_header(self, name: str, value: str) -> None: ...
        def log_error(self, format: str, *args: object) -> None: ...
else:
    _Handler = object


class Connection(_Handler):
    """Mixed into hgweb's request handler.

    ``lfs_timeout`` is in seconds.  ``lfs_answerer``, if there is one, may
    answer in place of hgweb.
    """

    lfs_timeout: float | None = None
    lfs_answerer: Callable[[Connection, ServedBody], Answer | None] | None = (
        None
    )
    _lfs_body: ServedBody | None = None
    _lfs_hold_headers = False
    # Whether the socket has a timeout now.
    _lfs_timed = False

    def setup(self) -> None:
        super().setup()
        # Small answers must not wait for the acknowledgement of the last one.
        with suppress(OSError):
            self.connection.setsockopt(
                socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
            )

    def handle_expect_100(self) -> bool:
        # The answer is sent when somebody reads the body.
        return is_lfs(self.path) or super().handle_expect_100()

    def do_hgweb(self) -> None:
        if not is_lfs(self.path):
            super().do_hgweb()
            return
        try:
            body = self._lfs_framing()
        except errors.LfsServerError as error:
            self._lfs_refuse(error)
            return
        stream = self.rfile
        self._lfs_body = body
        self.rfile = body  # type: ignore[assignment]
        # read by ServedBody; the base class must not wrap the stream
        del self.headers['Expect']
        self._lfs_timed = False
        if not (body.sends_files and body.is_empty):
            self._lfs_limit_waiting()
        try:
            if not self._lfs_answer(body):
                super().do_hgweb()
        except (
            ConnectionError,
            TimeoutError,
            errors.LfsServerError,
        ) as error:
            # the answer has begun: closing is all that can be told
            self.log_error('LFS request aborted: %s', error)
            body.abort()
        finally:
            self.rfile = stream
            self._lfs_body = None
            if body.must_close:
                self.close_connection = True
                self._lfs_linger()
            if self._lfs_timed:
                with suppress(OSError):
                    self.connection.settimeout(self.timeout)

    def _lfs_limit_waiting(self) -> None:
        """From now on do not wait forever; costs system calls."""
        if not self._lfs_timed:
            self._lfs_timed = True
            self.connection.settimeout(self.lfs_timeout)

    def _lfs_answer(self, body: ServedBody) -> bool:
        """Answer without hgweb if that is possible."""
        if self.lfs_answerer is None:
            return False
        answer = self.lfs_answerer(self, body)
        if answer is None:
            return False
        body.refuse()
        status, headers, pieces = answer
        self.sent_headers = False
        self._start_response(status, headers)
        for piece in pieces:
            self._write(piece)
        if not self.sent_headers:
            self._lfs_send(self._lfs_headers())
        return True

    def _lfs_framing(self) -> ServedBody:
        """The body of this request; BadRequest if its extent is unclear."""
        coding = self.headers.get('Transfer-Encoding')
        lengths = self.headers.get_all('Content-Length') or []
        if coding is not None:
            if lengths or coding.strip().lower() != 'chunked':
                raise errors.BadRequest('the framing of the body is ambiguous')
            return ServedBody(self, None, True)
        if len(lengths) > 1:
            raise errors.BadRequest('there is more than one Content-Length')
        length = fields.content_length(lengths[0]) if lengths else None
        return ServedBody(self, length, False)

    def _lfs_refuse(self, error: errors.LfsServerError) -> None:
        """Answer without asking hgweb, and close."""
        response = error_response(error)
        assert isinstance(response.body, bytes)
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.send_header('Content-Length', str(len(response.body)))
        self.send_header('Connection', 'close')
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(response.body)
        self._lfs_linger()

    def end_headers(self) -> None:
        if self._lfs_body is not None and self._lfs_body.must_close:
            self.send_header('Connection', 'close')
        super().end_headers()

    def flush_headers(self) -> None:
        if not self._lfs_hold_headers:
            super().flush_headers()

    def _lfs_headers(self) -> bytes:
        """The header, to be sent together with the first of the body."""
        self._lfs_hold_headers = True
        try:
            self.send_headers()
        finally:
            self._lfs_hold_headers = False
        header = b''.join(self._headers_buffer)
        self._headers_buffer = []
        return header

    def _write(self, data: bytes | FileSlice) -> None:
        if self._lfs_body is None:
            assert isinstance(data, bytes)
            super()._write(data)
            return
        header = b'' if self.sent_headers else self._lfs_headers()
        if not isinstance(data, FileSlice):
            if self.length is None:
                # not an answer of ours: its pieces may have to be chunked
                self._lfs_send(header)
                super()._write(data)
                return
            self.length -= len(data)
            self._lfs_send(header + data)
            return
        assert self.length is not None
        self.length -= data.count
        if data.count <= MAX_JOINED:
            self._lfs_send(header + b''.join(data))
            return
        self._lfs_limit_waiting()
        self.wfile.write(header)
        sent = self.connection.sendfile(data.file, data.start, data.count)
        if sent != data.count:
            # Content-Length is out already: only closing tells the client.
            self.close_connection = True
            self.log_error('a blob has been truncated while it was sent')

    def _lfs_send(self, data: bytes) -> None:
        """Send; what the system takes at once needs no limit on waiting."""
        view = memoryview(data)
        if not self._lfs_timed:
            with suppress(BlockingIOError):
                view = view[self.connection.send(view, socket.MSG_DONTWAIT) :]
            if not view:
                return
            self._lfs_limit_waiting()
        self.wfile.write(view)

    def _lfs_linger(self) -> None:
        """Let the client read the answer before a reset destroys it."""
        with suppress(OSError, ValueError):
            if type(self.connection) is socket.socket:
                self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(LINGER_TIMEOUT)
            left = MAX_LINGER
            while left > 0 and (data := self.connection.recv(CHUNK)):
                left -= len(data)


def connection_class(
    handler: type,
    timeout: float | None,
    answerer: Callable[[Connection, ServedBody], Answer | None] | None,
) -> type:
    """The request handler ``handler`` with Connection mixed in."""
    return type(
        f'lfs{handler.__name__}',
        (Connection, handler),
        {
            'lfs_timeout': timeout,
            'lfs_answerer': None
            if answerer is None
            else staticmethod(answerer),
        },
    )
