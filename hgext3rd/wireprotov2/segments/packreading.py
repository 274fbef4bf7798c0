# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading a packed changegroup; see ``packmodel`` for the layout.

Pure: chunks of bytes in, items or chunks of a changegroup out.
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
    Delta,
    Item,
    Model,
    PackError,
)

#: A chunk larger than this is refused. Changegroups count in signed 32 bits.
MOST_CHUNK = 2**31 - 1


def unpack(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the version, then the changegroup that was packed.

    It comes one chunk of the changegroup at a time. Raises ``PackError`` for
    anything that ``pack`` does not make.
    """
    version, found = items(chunks)
    yield version
    yield from chunks_of(version, found)


def chunks_of(version: bytes, found: Iterable[Item]) -> Iterator[bytes]:
    """Yield the items in ``found`` as chunks of a changegroup."""
    for item in found:
        if item is None:
            yield b'\0\0\0\0'
        elif isinstance(item, bytes):
            yield (len(item) + 4).to_bytes(4, 'big') + item
        else:
            node, p1, p2, changeset, base, delta, flags = item
            size = HEADERS[version] + len(delta) + 4
            yield b''.join(
                (size.to_bytes(4, 'big'), node, p1, p2, base, changeset)
                + (flags, delta)
            )


def items(chunks: Iterable[bytes]) -> tuple[bytes, Iterator[Item]]:
    """Return the version of a packed changegroup, and its items.

    Raises ``PackError`` as ``unpack`` does, also while the items are taken.
    """
    reader = ChunkReader(chunks)
    version = reader.read(2)
    if version not in HEADERS:
        raise PackError('unknown version of changegroup')
    return version, _items(version, reader)


def _items(version: bytes, reader: ChunkReader) -> Iterator[Item]:
    header = HEADERS[version]
    model = Model(version)
    while not model.over:
        size = reader.varint()
        if not size:
            model.end()
            yield None
        elif size > MOST_CHUNK - 4:
            raise PackError('bad length of a chunk')
        elif not model.in_group:
            name = reader.read(size)
            model.name(name)
            yield name
        elif size < header:
            raise PackError('a chunk is shorter than its header')
        else:
            yield _unpacked(model, reader, size, header)
    if reader.more():
        raise PackError('bytes follow the changegroup')


def _unpacked(
    model: Model, reader: ChunkReader, size: int, header: int
) -> Delta:
    """Return the delta that comes next."""
    read = reader.read
    varint = reader.varint
    if model.in_changesets:
        predicted = _code(varint(), (RAW, PREDICTED)) == PREDICTED
        changeset = b'' if predicted else read(20)
        node = read(20)
        if predicted:
            changeset = node
    else:
        changeset = _read_changeset(model, reader)
        if _code(varint(), (RAW, PREDICTED)) == RAW:
            node = read(20)
        else:
            likely = model.foretell(changeset)
            if likely is None:
                raise PackError('a hash that cannot be predicted')
            node = likely
    references = []
    nodes = model.group.nodes
    for _field in range(3):
        code = varint()
        if code == NULL_HASH:
            references.append(NULL)
        elif code == RAW:
            references.append(read(20))
        else:
            back = code - BACK
            if not 0 < back <= len(nodes):
                raise PackError('a reference to no hash')
            references.append(nodes[-back])
    p1, p2, base = references
    flags = read(header - 100)
    delta = read(size - header)
    model.learn(node, changeset, delta)
    return node, p1, p2, changeset, base, delta, flags


def _read_changeset(model: Model, reader: ChunkReader) -> bytes:
    """Return the changeset that the next reference stands for."""
    code = reader.varint()
    if code == RAW:
        return reader.read(20)
    zigzag = code - 1
    ahead = zigzag >> 1 if not zigzag & 1 else -((zigzag + 1) >> 1)
    position = model.last + ahead
    if not 0 <= position < len(model.changesets.nodes):
        raise PackError('a reference to no changeset')
    return model.changesets.nodes[position]


def _code(code: int, known: tuple[int, ...]) -> int:
    """Return ``code`` if it is a known reference."""
    if code not in known:
        raise PackError('unknown kind of reference')
    return code
