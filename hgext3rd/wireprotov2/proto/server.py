# SPDX-License-Identifier: GPL-2.0-or-later
"""The server's end of an exchange: commands in, wire frames out.

A ``ServerConnection`` is fed what the client sent and returns the commands in
it. For each of them the caller asks for the wire frames of a response.
``states`` says what is allowed when; ``requests`` and ``responses`` know the
form of messages. Nothing here runs commands or knows a transport.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping

from . import cbor, frames, requests, responses, streams
from .assembly import DEFAULT_LIMITS, CommandAssembly, RequestLimits
from .errors import (
    CommandError,
    FrameError,
    InternalError,
    LimitError,
    StreamError,
)
from .events import Location, ServerEvent, SettingsReceived
from .states import OPENING, Commands, Event, Opening, OpeningEvent

# Streams from server to client have even numbers in one byte, and 0 is unused.
_STREAM_IDS = tuple(range(2, 256, 2))

_OPENING_EVENTS: Mapping[int, OpeningEvent] = {
    frames.COMMAND_REQUEST: OpeningEvent.REQUEST,
    frames.COMMAND_DATA: OpeningEvent.DATA,
}


class _ClientStream:
    """An open stream of the client.

    ``settings`` collects the bytes of a stream-settings message that is not
    complete.
    """

    __slots__ = ('decoder', 'settings')

    def __init__(self) -> None:
        self.decoder: streams.ContentDecoder | None = None
        self.settings: bytearray | None = None


class ServerConnection:
    """One exchange as the server sees it.

    ``feed`` and ``finish`` raise ``ProtocolError`` if the client violates the
    protocol. The exchange is then over.
    """

    def __init__(
        self,
        framing: frames.Framing,
        limits: RequestLimits = DEFAULT_LIMITS,
    ) -> None:
        self._framing = framing
        self._limits = limits
        self._parser = frames.FrameParser()
        self._opening = Opening.INITIAL
        self._commands = Commands()
        self._streams: dict[int, _ClientStream] = {}
        self._settings = bytearray()
        self._assembly = CommandAssembly(self._commands, limits)
        self._accepted: tuple[bytes, ...] = (b'identity',)
        self._ids = itertools.cycle(_STREAM_IDS)
        self._shared_stream_open = False

    # -- receiving

    @property
    def encoding(self) -> bytes:
        """The best content encoding that the client accepts."""
        return streams.choose(self._framing.encodings, self._accepted)

    def feed(self, data: bytes) -> list[ServerEvent]:
        """Return the events that ``data`` completes."""
        events: list[ServerEvent] = []
        for frame in self._parser.feed(data):
            event = self._on_frame(frame)
            if event is not None:
                events.append(event)
        return events

    def finish(self) -> None:
        """End the input: the client sends no more.

        Raises ``FrameError`` if it ended inside a frame or a request.
        """
        self._parser.finish()
        if self._opening is Opening.SETTINGS or self._assembly.pending:
            raise FrameError(b'data ends inside a request')

    def _on_frame(self, frame: frames.Frame) -> ServerEvent | None:
        stream = self._stream_of(frame)
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
        opening = self._opening
        if (
            typeid == framing.sender_settings
            and (opening, OpeningEvent.SETTINGS_END) in OPENING
        ):
            return self._on_settings(frame.flags, payload)
        event = _OPENING_EVENTS.get(typeid)
        following = None if event is None else OPENING.get((opening, event))
        if following is None:
            name, _flags = framing.types.get(typeid, (b'type %d' % typeid, {}))
            raise FrameError(b'unexpected %s frame' % name)
        self._opening = following
        if typeid == frames.COMMAND_REQUEST:
            return self._assembly.add_request(frame, payload)
        return self._assembly.add_data(frame, payload)

    def _stream_of(self, frame: frames.Frame) -> _ClientStream:
        """Return the stream of a frame, which the frame may begin or end."""
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
            stream = self._streams[streamid] = _ClientStream()
        elif begins:
            raise StreamError(b'stream %d is open already' % streamid)
        if frame.streamflags & frames.STREAM_END:
            del self._streams[streamid]
        return stream

    def _on_stream_settings(
        self, stream: _ClientStream, frame: frames.Frame
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
        self._settings += payload
        if not self._is_last(flags, self._settings):
            event = OpeningEvent.SETTINGS_CONTINUE
            self._opening = OPENING[self._opening, event]
            return None
        self._opening = OPENING[self._opening, OpeningEvent.SETTINGS_END]
        self._accepted = requests.read_settings(
            bytes(self._settings), self._limits.cbor
        )
        return SettingsReceived(self._accepted)

    # -- sending

    def _open(self) -> tuple[int, int, int]:
        """Return the id of a stream and the flags of its first and last frame.

        Framings without content encodings have one stream for all responses,
        which stays open. In the others every response has a stream of its own,
        so that encoded responses can be kept and sent again as they are. The
        stream is ended if its id may be needed again.
        """
        if self._framing.sender_settings:
            end = frames.STREAM_END if self._assembly.count > 1 else 0
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
        """Yield the wire frames of a response.

        ``body`` yields the CBOR of the response's values, as one stream in
        ``encoding``. A ``CommandError`` or ``InternalError`` it raises is sent
        to the client: as the response if nothing was sent yet, else as the
        last frame. ``data_flags`` are the flags of the data frames.
        """
        chunks = iter(body)
        try:
            first = next(chunks, b'')
        except (CommandError, InternalError) as e:
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
            # The status is outside the encoding, so that the body can be kept
            # and sent again. Without an encoding there is no difference.
            plain = encoded if encoding == b'identity' else 0
        self._commands.advance(requestid, Event.ACCEPT)
        yield frame(
            frames.COMMAND_RESPONSE,
            frames.CONTINUATION,
            responses.STATUS_OK,
            plain,
        )
        # The state table has an event for values. It changes no state, and it
        # is left out here: this loop sends a frame every 10 microseconds.
        try:
            for payload in _payloads(itertools.chain((first,), chunks)):
                yield frame(
                    frames.COMMAND_RESPONSE, data_flags, payload, encoded
                )
        except (CommandError, InternalError) as e:
            self._commands.advance(requestid, Event.FAIL)
            yield frame(frames.ERROR_RESPONSE, 0, responses.build_error(e), end)
        else:
            self._commands.advance(requestid, Event.FINISH)
            yield frame(frames.COMMAND_RESPONSE, frames.EOS, b'', end)

    def fail(
        self, requestid: int, error: CommandError | InternalError
    ) -> Iterator[bytes]:
        """Yield the wire frame that answers a command with an error alone."""
        streamid, begin, end = self._open()
        if isinstance(error, CommandError):
            self._commands.advance(requestid, Event.REJECT)
            payload = responses.build_rejection(error)
            typeid, flags = frames.COMMAND_RESPONSE, frames.EOS
        else:
            self._commands.advance(requestid, Event.FAIL)
            payload = responses.build_error(error)
            typeid, flags = frames.ERROR_RESPONSE, 0
        yield frames.build(
            requestid, streamid, begin | end, typeid, flags, payload
        )

    def redirect(self, requestid: int, location: Location) -> Iterator[bytes]:
        """Yield the wire frames that send the client to ``location``."""
        streamid, begin, end = self._open()
        payload = responses.build_redirect(location)
        kind = frames.COMMAND_RESPONSE
        self._commands.advance(requestid, Event.REDIRECT)
        yield frames.build(
            requestid, streamid, begin, kind, frames.CONTINUATION, payload
        )
        self._commands.advance(requestid, Event.FINISH)
        yield frames.build(requestid, streamid, end, kind, frames.EOS, b'')


def _payloads(chunks: Iterable[bytes | memoryview]) -> Iterator[bytes]:
    """Yield ``chunks`` as full frame payloads; the last may be shorter."""
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
