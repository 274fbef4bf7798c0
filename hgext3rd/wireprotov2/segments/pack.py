# SPDX-License-Identifier: GPL-2.0-or-later
"""A changegroup without what its reader can tell by itself.

Pure: chunks of bytes in, chunks of bytes out, and back exactly. One in seven
bytes of a strongly compressed changegroup are hashes in the headers of its
deltas, which no compressor can shrink. Nearly all of them have been seen
before: parents and delta bases as nodes of the same group, the node of a
manifest as the hexadecimal digits that begin a changeset's text, the node of
a file revision in the delta of that changeset's manifest. Here such a hash is
a small number. What cannot be foretold is sent as it is, so every changegroup
of the versions known survives.

Layout: the version as two digits, then the chunks of the changegroup in order.
A chunk is its length (0 ends a group or the list of groups) as a varint, then:
the name for a chunk that names a file or directory; otherwise the references
of the header, the flags (two bytes, version 03) and the delta.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

NULL = b'\0' * 20

#: Bytes of a delta header by version (mercurial.changegroup): node, two
#: parents, delta base, changeset; 03 has 16 bits of flags behind.
HEADERS = {b'02': 100, b'03': 102}

#: References: what follows is a hash; the null hash; what was foretold.
#: Larger numbers count back in the hashes of the group.
_RAW = 0
_NULL = 1
_FORETOLD = 2
_BACK = 3

#: Header of a hunk of a delta: start, end, length of the text that follows.
_HUNK = struct.Struct('>III')
_HEX = re.compile(rb'[0-9a-f]{40}')
_MANIFEST_LINE = re.compile(rb'([^\0\n]+)\0([0-9a-f]{40})')

#: A chunk larger than this is refused by the reader; changegroups count in
#: signed 32 bits.
MOST_CHUNK = 2**31 - 1


class PackError(ValueError):
    """The bytes are not a packed changegroup, or one that is cut short."""


@dataclass(slots=True)
class _Group:
    """The hashes of one group by position, and positions by hash."""

    nodes: list[bytes] = field(default_factory=list)
    positions: dict[bytes, int] = field(default_factory=dict)

    def add(self, node: bytes) -> None:
        self.positions[node] = len(self.nodes)
        self.nodes.append(node)


class _Model:
    """What both sides know after the chunks so far, and what they expect."""

    def __init__(self, version: bytes) -> None:
        self.version = version
        self.changesets = _Group()
        self.group = self.changesets
        #: position of the changeset of the last chunk, for small numbers
        self.last = 0
        self.in_changesets = True
        #: a group of deltas, or the list of names before each such group
        self.in_group = True
        self.over = False
        self._in_manifest = False
        # in version 03 directories come between root manifest and files
        self._lists = 2 if version == b'03' else 1
        self._name = b''
        self._manifests: dict[bytes, bytes] = {}
        self._files: dict[tuple[bytes, bytes], bytes] = {}

    def end(self) -> None:
        """A chunk of no length: a group or a list of groups is over."""
        if not self.in_group:
            self._lists -= 1
            self.over = not self._lists
            return
        if self.in_changesets:
            self.in_changesets = False
            self._in_manifest = True
            self._begin()
        else:
            self._in_manifest = False
            self.in_group = False

    def name(self, name: bytes) -> None:
        """A chunk that names what the next group is about."""
        self._name = name
        self.in_group = True
        self._begin()

    def _begin(self) -> None:
        self.group = _Group()
        self.last = 0

    def foretell(self, changeset: bytes) -> bytes | None:
        """Return the node that ``changeset`` is likely to have here."""
        if self._in_manifest:
            return self._manifests.get(changeset)
        return self._files.get((changeset, self._name))

    def learn(self, node: bytes, changeset: bytes, delta: bytes) -> None:
        """Take in a delta that both sides have now."""
        self.group.add(node)
        if self.in_changesets:
            digits = _HEX.match(delta, _HUNK.size)
            if digits is not None:
                self._manifests[node] = bytes.fromhex(digits[0].decode())
            return
        self.last = self.changesets.positions.get(changeset, self.last)
        if self._in_manifest:
            files = self._files
            for text in _hunks(delta):
                for line in _MANIFEST_LINE.finditer(text):
                    path, digits_of_node = line.groups()
                    node = bytes.fromhex(digits_of_node.decode())
                    files[changeset, path] = node


def _hunks(delta: bytes) -> Iterator[bytes]:
    """Yield the texts a delta inserts, as far as it is well-formed."""
    position = 0
    while position + _HUNK.size <= len(delta):
        _start, _end, size = _HUNK.unpack_from(delta, position)
        position += _HUNK.size
        yield delta[position : position + size]
        position += size


def _varint(value: int) -> bytes:
    """Return seven bits a byte, lowest first; all but the last are marked."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def packable(version: bytes) -> bool:
    """True if changegroups of ``version`` can be packed."""
    return version in HEADERS


