# SPDX-License-Identifier: GPL-2.0-or-later
"""Writing a changegroup in packed form; see ``packmodel`` for the layout.

Pure: chunks of bytes in, chunks of bytes out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .chunkreader import ChunkReader
from .packmodel import (
    BACK,
    HEADERS,
    NULL,
    NULL_HASH,
    PREDICTED,
    RAW,
    Model,
    PackError,
)

#: References as bytes, each of which is a varint of one byte.
_RAW = bytes((RAW,))
_NULL_HASH = bytes((NULL_HASH,))
_PREDICTED = bytes((PREDICTED,))


def packable(version: bytes) -> bool:
    """Return whether changegroups of ``version`` can be packed."""
    return version in HEADERS


def pack(version: bytes, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield a changegroup in packed form.

    ``chunks`` are its bytes, in chunks of any size. Raises ``PackError`` if
    they are not a changegroup of ``version``.
    """
    model = Model(version)
    header = HEADERS[version]
    reader = ChunkReader(chunks)
    read = reader.read
    yield version
    while not model.over:
        size = int.from_bytes(read(4), 'big')
        if size <= 4:
            if size not in (0, 4):
                raise PackError('bad length of a chunk')
            model.end()
            yield b'\0'
            continue
        chunk = read(size - 4)
        if not model.in_group:
            model.name(chunk)
            yield _varint(len(chunk)) + chunk
            continue
        if len(chunk) < header:
            raise PackError('a chunk is shorter than its header')
        yield _packed(model, chunk, header)
    if reader.more():
        raise PackError('bytes follow the changegroup')


def _packed(model: Model, chunk: bytes, header: int) -> bytes:
    """Return a delta in packed form."""
    node = chunk[:20]
    changeset = chunk[80:100]
    delta = chunk[header:]
    group = model.group
    parts = [_varint(len(chunk))]
    if model.in_changesets:
        # The changeset of a changeset is itself.
        same = changeset == node
        parts.append(_PREDICTED if same else _RAW + changeset)
        parts.append(node)
    else:
        parts.append(_changeset_reference(model, changeset))
        same = model.foretell(changeset) == node
        parts.append(_PREDICTED if same else _RAW + node)
    count = len(group.nodes)
    for start in (20, 40, 60):
        other = chunk[start : start + 20]
        position = group.positions.get(other)
        if other == NULL:
            parts.append(_NULL_HASH)
        elif position is not None:
            parts.append(_varint(BACK + count - position))
        else:
            parts.append(_RAW + other)
    parts += (chunk[100:header], delta)
    model.learn(node, changeset, delta)
    return b''.join(parts)


def _changeset_reference(model: Model, changeset: bytes) -> bytes:
    """Return the reference that stands for the changeset of a delta."""
    position = model.changesets.positions.get(changeset)
    if position is None:
        return _RAW + changeset
    ahead = position - model.last
    # Zigzag coding makes small numbers of distances in both directions.
    zigzag = ahead << 1 if ahead >= 0 else (-ahead << 1) - 1
    return _varint(1 + zigzag)


def _varint(value: int) -> bytes:
    """Return a number as a varint.

    Each byte has seven bits, the lowest first; all bytes but the last have the
    highest bit set.
    """
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
