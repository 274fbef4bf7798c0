# SPDX-License-Identifier: GPL-2.0-or-later
"""Which responses are worth keeping: those that were asked for often enough.

Counts how often keys that the cacher does not have were asked for. Knows nothing
else of keys, and nothing of cachers.
"""

from __future__ import annotations

import threading

from ...amalgam.lru import LRU

#: How many keys are counted in a process. They take 10 MB, if that option is set.
#: The keys that were not asked for in the longest time are forgotten.
MOST_KEYS = 50_000


class Demand:
    """How often each key was asked for. Threads may share an instance."""

    def __init__(self, most: int = MOST_KEYS) -> None:
        self._lock = threading.Lock()
        self._counts: LRU[int, int] = LRU(most)

    def note(self, key: bytes) -> None:
        """Count a request for ``key``, which is 40 hexadecimal digits."""
        with self._lock:
            short = _short(key)
            self._counts.put(short, (self._counts.peek(short) or 0) + 1, 1)

    def of(self, key: bytes) -> int:
        """Return how often ``key`` was asked for, as far as that is known."""
        with self._lock:
            return self._counts.peek(_short(key)) or 0


def _short(key: bytes) -> int:
    # A number takes less memory. Two keys that share it do no harm.
    return int(key[:15], 16)
