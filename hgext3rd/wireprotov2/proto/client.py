# SPDX-License-Identifier: GPL-2.0-or-later
"""The client's end of the framed protocol: commands out, events in.

Takes commands and received bytes, gives bytes to send and events. It keeps
what belongs to one channel (an HTTP request and its response, or one direction
each of a pipe): open streams, unanswered requests, half-received values. It
knows nothing of what commands mean, of HTTP, or of retries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from . import cbor, events, frames, streams
from .errors import CBORError, FrameError, LimitError, StreamError
from .frames import Frame, Framing

# The stream our own frames travel on: clients use odd numbers, and one is
# enough as requests are not content encoded.
REQUEST_STREAM = 1

# Request ids are 16 bits and clients use the odd ones.
MAX_REQUESTS = 32768

# Streams a server may keep open at once. Each may hold a decoder with a window
# of 8 MB, so the worst case is 256 MB; servers open one a response and end it
# with the response.
MAX_STREAMS = 32

# Encoded bytes of stream settings, and of one message or progress report;
# honest ones are below 1 kB. Without a cap both are buffers a peer can fill.
MAX_SETTINGS = 64 * 1024

# What one top-level value of a response may be: as large as the largest file
# revision, which has to fit into memory anyway.
RESPONSE_LIMITS = cbor.Limits(depth=16, items=4 * 1024 * 1024, size=2**31)

# Bytes of frames that bring no part of a response: text, progress, settings,
# empty frames, each with its header. Honest servers stay below 100 kB; without
# a cap one could keep us busy for ever without answering anything.
MAX_OVERHEAD = 16 * 1024 * 1024

# Frames that are one small value.
SMALL_LIMITS = cbor.Limits(depth=8, items=4096, size=MAX_SETTINGS)

# the first value of a response is its status; the rest are the answer
_STATUS = 'status'
_VALUES = 'values'
_REDIRECTED = 'redirected'


class _Request:
    """An unanswered command: the state of its response and its decoder."""

    __slots__ = ('decoder', 'state')

    def __init__(self, decoder: cbor.Decoder) -> None:
        self.state = _STATUS
        self.decoder = decoder


class _Stream:
    """An open stream of the server's; ``settings`` collects its settings."""

    __slots__ = ('decoder', 'settings')

    def __init__(self) -> None:
        self.decoder: streams.Decoder | None = None
        self.settings: bytes | None = b''


