# SPDX-License-Identifier: GPL-2.0-or-later
"""From a repository and its configuration to its stores."""

from __future__ import annotations

import os
import threading
from typing import Any

from mercurial import demandimport, util

from .. import errors
from .blobs import BlobStore
from .local import LocalStore
from .locks import LockStore
from .verified import Verified

LOCAL = b'local'

_import_lock = threading.Lock()

# One per repository served by this process, so that verdicts stay in memory.
_verified: dict[str, Verified] = {}


def lock_store(repo: Any) -> LockStore:
    """The locks of ``repo``; shares have those of their source."""
    return LockStore(os.fsdecode(repo.svfs.join(b'lfs/locks.sqlite')))


def blob_store(repo: Any) -> BlobStore:
    """The store ``lfsserver.store`` names.

    Raises StoreUnavailable if it cannot be set up.
    """
    url = repo.ui.config(b'lfsserver', b'store')
    if url == LOCAL:
        return local_store(repo)
    try:
        # obstore's modules are made by its library, not found as files
        with _import_lock, demandimport.deactivated():
            from . import objectstore
    except ImportError:
        raise errors.StoreUnavailable(
            'the blob store cannot be opened',
            detail='an object store needs the Python package obstore',
        ) from None
    _main, options = repo.ui.configsuboptions(b'lfsserver', b'store')
    return objectstore.open_store(
        url.decode('utf-8', 'replace'),
        {
            key.decode('utf-8', 'replace'): value.decode('utf-8', 'replace')
            for key, value in options.items()
        },
        signed=repo.ui.configbool(b'lfsserver', b'signed-links'),
    )


def local_store(repo: Any) -> LocalStore:
    """The blobs in ``.hg/store/lfs``, where core's extension keeps them."""
    createmode = repo.svfs.createmode
    mode = createmode if createmode is not None else 0o777 & ~util.umask
    return LocalStore(
        os.fsdecode(repo.svfs.join(b'lfs')),
        _verified_of(os.fsdecode(repo.cachevfs.join(b'lfs-verified.sqlite'))),
        cache=_user_cache(repo),
        file_mode=mode & 0o666,
        directory_mode=createmode,
    )


def _verified_of(path: str) -> Verified:
    return _verified.setdefault(path, Verified(path))


def _user_cache(repo: Any) -> str | None:
    """The cache core's lfs extension shares between repositories.

    Its own object knows all rules of where that is, and whether.
    """
    store = getattr(repo.svfs, 'lfslocalblobstore', None)
    base = getattr(getattr(store, 'cachevfs', None), 'base', None)
    return None if base is None else os.fsdecode(base)
