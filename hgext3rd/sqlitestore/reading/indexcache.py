# SPDX-License-Identifier: GPL-2.0-or-later
"""The cache of indexes.

Knows nothing of the database. Its limit is a number of bytes: the indexes of
few files can take as much memory as those of many, and history is read in an
order that uses the indexes of all of them again and again.
"""

from __future__ import annotations

from ...amalgam.lru import LRU
from .fileindex import FileIndex

# Bytes of all kept indexes: those of 60,000 revisions.
CACHED_BYTES = 8 << 20

# The same if many stores share the limit.
LEAST_BYTES = 1 << 20


class IndexCache:
    """The indexes that were used last, by path id."""

    def __init__(self, limit: int = CACHED_BYTES) -> None:
        self._limit = limit
        self._indexes: LRU[int, FileIndex] = LRU(limit)
        self.get = self._indexes.get
        self.has = self._indexes.__contains__
        self.drop = self._indexes.pop
        self.clear = self._indexes.clear

    def keep(self, path_id: int, idx: FileIndex) -> None:
        """Add an index, or note that a kept one has grown."""
        self._indexes.put(path_id, idx, idx.memory)

    @property
    def used(self) -> int:
        """The bytes of all indexes in the cache."""
        return self._indexes.used

    def share_limit(self, users: int) -> None:
        """Use a part of the limit, from the next index that is kept on."""
        self._indexes.limit = max(self._limit // users, LEAST_BYTES)
