# SPDX-License-Identifier: GPL-2.0-or-later
"""Object stores by URL: each is opened once per process.

This module decides which class of store a configuration gets. It knows nothing
of Mercurial.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import Any

from .objectclient import connect
from .objectstore import ObjectStore
from .signedstore import (
    SIGNING,
    UNLIMITED,
    SignedObjectStore,
    UploadLimits,
)

# Stores by configuration, because their clients pool connections. The keys
# contain the process id: clients do not survive a fork.
_open: dict[Any, ObjectStore] = {}
_open_lock = threading.Lock()


def _after_fork() -> None:
    """Renew the lock, which a thread of the parent may have held."""
    global _open_lock
    _open_lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)


def open_store(
    url: str,
    options: Mapping[str, str],
    *,
    signed: bool,
    limits: UploadLimits = UNLIMITED,
) -> ObjectStore:
    """Return the store at ``url``.

    The result is a SignedObjectStore with ``limits`` if ``signed`` is true and
    the store can sign links. ``options`` are those of obstore for this kind of
    store, except ``public-endpoint``: the endpoint to put into signed links, if
    users reach the store at another address than this server. Raises
    StoreUnavailable.
    """
    key = (os.getpid(), url, tuple(sorted(options.items())), signed, limits)
    with _open_lock:
        if key not in _open:
            _open[key] = _new_store(url, dict(options), signed, limits)
        return _open[key]


def _new_store(
    url: str, options: dict[str, str], signed: bool, limits: UploadLimits
) -> ObjectStore:
    public = options.pop('public-endpoint', None)
    client = connect(url, options)
    if not signed or not isinstance(client, SIGNING):
        return ObjectStore(client)
    if public is None:
        return SignedObjectStore(client, client, limits)
    return SignedObjectStore(
        client, connect(url, {**options, 'endpoint': public}), limits
    )
