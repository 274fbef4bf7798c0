# SPDX-License-Identifier: GPL-2.0-or-later
"""Write a frame of a pack.

Which delta an entry is was decided before (see ``choosing``). This module
performs no I/O.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..codecs import chunks, columns
from . import layout, tablewriter

#: A frame ends at this many times the largest full text in it, if that is more
#: than its usual size. Otherwise full texts would be most of what is stored.
TEXTS_PER_FRAME = 4
#: The copy of an outside revision takes its size, that of another one of the same
#: line one in FURTHER_COPY bytes of it: most are small deltas of each other.
FURTHER_COPY = 16
#: Bytes of the texts of outside revisions at which a frame ends in any case.
#: Receivers may refuse twice as much.
MOST_OUTSIDE = layout.MOST_FRAME // 2
#: Bytes of a text so large that another line begins another frame. Frames would
#: otherwise end within the lines of large files, and repeat their texts.
LARGE_TEXT = 2 << 20
#: Bytes of one block of a frame; a larger frame takes several blocks.
PIECE_BYTES = 64 << 20


class FrameWriter:
    """The frame that is being filled."""

    __slots__ = (
        '_bases',
        '_copies',
        '_distances',
        '_entries',
        '_largest',
        '_last_line',
        '_lines',
        '_links',
        '_outside',
        '_revs',
        '_size',
        'kind',
        'number',
    )

    def __init__(self, number: int, kind: bytes) -> None:
        self.number = number
        self.kind = kind
        self._lines: list[int] = []
        self._revs: list[int] = []
        self._links: list[int] = []
        self._distances: list[int] = []
        self._entries: list[bytes] = []
        # The outside revisions that entries are deltas of: line, node.
        self._bases: dict[tuple[int, bytes], int] = {}
        self._size = 0
        self._largest = 0
        # Bytes of the texts of outside revisions, and an estimate of what copies
        # of them take: receivers may have to put them into the frame.
        self._outside = 0
        self._copies = 0
        self._last_line = -1

    def add(
        self,
        line: int,
        rev: int,
        link: int,
        data: bytes,
        base: int | bytes | None,
        outside: int = 0,
    ) -> int:
        """Add an entry and return its place.

        It is revision ``rev`` of the line. ``base`` is the place of an entry
        that ``data`` is a delta of, or the node of an outside revision, or None
        for a full text. ``outside`` is the size of an outside revision.
        """
        place = len(self._entries)
        if base is None:
            distance = 0
        elif isinstance(base, bytes):
            number = self._bases.get((line, base))
            if number is None:
                number = self._bases[line, base] = len(self._bases)
                self._outside += outside
                if line != self._last_line:
                    self._last_line = line
                    self._copies += outside
                    self._largest = max(self._largest, outside)
                else:
                    self._copies += outside // FURTHER_COPY
            distance = -1 - number
        else:
            distance = place - base
        self._lines.append(line)
        self._revs.append(rev)
        self._links.append(link)
        self._distances.append(distance)
        self._entries.append(data)
        self._size += len(data)
        if distance <= 0 and len(data) > self._largest:
            self._largest = len(data)
        return place

    def is_full(self, size: int) -> bool:
        """Return whether the frame ends, if frames have ``size`` bytes."""
        return self._outside >= MOST_OUTSIDE or (
            self._size + self._copies
            >= min(
                max(size, TEXTS_PER_FRAME * self._largest), layout.MOST_FRAME
            )
        )

    @property
    def is_large(self) -> bool:
        """Whether the frame has a large text, and should have one line only."""
        return self._largest >= LARGE_TEXT

    def blocks(self, codec: chunks.Codec) -> Iterator[bytes]:
        """Yield the blocks of the frame."""
        table = [
            columns.diff(self._lines),
            columns.diff(self._revs),
            self._distances,
            list(map(len, self._entries)),
        ]
        if self.kind == layout.MANIFEST:
            # Deriving nodes needs them before the index comes.
            table.append(columns.diff(self._links))
        pieces = self._pieces(codec)
        yield layout.block(
            layout.FRAME,
            layout.join(
                b'%d %d' % (len(self._entries), len(self._bases)),
                tablewriter.encode(
                    codec, [columns.diff([line for line, _ in self._bases])]
                ),
                b''.join(node for _line, node in self._bases),
                tablewriter.encode(codec, table),
                next(pieces, b''),
            ),
        )
        for piece in pieces:
            yield layout.block(layout.CONTINUATION, piece)

    def _pieces(self, codec: chunks.Codec) -> Iterator[bytes]:
        if self._size < PIECE_BYTES:
            yield codec.encode(b''.join(self._entries))
        else:
            yield from codec.encode_stream(
                self._entries, self._size, PIECE_BYTES
            )
