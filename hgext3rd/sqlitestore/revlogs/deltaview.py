# SPDX-License-Identifier: GPL-2.0-or-later
"""The stored deltas of one file, for core's exchange.

Core sends a stored delta if the receiver has its base. It asks for the base of
a revision, and for the delta between two revisions.
"""

from __future__ import annotations

from mercurial.node import nullrev

from .. import errors
from ..reading import storeddeltas
from ..reading.store import Store
from .indexview import IndexView


class DeltaView:
    """The stored deltas of the file that ``view`` is the index of."""

    def __init__(self, store: Store, view: IndexView) -> None:
        self._store = store
        self._view = view
        # The last answer of ``deltaparent``: revision, its frame and place, and
        # the answer. Core asks twice for each revision that it sends.
        self._last = (nullrev, 0, 0, nullrev)
        self._inverses = storeddeltas.Inverses()

    def forget(self) -> None:
        """Forget deltas that were computed ahead."""
        self._inverses.clear()

    def deltaparent(self, rev: int) -> int:
        """Return the earlier revision from which a stored delta leads to ``rev``.

        The delta may be stored the other way around, as in repacked frames.
        Return -1 if there is none. Core does not know deltas of later revisions
        or of other files.
        """
        if rev == nullrev:
            return nullrev
        idx = self._view.idx
        last, frame_id, place, parent = self._last
        if last == rev and frame_id == idx.frames[rev]:
            if place == idx.places[rev]:
                return parent
        try:
            parent = storeddeltas.parent_of(self._store, idx, rev)
        except errors.Moved:
            self._store.update_places(idx)
            parent = storeddeltas.parent_of(self._store, idx, rev)
        self._last = rev, idx.frames[rev], idx.places[rev], parent
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
        if nullrev in (rev1, rev2):
            return None
        return storeddeltas.between(
            self._store, self._view.idx, rev1, rev2, self._inverses.take
        )

    def stored_delta(self, rev: int) -> bytes | None:
        """Return the stored full text or delta of a revision.

        Return None if a repack has just moved it.
        """
        return storeddeltas.stored(self._store, self._view.idx, rev)
