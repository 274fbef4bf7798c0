# SPDX-License-Identifier: GPL-2.0-or-later
"""Index questions of the object inside a filelog.

Everything that only depends on the graph is answered by core's own functions,
borrowed from its revlog class: they ask nothing of the object but ``index``,
``node``, ``rev`` and their like. What differs is what an index entry cannot
say here: where content is, and what it is a delta of.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mercurial import revlog
from mercurial.node import nullrev
from mercurial.revlogutils import constants
from mercurial.utils import storageutil

from .. import errors
from ..formats.index import FileIndex
from ..reading.store import Store

_core = revlog.revlog


class IndexMixin:
    """The ``ifileindex`` half, over ``self.idx``."""

    idx: FileIndex
    store: Store
    nullid: bytes
    display_id: bytes

    @property
    def index(self) -> Any:
        """Core's index object."""
        return self.idx.core

    def __len__(self) -> int:
        return len(self.idx)

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.idx)))

    def __contains__(self, rev: int) -> bool:
        return 0 <= rev < len(self.idx)

    def tiprev(self) -> int:
        """The last revision's number."""
        return len(self.idx) - 1

    def flags(self, rev: int) -> int:
        """The flags of a revision."""
        entry: int = self.idx.core[rev][0]
        return entry & 0xFFFF

    def rawsize(self, rev: int) -> int:
        """The size of a revision as stored, before flag processors."""
        size: int = self.idx.core[rev][2]
        return size

    def linkrev(self, rev: int) -> int:
        """The changeset a revision belongs to."""
        link: int = self.idx.core[rev][4]
        return link

    def parentrevs(self, rev: int) -> tuple[int, int]:
        """The numbers of the parents, null as -1."""
        if rev == nullrev:
            return nullrev, nullrev
        entry = self.idx.core[rev]
        return entry[5], entry[6]

    def node(self, rev: int) -> bytes:
        """The node of a revision."""
        # as core's, but for the property; it is asked very often
        try:
            node: bytes = self.idx.core[rev][7]
        except IndexError:
            return bytes(_core.node(self, rev))
        return node

    def iscensored(self, rev: int) -> bool:
        """Whether the content of a revision was removed."""
        return bool(self.idx.core[rev][0] & constants.REVIDX_ISCENSORED)

    def revs(self, start: int = 0, stop: int | None = None) -> Any:
        """Revision numbers from ``start`` to ``stop`` (included)."""
        return storageutil.iterrevs(len(self), start=start, stop=stop)

    def getstrippoint(self, minlink: int) -> tuple[int, set[int]]:
        """See ``storageutil.resolvestripinfo``."""
        point, broken = storageutil.resolvestripinfo(
            minlink,
            len(self) - 1,
            self.headrevs() if len(self) else [],
            self.linkrev,
            self.parentrevs,
        )
        return point, broken

    def deltaparent(self, rev: int) -> int:
        """The revision of this file that ``rev`` is stored as a delta of."""
        if rev == nullrev:
            return nullrev
        frame_id, place = self.idx.frames[rev], self.idx.places[rev]
        if not frame_id:
            return rev - place if place > 0 else nullrev
        try:
            frame = self.store.frame(frame_id)
        except errors.Moved:
            self.store.refresh(self.idx)
            frame_id, place = self.idx.frames[rev], self.idx.places[rev]
            frame = self.store.frame(frame_id)
        base = frame.base(place)
        if base < 0 or frame.paths[base] != self.idx.path_id:
            return nullrev
        parent: int = frame.revs[base]
        # A frame may hold a later revision as full text and an earlier one
        # as delta of it; only earlier ones are a delta parent to core.
        return parent if parent < rev else nullrev

    def issnapshot(self, rev: int) -> bool:
        """Whether a revision is stored as a full text."""
        return self.deltaparent(rev) == nullrev

    def snapshotdepth(self, rev: int) -> int:
        """How many snapshots a snapshot rests on: none here."""
        return 0

    # borrowed from core
    rev = _core.rev
    hasnode = _core.hasnode
    parents = _core.parents
    tip = _core.tip
    ancestors = _core.ancestors
    descendants = _core.descendants
    findcommonmissing = _core.findcommonmissing
    incrementalmissingrevs = _core.incrementalmissingrevs
    findmissingrevs = _core.findmissingrevs
    findmissing = _core.findmissing
    nodesbetween = _core.nodesbetween
    headrevs = _core.headrevs
    heads = _core.heads
    _head_node_ids = _core._head_node_ids
    _uncheckedparentrevs = parentrevs
    children = _core.children
    commonancestorsheads = _core.commonancestorsheads
    _commonancestorsheads = _core._commonancestorsheads
    isancestor = _core.isancestor
    isancestorrev = _core.isancestorrev
    reachableroots = _core.reachableroots
    ancestor = _core.ancestor
    lookup = _core.lookup
    shortest = _core.shortest
    _match = _core._match
    _partialmatch = _core._partialmatch
    _candelta = _core._candelta
