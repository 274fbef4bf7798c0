# SPDX-License-Identifier: GPL-2.0-or-later
"""The client's end of an exchange: commands out, events in.

A ``ClientConnection`` takes commands and received bytes, and gives bytes to
send and events. It holds what belongs to one channel (an HTTP request with its
response, or both directions of a pipe): open streams, unanswered commands and
half-received values. ``states`` says what is allowed when; ``requests`` and
``responses`` know the form of messages. Nothing here knows the meaning of
commands, HTTP, or retries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from . import cbor, events, frames, requests, responses, streams
from .errors import FrameError, LimitError, StreamError
from .frames import Frame, Framing
from .states import OPENING, Commands, Event, Opening, OpeningEvent, State

# The stream of everything a client sends. Clients use odd numbers, and one
# stream is enough because requests have no content encoding.
REQUEST_STREAM = 1

# Request ids are 16 bits and clients use the odd ones.
MAX_REQUESTS = 32768

# Streams a server may keep open at once. Each may hold a decoder with a window
# of 8 MB, so the worst case is 256 MB. Servers open one stream for a response
# and end it with the response.
MAX_STREAMS = 32

# Encoded bytes of stream settings; honest ones are below 1 kB. Without a cap, a
# server could fill the memory of a client with them.
MAX_SETTINGS = 64 * 1024

# The limits of one top-level value of a response. The largest is the largest
# file revision, which has to fit into memory anyway.
RESPONSE_LIMITS = cbor.Limits(depth=16, items=4 * 1024 * 1024, size=2**31)

# Bytes of wire frames that carry no part of a response: text, progress,
# settings and empty frames, each with its header. Honest servers stay below 100
# kB. Without a cap, a server could keep a client busy forever without answering
# anything.
MAX_OVERHEAD = 16 * 1024 * 1024


class _ServerStream:
    """An open stream of the server.

    ``settings`` collects the bytes of its settings. It is None once they are
    complete or other frames have begun.
    """

    __slots__ = ('decoder', 'settings')

    def __init__(self) -> None:
        self.decoder: streams.ContentDecoder | None = None
        self.settings: bytes | None = b''


class ClientConnection:
    """One channel as the client sees it.

    ``command`` queues a command and returns its request id, ``data_to_send``
    returns the bytes that are queued, ``feed`` turns received bytes into
    events, and ``finish`` says that no more bytes come. ``accept`` names the
    content encodings the server may use, best first; by default these are all
    encodings of the framing. ``limits`` apply to each value of a response.
    """

    def __init__(
        self,
        framing: Framing = frames.FRAMING_0006,
        accept: Sequence[bytes] | None = None,
        limits: cbor.Limits = RESPONSE_LIMITS,
    ) -> None:
        self._framing = framing
        self._accept = framing.encodings if accept is None else tuple(accept)
        self._limits = limits
        self._out: list[bytes] = []
        self._opening = Opening.INITIAL
        self._next_id = 1
        self._parser = frames.FrameParser()
        self._commands = Commands()
        # The decoders of the responses that are not complete, by request id.
        self._decoders: dict[int, cbor.Decoder] = {}
        self._streams: dict[int, _ServerStream] = {}
        self._overhead = 0

    @property
    def waiting(self) -> bool:
        """Whether a command has not been answered in full."""
        return bool(self._commands)

    # -- sending

    def command(
        self,
        name: bytes,
        args: Mapping[bytes, Any],
        redirect: events.AcceptedRedirects | None = None,
        chunked: bool = False,
        limits: cbor.Limits | None = None,
    ) -> int:
        """Queue a command; return the id that its events will carry.

        ``redirect`` says which redirects the caller follows. With ``chunked``,
        bytestrings of unknown length arrive as ``cbor.BytesChunk``. ``limits``
        replace those of the connection for this response. Raises ``CBORError``
        for arguments CBOR has no form for, and ``LimitError`` when the channel
        has no request ids left.
        """
        requestid = self._next_id
        if requestid > 2 * MAX_REQUESTS - 1:
            raise LimitError('requests', b'too many commands for one channel')
        message = requests.build_request(name, args, redirect)
        self._next_id += 2
        settings = self._framing.sender_settings
        if self._opening is Opening.INITIAL and settings is not None:
            payload = requests.build_settings(self._accept)
            self._send(
                requestid,
                settings,
                frames.EOS,
                payload,
                OpeningEvent.SETTINGS_END,
            )
        event = Event.BEGIN
        for flags, payload in requests.request_frames(message):
            self._commands.advance(requestid, event)
            event = Event.CONTINUE
            self._send(
                requestid,
                frames.COMMAND_REQUEST,
                flags,
                payload,
                OpeningEvent.REQUEST,
            )
        self._commands.advance(requestid, Event.END_REQUEST)
        self._decoders[requestid] = cbor.Decoder(
            limits or self._limits, chunked=chunked
        )
        return requestid

    def _send(
        self,
        requestid: int,
        kind: int,
        flags: int,
        payload: bytes,
        event: OpeningEvent,
    ) -> None:
        first = self._opening is Opening.INITIAL
        self._opening = OPENING[self._opening, event]
        begin = frames.STREAM_BEGIN if first else 0
        self._out.append(
            frames.build(requestid, REQUEST_STREAM, begin, kind, flags, payload)
        )

    def data_to_send(self) -> bytes:
        """Return the bytes queued since the last call."""
        data = b''.join(self._out)
        self._out.clear()
        return data

    # -- receiving

    def feed(self, data: bytes) -> Iterator[events.ClientEvent]:
        """Yield the events that ``data`` completes.

        The caller takes all of them before it feeds more. However much the
        data expands to, only a small part of it is held in memory. Raises
        ``ProtocolError``.
        """
        for frame in self._parser.feed(data):
            yield from self._on_frame(frame)

    def finish(self) -> None:
        """End the input.

        Raises ``FrameError`` if a command has not been answered in full.
        """
        self._parser.finish()
        if self._commands:
            raise FrameError(b'response ends before the command is answered')

    def _on_frame(self, frame: Frame) -> Iterator[events.ClientEvent]:
        stream = self._stream_of(frame)
        if frame.typeid != frames.COMMAND_RESPONSE or not frame.payload:
            self._overhead += frames.HEADER_SIZE + len(frame.payload)
            if self._overhead > MAX_OVERHEAD:
                raise LimitError('overhead', b'response has too little in it')
        if frame.typeid == self._framing.stream_settings:
            self._on_settings(frame, stream)
        else:
            yield from self._on_content(frame, stream)
        if frame.streamflags & frames.STREAM_END:
            del self._streams[frame.streamid]

    def _stream_of(self, frame: Frame) -> _ServerStream:
        """Return the stream of a frame, and open it if the frame begins it."""
        streamid = frame.streamid
        if frame.streamflags & frames.STREAM_BEGIN:
            if streamid % 2 or not streamid:
                raise StreamError(
                    b"stream %d is not the server's to begin" % streamid
                )
            if streamid in self._streams:
                raise StreamError(b'stream %d begins twice' % streamid)
            if len(self._streams) >= MAX_STREAMS:
                raise LimitError('streams', b'too many open streams')
            self._streams[streamid] = _ServerStream()
        try:
            return self._streams[streamid]
        except KeyError:
            raise StreamError(b'stream %d is not open' % streamid) from None

    def _on_settings(self, frame: Frame, stream: _ServerStream) -> None:
        """Read the settings of a stream, which are its first frames."""
        if stream.settings is None:
            raise StreamError(b'stream settings after other frames')
        stream.settings += frame.payload
        if len(stream.settings) > MAX_SETTINGS:
            raise LimitError('settings', b'stream settings are too large')
        # Framing 0005 has no flags here: its settings are never continued.
        if frame.flags & frames.CONTINUATION:
            return
        values = cbor.decode_all(stream.settings, responses.SMALL_LIMITS)
        if not values:
            raise StreamError(b'stream settings are empty')
        if values[0] not in self._accept and values[0] != b'identity':
            raise StreamError(b'content encoding was not asked for')
        stream.decoder = streams.make_decoder(values[0], values[1:])
        stream.settings = None

    def _on_content(
        self, frame: Frame, stream: _ServerStream
    ) -> Iterator[events.ClientEvent]:
        """Yield the events of a frame that belongs to a command."""
        if stream.settings is not None:
            if stream.settings:
                raise StreamError(b'stream settings are incomplete')
            # From here on, settings are too late.
            stream.settings = None
        decoder = None
        if frame.streamflags & frames.STREAM_ENCODED:
            decoder = stream.decoder
            if decoder is None:
                raise StreamError(b'encoded frame on a plain stream')
        is_response = frame.typeid == frames.COMMAND_RESPONSE
        reader = _READERS.get(frame.typeid)
        if reader is None and not is_response:
            raise FrameError(b'unexpected frame of type %d' % frame.typeid)
        requestid = frame.requestid
        if requestid not in self._decoders:
            raise FrameError(
                b'frame for request %d, which is not open' % requestid
            )
        if reader is None:
            yield from self._on_response(frame, decoder)
            return
        payload = frame.payload
        if decoder is not None:
            payload = decoder.decode(payload)
        event = reader(requestid, payload)
        if frame.typeid == frames.ERROR_RESPONSE:
            self._commands.advance(requestid, Event.FAIL)
            del self._decoders[requestid]
        else:
            self._commands.advance(requestid, Event.OUTPUT)
        yield event

    def _on_response(
        self, frame: Frame, decoder: streams.ContentDecoder | None
    ) -> Iterator[events.ClientEvent]:
        """Yield the events of a response frame."""
        requestid = frame.requestid
        commands = self._commands
        feed = self._decoders[requestid].feed
        finish = self._decoders[requestid].finish
        parts: Iterable[bytes] = (frame.payload,)
        if decoder is not None:
            parts = decoder.parts(frame.payload)
        for part in parts:
            values = feed(part)
            if values and commands.state(requestid) is State.REQUESTED:
                yield self._on_status(requestid, values[0])
                del values[0]
            if values:
                commands.advance(requestid, Event.VALUES)
                yield events.ResponseValues(requestid, values)
        if frame.flags & frames.EOS:
            finish()
            # A rejected command was reported when its status arrived.
            if commands.state(requestid) is not State.IDLE:
                commands.advance(requestid, Event.FINISH)
                del self._decoders[requestid]
                yield events.ResponseFinished(requestid)

    def _on_status(self, requestid: int, value: Any) -> events.ClientEvent:
        """Return the event of the first value of a response."""
        status = responses.read_status(value)
        if status == b'ok':
            self._commands.advance(requestid, Event.ACCEPT)
            return events.ResponseStarted(requestid)
        if status == b'redirect':
            location = responses.read_location(value.get(b'location'))
            self._commands.advance(requestid, Event.REDIRECT)
            return events.ResponseRedirected(requestid, location)
        if status == b'error':
            atoms = responses.read_error_atoms(value.get(b'error'))
            self._commands.advance(requestid, Event.REJECT)
            del self._decoders[requestid]
            return events.CommandFailed(requestid, b'command', atoms)
        raise FrameError(b'response has an unknown status')


# The functions that read payloads which are one small value, by frame type.
_READERS: Mapping[int, Callable[[int, bytes], events.ClientEvent]] = {
    frames.ERROR_RESPONSE: responses.read_error,
    frames.TEXT_OUTPUT: responses.read_text,
    frames.PROGRESS: responses.read_progress,
}
