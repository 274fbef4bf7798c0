# SPDX-License-Identifier: GPL-2.0-or-later
"""Deltas between two revisions of one path that need not be computed.

A stored delta is one, and so is the inverse of one. Knows nothing of what
revisions mean.

These functions run for each revision that is sent, so they take what they need
from a frame at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mercurial import mdiff
from mercurial.node import nullrev

from ...amalgam.codecs import deltas
from .. import errors
from .fileindex import FileIndex
from .store import Store

#: Bytes of inverse deltas that are kept for a path until they are sent.
INVERSE_BYTES = 4 << 20


def parent_of(store: Store, idx: FileIndex, rev: int) -> int:
    """Return the earlier revision to send a revision as a delta of.

    A stored delta leads from it to ``rev``; it may be stored the other way
    around. Otherwise it is the first parent, because core sends a revision
    without a base as a full text. Return -1 if there is no such revision, and
    for a full text that no earlier revision is a delta of. Raises Moved if a
    repack has just moved the revision.
    """
    frame_id, place = idx.frames[rev], idx.places[rev]
    if not frame_id:
        if place >= 0:
            return rev - place if place else nullrev
        parent: int = idx.core[rev][5]
        return parent
    frame = store.frame(frame_id)
    base = frame.base(place)
    if base >= 0:
        found = _owner(idx, frame_id, frame, base)
        if nullrev < found < rev:
            return found
    best: int = nullrev
    for above in frame.above(place):
        found = _owner(idx, frame_id, frame, above)
        if best < found < rev:
            best = found
    if best == nullrev and base >= 0:
        best = idx.core[rev][5]
    return best


def _owner(idx: FileIndex, frame_id: int, frame: Any, place: int) -> int:
    """Return the revision of this path that an entry of a frame belongs to.

    Return -1 for an entry of another path, and for one whose revision was
    stripped or has its content elsewhere.
    """
    rev: int = frame.revs[place]
    if (
        frame.paths[place] == idx.path_id
        and rev < len(idx.frames)
        and idx.frames[rev] == frame_id
        and idx.places[rev] == place
    ):
        return rev
    return nullrev


def stored(store: Store, idx: FileIndex, rev: int) -> bytes | None:
    """Return the stored full text or delta of a revision.

    Return None if a repack has just moved it.
    """
    frame_id, place = idx.frames[rev], idx.places[rev]
    if not frame_id:
        return store.loose(idx, [rev]).get(rev)
    try:
        entry: bytes = store.frame(frame_id).entry(place)
    except errors.Moved:
        return None
    return entry


class Inverses:
    """Inverse deltas that will be wanted next.

    Repacked frames have the newest text, and older revisions as deltas of newer
    ones. Whoever sends history begins at the other end. Inverting the delta of
    an old revision takes the texts of all newer ones, one after the other, so
    the deltas on the way are inverted as well. Each is given out once.
    """

    def __init__(self) -> None:
        # By frame and place of the older revision.
        self._found: dict[tuple[int, int], bytes] = {}
        self._size = 0

    def clear(self) -> None:
        """Forget all."""
        self._found.clear()
        self._size = 0

    def take(self, frame_id: int, frame: Any, place: int) -> bytes:
        """Return the inverse of the delta at ``place`` of a frame."""
        found = self._found.pop((frame_id, place), None)
        if found is None:
            self._fill(frame_id, frame, place)
            found = self._found.pop((frame_id, place))
        self._size -= len(found)
        return found

    def _fill(self, frame_id: int, frame: Any, place: int) -> None:
        """Invert the deltas between ``place`` and what is known or a text."""
        found = self._found
        chain = []
        while (base := frame.base(place)) >= 0:
            chain.append(place)
            place = base
            if (frame_id, place) in found:
                # A branch: the deltas from here on are inverted already.
                break
        text = frame.text(place)
        for place in reversed(chain):
            delta = frame.entry(place)
            inverse = deltas.invert(delta, text)
            found[frame_id, place] = inverse
            self._size += len(inverse)
            while self._size > INVERSE_BYTES and len(found) > 1:
                # The newest revision is wanted last.
                self._size -= len(found.pop(next(iter(found))))
            if delta and place != chain[0]:
                text = bytes(mdiff.patches(text, [delta]))


def between(
    store: Store,
    idx: FileIndex,
    base: int,
    rev: int,
    inverse: Callable[[int, Any, int], bytes],
) -> bytes | None:
    """Return a delta from ``base`` to ``rev``, or None if none is stored.

    ``inverse`` returns the inverse of the delta at a place of a frame: it is
    called with the id of the frame, the frame and the place.
    """
    frame_id, place = idx.frames[rev], idx.places[rev]
    if not frame_id:
        is_base = place > 0 and rev - place == base
        return stored(store, idx, rev) if is_base else None
    if idx.frames[base] != frame_id:
        return None
    base_place = idx.places[base]
    try:
        frame = store.frame(frame_id)
        if frame.base(place) == base_place:
            entry: bytes = frame.entry(place)
            return entry
        if frame.base(base_place) == place:
            return inverse(frame_id, frame, base_place)
    except errors.Moved:
        pass
    return None
