# SPDX-License-Identifier: GPL-2.0-or-later
"""The index of a file with the methods of a revlog's index.

Core's own functions, borrowed from its revlog class, answer questions that
depend only on the graph. They use no attributes of an object but ``index``,
``node``, ``rev`` and the like. This module does not know where content is, or
what a revision is a delta of.
"""

from __future__ import annotations

from typing import Any

from mercurial import revlog, util
from mercurial.node import nullrev, sha1nodeconstants
from mercurial.revlogutils import constants
from mercurial.utils import storageutil

from ..formats import schema
from ..reading.fileindex import FileIndex
from ..reading.store import Store

_core = revlog.revlog


class IndexView:
    """The index of ``path``, of a kind: core's interface ``ifileindex``.

    The index is read when it is first used.
    """

    nullid = sha1nodeconstants.nullid
    nodeconstants = sha1nodeconstants

    def __init__(
        self, store: Store, path: bytes, kind: int = schema.FILE
    ) -> None:
        self._store = store
        self._path = path
        self._kind = kind
        self.display_id = schema.display_name(kind, path)
        # core's cache of abbreviated nodes
        self._pcache: dict[bytes, bytes] = {}

    @util.propertycache
    def idx(self) -> FileIndex:
        """The index of the file, shared by all objects that open it."""
        return self._store.index(self._path, self._kind)

    @property
    def index(self) -> Any:
        """Core's index object."""
        return self.idx.core

    def __len__(self) -> int:
        return len(self.idx)

    def tiprev(self) -> int:
        """Return the number of the last revision, -1 if there is none."""
        return len(self.idx) - 1

    # These do not call each other, or the methods of FileIndex, because they
    # run for each revision when history is walked.

    def flags(self, rev: int) -> int:
        """Return the flags of a revision."""
        entry: int = self.idx.core[rev][0]
        return entry & 0xFFFF

    def rawsize(self, rev: int) -> int:
        """Return the size in bytes of a raw text, before flag processors."""
        size: int = self.idx.core[rev][2]
        return size

    def linkrev(self, rev: int) -> int:
        """Return the number of the changeset that a revision belongs to."""
        link: int = self.idx.core[rev][4]
        return link

    def parentrevs(self, rev: int) -> tuple[int, int]:
        """Return the numbers of the parents; -1 is the null revision."""
        if rev == nullrev:
            return nullrev, nullrev
        entry = self.idx.core[rev]
        return entry[5], entry[6]

    def parents(self, node: bytes) -> tuple[bytes, bytes]:
        """Return the nodes of the parents."""
        core = self.idx.core
        entry = core[self.rev(node)]
        return core[entry[5]][7], core[entry[6]][7]

    def node(self, rev: int) -> bytes:
        """Return the node of a revision."""
        try:
            node: bytes = self.idx.core[rev][7]
        except IndexError:
            # Core's function raises the right error.
            return bytes(_core.node(self, rev))
        return node

    def iscensored(self, rev: int) -> bool:
        """Return whether the content of a revision was removed."""
        return bool(self.idx.core[rev][0] & constants.REVIDX_ISCENSORED)

    def revs(self, start: int = 0, stop: int | None = None) -> Any:
        """Return the numbers of revisions from ``start`` to ``stop``.

        ``stop`` is included.
        """
        return storageutil.iterrevs(len(self), start=start, stop=stop)

    def getstrippoint(self, minlink: int) -> tuple[int, set[int]]:
        """Return the first revision to strip, and linkrevs that would break.

        See ``storageutil.resolvestripinfo``.
        """
        point, broken = storageutil.resolvestripinfo(
            minlink,
            len(self) - 1,
            self.headrevs() if len(self) else [],
            self.linkrev,
            self.parentrevs,
        )
        return point, broken

    rev = _core.rev
    hasnode = _core.hasnode
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
