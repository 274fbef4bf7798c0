# SPDX-License-Identifier: GPL-2.0-or-later
"""What the writer and the reader of a packed changegroup both know.

Pure. One in seven bytes of a strongly compressed changegroup is part of a hash
in the header of a delta, which no compressor can shrink. Nearly all these
hashes have been seen before: parents and delta bases as nodes of the same
group, the node of a manifest as the hexadecimal digits at the start of a
changeset's text, the node of a file revision in the delta of that changeset's
manifest. The model remembers them, so that ``pack`` can write a small number
instead and ``packreading`` can find the hash again. A hash that cannot be
predicted is written as it is, so every changegroup of the known versions comes
back exactly.

Layout: the version as two digits, then the chunks of the changegroup in order.
A chunk is its length as a varint, and its content. Length 0 ends a group or a
list of names. The content is either the name of a file or directory, or a
delta: the references that stand for the hashes of its header, the flags (two
bytes, in version 03 only), and the delta itself.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

NULL = b'\0' * 20

#: Bytes of a delta header by version (mercurial.changegroup): the node, two
#: parents, the delta base, the changeset; 03 has 16 bits of flags after them.
HEADERS = {b'02': 100, b'03': 102}

#: The kinds of references: a hash follows; the null hash; the hash that was
#: predicted. From ``BACK`` on, references count back in the hashes of the group.
RAW = 0
NULL_HASH = 1
PREDICTED = 2
BACK = 3

#: The header of a hunk of a delta: start, end, length of the text that follows.
_HUNK = struct.Struct('>III')
_HEX = re.compile(rb'[0-9a-f]{40}')
_MANIFEST_LINE = re.compile(rb'([^\0\n]+)\0([0-9a-f]{40})')

#: An item is None for the end of a group or of a list of names, a name, or a
#: delta: node, two parents, changeset, delta base, the delta, and two bytes of
#: flags (empty in version 02).
Delta = tuple[bytes, bytes, bytes, bytes, bytes, bytes, bytes]
Item = bytes | Delta | None


class PackError(ValueError):
    """The bytes are not a packed changegroup, or it is cut short."""


@dataclass(slots=True)
class Group:
    """The hashes of one group by position, and positions by hash."""

    nodes: list[bytes] = field(default_factory=list)
    positions: dict[bytes, int] = field(default_factory=dict)

    def add(self, node: bytes) -> None:
        """Add the hash of the next revision."""
        self.positions[node] = len(self.nodes)
        self.nodes.append(node)


class Model:
    """What writer and reader both know after the chunks so far.

    ``group`` has the hashes of the current group, ``changesets`` those of the
    first one. ``in_changesets`` is true in the first group; ``in_group`` is
    false in a list of names, each of which precedes a group; ``over`` is true
    after the last chunk.
    """

    def __init__(self, version: bytes) -> None:
        self.version = version
        self.changesets = Group()
        self.group = self.changesets
        #: The position of the changeset of the last chunk. Positions are sent
        #: as differences to it, which are small numbers.
        self.last = 0
        self.in_changesets = True
        self.in_group = True
        self.over = False
        self._in_manifest = False
        # Version 03 has a list of directories between root manifest and files.
        self._lists = 2 if version == b'03' else 1
        self._name = b''
        self._manifests: dict[bytes, bytes] = {}
        self._files: dict[tuple[bytes, bytes], bytes] = {}

    def end(self) -> None:
        """Take a chunk of length 0: a group or a list of names ends."""
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
        """Take a chunk that names the file or directory of the next group."""
        self._name = name
        self.in_group = True
        self._begin()

    def _begin(self) -> None:
        self.group = Group()
        self.last = 0

    def foretell(self, changeset: bytes) -> bytes | None:
        """Return the node that ``changeset`` is likely to have here."""
        if self._in_manifest:
            return self._manifests.get(changeset)
        return self._files.get((changeset, self._name))

    def learn(self, node: bytes, changeset: bytes, delta: bytes) -> None:
        """Take a delta that both sides have now."""
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
