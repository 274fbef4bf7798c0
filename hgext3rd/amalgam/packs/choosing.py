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
from .layout import NODE_SIZE, NULL, StoredRevision
from .linewriter import LineWriter
from .sizes import Sizes
from .texts import Texts

#: Bytes of the largest text for which several deltas are compared.
COMPARED = 8 << 20
#: Bytes of texts of a line that are kept to compare with.
KEPT = 8 << 20
#: How many times larger than a delta of an outside revision another delta may
#: be. Receivers must read outside revisions, and databases store the full text.
OUTSIDE_COST = 2


class Entry(NamedTuple):
    """The content of a revision in a frame.

    ``data`` is a delta of revision ``base`` of the line, which is in the same
    frame, or of the outside revision with the node ``base``. If ``base`` is
    None, it is the full text. ``size`` is that of the text, ``outside`` that of
    the text of an outside revision.
    """

    data: bytes
    base: int | bytes | None
    size: int
    outside: int = 0


class Choice(Protocol):
    """Chooses entries."""

    def begin(self) -> None:
        """Begin another line."""

    def entry(
        self, line: LineWriter, frame: int, revision: StoredRevision
    ) -> Entry:
        """Return the entry of the next revision of ``line`` in ``frame``."""


class TakenOver:
    """Keeps the delta of a revision if its base is in the frame or outside.

    If the base is in an earlier frame, the text is asked for, so that frames
    do not depend on each other.
    """

    def __init__(self, texts: Texts, sizes: Sizes) -> None:
        self._texts = texts
        self._sizes = sizes

    def begin(self) -> None:
        """Begin another line."""

    def entry(
        self, line: LineWriter, frame: int, revision: StoredRevision
    ) -> Entry:
        """Return the entry of the next revision of ``line`` in ``frame``."""
        base, delta, size = revision.base, revision.delta, revision.size
        if base is None:
            return Entry(delta, None, size)
        position = line.positions.get(base)
        if position is None:
            return Entry(delta, base, size, self._sizes.size(line, base))
        if line.frames[position] != frame:
            return self._again(line, frame, revision)
        return Entry(delta, position, size)

    def _again(
        self, line: LineWriter, frame: int, revision: StoredRevision
    ) -> Entry:
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

    def __init__(self, texts: Texts, sizes: Sizes) -> None:
        self._texts = texts
        self._sizes = sizes
        self._taken_over = TakenOver(texts, sizes)
        # The texts of this line, by node.
        self._kept: LRU[bytes, bytes] = LRU(KEPT)

    def begin(self) -> None:
        """Begin another line."""
        self._kept.clear()

    def entry(
        self, line: LineWriter, frame: int, revision: StoredRevision
    ) -> Entry:
        """Return the entry of the next revision of ``line`` in ``frame``."""
        node, p1, p2, _link, base, _delta, flags, size = revision
        if flags or line.kind == layout.MANIFEST or size > COMPARED:
            return self._taken_over.entry(line, frame, revision)
        text = self._made(line, revision)
        base = NULL if base is None else base
        best = Entry(text, None, len(text))
        for rev in in_frame(line, frame, (base, p1, p2)):
            if line.sizes[rev] > COMPARED:
                continue
            found = self._delta(line, line.nodes[rev], revision, text)
            if len(found) < len(best.data):
                best = Entry(found, rev, len(text))
        for other in dict.fromkeys((base, p1, p2)):
            if other == NULL or other in line.positions:
                continue
            outside = self._sizes.size(line, other)
            if outside > COMPARED:
                continue
            if not self._texts.is_base(line.kind, line.name, other):
                continue
            found = self._delta(line, other, revision, text)
            if OUTSIDE_COST * (len(found) + NODE_SIZE) < len(best.data):
                best = Entry(found, other, len(text), outside)
        self._kept.put(node, text, len(text))
        return best

    def _made(self, line: LineWriter, revision: StoredRevision) -> bytes:
        """Return the text of a revision."""
        if revision.base is None:
            return revision.delta
        known = self._kept.get(revision.base)
        if known is None:
            return self._texts.full_text(line.kind, line.name, revision.node)
        return _patched(known, revision.delta)

    def _delta(
        self,
        line: LineWriter,
        base: bytes,
        revision: StoredRevision,
        text: bytes,
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
    """Return which of ``nodes`` and the last revision are in ``frame``.

    Those with flags are left out: they may be censored.
    """
    candidates = {line.positions.get(node, -1) for node in nodes}
    candidates.add(len(line.nodes) - 1)
    return sorted(
        (
            rev
            for rev in candidates
            if rev >= 0 and line.frames[rev] == frame and not line.flags[rev]
        ),
        reverse=True,
    )


def _patched(text: bytes, delta: bytes) -> bytes:
    return bytes(mdiff.patches(text, [delta])) if delta else text
