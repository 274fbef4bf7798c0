# SPDX-License-Identifier: GPL-2.0-or-later
"""``hg debugwireprotov2``: send what is asked for, show every byte.

Speaks HTTP over a socket of its own, because what is sent and in which pieces
it is read must depend on nothing but the script and the server.
"""

from __future__ import annotations

import base64
import socket
from collections.abc import Iterable
from typing import Any

from mercurial import error, sslutil
from mercurial.i18n import _
from mercurial.utils import stringutil, urlutil

from ..proto import cbor, frames, streams
from ..proto.errors import ProtocolError
from ..server.commands import apis
from ..server.commands.registry import API
from . import script

# what the server is told; the name its recorded exchanges have
_USER_AGENT = b'Mercurial debugwireproto'

_TIMEOUT = 60


class _Wire:
    """A connection that prints what passes."""

    def __init__(self, ui: Any, url: Any, verbose: bool) -> None:
        self._ui = ui
        host, port = url.host, int(url.port or 0)
        if not port:
            port = 443 if url.scheme == b'https' else 80
        try:
            self._sock = socket.create_connection(
                (host.decode('ascii'), port), _TIMEOUT
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

    def show(self, data: bytes) -> None:
        for line in data.splitlines(True):
            self._ui.write(b's>     %s\n' % stringutil.escapestr(line))

    def send(self, head: bytes, body: bytes) -> None:
        self.show(head)
        if body:
            self.show(body)
        try:
            self._sock.sendall(head + body)
        except OSError as e:
            # the server may have answered and gone before reading all
            self._ui.warn(
                _(b'(sending failed: %s)\n') % stringutil.forcebytestr(e)
            )
        self._ui.write(b"s> makefile('rb', None)\n")

    def readline(self) -> bytes:
        line = self._file.readline(65536)
        if line:
            self.show(line)
        return line

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        if data:
            self.show(data)
        return data

    def close(self) -> None:
        self._file.close()
        self._sock.close()


class _Body:
    """A response's body, chunked or not, read in the sizes asked for."""

    def __init__(self, wire: _Wire, headers: dict[bytes, bytes]) -> None:
        self._wire = wire
        self._chunked = headers.get(b'transfer-encoding') == b'chunked'
        length = headers.get(b'content-length')
        self._left = None if length is None else int(length)
        if self._chunked:
            self._left = 0
            self._first = True
            self._done = False

    def _next_chunk(self) -> None:
        line = self._wire.readline()
        try:
            self._left = int(line.split(b';')[0], 16)
        except ValueError:
            raise error.Abort(
                _(b'connection ended inside a response')
            ) from None
        if not self._left:
            self._done = True
            self._wire.readline()

    def read(self, size: int) -> bytes:
        """Return ``size`` bytes, fewer at the end."""
        if not self._chunked:
            if self._left is not None:
                size = min(size, self._left)
                self._left -= size
            return self._wire.read(size) if size else b''
        parts: list[bytes] = []
        while size:
            if not self._left and not self._done:
                self._next_chunk()
            if self._done:
                break
            assert self._left is not None
            part = self._wire.read(min(size, self._left))
            if not part:
                raise error.Abort(_(b'connection ended inside a response'))
            parts.append(part)
            size -= len(part)
            self._left -= len(part)
            if not self._left:
                # the end of the chunk
                self._wire.readline()
        return b''.join(parts)

    def peek_chunk(self) -> None:
        """Read up to the data of the next chunk."""
        if self._chunked and not self._left and not self._done:
            self._next_chunk()

    def read_all(self) -> bytes:
        parts: list[bytes] = []
        while True:
            part = self.read(self._left if self._left else 65536)
            if not part:
                return b''.join(parts)
            parts.append(part)


def run(ui: Any, path: bytes, opts: dict[str, Any]) -> None:
    """Run the script on standard input against the server at ``path``."""
    name = opts['api']
    if name not in apis.APIS:
        raise error.InputError(
            _(b'unknown API: %s') % name,
            hint=_(b'known APIs: %s') % b', '.join(sorted(apis.APIS)),
        )
    api = apis.APIS[name]
    url = urlutil.url(path)
    if url.scheme not in (b'http', b'https') or not url.host:
        raise error.InputError(
            _(b'only http:// and https:// URLs are supported')
        )
    encodings = opts['content_encoding'] or [b'identity']
    for encoding in encodings:
        if encoding not in streams.PROFILES:
            raise error.InputError(_(b'unknown encoding: %s') % encoding)
    session = _Session(ui, url, api, encodings)
    ui.status(_(b'creating http peer for wire protocol version 2\n'))
    for action in script.parse(ui.fin, api.framing):
        session.run(action)


class _Session:
    def __init__(
        self, ui: Any, url: Any, api: API, encodings: list[bytes]
    ) -> None:
        self._ui = ui
        self._url = url
        self._api = api
        self._encodings = encodings
        host = url.host
        if url.port:
            host += b':' + url.port
        self._host = host
        self._base = b'/' + (url.path or b'').strip(b'/')
        if not self._base.endswith(b'/'):
            self._base += b'/'

    def run(self, action: script.Action) -> None:
        if isinstance(action, script.CommandAction):
            self._ui.status(_(b'sending %s command\n') % action.name)
            command = self._api.commands.get(action.name)
            permission = b'pull' if command is None else command.permission
            url = self._command_url(permission, action.name)
            (values,) = self._exchange(url, [action])
            self._ui.status(_(b'response: %s\n') % _response_text(values))
        elif isinstance(action, script.BatchAction):
            self._ui.status(
                _(b'sending batch with %d sub-commands\n')
                % len(action.commands)
            )
            known = self._api.commands
            writes = any(
                c.name in known and known[c.name].permission == b'push'
                for c in action.commands
            )
            url = self._command_url(
                b'push' if writes else b'pull', b'multirequest'
            )
            responses = self._exchange(url, action.commands)
            for number, values in enumerate(responses):
                try:
                    text = _response_text(values)
                except error.RepoError as e:
                    text = _(b'error: %s') % stringutil.forcebytestr(e)
                self._ui.status(_(b'response #%d: %s\n') % (number, text))
        else:
            self._raw(action)

    def _command_url(self, permission: bytes, name: bytes) -> bytes:
        half = b'rw' if permission == b'push' else b'ro'
        return b'%sapi/%s/%s/%s' % (self._base, self._api.name, half, name)

    def _send(
        self,
        method: bytes,
        url: bytes,
        headers: Iterable[tuple[bytes, bytes]],
        body: bytes | None,
    ) -> tuple[_Wire, int, bytes, dict[bytes, bytes]]:
        """Send a request; return the status and headers of the answer."""
        lines = [
            b'%s %s HTTP/1.1' % (method, url),
            b'Accept-Encoding: identity',
        ]
        lines += [b'%s: %s' % header for header in headers]
        lines.append(b'')
        head = b'\r\n'.join(lines) + b'\r\n'
        wire = _Wire(self._ui, self._url, self._ui.verbose)
        wire.send(head, body or b'')
        status = wire.readline()
        fields = status.split(None, 2)
        if len(fields) < 2 or not fields[1].isdigit():
            wire.close()
            raise error.Abort(_(b'server does not speak HTTP'))
        received = {}
        while True:
            line = wire.readline()
            if not line.strip():
                break
            name, _colon, value = line.partition(b':')
            received[name.strip().lower()] = value.strip()
        reason = b' '.join(fields[1:]).strip()
        return wire, int(fields[1]), reason, received

    def _headers(self, body: bytes | None) -> list[tuple[bytes, bytes]]:
        headers = []
        if body is not None:
            headers.append((b'content-length', b'%d' % len(body)))
        headers.append((b'host', self._host))
        if self._url.user:
            login = b'%s:%s' % (self._url.user, self._url.passwd or b'')
            value = b'Basic ' + base64.b64encode(login)
            headers.append((b'authorization', value))
        return headers

    def _raw(self, action: script.RequestAction) -> None:
        self._ui.status(_(b'using raw connection to peer\n'))
        given = {name.lower() for name, _value in action.headers}
        headers = action.headers + [
            header
            for header in self._headers(action.body)
            if header[0] not in given
        ]
        wire, _status, _reason, received = self._send(
            action.method, self._base + action.path, headers, action.body
        )
        body = _Body(wire, received).read_all()
        wire.close()
        if received.get(b'content-type') == b'application/mercurial-cbor':
            values = cbor.decode_all(body)
            self._ui.write(
                _(b'cbor> %s\n')
                % stringutil.pprint(values, bprefix=True, indent=2)
            )

    def _exchange(
        self, url: bytes, commands: list[script.CommandAction]
    ) -> list[list[Any]]:
        """Run commands in one request; return the values of each response."""
        body = self._request_body(commands)
        mediatype = self._api.framing.mediatype
        headers = [(b'accept', mediatype), (b'content-type', mediatype)]
        headers += self._headers(body)
        headers.append((b'user-agent', _USER_AGENT))
        wire, status, reason, received = self._send(b'POST', url, headers, body)
        try:
            content = _Body(wire, received)
            if status != 200 or received.get(b'content-type') != mediatype:
                content.read_all()
                raise error.Abort(_(b'HTTP Error %s') % reason)
            try:
                answers = _read_responses(self._ui, content, self._api.framing)
            except ProtocolError as e:
                raise error.Abort(
                    _(b'invalid response: %s') % e.message
                ) from None
        finally:
            wire.close()
        return [answers.get(i, []) for i in range(1, 2 * len(commands), 2)]

    def _request_body(self, commands: list[script.CommandAction]) -> bytes:
        parts: list[bytes] = []
        streamflags = frames.STREAM_BEGIN
        settings = self._api.framing.sender_settings
        if settings is not None:
            payload = cbor.encode({b'contentencodings': self._encodings})
            parts.append(
                frames.build(1, 1, streamflags, settings, frames.EOS, payload)
            )
            streamflags = 0
        for number, command in enumerate(commands):
            request: dict[bytes, Any] = {b'name': command.name}
            if command.args:
                request[b'args'] = command.args
            data = cbor.encode(request)
            for start in range(0, len(data), frames.MAX_PAYLOAD):
                stop = start + frames.MAX_PAYLOAD
                flags = (
                    frames.REQUEST_CONTINUATION if start else frames.REQUEST_NEW
                )
                if stop < len(data):
                    flags |= frames.REQUEST_MORE
                parts.append(
                    frames.build(
                        2 * number + 1,
                        1,
                        streamflags,
                        frames.COMMAND_REQUEST,
                        flags,
                        data[start:stop],
                    )
                )
                streamflags = 0
        return b''.join(parts)


def _response_text(values: list[Any]) -> bytes:
    """Return the values after the status as debugwireproto prints them."""
    status = values[0] if values else {}
    if not isinstance(status, dict):
        status = {}
    if status.get(b'status') == b'redirect':
        return stringutil.pprint(status, bprefix=True, indent=2)
    if status.get(b'status') != b'ok':
        raise error.RepoError(_message(status.get(b'error')))
    return stringutil.pprint(
        (value for value in values[1:]), bprefix=True, indent=2
    )


def _message(details: Any) -> bytes:
    """Return the text of an error: a format and its arguments, or atoms."""
    if not isinstance(details, dict):
        return _(b'the server did not answer')
    message = details.get(b'message')
    if isinstance(message, bytes):
        message = [{b'msg': message, b'args': details.get(b'args', [])}]
    texts = []
    for atom in message if isinstance(message, list) else []:
        text = atom.get(b'msg', b'')
        args = tuple(atom.get(b'args', ()))
        texts.append(text % args if args else text)
    return b''.join(texts)


def _read_responses(
    ui: Any, body: _Body, framing: frames.Framing
) -> dict[int, list[Any]]:
    """Read frames, printing each; return the values received by request."""
    parser = frames.FrameParser()
    decoders: dict[int, streams.ContentDecoder] = {}
    received: dict[int, cbor.Decoder] = {}
    values: dict[int, list[Any]] = {}
    while True:
        header = body.read(frames.HEADER_SIZE)
        if not header:
            return values
        size = int.from_bytes(header[:3], 'little')
        payload = body.read(size)
        if not size:
            body.peek_chunk()
        found = parser.feed(header + payload)
        if not found:
            raise error.Abort(_(b'connection ended inside a frame'))
        frame = found[0]
        ui.status(_(b'received %s\n') % frames.describe(frame, framing))
        data = frame.payload
        if frame.streamflags & frames.STREAM_ENCODED:
            data = decoders[frame.streamid].decode(data)
        if frame.typeid == framing.stream_settings:
            settings = cbor.decode_all(data)
            decoders[frame.streamid] = streams.make_decoder(
                settings[0], settings[1:]
            )
        elif frame.typeid == frames.ERROR_RESPONSE:
            raise error.RepoError(_message(cbor.decode_all(data)[0]))
        elif frame.typeid == frames.COMMAND_RESPONSE:
            decoder = received.setdefault(frame.requestid, cbor.Decoder())
            values.setdefault(frame.requestid, []).extend(decoder.feed(data))
