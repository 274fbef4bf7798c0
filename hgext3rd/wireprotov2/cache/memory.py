# SPDX-License-Identifier: GPL-2.0-or-later
"""A cacher in the memory of one process: least recently used goes first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from contextlib import AbstractContextManager, nullcontext

from . import base

DEFAULT_SIZE = 128 * 1024 * 1024

#: Memory of one entry besides its data: key, dict slot, object headers.
ENTRY_OVERHEAD = 256


class MemoryCacher:
    """Keeps at most ``size`` bytes, overhead included."""

    def __init__(self, size: int = DEFAULT_SIZE) -> None:
        self._size = size
        self._used = 0
        self._lock = threading.Lock()
        self._entries: OrderedDict[bytes, bytes] = OrderedDict()

    @property
    def used(self) -> int:
        """Bytes held now, overhead included."""
        return self._used

    def get(self, key: bytes) -> bytes | None:
        with self._lock:
            data = self._entries.get(key)
            if data is not None:
                self._entries.move_to_end(key)
            return data

    def head(self, key: bytes, size: int) -> bytes | None:
        with self._lock:
            data = self._entries.get(key)
        return None if data is None else data[:size]

    def put(self, key: bytes, data: bytes) -> None:
        cost = len(data) + ENTRY_OVERHEAD
        with self._lock:
            previous = self._entries.pop(key, None)
            if previous is not None:
                self._used -= len(previous) + ENTRY_OVERHEAD
            if cost > self._size:
                return
            self._entries[key] = data
            self._used += cost
            while self._used > self._size:
                _key, evicted = self._entries.popitem(last=False)
                self._used -= len(evicted) + ENTRY_OVERHEAD

    def lease(self, key: bytes) -> AbstractContextManager[None]:
        return nullcontext()

    def targets(self) -> tuple[base.Target, ...]:
        return ()

    def locate(self, key: bytes) -> base.Location | None:
        return None

    def close(self) -> None:
        with self._lock:
            self._entries.clear()
            self._used = 0


def from_settings(settings: base.Settings) -> MemoryCacher:
    """Make the cacher ``[wireprotov2]`` describes."""
    return MemoryCacher(settings.get_size(b'memory.size', DEFAULT_SIZE))
