# SPDX-License-Identifier: GPL-2.0-or-later
"""A cache that takes memory only if that saves work.

Commands that read one file after the other need little of what they read a
second time. Commands on consecutive changesets come back to the same indexes
and frames again and again. The cache cannot know which it serves, so it begins
small, and grows when something that it dropped is added again.

It knows nothing of its values.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from ...amalgam import memory
from ...amalgam.lru import LRU

V = TypeVar('V')

# How many dropped entries to remember.
_REMEMBERED = 256


class GrowingCache(Generic[V]):
    """The values that were used last, by id.

    ``few`` values are kept whatever their size. More of them are kept while all
    take no more than ``first`` bytes, a limit that grows up to ``most``. Another
    thread may change ``most``.
    """

    def __init__(self, few: int, first: int, most: int) -> None:
        # Its own limit is never reached.
        self._values: LRU[int, V] = LRU(1 << 62)
        self._dropped: LRU[int, None] = LRU(_REMEMBERED)
        self._few = few
        self._first = first
        self._limit = first
        self.most = most
        # Bound here because they are called for each text that is read.
        self.get = self._values.get
        self.peek = self._values.peek
        self.pop = self._values.pop

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, key: int) -> bool:
        return key in self._values

    @property
    def used(self) -> int:
        """The bytes of all values."""
        return self._values.used

    def keep(self, key: int, value: V, size: int) -> None:
        """Add or replace a value of ``size`` bytes, and drop old ones."""
        if key in self._dropped:
            self._dropped.pop(key)
            self._limit = min(self._limit + size, self.most)
        self._values.put(key, value, size)
        self.shrink()

    def clear(self) -> None:
        """Drop all values, and begin small again."""
        self._values.clear()
        self._dropped.clear()
        self._limit = self._first

    def shrink(self) -> None:
        """Drop the values that exceed the limits."""
        values, limit = self._values, min(self._limit, self.most)
        while len(values) > self._few and values.used > limit:
            if not self._dropped:
                # The allocator would keep large blocks that are freed from now
                # on, as holes that the next one does not fit into.
                memory.return_large_blocks()
            self._dropped.put(values.drop_oldest(), None, 1)
