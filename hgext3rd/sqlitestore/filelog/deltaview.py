# SPDX-License-Identifier: GPL-2.0-or-later
"""The stored deltas of one file, for core's exchange.

Core sends a stored delta if the receiver has its base. It asks for the base of
a revision, and for the delta between two revisions.
"""

from __future__ import annotations

from mercurial.node import nullrev

from .. import errors
from ..formats import deltas
from ..reading.store import Store
from .indexview import IndexView
from .textreader import TextReader


class DeltaView:
    """The stored deltas of the file that ``view`` is the index of."""

    def __init__(
        self, store: Store, view: IndexView, reader: TextReader
    ) -> None:
        self._store = store
        self._view = view
        self._reader = reader

    def deltaparent(self, rev: int) -> int:
        """Return the earlier revision to send a revision as a delta of.

        That is the base of the stored delta if it is an earlier revision of
        this file. A repack stores deltas of later revisions. Then it is a
        revision that is a delta of ``rev``, or else the first parent, because
        core sends a revision without a base as a full text. Return -1 if there
        is no such revision.
        """
        if rev == nullrev:
            return nullrev
        base = self.stored_parent(rev)
        if base is not None and base != nullrev:
            return base
        p1 = self._view.parentrevs(rev)[0]
        for older in (rev - 1, p1):
            if older != nullrev and self._rests_on(older, rev):
                return older
        return p1 if base is None else nullrev

    def stored_parent(self, rev: int) -> int | None:
        """Return the earlier revision that ``rev`` is a stored delta of.

        Return -1 for a full text, and None for a delta of a later revision or
        of one of another file.
        """
        idx = self._view.idx
        frame_id, place = idx.frames[rev], idx.places[rev]
        if not frame_id:
            return None if place < 0 else rev - place if place else nullrev
        try:
            frame = self._store.frame(frame_id)
        except errors.Moved:
            self._store.update_places(idx)
            frame_id, place = idx.frames[rev], idx.places[rev]
            frame = self._store.frame(frame_id)
        base = frame.base(place)
        if base < 0:
            return nullrev
        parent: int = frame.revs[base]
        if frame.paths[base] != idx.path_id or parent >= rev:
            return None
        return parent

    def issnapshot(self, rev: int) -> bool:
        """Return whether a revision is stored as a full text."""
        return self.deltaparent(rev) == nullrev

    def snapshotdepth(self, rev: int) -> int:
        """Return 0: no snapshot is a delta of another one."""
        return 0

    def stored_between(self, rev1: int, rev2: int) -> bytes | None:
        """Return a delta from ``rev1`` to ``rev2`` without computing a diff.

        It is a stored delta, or the inverse of one. Return None if neither
        revision is stored as a delta of the other.
        """
        if rev1 == nullrev:
            return None
        if self.stored_parent(rev2) == rev1:
            return self.stored_delta(rev2)
        if self._rests_on(rev1, rev2):
            # Repacked frames have the newer text, and the delta from it to the
            # older one.
            delta = self.stored_delta(rev1)
            if delta is not None:
                return deltas.invert(delta, self._reader.raw_text(rev2)[0])
        return None

    def _rests_on(self, rev: int, base: int) -> bool:
        """Return whether ``rev`` is a delta of ``base`` in the same frame."""
        idx = self._view.idx
        frame_id = idx.frames[rev]
        if not frame_id or idx.frames[base] != frame_id:
            return False
        try:
            found: int = self._store.frame(frame_id).base(idx.places[rev])
        except errors.Moved:
            return False
        return found == idx.places[base]

    def stored_delta(self, rev: int) -> bytes | None:
        """Return the stored full text or delta of a revision.

        Return None if a repack has just moved it.
        """
        idx = self._view.idx
        frame_id, place = idx.frames[rev], idx.places[rev]
        if not frame_id:
            gid = idx.gid(rev)
            return self._store.loose([gid]).get(gid)
        try:
            entry: bytes = self._store.frame(frame_id).entry(place)
        except errors.Moved:
            return None
        return entry