def pack(version: bytes, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the changegroup in ``chunks`` (cut anywhere) packed.

    Raises ``PackError`` if it is none.
    """
    model = _Model(version)
    header = HEADERS[version]
    reader = _Reader(chunks)
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


def _packed(model: _Model, chunk: bytes, header: int) -> bytes:
    node = chunk[:20]
    changeset = chunk[80:100]
    delta = chunk[header:]
    group = model.group
    parts = [_varint(len(chunk))]
    if model.in_changesets:
        # a changeset is its own
        same = changeset == node
        parts.append(_varint(_FORETOLD) if same else b'\0' + changeset)
        parts.append(node)
    else:
        parts.append(_changeset_reference(model, changeset))
        same = model.foretell(changeset) == node
        parts.append(_varint(_FORETOLD) if same else b'\0' + node)
    count = len(group.nodes)
    for start in (20, 40, 60):
        other = chunk[start : start + 20]
        position = group.positions.get(other)
        if other == NULL:
            parts.append(b'\1')
        elif position is not None:
            parts.append(_varint(_BACK + count - position))
        else:
            parts.append(b'\0' + other)
    parts += (chunk[100:header], delta)
    model.learn(node, changeset, delta)
    return b''.join(parts)


def _changeset_reference(model: _Model, changeset: bytes) -> bytes:
    position = model.changesets.positions.get(changeset)
    if position is None:
        return b'\0' + changeset
    ahead = position - model.last
    # small numbers whether it lies ahead or behind
    zigzag = ahead << 1 if ahead >= 0 else (-ahead << 1) - 1
    return _varint(1 + zigzag)


#: What a packed changegroup holds, in order: ``None`` for the end of a group
#: or of a list of groups, a name, or a delta: node, two parents, changeset,
#: delta base, the delta and two bytes of flags (none in version 02).
Delta = tuple[bytes, bytes, bytes, bytes, bytes, bytes, bytes]
Item = bytes | Delta | None


def unpack(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the changegroup that ``pack`` was given, a chunk at a time.

    Its version is the first item. Raises ``PackError`` for anything ``pack``
    does not make.
    """
    version, found = items(chunks)
    yield version
    yield from chunks_of(version, found)


def chunks_of(version: bytes, found: Iterable[Item]) -> Iterator[bytes]:
    """Yield what ``items`` returns as a changegroup, a chunk at a time."""
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
    """Return the version of a packed changegroup, and what it holds.

    Both raise ``PackError`` as ``unpack`` does.
    """
    reader = _Reader(chunks)
    version = reader.read(2)
    if version not in HEADERS:
        raise PackError('unknown version of changegroup')
    return version, _items(version, reader)


def _items(version: bytes, reader: _Reader) -> Iterator[Item]:
    header = HEADERS[version]
    model = _Model(version)
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


def _unpacked(model: _Model, reader: _Reader, size: int, header: int) -> Delta:
    read = reader.read
    varint = reader.varint
    if model.in_changesets:
        foretold = _code(varint(), (_RAW, _FORETOLD)) == _FORETOLD
        changeset = b'' if foretold else read(20)
        node = read(20)
        if foretold:
            changeset = node
    else:
        changeset = _read_changeset(model, reader)
        if _code(varint(), (_RAW, _FORETOLD)) == _RAW:
            node = read(20)
        else:
            likely = model.foretell(changeset)
            if likely is None:
                raise PackError('a hash that cannot be foretold')
            node = likely
    references = []
    nodes = model.group.nodes
    for _field in range(3):
        code = varint()
        if code == _NULL:
            references.append(NULL)
        elif code == _RAW:
            references.append(read(20))
        else:
            back = code - _BACK
            if not 0 < back <= len(nodes):
                raise PackError('a reference to no hash')
            references.append(nodes[-back])
    p1, p2, base = references
    flags = read(header - 100)
    delta = read(size - header)
    model.learn(node, changeset, delta)
    return node, p1, p2, changeset, base, delta, flags


def _read_changeset(model: _Model, reader: _Reader) -> bytes:
    code = reader.varint()
    if code == _RAW:
        return reader.read(20)
    zigzag = code - 1
    ahead = zigzag >> 1 if not zigzag & 1 else -((zigzag + 1) >> 1)
    position = model.last + ahead
    if not 0 <= position < len(model.changesets.nodes):
        raise PackError('a reference to no changeset')
    return model.changesets.nodes[position]


def _code(code: int, known: tuple[int, ...]) -> int:
    if code not in known:
        raise PackError('unknown kind of reference')
    return code


class _Reader:
    """Reads numbers of bytes from chunks of any size."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._buffer = b''
        self._position = 0

    def read(self, size: int) -> bytes:
        """Return exactly ``size`` bytes, or raise ``PackError``."""
        end = self._position + size
        if end > len(self._buffer):
            self._fill(size)
            end = size
        data = self._buffer[self._position : end]
        self._position = end
        return data

    def _fill(self, size: int) -> None:
        parts = [self._buffer[self._position :]]
        have = len(parts[0])
        while have < size:
            chunk = next(self._chunks, None)
            if chunk is None:
                raise PackError('changegroup is cut short')
            parts.append(chunk)
            have += len(chunk)
        self._buffer = b''.join(parts)
        self._position = 0

    def varint(self) -> int:
        """Return the next number."""
        position = self._position
        if position < len(self._buffer):
            # most are a byte; this is called six times a revision
            value = self._buffer[position]
            if value < 0x80:
                self._position = position + 1
                return value
        value = shift = 0
        while True:
            byte = self.read(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
            if shift > 35:
                raise PackError('a number is too large')

    def more(self) -> bool:
        """True if anything is left."""
        if self._position < len(self._buffer):
            return True
        return any(self._chunks)
