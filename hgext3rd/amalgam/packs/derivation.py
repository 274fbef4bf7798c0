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
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice, repeat

from ..codecs import deltas
from .errors import PackError

_DIGITS = 40


class Derivation:
    """The nodes that the changesets and manifests of a pack name so far.

    All manifest lines of a history go through here. So they are collected by
    functions that run in C, and taken apart when a node is asked for.
    """

    def __init__(self) -> None:
        #: By changeset: the digits of the node of its manifest.
        self._roots: list[bytes] = []
        # By path: positions of changesets, and the digits of the nodes. Paths
        # of directories end in a slash. Many small objects would take three
        # times the memory.
        self._found: dict[bytes, tuple[array[int], bytearray]] = {}
        # The manifest lines of the current directory, in the order in which
        # they came first, with the position of the changeset that they came
        # with. What a node belongs to came first: deltas bring a line again
        # where branches alternate.
        self._lines: dict[bytes, int] = {}
        # How many of these were taken apart.
        self._learned = 0
        # How many lines of other directories came.
        self._before = 0
        self._directory = b''

    @property
    def lines(self) -> int:
        """How many different manifest lines came so far."""
        return self._before + len(self._lines)

    def add_changesets(self, texts: Iterable[bytes]) -> None:
        """Learn from the texts of the next changesets."""
        self._roots += [text[:_DIGITS] for text in texts]

    def add_text(self, directory: bytes, link: int, text: bytes) -> None:
        """Learn from a text of a manifest.

        ``directory`` is that of the manifest, and empty or with a slash at its
        end. ``link`` is the position of the changeset in the pack.
        """
        self._add_lines(directory, link, text.split(b'\n'))

    def add_delta(self, directory: bytes, link: int, delta: bytes) -> None:
        """Learn from a delta of a manifest.

        Raises ``PackError`` or struct.error if it is damaged.
        """
        texts = []
        position = 0
        total = len(delta)
        size = deltas.HUNK.size
        unpack = deltas.HUNK.unpack_from
        if total and unpack(delta)[2] == total - size:
            # A single hunk: half of all deltas.
            self._add_lines(directory, link, delta[size:].split(b'\n'))
            return
        while position < total:
            length = unpack(delta, position)[2]
            position += size
            if length:
                end = position + length
                if not position < end <= total:
                    raise PackError('a delta of a manifest is damaged')
                texts.append(delta[position:end])
                position = end
        # The same as the lines of each text.
        self._add_lines(directory, link, b'\n'.join(texts).split(b'\n'))

    def _add_lines(
        self, directory: bytes, link: int, lines: list[bytes]
    ) -> None:
        if directory != self._directory:
            self.end_directory()
            self._directory = directory
        deque(map(self._lines.setdefault, lines, repeat(link)), maxlen=0)

    def end_directory(self) -> None:
        """Forget which lines came: a manifest of another directory follows."""
        self._learn()
        self._before += len(self._lines)
        self._lines.clear()
        self._learned = 0

    def _learn(self) -> None:
        """Take apart the lines that are new since the last call."""
        found = self._found
        directory = self._directory
        for line, link in islice(self._lines.items(), self._learned, None):
            path, _null, digits = line.partition(b'\0')
            if len(digits) != _DIGITS:
                if len(digits) < _DIGITS:
                    # The end of a text, or no line of a manifest.
                    continue
                if digits[_DIGITS:] == b't':
                    path += b'/'
                digits = digits[:_DIGITS]
            if directory:
                path = directory + path
            known = found.get(path)
            if known is None:
                found[path] = (array('q', (link,)), bytearray(digits))
            else:
                known[0].append(link)
                known[1].extend(digits)
        self._learned = len(self._lines)

    def paths(self) -> list[bytes]:
        """Return the names of all files and directories that came so far."""
        self._learn()
        return list(self._found)

    def nodes(self, path: bytes) -> list[bytes]:
        """Return the nodes that came for a path so far, as bytes.

        Raises ``ValueError`` for digits that are none.
        """
        found = self._found.get(path)
        if found is None:
            return []
        data = bytes.fromhex(found[1].decode('latin1'))
        return [data[at : at + 20] for at in range(0, len(data), 20)]

    def roots(self, links: Iterable[int]) -> list[bytes]:
        """Return the digits of the manifests of these changesets."""
        roots = self._roots
        return [roots[link] for link in links]

    def take(self, path: bytes, links: Sequence[int]) -> list[bytes]:
        """Return the digits of the revisions of a file or directory.

        They belong to the changesets at the positions ``links``. An item is
        empty if its node is unknown. What is known of the path is forgotten,
        since it is asked for once.
        """
        self._learn()
        found = self._found.pop(path, None)
        if found is None:
            return [b''] * len(links)
        positions, digits = found
        ends = range(_DIGITS, len(digits) + 1, _DIGITS)
        known = dict(zip(positions, ends, strict=True))
        get = known.get
        return [
            bytes(digits[end - _DIGITS : end])
            for end in [get(link, 0) for link in links]
        ]

    def take_joined(self, path: bytes, links: array[int]) -> bytes:
        """Return what ``take`` does, as one value."""
        self._learn()
        found = self._found.get(path)
        if (
            found is not None
            and found[0] == links
            and len(set(links)) == len(links)
        ):
            # Most paths: the nodes are wanted in the order in which they came.
            del self._found[path]
            return bytes(found[1])
        return b''.join(self.take(path, links))
