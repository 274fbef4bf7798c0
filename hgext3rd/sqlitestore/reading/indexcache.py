# SPDX-License-Identifier: GPL-2.0-or-later
"""The cache of indexes.

Knows nothing of the database. Its limit counts revisions rather than files,
because a few large indexes take as much memory as many small ones.
"""

from __future__ import annotations

from ...amalgam.lru import LRU
from .fileindex import FileIndex

# The sum of the costs of all kept indexes. A revision takes about 250 bytes.
CACHED_REVISIONS = 1 << 14

# The cost of an index in addition to its revisions, and that of an index to
# which revisions were added. Core's index object then reserves 256 KB, which is
# 1024 revisions. It costs more here, because one that is read again is small.
INDEX_COST = 16
GROWN_COST = 1 << 12


class IndexCache:
    """The indexes that were used last, by path id."""

    def __init__(self, limit: int = CACHED_REVISIONS) -> None:
        self._indexes: LRU[int, FileIndex] = LRU(limit)
        self.get = self._indexes.get
        self.drop = self._indexes.pop
        self.clear = self._indexes.clear

    def keep(self, path_id: int, idx: FileIndex) -> None:
        """Add an index, or note that a kept one has grown."""
        cost = len(idx) + (GROWN_COST if idx.grown else INDEX_COST)
        self._indexes.put(path_id, idx, cost)
