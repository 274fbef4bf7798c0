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

from mercurial.node import nullrev

from ...amalgam.codecs import deltas
from .. import errors
from .fileindex import FileIndex
from .store import Store


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
        gid = idx.gid(rev)
        return store.loose([gid]).get(gid)
    try:
        entry: bytes = store.frame(frame_id).entry(place)
    except errors.Moved:
        return None
    return entry


def between(
    store: Store,
    idx: FileIndex,
    base: int,
    rev: int,
    text: Callable[[], bytes],
) -> bytes | None:
    """Return a delta from ``base`` to ``rev``, or None if none is stored.

    ``text`` returns the text of ``rev``.
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
            return deltas.invert(frame.entry(base_place), text())
    except errors.Moved:
        pass
    return None
