# SPDX-License-Identifier: GPL-2.0-or-later
"""What a server keeps of its stores, during requests and between them.

A server has many repository objects, and each has a store with caches. Requests
in several threads use them, each store for one request at a time. All stores of
a process together keep little more than the caches of a single one may hold:

* stores that are in use share the limits of the caches;
* between requests, a thread keeps the connection and the caches of one store,
  which it used last. Its next request often uses the same;
* all threads together keep KEPT_BYTES of the caches that were used last.

Nothing here knows what a request is.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .store import Store

# Bytes of all caches that are kept between requests.
KEPT_BYTES = 48 << 20

# A garbage collection may end a stay, which takes the lock, at any place where
# this thread has it already. No loop below may be disturbed by that.
_lock = threading.RLock()

# The stores in use.
_used: weakref.WeakSet[Store] = weakref.WeakSet()

# The stores between requests whose caches are kept, and the bytes of these. The
# one that was used last is at the end.
_kept: dict[int, tuple[weakref.ref[Store], int]] = {}

_tokens = itertools.count()
_local = threading.local()


def _after_fork() -> None:
    """Renew the lock, which a thread of the parent may have held."""
    global _lock
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_after_fork)


class _Stay:
    """A thread holds this while it keeps the caches of a store."""

    __slots__ = ('store', 'token')

    def __init__(self, store: Store, token: int) -> None:
        self.store = weakref.ref(store)
        self.token = token

    def __del__(self) -> None:
        # Its thread ended, or used another store. When the interpreter shuts
        # down, the lock is gone already.
        with contextlib.suppress(TypeError), _lock:
            _drop(self.token)


def _drop(token: int) -> None:
    """Drop the caches of a store, unless it is in use again."""
    if token in _kept:
        ref, _size = _kept.pop(token)
        store = ref()
        if store is not None:
            store.drop_caches()


def _divide() -> None:
    """Divide the limits of the caches between the stores in use."""
    stores = list(_used)
    for store in stores:
        store.share_limits(len(stores))


@contextlib.contextmanager
def used(store: Store) -> Iterator[None]:
    """Use a store for a request, then keep it or let it go."""
    with _lock:
        for token, (ref, _size) in list(_kept.items()):
            if ref() is store:
                _kept.pop(token, None)
        _used.add(store)
        _divide()
    try:
        yield
    finally:
        store.db.pause()
        previous: _Stay | None = getattr(_local, 'stay', None)
        with _lock:
            _used.discard(store)
            _divide()
            token = next(_tokens)
            _kept[token] = weakref.ref(store), store.cached_bytes
            kept = list(_kept.items())
            size = sum(size for _token, (_ref, size) in kept)
            for oldest, (_ref, dropped) in kept:
                if size <= KEPT_BYTES:
                    break
                _drop(oldest)
                size -= dropped
        _local.stay = _Stay(store, token)
        if previous is not None:
            other = previous.store()
            if other is not None and other is not store:
                # Only the connection of this thread.
                other.db.close()
