# SPDX-License-Identifier: GPL-2.0-or-later
"""Wire frames: eight bytes of header and a payload; both framings as data.

The header is the length of the payload (24 bits), the request id (16 bits), the
stream id (8), the stream flags (8), and a byte with the frame type (high
nibble) and the flags of that type (low nibble). Numbers are little endian. See
``hg help internals.wireprotocolrpc``.

This module parses and builds frames. ``states``, ``server`` and ``client`` know
what a sequence of frames means.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from .errors import FrameError, LimitError

HEADER_SIZE = 8

# The most bytes a sender puts into a frame; every known peer uses this size.
MAX_PAYLOAD = 32768

# The most bytes a receiver accepts. The protocol forbids larger frames unless
# both ends agree on them, and has no way to agree. Worst case: one frame of
# this size is buffered.
MAX_RECEIVED_PAYLOAD = 65535

COMMAND_REQUEST = 1
COMMAND_DATA = 2
COMMAND_RESPONSE = 3
ERROR_RESPONSE = 5
TEXT_OUTPUT = 6
PROGRESS = 7

STREAM_BEGIN = 1
STREAM_END = 2
STREAM_ENCODED = 4

REQUEST_NEW = 1
REQUEST_CONTINUATION = 2
REQUEST_MORE = 4
REQUEST_HAVE_DATA = 8

# Flags of command data, responses, and both kinds of settings.
CONTINUATION = 1
EOS = 2

STREAM_FLAG_NAMES = {
    STREAM_BEGIN: b'stream-begin',
    STREAM_END: b'stream-end',
    STREAM_ENCODED: b'encoded',
}

_EOS_NAMES = {CONTINUATION: b'continuation', EOS: b'eos'}
_REQUEST_NAMES = {
    REQUEST_NEW: b'new',
    REQUEST_CONTINUATION: b'continuation',
    REQUEST_MORE: b'more',
    REQUEST_HAVE_DATA: b'have-data',
}

_TYPES: dict[int, tuple[bytes, Mapping[int, bytes]]] = {
    COMMAND_REQUEST: (b'command-request', _REQUEST_NAMES),
    COMMAND_DATA: (b'command-data', _EOS_NAMES),
    COMMAND_RESPONSE: (b'command-response', _EOS_NAMES),
    ERROR_RESPONSE: (b'error-response', {}),
    TEXT_OUTPUT: (b'text-output', {}),
    PROGRESS: (b'progress', {}),
}


@dataclass(frozen=True)
class Framing:
    """One version of the framing.

    ``types`` maps a frame type to its name and the names of its flags.
    ``stream_settings`` and ``sender_settings`` are frame types; the latter is
    None in a framing where a peer cannot say what it can decode. ``encodings``
    are the content encodings that streams may have, best first.
    """

    mediatype: bytes
    types: Mapping[int, tuple[bytes, Mapping[int, bytes]]]
    stream_settings: int
    sender_settings: int | None
    encodings: tuple[bytes, ...]


FRAMING_0005 = Framing(
    mediatype=b'application/mercurial-exp-framing-0005',
    types={**_TYPES, 8: (b'stream-settings', {})},
    stream_settings=8,
    sender_settings=None,
    encodings=(b'identity',),
)

FRAMING_0006 = Framing(
    mediatype=b'application/mercurial-exp-framing-0006',
    types={
        **_TYPES,
        8: (b'sender-protocol-settings', _EOS_NAMES),
        9: (b'stream-settings', _EOS_NAMES),
    },
    stream_settings=9,
    sender_settings=8,
    encodings=(b'zstd-8mb', b'zlib', b'identity'),
)

_HEADER_TAIL = struct.Struct('<HBBB')


class Frame:
    """A received frame.

    A plain class with slots instead of a dataclass, since making one is faster
    and a clone makes thousands.
    """

    __slots__ = (
        'requestid',
        'streamid',
        'streamflags',
        'typeid',
        'flags',
        'payload',
    )

    def __init__(
        self,
        requestid: int,
        streamid: int,
        streamflags: int,
        typeid: int,
        flags: int,
        payload: bytes,
    ) -> None:
        self.requestid = requestid
        self.streamid = streamid
        self.streamflags = streamflags
        self.typeid = typeid
        self.flags = flags
        self.payload = payload


def build(
    requestid: int,
    streamid: int,
    streamflags: int,
    typeid: int,
    flags: int,
    payload: bytes,
) -> bytes:
    """Return the bytes of a frame.

    Raises ``FrameError`` for a payload of more than ``MAX_PAYLOAD`` bytes.
    """
    if len(payload) > MAX_PAYLOAD:
        raise FrameError(
            b'frame payload of %d bytes is too large' % len(payload)
        )
    return b''.join(
        (
            len(payload).to_bytes(3, 'little'),
            _HEADER_TAIL.pack(
                requestid, streamid, streamflags, typeid << 4 | flags
            ),
            payload,
        )
    )


class FrameParser:
    """Cuts frames out of bytes that arrive in chunks of any size."""

    def __init__(self, max_payload: int = MAX_RECEIVED_PAYLOAD) -> None:
        self._max = max_payload
        self._buffer = bytearray()

    @property
    def pending(self) -> bool:
        """Whether a frame has begun and is incomplete."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames completed by ``data``.

        Raises ``LimitError`` as soon as a header announces too large a frame.
        """
        buffer = self._buffer
        buffer += data
        end = len(buffer)
        pos = 0
        frames = []
        while end - pos >= HEADER_SIZE:
            size = int.from_bytes(buffer[pos : pos + 3], 'little')
            if size > self._max:
                raise LimitError(
                    'frame-size',
                    b'frame of %d bytes is larger than %d' % (size, self._max),
                )
            stop = pos + HEADER_SIZE + size
            if stop > end:
                break
            requestid, streamid, streamflags, kind = _HEADER_TAIL.unpack_from(
                buffer, pos + 3
            )
            frames.append(
                Frame(
                    requestid,
                    streamid,
                    streamflags,
                    kind >> 4,
                    kind & 0x0F,
                    bytes(buffer[pos + HEADER_SIZE : stop]),
                )
            )
            pos = stop
        del buffer[:pos]
        return frames

    def finish(self) -> None:
        """Take note that no more data comes.

        Raises ``FrameError`` if a frame is incomplete.
        """
        if self._buffer:
            raise FrameError(b'data ends inside a frame')


def _flag_names(names: Mapping[int, bytes], flags: int) -> bytes:
    found = []
    bit = 1
    while bit <= flags:
        if flags & bit:
            found.append(names.get(bit, b'<unknown 0x%02x>' % bit))
        bit <<= 1
    return b'|'.join(found)


def describe(frame: Frame, framing: Framing) -> bytes:
    """Return the header of a frame in words, for debugging tools."""
    name, flagnames = framing.types.get(
        frame.typeid, (b'<unknown 0x%02x>' % frame.typeid, {})
    )
    return (
        b'frame(size=%d; request=%d; stream=%d; streamflags=%s; type=%s; flags=%s)'
        % (
            len(frame.payload),
            frame.requestid,
            frame.streamid,
            _flag_names(STREAM_FLAG_NAMES, frame.streamflags),
            name,
            _flag_names(flagnames, frame.flags),
        )
    )
