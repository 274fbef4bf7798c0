# SPDX-License-Identifier: GPL-2.0-or-later
"""The subset of CBOR (RFC 8949) that the protocol uses, exact to the byte.

Values are ``None``, ``bool``, ``int`` (64 bit), ``bytes``, ``list``, ``dict``
and ``set`` (tag 258). Map keys and set members are sent sorted by value, not in
the order of the canonical form of RFC 8949. Only bytestrings may have an
indefinite length. The ``cbor2`` package could be made to sort that way, but it
cannot decode incrementally, emit a long bytestring in chunks, or refuse the
rest of CBOR. So this package has a codec of its own; its tests compare it with
``cbor2``.

This module knows nothing of frames or commands.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from .errors import CBORError, LimitError

# The media type of the handshake and of cached bodies, which are CBOR alone.
MEDIA_TYPE = b'application/mercurial-cbor'

# The major types (RFC 8949, section 3.1), shifted to their place in a byte.
UINT = 0x00
NINT = 0x20
BYTES = 0x40
ARRAY = 0x80
MAP = 0xA0
TAG = 0xC0
SPECIAL = 0xE0

FALSE = b'\xf4'
TRUE = b'\xf5'
NULL = b'\xf6'

BEGIN_INDEFINITE_BYTES = b'\x5f'
BREAK = b'\xff'

# https://www.iana.org/assignments/cbor-tags: "mathematical finite set"
SET_TAG = 258
SET_HEAD = b'\xd9\x01\x02'


def head(major: int, value: int) -> bytes:
    """Return the shortest initial bytes for ``value`` in a major type.

    Raises ``CBORError`` for a value of more than 64 bits.
    """
    if value < 24:
        return bytes((major | value,))
    if value < 0x100:
        return bytes((major | 24, value))
    if value < 0x10000:
        return bytes((major | 25,)) + value.to_bytes(2, 'big')
    if value < 0x100000000:
        return bytes((major | 26,)) + value.to_bytes(4, 'big')
    if value < 0x10000000000000000:
        return bytes((major | 27,)) + value.to_bytes(8, 'big')
    raise CBORError(b'integer does not fit into 64 bits')


def _sort_key(value: object) -> tuple[str, object]:
    return type(value).__name__, value


def _encode(value: object, append: Any) -> None:
    if isinstance(value, bytes):
        append(head(BYTES, len(value)))
        append(value)
    elif value is None:
        append(NULL)
    elif value is True:
        append(TRUE)
    elif value is False:
        append(FALSE)
    elif isinstance(value, int):
        append(head(UINT, value) if value >= 0 else head(NINT, -1 - value))
    elif isinstance(value, (list, tuple)):
        append(head(ARRAY, len(value)))
        for item in value:
            _encode(item, append)
    elif isinstance(value, dict):
        append(head(MAP, len(value)))
        for key in sorted(value, key=_sort_key):
            _encode(key, append)
            _encode(value[key], append)
    elif isinstance(value, (set, frozenset)):
        append(SET_HEAD)
        append(head(ARRAY, len(value)))
        for item in sorted(value, key=_sort_key):
            _encode(item, append)
    elif isinstance(value, (bytearray, memoryview)):
        _encode(bytes(value), append)
    else:
        raise CBORError(
            b'cannot encode a value of type %s'
            % type(value).__name__.encode('ascii', 'replace')
        )


def encode(value: object) -> bytes:
    """Return the encoding of ``value``. Raises ``CBORError`` if it has none."""
    parts: list[bytes] = []
    _encode(value, parts.append)
    return b''.join(parts)


def encode_indefinite_bytes(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the encoding of a bytestring of unknown length."""
    yield BEGIN_INDEFINITE_BYTES
    for chunk in chunks:
        if chunk:
            yield head(BYTES, len(chunk))
            yield chunk
    yield BREAK


@dataclass(frozen=True)
class Limits:
    """The caps on one top-level value.

    ``depth``: the levels of nested containers. Commands need 4; an attacker
    nests deeply to exhaust the stack of a decoder. ``items``: the number of
    values inside a top-level value. Each takes some 60 bytes of memory for as
    little as one byte received. ``size``: encoded bytes of one top-level value.
    """

    depth: int = 16
    items: int = 4 * 1024 * 1024
    size: int = 2**62


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True)
class BytesChunk:
    """A part of a top-level bytestring of indefinite length."""

    data: bytes
    first: bool
    last: bool


