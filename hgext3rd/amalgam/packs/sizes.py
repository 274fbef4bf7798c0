# SPDX-License-Identifier: GPL-2.0-or-later
"""The sizes of texts that a changegroup describes by deltas.

This module performs no I/O except that it asks for sizes.
"""

from __future__ import annotations

from mercurial import mdiff

from ..codecs import deltas
from .layout import NULL, Revision, StoredRevision
from .linewriter import LineWriter
from .texts import Texts


class Sizes:
    """The sizes of the revisions that a line has deltas of."""

    def __init__(self, texts: Texts) -> None:
        self._texts = texts
        self._outside: dict[bytes, int] = {}

    def begin(self) -> None:
        """Begin another line."""
        self._outside.clear()

    def size(self, line: LineWriter, node: bytes) -> int:
        """Return the size of the text of an earlier or outside revision."""
        if node == NULL:
            return 0
        position = line.positions.get(node)
        if position is not None:
            return line.sizes[position]
        size = self._outside.get(node)
        if size is None:
            size = self._texts.raw_size(line.kind, line.name, node)
            self._outside[node] = size
        return size

    def stored(self, line: LineWriter, revision: Revision) -> StoredRevision:
        """Return the next revision of a line as storage would have it."""
        node, p1, p2, link, base, delta, flags = revision
        before = self.size(line, base)
        # A delta of a censored revision replaces everything. A receiver may
        # have another text there.
        text = deltas.replacing_text(delta, before)
        if text is None and base == NULL:
            text = bytes(mdiff.patches(b'', [delta])) if delta else b''
        if text is not None:
            return StoredRevision(
                node, p1, p2, link, None, text, flags, len(text)
            )
        size = mdiff.patchedsize(before, delta)
        return StoredRevision(node, p1, p2, link, base, delta, flags, size)
