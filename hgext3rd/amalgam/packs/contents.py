# SPDX-License-Identifier: GPL-2.0-or-later
"""What the blocks of a pack hold, after they were read.

``decoder`` makes these objects, and has checked what they hold. They are tuples,
since a clone makes many: a frozen dataclass takes seven times as long.

This module performs no I/O except that it reads the data of frames from the file
of the pack.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import IO, NamedTuple

from ..codecs import chunks
from .errors import PackError
from .layout import NODE_SIZE, NULL, TEXT_HEAD


class Changesets(NamedTuple):
    """Consecutive changesets; ``first`` is the position of the first.

    Lists have an item for each: its node, its parents (nodes), its flags, and
    its text.
    """

    first: int
    nodes: list[bytes]
    parents: list[tuple[bytes, bytes]]
    flags: Sequence[int]
    texts: list[bytes]


class Pieces:
    """The data of a frame, which stays in the file of the pack.

    An index of the lines comes after all frames of a line, and these may be most
    of the pack. Iterating reads one piece after the other, and leaves the file
    where it was.
    """

    __slots__ = ('_places', '_stream', 'size')

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._places: list[tuple[int, int]] = []
        self.size = 0

    def add(self, start: int, size: int) -> None:
        """Add the ``size`` bytes at ``start`` of the file."""
        self._places.append((start, size))
        self.size += size

    def __iter__(self) -> Iterator[bytes]:
        stream = self._stream
        for start, size in self._places:
            before = stream.tell()
            stream.seek(start)
            piece = stream.read(size)
            stream.seek(before)
            if len(piece) != size:
                raise PackError('the pack is cut short')
            yield piece


class PackedFrame(NamedTuple):
    """A frame. Lists have an item for each of its entries.

    ``lines`` are the numbers of their lines, ``revs`` their numbers in the
    line. A distance is 0 for a full text, d > 0 for a delta of the entry d
    before, and -k for a delta of the outside revision ``bases[k - 1]``, which
    is a line and a node. ``pieces`` together are a chunk (see ``chunks``) of
    the entries, whose lengths are ``lengths``.
    """

    kind: bytes
    number: int
    lines: Sequence[int]
    revs: Sequence[int]
    distances: Sequence[int]
    lengths: Sequence[int]
    bases: list[tuple[int, bytes]]
    pieces: Pieces

    def entries(self) -> list[bytes]:
        """Return the entries, decompressed. Raises PackError if damaged."""
        size = sum(self.lengths)
        try:
            data = chunks.decode_limited(list(self.pieces), size)
        except chunks.ChunkError as exc:
            raise PackError(f'damaged pack: {exc}') from exc
        return split(data, self.lengths)


class Columns(NamedTuple):
    """The columns of an index, with an item for each revision of all its lines.

    ``nodes`` has 20 bytes for each. ``links`` are positions of changesets.
    ``p1s`` and ``p2s`` are references (see ``layout``). ``sizes`` are bytes of
    raw texts. ``frames`` and ``places`` say which entry of which frame of the
    pack has the content. Columns whose names end with ``diffs`` have the same as
    differences, which begin anew with each line.
    """

    nodes: bytes
    links: Sequence[int]
    link_diffs: Sequence[int]
    p1s: Sequence[int]
    p2s: Sequence[int]
    flags: Sequence[int]
    sizes: Sequence[int]
    size_diffs: Sequence[int]
    frames: Sequence[int]
    frame_diffs: Sequence[int]
    places: Sequence[int]


class Line:
    """The index of a line.

    ``outside`` are the nodes that references outside of the pack mean.
    ``columns`` has its revisions from number ``start`` to ``stop``, without the
    last. The other attributes are parts of these columns, made when they are
    asked for: an index has many lines, and few users need all columns.
    """

    __slots__ = (
        'columns',
        'kind',
        'name',
        'number',
        'outside',
        'start',
        'stop',
    )

    def __init__(
        self,
        kind: bytes,
        name: bytes,
        number: int,
        outside: list[bytes],
        columns: Columns,
        start: int,
        stop: int,
    ) -> None:
        self.kind = kind
        self.name = name
        self.number = number
        self.outside = outside
        self.columns = columns
        self.start = start
        self.stop = stop

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def joined_nodes(self) -> bytes:
        """The nodes, one after the other."""
        start, stop = self.start * NODE_SIZE, self.stop * NODE_SIZE
        return self.columns.nodes[start:stop]

    @property
    def nodes(self) -> list[bytes]:
        """The nodes."""
        joined = self.columns.nodes
        return [
            joined[n : n + NODE_SIZE]
            for n in range(
                self.start * NODE_SIZE, self.stop * NODE_SIZE, NODE_SIZE
            )
        ]

    @property
    def links(self) -> Sequence[int]:
        """The positions of the changesets."""
        return self.columns.links[self.start : self.stop]

    @property
    def p1s(self) -> Sequence[int]:
        """The references to first parents."""
        return self.columns.p1s[self.start : self.stop]

    @property
    def p2s(self) -> Sequence[int]:
        """The references to second parents."""
        return self.columns.p2s[self.start : self.stop]

    @property
    def flags(self) -> Sequence[int]:
        """The flags."""
        return self.columns.flags[self.start : self.stop]

    @property
    def sizes(self) -> Sequence[int]:
        """The sizes of the raw texts in bytes."""
        return self.columns.sizes[self.start : self.stop]

    @property
    def frames(self) -> Sequence[int]:
        """The frames that have the content."""
        return self.columns.frames[self.start : self.stop]

    @property
    def places(self) -> Sequence[int]:
        """The entries in these frames."""
        return self.columns.places[self.start : self.stop]

    def parent(self, rev: int, reference: int) -> bytes:
        """Return the node that a reference of revision ``rev`` means."""
        if not reference:
            return NULL
        if reference > rev:
            return self.outside[reference - rev - 1]
        at = (self.start + rev - reference) * NODE_SIZE
        return self.columns.nodes[at : at + NODE_SIZE]


class Index(NamedTuple):
    """The index of all lines that were completed since the last index."""

    kind: bytes
    lines: list[Line]


class Names(NamedTuple):
    """Lines that begin: their kind, names, and the number of the first."""

    kind: bytes
    first: int
    names: list[bytes]


Event = Changesets | Names | PackedFrame | Index


def check_range(values: Sequence[int], low: int, high: int, what: str) -> None:
    """Raise PackError unless all values are from ``low`` to ``high``."""
    if values and (min(values) < low or max(values) > high):
        raise PackError(f'{what} is out of range')


def split(data: bytes, lengths: Sequence[int]) -> list[bytes]:
    """Return the parts of ``data`` with these lengths, which are all of it.

    Raises PackError if they are not.
    """
    check_range(lengths, 0, len(data), 'the length of a text')
    ends = list(accumulate(lengths))
    if (ends[-1] if ends else 0) != len(data):
        raise PackError('texts do not match their lengths')
    return [
        data[end - length : end]
        for end, length in zip(ends, lengths, strict=True)
    ]


def joined_texts(
    data: bytes, lengths: Sequence[int], middles: Sequence[int]
) -> list[bytes]:
    """Return the texts of changesets, whose parts are stored apart.

    ``data`` holds the heads of all texts, then the middle parts, then the rest.
    ``lengths`` are those of texts, ``middles`` those of middle parts. Raises
    ``PackError`` if they do not match.
    """
    check_range(lengths, 0, len(data), 'the length of a changeset')
    check_range(middles, 0, len(data), 'a part of a changeset')
    heads = [length if length < TEXT_HEAD else TEXT_HEAD for length in lengths]
    rests = [
        length - head - middle
        for length, head, middle in zip(lengths, heads, middles, strict=True)
    ]
    check_range(rests, 0, len(data), 'a part of a changeset')
    count = len(lengths)
    parts = split(data, [*heads, *middles, *rests])
    return [
        head + middle + rest
        for head, middle, rest in zip(
            parts[:count],
            parts[count : 2 * count],
            parts[2 * count :],
            strict=True,
        )
    ]