Value = bool | int | bytes | list[Any] | dict[Any, Any] | set[Any] | None
Decoded = Value | BytesChunk

_NO_KEY = object()


class _Container:
    """A container that is being filled; ``left`` values are still to come."""

    __slots__ = ('kind', 'left', 'value', 'key')

    def __init__(self, kind: int, left: int, value: Any) -> None:
        self.kind = kind
        self.left = left
        self.value = value
        self.key: Any = _NO_KEY


_SET = -1


class Decoder:
    """Decodes a sequence of CBOR values that arrives in chunks of any size.

    With ``chunked``, top-level bytestrings of indefinite length are returned in
    parts, as ``BytesChunk``, so that a long one needs little memory.
    """

    def __init__(
        self, limits: Limits = DEFAULT_LIMITS, chunked: bool = False
    ) -> None:
        self._limits = limits
        self._chunked = chunked
        # Received and not consumed yet. Joined only when _need bytes have
        # arrived, so that a long bytestring is not copied with every chunk.
        self._parts: list[bytes] = []
        self._have = 0
        self._need = 1
        self._stack: list[_Container] = []
        self._tagged = False
        self._indefinite: list[bytes] | None = None
        self._first = True
        self._items = 0
        self._used = 0

    @property
    def pending(self) -> bool:
        """Whether a value has begun and is incomplete."""
        return bool(
            self._have
            or self._stack
            or self._tagged
            or self._indefinite is not None
        )

    def feed(self, data: bytes) -> list[Decoded]:
        """Return the top-level values that ``data`` completes.

        Raises ``CBORError`` for malformed data and ``LimitError`` beyond the
        limits.
        """
        if not data:
            return []
        self._parts.append(data)
        self._have += len(data)
        if self._have < self._need:
            return []
        buffer = b''.join(self._parts) if len(self._parts) > 1 else data
        out: list[Decoded] = []
        pos = self._run(buffer, out)
        rest = buffer[pos:]
        self._parts = [rest] if rest else []
        self._have = len(rest)
        return out

    def _check_size(self, size: int) -> None:
        if size > self._limits.size:
            raise LimitError(
                'size',
                b'CBOR value is larger than %d bytes' % self._limits.size,
            )

    def _run(self, buffer: bytes, out: list[Decoded]) -> int:
        """Consume whole items of ``buffer``; return the offset of the rest.

        This is one long loop with everything in local variables because it is
        the hot path of a client: a response has ten items for each revision.
        """
        pos = 0
        end = len(buffer)
        limits = self._limits
        stack = self._stack
        start = pos - self._used
        while pos < end:
            # Read the head of an item.
            initial = buffer[pos]
            major = initial & 0xE0
            value = initial & 0x1F
            after = pos + 1
            indefinite = False
            if value > 23:
                if value < 28:
                    width = 1 << (value - 24)
                    after += width
                    if after > end:
                        self._need = after - pos
                        break
                    value = int.from_bytes(buffer[pos + 1 : after], 'big')
                    if major == SPECIAL:
                        raise CBORError(b'unsupported CBOR special value')
                elif value == 31:
                    indefinite = True
                else:
                    raise CBORError(b'reserved CBOR length encoding')

            if self._indefinite is not None:
                # Only definite bytestrings or the end may follow.
                if initial == 0xFF:
                    pos = after
                    item: Any = self._end_indefinite(out)
                    if item is None:
                        start = pos
                        self._items = 0
                        continue
                elif major == BYTES and not indefinite:
                    stop = after + value
                    self._check_size(stop - start)
                    if stop > end:
                        self._need = stop - pos
                        break
                    pos = stop
                    if self._add_chunk(buffer[after:stop], out):
                        # The parts returned so far are no longer held here.
                        start = pos
                    continue
                else:
                    raise CBORError(
                        b'only bytestrings may follow inside an '
                        b'indefinite-length bytestring'
                    )
            elif indefinite:
                if major == BYTES and not self._tagged:
                    self._indefinite = []
                    self._first = True
                    pos = after
                    continue
                if initial == 0xFF:
                    raise CBORError(b'CBOR break outside of a bytestring')
                raise CBORError(
                    b'indefinite length is supported for bytestrings only'
                )
            elif major == BYTES:
                stop = after + value
                if stop - start > limits.size:
                    self._check_size(stop - start)
                if stop > end:
                    self._need = stop - pos
                    break
                item = buffer[after:stop]
                pos = stop
            elif major == UINT:
                item = value
                pos = after
            elif major == ARRAY or major == MAP:
                pos = after
                if len(stack) >= limits.depth:
                    raise LimitError(
                        'depth', b'CBOR value is nested too deeply'
                    )
                if self._items + value > limits.items:
                    raise LimitError('items', b'CBOR value has too many items')
                if self._tagged:
                    if major == MAP:
                        raise CBORError(b'CBOR set tag on a non-array')
                    self._tagged = False
                    container = _Container(_SET, value, set())
                elif major == ARRAY:
                    container = _Container(ARRAY, value, [])
                else:
                    container = _Container(MAP, 2 * value, {})
                if value:
                    self._items += 1
                    stack.append(container)
                    continue
                item = container.value
            elif major == NINT:
                item = -1 - value
                pos = after
            elif major == TAG:
                if value != SET_TAG or self._tagged:
                    raise CBORError(b'unsupported CBOR tag')
                self._tagged = True
                pos = after
                continue
            elif initial == 0xF6:
                item = None
                pos = after
            elif initial == 0xF4 or initial == 0xF5:
                item = initial == 0xF5
                pos = after
            elif major == SPECIAL:
                raise CBORError(b'unsupported CBOR special value')
            else:
                raise CBORError(b'CBOR text strings are not supported')

            if self._tagged:
                raise CBORError(b'CBOR set tag on a non-array')

            # Put the item into its container, and close what it completes.
            self._items += 1
            if self._items > limits.items:
                raise LimitError('items', b'CBOR value has too many items')
            while stack:
                top = stack[-1]
                kind = top.kind
                if kind == ARRAY:
                    top.value.append(item)
                elif kind == MAP:
                    if top.key is _NO_KEY:
                        self._check_member(item, top.value, b'map key')
                        top.key = item
                    else:
                        top.value[top.key] = item
                        top.key = _NO_KEY
                else:
                    self._check_member(item, top.value, b'set member')
                    top.value.add(item)
                top.left -= 1
                if top.left:
                    break
                item = top.value
                stack.pop()
            else:
                out.append(item)
                start = pos
                self._items = 0
        else:
            self._need = 1
        self._used = pos - start
        self._check_size(self._used)
        return pos

    @staticmethod
    def _check_member(item: object, members: Any, what: bytes) -> None:
        if isinstance(item, (list, dict, set)):
            raise CBORError(b'CBOR %s is a container' % what)
        # True equals 1 in Python but not in CBOR, so both together are refused.
        if item in members:
            raise CBORError(b'CBOR %s is repeated' % what)

    def _add_chunk(self, data: bytes, out: list[Decoded]) -> bool:
        """Hold a chunk; return whether the previous one went to ``out``."""
        chunks = self._indefinite
        assert chunks is not None
        # One chunk is held back, since only the break tells which is the last.
        passed = bool(self._chunked and not self._stack and chunks)
        if passed:
            out.append(BytesChunk(chunks.pop(), self._first, False))
            self._first = False
        chunks.append(data)
        return passed

    def _end_indefinite(self, out: list[Decoded]) -> bytes | None:
        chunks = self._indefinite
        assert chunks is not None
        self._indefinite = None
        if self._chunked and not self._stack:
            out.append(BytesChunk(b''.join(chunks), self._first, True))
            return None
        return b''.join(chunks)

    def finish(self) -> None:
        """End the input.

        Raises ``CBORError`` if a value is incomplete.
        """
        if self.pending:
            raise CBORError(b'CBOR data ends inside a value')


def decode_all(
    data: bytes, limits: Limits = DEFAULT_LIMITS, chunked: bool = False
) -> list[Decoded]:
    """Return all values in ``data``.

    Raises ``CBORError`` if the data is malformed or the last value incomplete,
    and ``LimitError`` beyond ``limits``.
    """
    decoder = Decoder(limits, chunked)
    values = decoder.feed(data)
    decoder.finish()
    return values