class Client:
    """One channel as seen by the client.

    ``command`` queues a command and returns its request id, ``data_to_send``
    returns and forgets the bytes queued, ``receive`` and ``incoming`` turn bytes
    received into events, and ``finish`` says that no more bytes come. All methods that take
    received data raise a ``ProtocolError``; the object is useless afterwards.
    ``accept`` names the content encodings the server may use, best first.
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
        self._begun = False
        self._next_id = 1
        self._parser = frames.FrameParser()
        self._requests: dict[int, _Request] = {}
        self._streams: dict[int, _Stream] = {}
        self._overhead = 0
        self._handlers: dict[int, Callable[[Frame, bytes], list[Any]]] = {
            frames.ERROR_RESPONSE: self._on_error,
            frames.TEXT_OUTPUT: self._on_text,
            frames.PROGRESS: self._on_progress,
        }

    @property
    def waiting(self) -> bool:
        """Whether a command has not been answered in full."""
        return bool(self._requests)

    # -- sending

    def command(
        self,
        name: bytes,
        args: Mapping[bytes, Any],
        redirect: events.Redirect | None = None,
        chunked: bool = False,
        limits: cbor.Limits | None = None,
    ) -> int:
        """Queue a command; return the id its events will carry.

        ``redirect`` says which redirects would be followed. With ``chunked``,
        bytestrings of unknown length arrive as ``cbor.BytesChunk``. ``limits``
        are those of single values of the response. Raises
        ``CBORError`` for arguments CBOR has no form for and ``LimitError``
        when the channel has no request ids left.
        """
        requestid = self._next_id
        if requestid > 2 * MAX_REQUESTS - 1:
            raise LimitError('requests', b'too many commands for one channel')
        message: dict[bytes, Any] = {b'name': name, b'args': dict(args)}
        if redirect is not None:
            message[b'redirect'] = {
                b'targets': list(redirect.targets),
                b'hashes': list(redirect.hashes),
            }
            if redirect.fullhashes:
                message[b'redirect'][b'fullhashes'] = True
        payload = cbor.encode(message)
        self._next_id += 2
        self._begin()
        size = frames.MAX_PAYLOAD
        for start in range(0, len(payload), size):
            flags = frames.REQUEST_CONTINUATION if start else frames.REQUEST_NEW
            if start + size < len(payload):
                flags |= frames.REQUEST_MORE
            self._send(
                requestid,
                frames.COMMAND_REQUEST,
                flags,
                payload[start : start + size],
            )
        self._requests[requestid] = _Request(
            cbor.Decoder(limits or self._limits, chunked=chunked)
        )
        return requestid

    def _begin(self) -> None:
        """Say what we can decode, before anything else is said."""
        settings = self._framing.sender_settings
        if not self._begun and settings is not None:
            payload = cbor.encode({b'contentencodings': list(self._accept)})
            self._send(self._next_id - 2, settings, frames.EOS, payload)

    def _send(
        self, requestid: int, kind: int, flags: int, payload: bytes
    ) -> None:
        begin = 0 if self._begun else frames.STREAM_BEGIN
        self._begun = True
        self._out.append(
            frames.build(requestid, REQUEST_STREAM, begin, kind, flags, payload)
        )

    def data_to_send(self) -> bytes:
        """Return the bytes queued since the last call."""
        data = b''.join(self._out)
        self._out.clear()
        return data

    # -- receiving

    def receive(self, data: bytes) -> list[events.ClientEvent]:
        """Return the events completed by ``data``."""
        return list(self.incoming(data))

    def incoming(self, data: bytes) -> Iterator[events.ClientEvent]:
        """Yield the events completed by ``data``.

        All must be taken before the next data comes. However much the data
        expands to, a small part of it is held in memory.
        """
        for frame in self._parser.feed(data):
            yield from self._on_frame(frame)

    def finish(self) -> None:
        """Raise ``FrameError`` if the channel ends before all is answered."""
        self._parser.finish()
        if self._requests:
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
            if stream.settings is not None:
                # the time for settings is over
                if stream.settings:
                    raise StreamError(b'stream settings are incomplete')
                stream.settings = None
            encoded = bool(frame.streamflags & frames.STREAM_ENCODED)
            if encoded and stream.decoder is None:
                raise StreamError(b'encoded frame on a plain stream')
            decoder = stream.decoder if encoded else None
            is_response = frame.typeid == frames.COMMAND_RESPONSE
            handler = self._handlers.get(frame.typeid)
            if handler is None and not is_response:
                raise FrameError(b'unexpected frame of type %d' % frame.typeid)
            if frame.requestid not in self._requests:
                raise FrameError(
                    b'frame for request %d, which is not open' % frame.requestid
                )
            if handler is None:
                yield from self._on_response(frame, decoder)
            else:
                payload = frame.payload
                if decoder is not None:
                    payload = decoder.decode(payload)
                yield from handler(frame, payload)
        if frame.streamflags & frames.STREAM_END:
            del self._streams[frame.streamid]

    def _stream_of(self, frame: Frame) -> _Stream:
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
            self._streams[streamid] = _Stream()
        try:
            return self._streams[streamid]
        except KeyError:
            raise StreamError(b'stream %d is not open' % streamid) from None

    def _on_settings(self, frame: Frame, stream: _Stream) -> None:
        if stream.settings is None:
            raise StreamError(b'stream settings after other frames')
        stream.settings += frame.payload
        if len(stream.settings) > MAX_SETTINGS:
            raise LimitError('settings', b'stream settings are too large')
        # framing 0005 has no flags here: its settings are never continued
        if frame.flags & frames.CONTINUATION:
            return
        values = cbor.decode_all(stream.settings, SMALL_LIMITS)
        if not values:
            raise StreamError(b'stream settings are empty')
        if values[0] not in self._accept and values[0] != b'identity':
            raise StreamError(b'content encoding was not asked for')
        stream.decoder = streams.make_decoder(values[0], values[1:])
        stream.settings = None

    def _on_response(
        self, frame: Frame, decoder: streams.Decoder | None
    ) -> Iterator[events.ClientEvent]:
        requestid = frame.requestid
        request = self._requests[requestid]
        pieces: Iterable[bytes] = (frame.payload,)
        if decoder is not None:
            pieces = decoder.pieces(frame.payload)
        for piece in pieces:
            values = request.decoder.feed(piece)
            if values and request.state == _STATUS:
                yield self._on_status(requestid, request, values[0])
                del values[0]
            if values:
                if request.state != _VALUES:
                    raise FrameError(b'data follows a response without a body')
                yield events.ResponseValues(requestid, values)
        if frame.flags & frames.EOS:
            request.decoder.finish()
            if request.state == _STATUS:
                raise FrameError(b'response has no status')
            # a failed command has been reported, and was forgotten then
            if self._requests.pop(requestid, None) is not None:
                yield events.ResponseFinished(requestid)

    def _on_status(
        self, requestid: int, request: _Request, value: Any
    ) -> events.ClientEvent:
        status = _field(value, b'status', bytes, required=True)
        if status == b'ok':
            request.state = _VALUES
            return events.ResponseStarted(requestid)
        request.state = _REDIRECTED
        if status == b'redirect':
            return events.ResponseRedirected(
                requestid, parse_location(value.get(b'location'))
            )
        if status == b'error':
            del self._requests[requestid]
            problem = value.get(b'error')
            return events.CommandFailed(
                requestid, b'command', _error_atoms(problem)
            )
        raise FrameError(b'response has an unknown status')

    def _on_error(self, frame: Frame, payload: bytes) -> list[Any]:
        problem = _one_value(payload)
        kind = _field(problem, b'type', bytes, required=True)
        del self._requests[frame.requestid]
        return [
            events.CommandFailed(frame.requestid, kind, _error_atoms(problem))
        ]

    def _on_text(self, frame: Frame, payload: bytes) -> list[Any]:
        atoms = _atoms(_one_value(payload))
        return [events.TextReceived(frame.requestid, atoms)]

    def _on_progress(self, frame: Frame, payload: bytes) -> list[Any]:
        value = _one_value(payload)
        return [
            events.ProgressReceived(
                frame.requestid,
                topic=_field(value, b'topic', bytes, required=True),
                pos=_field(value, b'pos', int, required=True),
                total=_field(value, b'total', int, required=True),
                label=_field(value, b'label', bytes),
                item=_field(value, b'item', bytes),
            )
        ]


def _one_value(payload: bytes) -> Any:
    values = cbor.decode_all(payload, SMALL_LIMITS)
    if len(values) != 1:
        raise CBORError(b'frame does not hold one value')
    return values[0]


def _field(value: Any, key: bytes, kind: type, required: bool = False) -> Any:
    """Return ``value[key]``, which is None or of type ``kind``."""
    if not isinstance(value, dict):
        raise CBORError(b'%s belongs into a map' % key)
    item = value.get(key)
    if item is None and not required:
        return None
    # True and False are no numbers here
    if type(item) is not kind:
        raise CBORError(b'%s is missing or of a wrong type' % key)
    return item


def _bytes_list(value: Any, key: bytes) -> tuple[bytes, ...]:
    items = _field(value, key, list)
    if items is None:
        return ()
    if not all(isinstance(item, bytes) for item in items):
        raise CBORError(b'%s holds more than bytestrings' % key)
    return tuple(items)


def _atoms(value: Any) -> tuple[events.Atom, ...]:
    if not isinstance(value, list):
        raise CBORError(b'a message must be an array')
    return tuple(
        events.Atom(
            _field(atom, b'msg', bytes, required=True),
            _bytes_list(atom, b'args'),
            _bytes_list(atom, b'labels'),
        )
        for atom in value
    )


def _error_atoms(problem: Any) -> tuple[events.Atom, ...]:
    """Read the message of an error: atoms as specified, or as all peers send
    those of failed commands, a format beside its arguments."""
    if not isinstance(problem, dict):
        raise CBORError(b'error is missing or of a wrong type')
    message = problem.get(b'message')
    if isinstance(message, bytes):
        return (events.Atom(message, _bytes_list(problem, b'args')),)
    return _atoms(message)


def _pairs(value: Any) -> tuple[tuple[bytes, bytes], ...] | None:
    hashes = _field(value, b'fullhashes', list)
    if hashes is None:
        return None
    for pair in hashes:
        if not (
            isinstance(pair, list)
            and len(pair) == 2
            and all(isinstance(item, bytes) for item in pair)
        ):
            raise CBORError(b'fullhashes must hold pairs of bytestrings')
    return tuple((name, digest) for name, digest in hashes)


def parse_location(value: Any) -> events.Location:
    """Read where a redirect leads to. Raises ``CBORError``."""
    return events.Location(
        url=_field(value, b'url', bytes, required=True),
        mediatype=_field(value, b'mediatype', bytes, required=True),
        size=_field(value, b'size', int),
        fullhashes=_pairs(value),
        fullhashseed=_field(value, b'fullhashseed', bytes),
        serverdercerts=_bytes_list(value, b'serverdercerts') or None,
        servercadercerts=_bytes_list(value, b'servercadercerts') or None,
    )


def format_atoms(atoms: Sequence[events.Atom]) -> bytes:
    """Return a message as one text, its arguments filled in.

    Only ``%s`` and ``%%`` are formats. Too few arguments leave ``%s`` as it
    is, control characters are escaped: the text goes to a terminal.
    """
    return b''.join(_format(atom) for atom in atoms)


def _format(atom: events.Atom) -> bytes:
    pieces = atom.message.split(b'%')
    out = [_printable(pieces[0])]
    args = list(atom.args)
    # after each % but an escaped one stands its conversion
    skip = False
    for index, piece in enumerate(pieces[1:], 1):
        if skip:
            skip = False
            out.append(_printable(piece))
        elif piece.startswith(b's') and args:
            out.append(_printable(args.pop(0)) + _printable(piece[1:]))
        elif not piece and index < len(pieces) - 1:
            out.append(b'%')
            skip = True
        else:
            out.append(b'%' + _printable(piece))
    return b''.join(out)


_ESCAPES = {
    code: f'\\x{code:02x}' for code in (*range(32), 127) if code not in (9, 10)
}


def _printable(text: bytes) -> bytes:
    try:
        decoded = text.decode('utf-8')
    except UnicodeDecodeError:
        decoded = text.decode('ascii', 'backslashreplace')
    return decoded.translate(_ESCAPES).encode('utf-8')
