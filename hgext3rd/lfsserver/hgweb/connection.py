# SPDX-License-Identifier: GPL-2.0-or-later
"""A request handler for ``hg serve`` that can transfer large bodies.

Mercurial's handler waits forever for slow clients, cannot leave a body unread,
knows few methods and copies files through Python. The class here is mixed into
that handler and changes this for LFS addresses; it passes other requests on.
Only the time in which the header has to arrive is limited for all requests. WSGI
servers do all of this themselves. Nothing here knows the meaning of LFS requests.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ...amalgam.serving import patience
from .. import errors
from ..api.messages import error_response
from ..api.routes import may_be_lfs
from ..stores.content import BLOCK_SIZE, FileSlice
from .body import ConnectionBody, body_of
from .handler import HandlerBase, Reply

# The number of connections that may wait to be accepted. Most servers use this
# number.
BACKLOG = 128

# Responses up to this size (in bytes) are sent by one system call together with
# their header. This saves a packet and a wake-up of the client, which is most
# of the cost of a small blob.
MAX_JOINED = 64 * 1024

# A response may be sent while the client is still sending its request. The
# server then reads for this many seconds, but at most this many bytes, so that
# the client can read the response; a reset would discard it. Afterwards the
# connection is closed, or used again if the rest of the request was small and
# has arrived.
LINGER_TIME = 2.0
MAX_LINGER = 64 * 1024 * 1024


class Connection(HandlerBase):
    """Mixed into the request handler of ``mercurial.hgweb.server``.

    ``lfs_timeout`` is the number of seconds to wait for the client, or None.
    ``lfs_responder`` may return a reply; the request is passed to hgweb if it
    returns None. The names of all attributes begin with ``lfs``, because the
    class shares its namespace with Mercurial's and Python's handlers.
    """

    lfs_timeout: float | None = None
    lfs_responder: (
        Callable[[HandlerBase, ConnectionBody], Reply | None] | None
    ) = None
    # The body of the current request if it is for an LFS address.
    _lfs_body: ConnectionBody | None = None
    _lfs_hold_headers = False
    _lfs_wait: patience.Wait | None = None
    # Whether the socket has a timeout at the moment.
    _lfs_timed = False

    def setup(self) -> None:
        super().setup()
        # A small response must not wait until the client has acknowledged the
        # previous one.
        with suppress(OSError):
            self.connection.setsockopt(
                socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
            )

    def handle_one_request(self) -> None:
        # Mercurial's handler waits for ever, and lets a traceback be printed if a
        # client resets the connection between two requests.
        self._lfs_wait = patience.begin(self.connection, self.lfs_timeout)
        try:
            super().handle_one_request()
        except ConnectionError:
            self.close_connection = True
        except OSError as error:
            # For instance, the client did not want TLS.
            self.log_error('connection closed: %s', error)
            self.close_connection = True
        finally:
            patience.end(self._lfs_wait)

    def parse_request(self) -> bool:
        complete = super().parse_request()
        if patience.end(self._lfs_wait):
            # To the parser, the header seemed to end.
            self.close_connection = True
            return False
        if complete:
            self._lfs_use_origin_form()
        return complete

    def _lfs_use_origin_form(self) -> None:
        """Split a request target such as "http://host/path"."""
        scheme, mark, rest = self.path.partition('://')
        if not mark or scheme.lower() not in ('http', 'https'):
            return
        authority, slash, path = rest.partition('/')
        self.path = slash + path or '/'
        # RFC 9112 demands that the field is ignored.
        del self.headers['Host']
        self.headers['Host'] = authority

    def __getattr__(self, name: str) -> Any:
        # Python's handler looks for a method of this name, and Mercurial's has
        # few. LFS requests with other methods get a response of this package.
        if name.startswith('do_') and may_be_lfs(self.path):
            return self.do_POST
        raise AttributeError(name)

    def handle_expect_100(self) -> bool:
        # ConnectionBody sends "100 Continue" when the body is read.
        return may_be_lfs(self.path) or super().handle_expect_100()

    def do_PATCH(self) -> None:
        # Mercurial's handler does not know the method.
        if may_be_lfs(self.path):
            self.do_POST()
        else:
            self.send_error(501)

    def do_hgweb(self) -> None:
        if not may_be_lfs(self.path):
            super().do_hgweb()
            return
        try:
            body = body_of(self)
        except errors.LfsServerError as error:
            self._lfs_reject(error)
            return
        stream = self.rfile
        self._lfs_body = body
        self.rfile = body  # type: ignore[assignment]
        # Mercurial's handler would wrap the stream because of this field.
        del self.headers['Expect']
        self._lfs_timed = False
        if not (body.sends_files and body.is_empty):
            self._lfs_set_timeout()
        try:
            if not self._lfs_respond(body):
                super().do_hgweb()
        except (
            ConnectionError,
            TimeoutError,
            errors.LfsServerError,
        ) as error:
            # The response has begun, so the only way to report an error is to
            # close the connection.
            self.log_error('LFS request aborted: %s', error)
            body.abort()
        finally:
            self.rfile = stream
            self._lfs_body = None
            deadline = time.monotonic() + LINGER_TIME
            if not body.at_end:
                self._lfs_timed = True
                body.discard(deadline)
            if body.must_close:
                self.close_connection = True
                self._lfs_linger(deadline)
            if self._lfs_timed:
                with suppress(OSError):
                    self.connection.settimeout(self.timeout)

    def _lfs_set_timeout(self) -> None:
        """Set the timeout of the socket for the rest of the request.

        This costs system calls, so small responses are sent without a timeout.
        """
        if not self._lfs_timed:
            self._lfs_timed = True
            self.connection.settimeout(self.lfs_timeout)

    def _lfs_respond(self, body: ConnectionBody) -> bool:
        """Send the reply of ``lfs_responder``; return False without a reply."""
        if self.lfs_responder is None:
            return False
        reply = self.lfs_responder(self, body)
        if reply is None:
            return False
        status, headers, content = reply
        body.refuse()
        self.sent_headers = False
        self._start_response(status, headers)
        for block in content:
            self._write(block)
        if not self.sent_headers:
            self._lfs_send(self._lfs_header())
        return True

    def _lfs_reject(self, error: errors.LfsServerError) -> None:
        """Report an error without calling hgweb, and close the connection."""
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
        self._lfs_linger(time.monotonic() + LINGER_TIME)

    def end_headers(self) -> None:
        if self._lfs_body is not None and self._lfs_body.must_close:
            self.send_header('Connection', 'close')
        super().end_headers()

    def flush_headers(self) -> None:
        if not self._lfs_hold_headers:
            super().flush_headers()

    def _lfs_header(self) -> bytes:
        """Return the header, to be sent together with the first block."""
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
        header = b'' if self.sent_headers else self._lfs_header()
        if not isinstance(data, FileSlice):
            if self.length is None:
                # This is a page of hgweb without a Content-Length. The base
                # class may have to send it in chunks.
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
        self._lfs_set_timeout()
        self.wfile.write(header)
        sent = self.connection.sendfile(data.file, data.start, data.count)
        if sent != data.count:
            # The client knows the length, so it notices that the connection
            # is closed too early.
            self.close_connection = True
            self.log_error('a blob has been truncated while it was sent')

    def _lfs_send(self, data: bytes) -> None:
        """Send ``data``; set the timeout only if the socket is not ready."""
        view = memoryview(data)
        if not self._lfs_timed:
            with suppress(BlockingIOError):
                view = view[self.connection.send(view, socket.MSG_DONTWAIT) :]
            if not view:
                return
            self._lfs_set_timeout()
        self.wfile.write(view)

    def _lfs_linger(self, deadline: float) -> None:
        """End the connection so that the client can still read the response."""
        with suppress(OSError, ValueError):
            if type(self.connection) is socket.socket:
                self.connection.shutdown(socket.SHUT_WR)
            left = MAX_LINGER
            while left > 0 and (wait := deadline - time.monotonic()) > 0:
                self.connection.settimeout(wait)
                data = self.connection.recv(BLOCK_SIZE)
                if not data:
                    break
                left -= len(data)


def connection_class(
    handler: type,
    timeout: float | None,
    responder: Callable[[HandlerBase, ConnectionBody], Reply | None] | None,
) -> type:
    """Return a subclass of the request handler ``handler`` for LFS.

    See Connection for ``timeout`` and ``responder``.
    """
    return type(
        f'lfs{handler.__name__}',
        (Connection, handler),
        {
            'lfs_timeout': timeout,
            'lfs_responder': None
            if responder is None
            else staticmethod(responder),
        },
    )
