# SPDX-License-Identifier: GPL-2.0-or-later
"""A mapping that drops the entries that were used least recently.

It knows nothing of its values. Several threads must not use it at once.
"""

from __future__ import annotations

import collections
from typing import Generic, TypeVar

K = TypeVar('K')
V = TypeVar('V')


class LRU(Generic[K, V]):
    """Keeps entries whose costs add up to at most ``limit``.

    The caller chooses the unit of a cost: bytes, revisions, entries. The newest
    entry always stays, even if it alone exceeds the limit, because the caller
    that adds it is about to use it. A caller that does not want to keep such an
    entry compares its cost with ``limit`` first.
    """

    __slots__ = ('_entries', 'limit', 'used')

    def __init__(self, limit: int) -> None:
        self.limit = limit
        #: the sum of the costs of all entries
        self.used = 0
        self._entries: collections.OrderedDict[K, tuple[V, int]] = (
            collections.OrderedDict()
        )

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: K) -> bool:
        """Whether there is an entry; does not count as a use."""
        return key in self._entries

    def get(self, key: K) -> V | None:
        """Return the value of ``key`` and mark it as used, or None."""
        found = self._entries.get(key)
        if found is None:
            return None
        self._entries.move_to_end(key)
        return found[0]

    def peek(self, key: K) -> V | None:
        """Return the value of ``key`` without marking it as used, or None."""
        found = self._entries.get(key)
        return None if found is None else found[0]

    def put(self, key: K, value: V, cost: int) -> None:
        """Add or replace an entry, then drop old ones down to the limit."""
        entries = self._entries
        previous = entries.pop(key, None)
        if previous is not None:
            self.used -= previous[1]
        entries[key] = value, cost
        self.used += cost
        while self.used > self.limit and len(entries) > 1:
            self.used -= entries.popitem(last=False)[1][1]

    def pop(self, key: K) -> V | None:
        """Remove an entry and return its value, or None."""
        found = self._entries.pop(key, None)
        if found is None:
            return None
        self.used -= found[1]
        return found[0]

    def drop_oldest(self) -> K:
        """Remove the entry that was used least recently; return its key.

        Raises KeyError if there is none.
        """
        key, (_value, cost) = self._entries.popitem(last=False)
        self.used -= cost
        return key

    def clear(self) -> None:
        """Remove all entries."""
        self._entries.clear()
        self.used = 0
