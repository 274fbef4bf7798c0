# SPDX-License-Identifier: GPL-2.0-or-later
"""Write the index of the lines of a pack: columns, and nodes that are needed.

What an entry holds is not known here, only in which frame it is. This module
performs no I/O.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..codecs import chunks, columns
from . import layout, tablewriter
from .derivation import Derivation
from .layout import NULL, StoredRevision

_COLUMNS = 7


@dataclass(slots=True)
class LineWriter:
    """A line that is being written; lists have an item for each revision."""

    kind: bytes
    name: bytes
    number: int
    nodes: list[bytes] = field(default_factory=list)
    positions: dict[bytes, int] = field(default_factory=dict)
    outside: dict[bytes, int] = field(default_factory=dict)
    links: list[int] = field(default_factory=list)
    p1s: list[int] = field(default_factory=list)
    p2s: list[int] = field(default_factory=list)
    flags: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    frames: list[int] = field(default_factory=list)
    places: list[int] = field(default_factory=list)

    def add(
        self,
        revision: StoredRevision,
        link: int,
        size: int,
        frame: int,
        place: int,
    ) -> None:
        """Add a revision whose entry is at ``place`` of ``frame``.

        ``link`` is the position of its changeset, ``size`` that of its text.
        """
        self.p1s.append(self._reference(revision.p1))
        self.p2s.append(self._reference(revision.p2))
        self.positions[revision.node] = len(self.nodes)
        self.nodes.append(revision.node)
        self.links.append(link)
        self.flags.append(revision.flags)
        self.sizes.append(size)
        self.frames.append(frame)
        self.places.append(place)

    def _reference(self, node: bytes) -> int:
        """Return the reference of the next revision to a parent."""
        if node == NULL:
            return 0
        rev = len(self.nodes)
        position = self.positions.get(node)
        if position is not None:
            return rev - position
        return rev + 1 + self.outside.setdefault(node, len(self.outside))

    def columns(self) -> tuple[list[int], ...]:
        """Return the rows of this line in the table of an index."""
        return (
            columns.diff(self.links),
            self.p1s,
            self.p2s,
            self.flags,
            columns.diff(self.sizes),
            columns.diff(self.frames),
            columns.diff(self.places),
        )


def index_block(
    lines: Sequence[LineWriter], derivation: Derivation, codec: chunks.Codec
) -> bytes:
    """Return the block with the index of these lines, which are complete."""
    tables: list[list[int]] = [[] for _column in range(_COLUMNS)]
    outside: list[bytes] = []
    nodes: list[bytes] = []
    unknown: list[int] = []
    count = 0
    for line in lines:
        for table, values in zip(tables, line.columns(), strict=True):
            table.extend(values)
        outside.extend(line.outside)
        for rev, (node, digits) in enumerate(
            zip(line.nodes, _digits(line, derivation), strict=True)
        ):
            if node.hex().encode() != digits:
                unknown.append(count + rev)
                nodes.append(node)
        count += len(line.nodes)
    return layout.block(
        layout.INDEX,
        layout.join(
            b'%d %d %d' % (len(lines), len(outside), len(nodes)),
            tablewriter.encode(
                codec,
                (
                    [len(line.nodes) for line in lines],
                    [len(line.outside) for line in lines],
                ),
            ),
            tablewriter.encode(codec, tables),
            b''.join(outside),
            tablewriter.encode(codec, (columns.diff(unknown),)),
            b''.join(nodes),
        ),
    )


def _digits(line: LineWriter, derivation: Derivation) -> list[bytes]:
    """Return the digits of the nodes that the decoder will derive."""
    if line.kind == layout.MANIFEST and not line.name:
        return derivation.roots(line.links)
    return derivation.take(line.name, line.links)
