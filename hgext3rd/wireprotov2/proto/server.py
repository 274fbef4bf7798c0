# SPDX-License-Identifier: GPL-2.0-or-later
"""The server's end of one exchange: request bytes to events, answers to frames.

A ``ServerConnection`` is fed what the client sent and returns the commands in
it; for every one of them the caller asks it for the frames of a response. It
does not run commands and knows no transport.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from . import cbor, frames, streams
from .errors import (
    CommandError,
    FrameError,
    LimitError,
    ServerFailure,
    StreamError,
)
from .events import (
    CommandReceived,
    Location,
    Redirect,
    ServerEvent,
    SettingsReceived,
)


@dataclass(frozen=True)
class RequestLimits:
    """What one exchange may cost the server before a command runs.

    ``command_size``: bytes of commands that are being received, arguments and
    command data together: all of them are held in memory. ``commands``: how
    many may arrive in one exchange. ``settings_size``: bytes of one settings
    message, which names a few encodings. ``cbor``: of one command's arguments.
    """

    command_size: int = 32 * 1024 * 1024
    commands: int = 1000
    settings_size: int = 4096
    cbor: cbor.Limits = field(default_factory=cbor.Limits)


DEFAULT_LIMITS = RequestLimits()

# The payload of the frame that precedes the values of a response.
STATUS_OK = cbor.encode({b'status': b'ok'})

# Server-to-client streams have even numbers in one byte, and 0 is unused.
_STREAM_IDS = tuple(range(2, 256, 2))

# What may arrive in which state; the framing adds its settings frames.
_EXPECTED: Mapping[str, frozenset[int]] = {
    'initial': frozenset((frames.COMMAND_REQUEST,)),
    'settings': frozenset(),
    'commands': frozenset((frames.COMMAND_REQUEST, frames.COMMAND_DATA)),
}


class _Incoming:
    """A stream of the client."""

    __slots__ = ('decoder', 'settings')

    def __init__(self) -> None:
        self.decoder: streams.Decoder | None = None
        # payloads of a stream-settings message that goes on
        self.settings: bytearray | None = None


class _Receiving:
    """A command some of whose frames have arrived."""

    __slots__ = ('request', 'data', 'complete')

    def __init__(self, has_data: bool) -> None:
        self.request = bytearray()
        self.data: bytearray | None = bytearray() if has_data else None
        # whether the request frames are all here (and data frames follow)
        self.complete = False


class ServerConnection:
    """Protocol state of one exchange.

    ``receive`` and ``finish`` raise ``ProtocolError`` for what the protocol
    does not allow; the exchange is over then.
    """

    def __init__(
        self,
        framing: frames.Framing,
        limits: RequestLimits = DEFAULT_LIMITS,
    ) -> None:
        self._framing = framing
        self._limits = limits
        self._parser = frames.FrameParser()
        self._state = 'initial'
        self._streams: dict[int, _Incoming] = {}
        self._settings = bytearray()
        self._receiving: dict[int, _Receiving] = {}
        self._buffered = 0
        self._count = 0
        # received and not answered yet
        self._active: set[int] = set()
        self._accepted: tuple[bytes, ...] = (b'identity',)
        self._ids = itertools.cycle(_STREAM_IDS)
        self._shared_stream_open = False

    # receiving

    @property
    def encoding(self) -> bytes:
        """The content encoding responses to this client had best have."""
        return streams.choose(self._framing.encodings, self._accepted)

    def receive(self, data: bytes) -> list[ServerEvent]:
        """Take bytes from the client; return what they complete."""
        events: list[ServerEvent] = []
        for frame in self._parser.feed(data):
            event = self._on_frame(frame)
            if event is not None:
                events.append(event)
        return events

    def finish(self) -> None:
        """Take note that the client sends no more."""
        self._parser.finish()
        if self._state == 'settings' or self._receiving:
            raise FrameError(b'data ends inside a request')

    def _on_frame(self, frame: frames.Frame) -> ServerEvent | None:
        stream = self._stream(frame)
        typeid = frame.typeid
        framing = self._framing
        if typeid == framing.stream_settings and framing.sender_settings:
            self._on_stream_settings(stream, frame)
            return None
        payload = frame.payload
        if frame.streamflags & frames.STREAM_ENCODED:
            if stream.decoder is None:
                raise StreamError(
                    b'received encoded frame on a stream without settings'
                )
            payload = stream.decoder.decode(payload)
        if typeid == framing.sender_settings and self._state != 'commands':
            return self._on_settings(frame.flags, payload)
        if typeid not in _EXPECTED[self._state]:
            name, _flags = framing.types.get(typeid, (b'type %d' % typeid, {}))
            raise FrameError(b'unexpected %s frame' % name)
        self._state = 'commands'
        if typeid == frames.COMMAND_REQUEST:
            return self._on_request(frame, payload)
        return self._on_data(frame, payload)

    def _stream(self, frame: frames.Frame) -> _Incoming:
        streamid = frame.streamid
        if not streamid % 2:
            raise StreamError(
                b'received frame with even numbered stream ID: %d' % streamid
            )
        begins = frame.streamflags & frames.STREAM_BEGIN
        stream = self._streams.get(streamid)
        if stream is None:
            if not begins:
                raise StreamError(
                    b'received frame on unknown inactive stream without '
                    b'beginning of stream flag set'
                )
            stream = self._streams[streamid] = _Incoming()
        elif begins:
            raise StreamError(b'stream %d is open already' % streamid)
        if frame.streamflags & frames.STREAM_END:
            del self._streams[streamid]
        return stream

    def _on_stream_settings(
        self, stream: _Incoming, frame: frames.Frame
    ) -> None:
        if frame.streamflags & frames.STREAM_BEGIN:
            stream.settings = bytearray()
        if stream.settings is None:
            raise StreamError(b'stream settings must begin a stream')
        stream.settings += frame.payload
        if not self._is_last(frame.flags, stream.settings):
            return
        values = cbor.decode_all(bytes(stream.settings), self._limits.cbor)
        stream.settings = None
        if not values:
            raise StreamError(b'stream settings are empty')
        stream.decoder = streams.make_decoder(
            values[0], values[1:], self._limits.command_size
        )

    def _is_last(self, flags: int, message: bytearray) -> bool:
        """Check a settings message; return whether it is complete."""
        if len(message) > self._limits.settings_size:
            raise LimitError('settings-size', b'settings are too large')
        if flags not in (frames.CONTINUATION, frames.EOS):
            raise FrameError(
                b'settings frame must have either continuation or end of '
                b'stream flag set'
            )
        return flags == frames.EOS

    def _on_settings(self, flags: int, payload: bytes) -> ServerEvent | None:
        self._state = 'settings'
        self._settings += payload
        if not self._is_last(flags, self._settings):
            return None
        values = cbor.decode_all(bytes(self._settings), self._limits.cbor)
        self._state = 'commands'
        if len(values) != 1 or not isinstance(values[0], dict):
            raise FrameError(b'sender protocol settings must be one map')
        encodings = values[0].get(b'contentencodings', [b'identity'])
        if not _is_bytes_list(encodings):
            raise FrameError(b'contentencodings must be a list of bytestrings')
        self._accepted = tuple(encodings)
        return SettingsReceived(self._accepted)

    def _grow(self, size: int) -> None:
        self._buffered += size
        if self._buffered > self._limits.command_size:
            raise LimitError(
                'command-size',
                b'commands are larger than %d bytes'
                % self._limits.command_size,
            )

    def _on_request(
        self, frame: frames.Frame, payload: bytes
    ) -> CommandReceived | None:
        requestid = frame.requestid
        flags = frame.flags
        new = flags & frames.REQUEST_NEW
        if bool(new) == bool(flags & frames.REQUEST_CONTINUATION):
            raise FrameError(
                b'command request frame must have either new or continuation '
                b'flag set'
            )
        has_data = bool(flags & frames.REQUEST_HAVE_DATA)
        entry = self._receiving.get(requestid)
        if new:
            if not requestid % 2:
                raise FrameError(
                    b'received request with even ID: %d' % requestid
                )
            if entry is not None or requestid in self._active:
                raise FrameError(
                    b'request with ID %d already received' % requestid
                )
            self._count += 1
            if self._count > self._limits.commands:
                raise LimitError(
                    'commands',
                    b'more than %d commands in a request'
                    % self._limits.commands,
                )
            entry = self._receiving[requestid] = _Receiving(has_data)
        elif entry is None or entry.complete:
            raise FrameError(
                b'received continuation of request %d, which is not being '
                b'received' % requestid
            )
        elif has_data != (entry.data is not None):
            raise FrameError(
                b'command request frames disagree whether data follows'
            )
        self._grow(len(payload))
        entry.request += payload
        if flags & frames.REQUEST_MORE:
            return None
        if has_data:
            entry.complete = True
            return None
        return self._command(requestid, entry)

    def _on_data(
        self, frame: frames.Frame, payload: bytes
    ) -> CommandReceived | None:
        entry = self._receiving.get(frame.requestid)
        if entry is None or not entry.complete or entry.data is None:
            raise FrameError(
                b'received data for request %d, which expects none'
                % frame.requestid
            )
        if frame.flags not in (frames.CONTINUATION, frames.EOS):
            raise FrameError(
                b'command data frame must have either continuation or end of '
                b'data flag set'
            )
        self._grow(len(payload))
        entry.data += payload
        if frame.flags == frames.CONTINUATION:
            return None
        return self._command(frame.requestid, entry)

    def _command(self, requestid: int, entry: _Receiving) -> CommandReceived:
        del self._receiving[requestid]
        values = cbor.decode_all(bytes(entry.request), self._limits.cbor)
        if len(values) != 1 or not isinstance(values[0], dict):
            raise FrameError(b'command request must be one map')
        request = values[0]
        name = request.get(b'name')
        if not isinstance(name, bytes):
            raise FrameError(b'command request missing "name" field')
        args = request.get(b'args', {})
        if not isinstance(args, dict) or not _is_bytes_list(list(args)):
            raise FrameError(
                b'"args" of a command request must be a map with bytestring keys'
            )
        self._active.add(requestid)
        data = None if entry.data is None else bytes(entry.data)
        return CommandReceived(
            requestid, name, args, _redirect(request.get(b'redirect')), data
        )

    # sending

    def _open(self) -> tuple[int, int, int]:
        """Return a stream's id and the flags of its first and last frame.

        Framings without content encodings use one stream for all responses,
        which stays open; in the others every response has its own, so that
        encoded responses can be kept and sent again as they are. A stream is
        ended if its id may be needed again.
        """
        if self._framing.sender_settings:
            end = frames.STREAM_END if self._count > 1 else 0
            return next(self._ids), frames.STREAM_BEGIN, end
        begin = 0 if self._shared_stream_open else frames.STREAM_BEGIN
        self._shared_stream_open = True
        return _STREAM_IDS[0], begin, 0

    def respond(
        self,
        requestid: int,
        body: Iterable[bytes | memoryview],
        encoding: bytes = b'identity',
        data_flags: int = frames.CONTINUATION,
    ) -> Iterator[bytes]:
        """Yield the frames of a response.

        ``body`` yields the CBOR of the response's values, as one stream in
        ``encoding``. A ``CommandError`` or ``ServerFailure`` it raises is sent
        to the client: as the response if nothing was sent yet, as the last
        frame of it otherwise. ``data_flags`` are those of the data frames.
        """
        chunks = iter(body)
        try:
            first = next(chunks, b'')
        except (CommandError, ServerFailure) as e:
            yield from self.fail(requestid, e)
            return
        streamid, flags, end = self._open()

        def frame(
            typeid: int, kind: int, payload: bytes, more: int = 0
        ) -> bytes:
            nonlocal flags
            data = frames.build(
                requestid, streamid, flags | more, typeid, kind, payload
            )
            flags = 0
            return data

        encoded = plain = 0
        if self._framing.sender_settings:
            yield frame(
                self._framing.stream_settings,
                frames.EOS,
                cbor.encode(encoding),
            )
            encoded = frames.STREAM_ENCODED
            # the body alone is encoded, so that it can be kept and sent again
            plain = encoded if encoding == b'identity' else 0
        yield frame(
            frames.COMMAND_RESPONSE, frames.CONTINUATION, STATUS_OK, plain
        )
        try:
            for payload in _payloads(itertools.chain((first,), chunks)):
                yield frame(
                    frames.COMMAND_RESPONSE, data_flags, payload, encoded
                )
        except (CommandError, ServerFailure) as e:
            yield frame(frames.ERROR_RESPONSE, 0, _error_payload(e), end)
        else:
            yield frame(frames.COMMAND_RESPONSE, frames.EOS, b'', end)
        self._active.discard(requestid)

    def fail(
        self, requestid: int, error: CommandError | ServerFailure
    ) -> Iterator[bytes]:
        """Yield the frame that answers a request with an error alone."""
        streamid, begin, end = self._open()
        if isinstance(error, CommandError):
            details: dict[bytes, Any] = {b'message': error.message}
            if error.messageargs:
                details[b'args'] = _clip(error.messageargs)
            payload = cbor.encode({b'status': b'error', b'error': details})
            typeid, flags = frames.COMMAND_RESPONSE, frames.EOS
        else:
            payload = _error_payload(error)
            typeid, flags = frames.ERROR_RESPONSE, 0
        yield frames.build(
            requestid, streamid, begin | end, typeid, flags, payload
        )
        self._active.discard(requestid)

    def redirect(self, requestid: int, location: Location) -> Iterator[bytes]:
        """Yield the frames that send the client elsewhere for a response."""
        streamid, begin, end = self._open()
        where: dict[bytes, Any] = {
            b'url': location.url,
            b'mediatype': location.mediatype,
        }
        for name in (
            'size',
            'fullhashes',
            'fullhashseed',
            'serverdercerts',
            'servercadercerts',
        ):
            value = getattr(location, name)
            if value is not None:
                where[name.encode('ascii')] = value
        payload = cbor.encode({b'status': b'redirect', b'location': where})
        kind = frames.COMMAND_RESPONSE
        yield frames.build(
            requestid, streamid, begin, kind, frames.CONTINUATION, payload
        )
        yield frames.build(requestid, streamid, end, kind, frames.EOS, b'')
        self._active.discard(requestid)


def _payloads(chunks: Iterable[bytes | memoryview]) -> Iterator[bytes]:
    """Cut and join ``chunks`` into full frame payloads; the last is shorter."""
    limit = frames.MAX_PAYLOAD
    parts: list[bytes | memoryview] = []
    size = 0
    for chunk in chunks:
        if size + len(chunk) < limit:
            parts.append(chunk)
            size += len(chunk)
            continue
        view = memoryview(chunk)
        pos = limit - size
        parts.append(view[:pos])
        yield b''.join(parts)
        while len(view) - pos >= limit:
            yield bytes(view[pos : pos + limit])
            pos += limit
        parts = [view[pos:]]
        size = len(view) - pos
    if size:
        yield b''.join(parts)


def _error_payload(error: CommandError | ServerFailure) -> bytes:
    """Return the payload of an error frame, which is a single frame."""
    atom: dict[bytes, Any] = {b'msg': error.message}
    kind = b'server'
    if isinstance(error, CommandError):
        kind = b'command'
        if error.messageargs:
            atom[b'args'] = _clip(error.messageargs)
    return cbor.encode({b'type': kind, b'message': [atom]})


# An error is one frame: it quotes at most this much of what a client sent.
_MAX_ARG = 1024


def _clip(args: tuple[bytes, ...]) -> list[bytes]:
    return [arg[:_MAX_ARG] for arg in args[:8]]


def _is_bytes_list(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(v, bytes) for v in value)


def _redirect(value: object) -> Redirect | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise FrameError(b'"redirect" of a command request must be a map')
    targets = value.get(b'targets', [])
    hashes = value.get(b'hashes', [])
    if not (_is_bytes_list(targets) and _is_bytes_list(hashes)):
        raise FrameError(b'"redirect" must hold lists of bytestrings')
    fullhashes = value.get(b'fullhashes') is True
    return Redirect(tuple(targets), tuple(hashes), fullhashes)
