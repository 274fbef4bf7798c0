# SPDX-License-Identifier: GPL-2.0-or-later
"""A cacher in the memory of one process.

The entries that were not used for the longest time go first. Nothing here knows
what an entry holds.
"""

from __future__ import annotations

import threading

from ...amalgam.lru import LRU
from . import base

DEFAULT_SIZE = 128 * 1024 * 1024

#: Bytes of one entry besides its data: the key, two dict slots, and the headers
#: of the objects.
ENTRY_OVERHEAD = 256


class MemoryCacher(base.Cacher):
    """Keeps at most ``size`` bytes, overhead included."""

    def __init__(self, size: int = DEFAULT_SIZE) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._entries: LRU[bytes, bytes] = LRU(size)

    @property
    def used(self) -> int:
        """Bytes held now, overhead included."""
        return self._entries.used

    def get(self, key: bytes) -> bytes | None:
        """Return the data under ``key`` and mark it as used, or None."""
        with self._lock:
            return self._entries.get(key)

    def head(self, key: bytes, size: int) -> bytes | None:
        """Return the first ``size`` bytes under ``key``, or None."""
        with self._lock:
            data = self._entries.peek(key)
        return None if data is None else data[:size]

    def put(self, key: bytes, data: bytes) -> None:
        """Keep ``data``, unless it is larger than the whole cache."""
        cost = len(data) + ENTRY_OVERHEAD
        with self._lock:
            if cost > self._size:
                # The entry that was there before is outdated in any case.
                self._entries.pop(key)
            else:
                self._entries.put(key, data, cost)

    def remove(self, key: bytes) -> None:
        """Forget what is under ``key``."""
        with self._lock:
            self._entries.pop(key)

    def usage(self) -> base.Usage:
        """Return what the cacher holds in this process."""
        with self._lock:
            return base.Usage(len(self._entries), self.used, self._size)

    def close(self) -> None:
        """Forget all entries."""
        with self._lock:
            self._entries.clear()


def from_settings(settings: base.Settings) -> MemoryCacher:
    """Return the cacher that ``[wireprotov2]`` describes."""
    return MemoryCacher(settings.get_size(b'memory.size', DEFAULT_SIZE))
