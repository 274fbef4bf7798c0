# SPDX-License-Identifier: GPL-2.0-or-later
"""Deltas between two revisions of one path that need not be computed.

A stored delta is one, and so is the inverse of one. Knows nothing of what
revisions mean.
"""

from __future__ import annotations

from collections.abc import Callable

from mercurial.node import nullrev

from ...amalgam.codecs import deltas
from .. import errors
from .fileindex import FileIndex
from .store import Store


def base_of(store: Store, idx: FileIndex, rev: int) -> int | None:
    """Return the revision of the same path that ``rev`` is a delta of.

    The base may be older or newer. Return None for a full text, and for a
    delta of a revision of another path. Raises Moved if a repack has just moved
    the revision.
    """
    frame_id, place = idx.frames[rev], idx.places[rev]
    if not frame_id:
        return rev - place if place > 0 else None
    frame = store.frame(frame_id)
    base = frame.base(place)
    if base < 0 or frame.paths[base] != idx.path_id:
        return None
    found: int = frame.revs[base]
    if (
        found >= len(idx)
        or idx.frames[found] != frame_id
        or idx.places[found] != base
    ):
        # The entry belongs to a revision that was stripped, or is shared.
        return None
    return found


def parent_of(store: Store, idx: FileIndex, rev: int) -> int:
    """Return the earlier revision to send a revision as a delta of.

    A stored delta leads from it to ``rev``; it may be stored the other way
    around. Otherwise it is the first parent, because core sends a revision
    without a base as a full text. Return -1 if there is no such revision, and
    for a full text that no earlier revision is a delta of. Raises Moved if a
    repack has just moved the revision.
    """
    base = base_of(store, idx, rev)
    if base is not None and base < rev:
        return base
    frame_id = idx.frames[rev]
    best: int = nullrev
    if frame_id:
        frame = store.frame(frame_id)
        for place in frame.above(idx.places[rev]):
            other = frame.revs[place]
            if (
                best < other < rev
                and frame.paths[place] == idx.path_id
                and idx.frames[other] == frame_id
                and idx.places[other] == place
            ):
                best = other
    if best == nullrev and not is_full_text(store, idx, rev):
        best = idx.core[rev][5]
    return best


def is_full_text(store: Store, idx: FileIndex, rev: int) -> bool:
    """Return whether a revision is stored as a full text."""
    frame_id, place = idx.frames[rev], idx.places[rev]
    if not frame_id:
        return not place
    full: bool = store.frame(frame_id).base(place) < 0
    return full


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
    try:
        if base_of(store, idx, rev) == base:
            return stored(store, idx, rev)
        if base_of(store, idx, base) == rev:
            delta = stored(store, idx, base)
            return None if delta is None else deltas.invert(delta, text())
    except errors.Moved:
        return None
    return None
