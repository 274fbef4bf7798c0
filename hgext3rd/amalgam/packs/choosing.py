# SPDX-License-Identifier: GPL-2.0-or-later
"""Choose what the entry of a revision in a frame is: a text or a delta.

``TakenOver`` keeps the delta that comes with the revision where it can, which is
cheap. ``Tightest`` compares several deltas of a file. Censored revisions, and
others with flags, are always taken over: Mercurial has rules for their deltas.
So are manifests: comparing them takes time, and wins nothing, since Mercurial
has compared the same candidates.

This module performs no I/O except that it asks for texts.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from mercurial import mdiff

from ..codecs import deltas
from ..lru import LRU
from . import layout
from .layout import NODE_SIZE, NULL, Revision
from .linewriter import LineWriter
from .texts import Texts

#: Bytes of the largest text for which several deltas are compared.
COMPARED = 8 << 20
#: Bytes of texts of a line that are kept to compare with.
KEPT = 32 << 20
#: How many times larger than a delta of an outside revision another delta may
#: be. Receivers must read outside revisions, and databases store the full text.
OUTSIDE_COST = 2


class Entry(NamedTuple):
    """The content of a revision in a frame.

    ``data`` is a delta of revision ``base`` of the line, which is in the same
    frame, or of the outside revision with the node ``base``. If ``base`` is
    None, it is the full text. ``size`` is that of the text.
    """

    data: bytes
    base: int | bytes | None
    size: int


class Choice(Protocol):
    """Chooses entries."""

    def begin(self) -> None:
        """Begin another line."""

    def entry(self, line: LineWriter, frame: int, revision: Revision) -> Entry:
        """Return the entry of the next revision of ``line`` in ``frame``."""


class TakenOver:
    """Keeps the delta of a revision if its base is in the frame or outside.

    If the base is in an earlier frame, the text is asked for, so that frames
    do not depend on each other.
    """

    def __init__(self, texts: Texts) -> None:
        self._texts = texts
        self._outside_sizes: dict[bytes, int] = {}

    def begin(self) -> None:
        """Begin another line."""
        self._outside_sizes.clear()

    def base_size(self, line: LineWriter, base: bytes) -> int:
        """Return the size of the text that a delta applies to."""
        if base == NULL:
            return 0
        position = line.positions.get(base)
        if position is not None:
            return line.sizes[position]
        size = self._outside_sizes.get(base)
        if size is None:
            size = self._texts.raw_size(line.kind, line.name, base)
            self._outside_sizes[base] = size
        return size

    def entry(self, line: LineWriter, frame: int, revision: Revision) -> Entry:
        """Return the entry of the next revision of ``line`` in ``frame``."""
        base, delta = revision.base, revision.delta
        before = self.base_size(line, base)
        # A delta of a censored revision replaces everything. A receiver may
        # have another text there.
        text = deltas.replacing_text(delta, before)
        if text is None and base == NULL:
            text = _patched(b'', delta)
        if text is not None:
            return Entry(text, None, len(text))
        position = line.positions.get(base)
        if position is None:
            return Entry(delta, base, mdiff.patchedsize(before, delta))
        if line.frames[position] != frame:
            return self._again(line, frame, revision)
        return Entry(delta, position, mdiff.patchedsize(before, delta))

    def _again(self, line: LineWriter, frame: int, revision: Revision) -> Entry:
        """Return another entry of a revision whose base is in another frame."""
        text = self._texts.full_text(line.kind, line.name, revision.node)
        best = Entry(text, None, len(text))
        for rev in in_frame(line, frame, (revision.p1, revision.p2)):
            known = self._texts.full_text(line.kind, line.name, line.nodes[rev])
            delta = mdiff.textdiff(known, text)
            if len(delta) < len(best.data):
                best = Entry(delta, rev, len(text))
        return best


class Tightest:
    """Chooses the smallest of several deltas.

    They are of the base that the revision came with, its parents, and the
    revision before it. Deltas of files replace no more bytes than they must.
    """

    def __init__(self, texts: Texts) -> None:
        self._texts = texts
        self._taken_over = TakenOver(texts)
        # The texts of this line, by node.
        self._kept: LRU[bytes, bytes] = LRU(KEPT)

    def begin(self) -> None:
        """Begin another line."""
        self._taken_over.begin()
        self._kept.clear()

    def entry(self, line: LineWriter, frame: int, revision: Revision) -> Entry:
        """Return the entry of the next revision of ``line`` in ``frame``."""
        node, p1, p2, _link, base, delta, flags = revision
        before = self._taken_over.base_size(line, base)
        if (
            flags
            or line.kind == layout.MANIFEST
            or mdiff.patchedsize(before, delta) > COMPARED
        ):
            return self._taken_over.entry(line, frame, revision)
        text = self._made(line, revision, before)
        best = Entry(text, None, len(text))
        for rev in in_frame(line, frame, (base, p1, p2)):
            if line.flags[rev] or line.sizes[rev] > COMPARED:
                continue
            found = self._delta(line, line.nodes[rev], revision, text)
            if len(found) < len(best.data):
                best = Entry(found, rev, len(text))
        for other in dict.fromkeys((base, p1, p2)):
            if other == NULL or other in line.positions:
                continue
            if self._taken_over.base_size(line, other) > COMPARED:
                continue
            found = self._delta(line, other, revision, text)
            if OUTSIDE_COST * (len(found) + NODE_SIZE) < len(best.data):
                best = Entry(found, other, len(text))
        self._kept.put(node, text, len(text))
        return best

    def _made(self, line: LineWriter, revision: Revision, before: int) -> bytes:
        """Return the text of a revision."""
        text = deltas.replacing_text(revision.delta, before)
        if text is not None:
            return text
        known = self._kept.get(revision.base)
        if known is None:
            return self._texts.full_text(line.kind, line.name, revision.node)
        return _patched(known, revision.delta)

    def _delta(
        self, line: LineWriter, base: bytes, revision: Revision, text: bytes
    ) -> bytes:
        """Return a small delta of ``base``."""
        known = self._kept.get(base)
        if known is None:
            known = self._texts.full_text(line.kind, line.name, base)
            self._kept.put(base, known, len(known))
        if base == revision.base:
            delta = revision.delta
        else:
            delta = bytes(mdiff.textdiff(known, text))
        return deltas.trim(delta, known)


def in_frame(
    line: LineWriter, frame: int, nodes: tuple[bytes, ...]
) -> list[int]:
    """Return which of ``nodes`` and the last revision are in ``frame``."""
    candidates = {line.positions.get(node, -1) for node in nodes}
    candidates.add(len(line.nodes) - 1)
    return sorted(
        (rev for rev in candidates if rev >= 0 and line.frames[rev] == frame),
        reverse=True,
    )


def _patched(text: bytes, delta: bytes) -> bytes:
    return bytes(mdiff.patches(text, [delta])) if delta else text
