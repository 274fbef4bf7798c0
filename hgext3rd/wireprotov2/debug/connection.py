# SPDX-License-Identifier: GPL-2.0-or-later
"""An HTTP connection that prints every byte that passes.

It has a socket of its own, so that the bytes sent and the sizes of reads depend
on nothing but the script and the server. It knows HTTP, but not the contents of
requests and answers.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mercurial import error, sslutil
from mercurial.i18n import _
from mercurial.utils import stringutil

#: Seconds to wait for the server.
TIMEOUT = 60


class PrintingConnection:
    """A connection for one request; prints what is sent and received.

    ``url`` is a ``mercurial.utils.urlutil.url``. Raises ``Abort`` if the server
    cannot be reached.
    """

    def __init__(self, ui: Any, url: Any) -> None:
        self._ui = ui
        host, port = url.host, int(url.port or 0)
        if not port:
            port = 443 if url.scheme == b'https' else 80
        try:
            self._sock = socket.create_connection(
                (host.decode('ascii'), port), TIMEOUT
            )
            if url.scheme == b'https':
                self._sock = sslutil.wrapsocket(
                    self._sock, None, None, ui, serverhostname=host
                )
        except OSError as e:
            raise error.Abort(
                _(b'cannot connect to %s: %s')
                % (host, stringutil.forcebytestr(e))
            ) from None
        self._file = self._sock.makefile('rb')

    def _show(self, data: bytes) -> None:
        for line in data.splitlines(True):
            self._ui.write(b's>     %s\n' % stringutil.escapestr(line))

    def send(self, head: bytes, body: bytes) -> None:
        """Send a request."""
        self._show(head)
        if body:
            self._show(body)
        try:
            self._sock.sendall(head + body)
        except OSError as e:
            # The server may have answered before it read everything.
            self._ui.warn(
                _(b'(sending failed: %s)\n') % stringutil.forcebytestr(e)
            )
        self._ui.write(b"s> makefile('rb', None)\n")

    def readline(self) -> bytes:
        """Return the next line, empty at the end."""
        line = self._file.readline(65536)
        if line:
            self._show(line)
        return line

    def read(self, size: int) -> bytes:
        """Return ``size`` bytes, fewer at the end."""
        data = self._file.read(size)
        if data:
            self._show(data)
        return data

    def close(self) -> None:
        """Close the connection."""
        self._file.close()
        self._sock.close()


class AnswerBody:
    """The body of an answer, chunked or not, read in the sizes asked for.

    Raises ``Abort`` if the connection ends inside a chunk.
    """

    def __init__(
        self, connection: PrintingConnection, headers: dict[bytes, bytes]
    ) -> None:
        self._connection = connection
        self._chunked = headers.get(b'transfer-encoding') == b'chunked'
        length = headers.get(b'content-length')
        # Bytes left of the chunk or of the body; None if unknown.
        self._left = None if length is None else int(length)
        self._done = False
        if self._chunked:
            self._left = 0

    def _next_chunk(self) -> None:
        line = self._connection.readline()
        try:
            self._left = int(line.split(b';')[0], 16)
        except ValueError:
            raise error.Abort(
                _(b'connection ended inside a response')
            ) from None
        if not self._left:
            self._done = True
            self._connection.readline()

    def read(self, size: int) -> bytes:
        """Return ``size`` bytes, fewer at the end."""
        if not self._chunked:
            if self._left is not None:
                size = min(size, self._left)
                self._left -= size
            return self._connection.read(size) if size else b''
        parts: list[bytes] = []
        while size:
            if not self._left and not self._done:
                self._next_chunk()
            if self._done:
                break
            assert self._left is not None
            part = self._connection.read(min(size, self._left))
            if not part:
                raise error.Abort(_(b'connection ended inside a response'))
            parts.append(part)
            size -= len(part)
            self._left -= len(part)
            if not self._left:
                # An empty line ends the chunk.
                self._connection.readline()
        return b''.join(parts)

    def peek_chunk(self) -> None:
        """Read up to the data of the next chunk."""
        if self._chunked and not self._left and not self._done:
            self._next_chunk()

    def read_all(self) -> bytes:
        """Return everything up to the end."""
        parts: list[bytes] = []
        while True:
            part = self.read(self._left if self._left else 65536)
            if not part:
                return b''.join(parts)
            parts.append(part)


@dataclass
class HTTPAnswer:
    """The answer to a request; its body can be read until it is closed.

    ``reason`` is the status with its text.
    """

    status: int
    reason: bytes
    headers: dict[bytes, bytes]
    body: AnswerBody
    connection: PrintingConnection

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()


def send(
    ui: Any,
    url: Any,
    method: bytes,
    path: bytes,
    headers: Iterable[tuple[bytes, bytes]],
    body: bytes | None,
) -> HTTPAnswer:
    """Send a request to the server at ``url``; return the answer.

    Raises ``Abort`` if the server cannot be reached or does not speak HTTP.
    """
    lines = [b'%s %s HTTP/1.1' % (method, path), b'Accept-Encoding: identity']
    lines += [b'%s: %s' % header for header in headers]
    lines.append(b'')
    head = b'\r\n'.join(lines) + b'\r\n'
    connection = PrintingConnection(ui, url)
    connection.send(head, body or b'')
    fields = connection.readline().split(None, 2)
    if len(fields) < 2 or not fields[1].isdigit():
        connection.close()
        raise error.Abort(_(b'server does not speak HTTP'))
    received = {}
    while True:
        line = connection.readline()
        if not line.strip():
            break
        name, _colon, value = line.partition(b':')
        received[name.strip().lower()] = value.strip()
    return HTTPAnswer(
        int(fields[1]),
        b' '.join(fields[1:]).strip(),
        received,
        AnswerBody(connection, received),
        connection,
    )
