# SPDX-License-Identifier: GPL-2.0-or-later
"""Nodes that need not be in a pack, since other content of it names them.

The text of a changeset begins with the node of its manifest. The text of a
manifest has the nodes of files and subdirectories, and a delta of a manifest
inserts the nodes that are new. A file revision that belongs to a changeset is
in the manifest of that changeset and in no earlier one, so the delta has it.
One in seven bytes of a changegroup is part of a node, and no compressor can
shrink nodes.

Encoder and decoder both feed a ``Derivation`` with the same content. The encoder
puts a node into the pack if the derivation does not find it.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable

from ..codecs import deltas
from .errors import PackError

_DIGITS = 40


class Derivation:
    """The nodes that the changesets and manifests of a pack name so far."""

    def __init__(self) -> None:
        #: By changeset: the digits of the node of its manifest.
        self._roots: list[bytes] = []
        # By path: positions of changesets, and the digits of the nodes. Paths
        # of directories end in a slash. Many small objects would take three
        # times the memory.
        self._found: dict[bytes, tuple[array[int], bytearray]] = {}
        # The lines of the current directory that came.
        self._seen: set[bytes] = set()
        self._directory = b''
        #: How many lines were learned, or seen to be none, so far.
        self.lines = 0

    def add_changeset(self, text: bytes) -> None:
        """Learn from the text of the next changeset."""
        self._roots.append(text[:_DIGITS])

    def add_text(self, directory: bytes, link: int, text: bytes) -> None:
        """Learn from a text of a manifest, or from what a delta inserts.

        ``directory`` is that of the manifest, and empty or with a slash at its
        end. ``link`` is the position of the changeset in the pack.
        """
        if directory != self._directory:
            self._directory = directory
            self._seen.clear()
        found = self._found
        seen = self._seen
        before = len(seen)
        for line in text.split(b'\n'):
            # What a node belongs to came first. Deltas bring it again where
            # branches alternate, which is most of the lines of some histories.
            if line in seen:
                continue
            seen.add(line)
            path, _null, rest = line.partition(b'\0')
            if rest[_DIGITS:] == b't':
                path += b'/'
            if directory:
                path = directory + path
            digits = rest[:_DIGITS]
            if len(digits) != _DIGITS:
                # The end of a text, or no line of a manifest.
                continue
            known = found.get(path)
            if known is None:
                found[path] = (array('I', (link,)), bytearray(digits))
            else:
                known[0].append(link)
                known[1].extend(digits)
        self.lines += len(seen) - before

    def add_delta(self, directory: bytes, link: int, delta: bytes) -> None:
        """Learn from a delta of a manifest.

        Raises ``PackError`` or struct.error if it is damaged.
        """
        position = 0
        size = deltas.HUNK.size
        unpack = deltas.HUNK.unpack_from
        while position < len(delta):
            length = unpack(delta, position)[2]
            position += size
            if not 0 <= length <= len(delta) - position:
                raise PackError('a delta of a manifest is damaged')
            if length:
                self.add_text(
                    directory, link, delta[position : position + length]
                )
                position += length

    def roots(self, links: Iterable[int]) -> list[bytes]:
        """Return the digits of the manifests of these changesets."""
        roots = self._roots
        return [roots[link] for link in links]

    def take(self, path: bytes, links: Iterable[int]) -> list[bytes]:
        """Return the digits of the revisions of a file or directory.

        They belong to the changesets at the positions ``links``. An item is
        empty if its node is unknown. What is known of the path is forgotten,
        since it is asked for once.
        """
        found = self._found.pop(path, None)
        if found is None:
            return [b'' for _link in links]
        positions, digits = found
        ends = range(_DIGITS, len(digits) + 1, _DIGITS)
        known = dict(zip(positions, ends, strict=True))
        get = known.get
        return [
            bytes(digits[end - _DIGITS : end])
            for end in [get(link, 0) for link in links]
        ]
