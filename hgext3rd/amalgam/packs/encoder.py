# SPDX-License-Identifier: GPL-2.0-or-later
"""Writing a pack from the revisions of a changegroup, in their order.

Deltas are taken over as they come; nothing is diffed. A revision whose base is
in the frame that is being filled becomes a delta of that entry. If the base is
outside of the pack, it becomes a delta of an outside revision. If the base is in
an earlier frame of the pack, the full text is asked for, so that frames do not
depend on each other.

This module performs no I/O: the caller feeds revisions and takes bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from mercurial import mdiff

from ..codecs import chunks, columns, deltas
from . import layout
from .derivation import Derivation
from .layout import NULL, Revision

#: Raw bytes at which a frame ends. More bytes compress better, and take longer
#: to read for one revision.
FRAME_BYTES = 1 << 20
#: ... or this many times the largest full text in the frame, if that is more.
#: Otherwise full texts would be most of what is stored.
TEXTS_PER_FRAME = 4
#: Bytes of texts at which a block of changesets ends. Repetitions are found
#: within a block.
TEXT_BYTES = 4 << 20
#: Revisions at which the index of the lines since the last one is written.
INDEX_REVISIONS = 16_000
#: Bytes of one block of a frame; a larger frame takes several blocks.
PIECE_BYTES = 64 << 20


class Texts(Protocol):
    """What an encoder asks the repository for."""

    def full_text(self, kind: bytes, name: bytes, node: bytes) -> bytes:
        """Return the raw text of a revision, b'' if it is the null revision.

        ``kind`` is that of a line, or ``layout.CHANGESETS``.
        """

    def raw_size(self, kind: bytes, name: bytes, node: bytes) -> int:
        """Return the number of bytes of that text."""


@dataclass(slots=True)
class _Line:
    """A line that is being written; lists have an item for each revision."""

    kind: bytes
    name: bytes
    number: int
    nodes: list[bytes] = field(default_factory=list)
    positions: dict[bytes, int] = field(default_factory=dict)
    outside: dict[bytes, int] = field(default_factory=dict)
    outside_sizes: dict[bytes, int] = field(default_factory=dict)
    links: list[int] = field(default_factory=list)
    p1s: list[int] = field(default_factory=list)
    p2s: list[int] = field(default_factory=list)
    flags: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    frames: list[int] = field(default_factory=list)
    places: list[int] = field(default_factory=list)

    def reference(self, node: bytes) -> int:
        """Return the reference of the next revision to a parent."""
        if node == NULL:
            return 0
        rev = len(self.links)
        position = self.positions.get(node)
        if position is not None:
            return rev - position
        return rev + 1 + self.outside.setdefault(node, len(self.outside))


class _Frame:
    """The frame that is being filled."""

    __slots__ = (
        'bases',
        'distances',
        'entries',
        'kind',
        'largest',
        'lines',
        'links',
        'number',
        'revs',
        'size',
    )

    def __init__(self, number: int, kind: bytes) -> None:
        self.number = number
        self.kind = kind
        self.lines: list[int] = []
        self.revs: list[int] = []
        self.links: list[int] = []
        self.distances: list[int] = []
        self.entries: list[bytes] = []
        # The outside revisions that entries are deltas of: line, node.
        self.bases: dict[tuple[int, bytes], int] = {}
        self.size = 0
        self.largest = 0

    def add(
        self, line: int, rev: int, link: int, data: bytes, distance: int
    ) -> int:
        """Add an entry and return its number."""
        self.lines.append(line)
        self.revs.append(rev)
        self.links.append(link)
        self.distances.append(distance)
        self.entries.append(data)
        self.size += len(data)
        if distance <= 0 and len(data) > self.largest:
            self.largest = len(data)
        return len(self.entries) - 1

    def outside(self, line: int, node: bytes) -> int:
        """Return the distance that stands for an outside revision."""
        return -1 - self.bases.setdefault((line, node), len(self.bases))

    def is_full(self, size: int) -> bool:
        """Return whether the frame ends, if frames have ``size`` bytes."""
        return self.size >= min(
            max(size, TEXTS_PER_FRAME * self.largest), layout.MOST_FRAME
        )


class Encoder:
    """Writes one pack.

    Call ``changeset`` for all changesets, then ``begin`` and ``revision`` for
    each line, then ``finish``. After each call, ``take`` returns the bytes that
    are complete. ``level`` is that of zstd. ``trees`` says that the repository
    has tree manifests. Frames end at ``frame_bytes`` (see ``FRAME_BYTES``).
    """

    def __init__(
        self,
        texts: Texts,
        level: int,
        trees: bool = False,
        frame_bytes: int = FRAME_BYTES,
    ) -> None:
        self._texts = texts
        self._frame_bytes = frame_bytes
        self._codec = chunks.Codec('zstd', level)
        self._derivation = Derivation()
        self._out: list[bytes] = [
            layout.HEAD.pack(
                layout.MAGIC, layout.VERSION, layout.TREES if trees else 0
            )
        ]
        # changesets
        self._changesets: dict[bytes, int] = {}
        self._outside: dict[bytes, int] = {}
        self._outside_written = 0
        self._pending: list[bytes] = []
        self._pending_size = 0
        self._columns: list[list[int]] = [[], [], [], []]
        self._last = (NULL, b'')
        # lines
        self._names: dict[bytes, list[bytes]] = {
            layout.MANIFEST: [],
            layout.FILE: [],
        }
        self._named = 0
        self._line: _Line | None = None
        self._lines: list[_Line] = []
        self._indexed = 0
        self._frame: _Frame | None = None
        self._frames = 0
        self._revisions = 0

    def take(self) -> list[bytes]:
        """Return the bytes that were completed since the last call."""
        out, self._out = self._out, []
        return out

    def _block(self, kind: bytes, *values: bytes) -> None:
        self._out.append(layout.block(kind, layout.join(*values)))

    def _table(self, values: Iterable[list[int]]) -> bytes:
        table = list(values)
        return self._codec.encode(columns.pack(table)) if table[0] else b''

    # changesets

    def changeset(self, revision: Revision) -> None:
        """Add the next changeset."""
        node, p1, p2, _link, base, delta, flags = revision
        text = self._text_of(base, delta)
        self._last = (node, text)
        position = len(self._changesets)
        for column, value in zip(
            self._columns,
            (
                self._changeset_reference(p1, position),
                self._changeset_reference(p2, position),
                flags,
                len(text),
            ),
            strict=True,
        ):
            column.append(value)
        self._changesets[node] = position
        self._derivation.add_changeset(text)
        self._pending.append(text)
        self._pending_size += len(text)
        if self._pending_size >= TEXT_BYTES:
            self._end_changesets()

    def _text_of(self, base: bytes, delta: bytes) -> bytes:
        """Return the text of a changeset."""
        if base == NULL:
            text = deltas.inserted_text(delta)
            if text is not None:
                return text
            known = b''
        elif base == self._last[0]:
            known = self._last[1]
        else:
            known = self._texts.full_text(layout.CHANGESETS, b'', base)
        return bytes(mdiff.patches(known, [delta])) if delta else known

    def _changeset_reference(self, node: bytes, position: int) -> int:
        if node == NULL:
            return 0
        known = self._changesets.get(node)
        if known is not None:
            return position - known
        return position + 1 + self._outside.setdefault(node, len(self._outside))

    def _end_changesets(self) -> None:
        """Write the changesets that were added since the last block."""
        if not self._pending:
            return
        outside = list(self._outside)[self._outside_written :]
        if outside:
            self._outside_written += len(outside)
            self._out.append(layout.block(layout.OUTSIDE, b''.join(outside)))
        self._block(
            layout.CHANGESETS,
            b'%d' % len(self._pending),
            self._table(self._columns),
            self._codec.encode(b''.join(self._pending)),
        )
        self._pending, self._pending_size = [], 0
        self._columns = [[], [], [], []]

    # lines

    def begin(self, kind: bytes, name: bytes) -> None:
        """Begin the line of a directory or file. Its revisions follow."""
        self._end_changesets()
        self._end_line()
        frame = self._frame
        if frame is not None and (
            frame.kind != kind or frame.is_full(self._frame_bytes)
        ):
            self._end_frame()
        if self._lines and (
            self._lines[0].kind != kind or self._indexed >= INDEX_REVISIONS
        ):
            self._end_frame()
            self._write_index()
        self._line = _Line(kind, name, len(self._names[kind]))

    def revision(self, revision: Revision) -> None:
        """Add the next revision of the line."""
        line = self._line
        assert line is not None
        node, p1, p2, link, base, delta, flags = revision
        if not line.links:
            # Lines without revisions are left out.
            names = self._names[line.kind]
            if not names:
                self._named = 0
            names.append(line.name)
        frame = self._frame
        if frame is not None and frame.is_full(self._frame_bytes):
            self._end_frame()
            frame = None
        if frame is None:
            self._frames += 1
            frame = self._frame = _Frame(self._frames - 1, line.kind)
        rev = len(line.links)
        p1_reference = line.reference(p1)
        p2_reference = line.reference(p2)
        position = line.positions.get(base)
        text: bytes | None = None
        if base == NULL:
            text = deltas.inserted_text(delta)
            if text is None:
                text = bytes(mdiff.patches(b'', [delta])) if delta else b''
        elif position is None:
            before = line.outside_sizes.get(base)
            if before is None:
                before = self._texts.raw_size(line.kind, line.name, base)
                line.outside_sizes[base] = before
            size = mdiff.patchedsize(before, delta)
            distance = frame.outside(line.number, base)
        elif line.frames[position] != frame.number:
            text, delta, distance = self._again(line, frame, node, (p1, p2))
            size = len(text)
            if distance:
                text = None
        else:
            size = mdiff.patchedsize(line.sizes[position], delta)
            distance = len(frame.entries) - line.places[position]
        if text is not None:
            size, distance, delta = len(text), 0, text
        link_position = self._changesets.get(link, -1)
        if link_position < 0:
            raise ValueError('a revision of a changeset outside of the pack')
        place = frame.add(line.number, rev, link_position, delta, distance)
        if line.kind == layout.MANIFEST:
            if text is not None:
                self._derivation.add_text(line.name, link_position, text)
            else:
                self._derivation.add_delta(line.name, link_position, delta)
        line.nodes.append(node)
        line.positions[node] = rev
        line.links.append(link_position)
        line.p1s.append(p1_reference)
        line.p2s.append(p2_reference)
        line.flags.append(flags)
        line.sizes.append(size)
        line.frames.append(frame.number)
        line.places.append(place)

    def _again(
        self, line: _Line, frame: _Frame, node: bytes, parents: Iterable[bytes]
    ) -> tuple[bytes, bytes, int]:
        """Make another entry of a revision whose base is in another frame.

        Return the full text; and a delta of an entry of this frame with its
        distance, or b'' and 0.
        """
        text = self._texts.full_text(line.kind, line.name, node)
        best, distance = text, 0
        candidates = {
            rev
            for rev in (
                *(line.positions.get(parent, -1) for parent in parents),
                len(line.links) - 1,
            )
            if rev >= 0 and line.frames[rev] == frame.number
        }
        for rev in sorted(candidates):
            known = self._texts.full_text(line.kind, line.name, line.nodes[rev])
            delta = mdiff.textdiff(known, text)
            if len(delta) < len(best):
                best = delta
                distance = len(frame.entries) - line.places[rev]
        return text, best if distance else b'', distance

    def _end_line(self) -> None:
        line, self._line = self._line, None
        if line is not None and line.links:
            self._lines.append(line)
            self._indexed += len(line.links)

    def _end_frame(self) -> None:
        """Write the frame that is being filled, and the names of its lines."""
        frame, self._frame = self._frame, None
        if frame is None:
            return
        names = self._names[frame.kind]
        if self._named < len(names):
            new = names[self._named :]
            self._named = len(names)
            self._block(
                layout.NAMES,
                frame.kind,
                b'%d' % len(new),
                self._codec.encode(b'\0'.join(new)),
            )
        lines = columns.diff([line for line, _node in frame.bases])
        nodes = b''.join(node for _line, node in frame.bases)
        table = [
            columns.diff(frame.lines),
            columns.diff(frame.revs),
            frame.distances,
            list(map(len, frame.entries)),
        ]
        if frame.kind == layout.MANIFEST:
            # Deriving nodes needs them before the index comes.
            table.append(columns.diff(frame.links))
        pieces = self._pieces(frame)
        self._block(
            layout.FRAME,
            b'%d %d' % (len(frame.entries), len(frame.bases)),
            self._table([lines]),
            nodes,
            self._table(table),
            next(pieces, b''),
        )
        for piece in pieces:
            self._out.append(layout.block(layout.CONTINUATION, piece))

    def _pieces(self, frame: _Frame) -> Iterator[bytes]:
        if frame.size < PIECE_BYTES:
            yield self._codec.encode(b''.join(frame.entries))
        else:
            yield from self._codec.encode_stream(
                frame.entries, frame.size, PIECE_BYTES
            )

    def _write_index(self) -> None:
        """Write the index of the lines that were completed."""
        lines, self._lines, self._indexed = self._lines, [], 0
        if not lines:
            return
        tables: list[list[int]] = [[] for _column in range(7)]
        outside: list[bytes] = []
        nodes: list[bytes] = []
        unknown: list[int] = []
        count = 0
        for line in lines:
            for table, values in zip(
                tables,
                (
                    columns.diff(line.links),
                    line.p1s,
                    line.p2s,
                    line.flags,
                    columns.diff(line.sizes),
                    columns.diff(line.frames),
                    columns.diff(line.places),
                ),
                strict=True,
            ):
                table.extend(values)
            outside.extend(line.outside)
            for rev, (node, digits) in enumerate(
                zip(line.nodes, self._digits(line), strict=True)
            ):
                if node.hex().encode() != digits:
                    unknown.append(count + rev)
                    nodes.append(node)
            count += len(line.links)
        self._revisions += count
        self._block(
            layout.INDEX,
            b'%d %d %d' % (len(lines), len(outside), len(nodes)),
            self._table(
                (
                    [len(line.links) for line in lines],
                    [len(line.outside) for line in lines],
                )
            ),
            self._table(tables),
            b''.join(outside),
            self._table((columns.diff(unknown),)),
            b''.join(nodes),
        )

    def _digits(self, line: _Line) -> list[bytes]:
        """Return the digits of the nodes that the decoder will derive."""
        if line.kind == layout.MANIFEST and not line.name:
            return self._derivation.roots(line.links)
        return self._derivation.take(line.name, line.links)

    def finish(self) -> None:
        """Complete the pack."""
        self._end_changesets()
        self._end_line()
        self._end_frame()
        self._write_index()
        self._out.append(
            layout.block(
                layout.END,
                b'%d %d %d'
                % (len(self._changesets), self._revisions, self._frames),
            )
        )
