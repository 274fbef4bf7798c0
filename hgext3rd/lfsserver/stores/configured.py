# SPDX-License-Identifier: GPL-2.0-or-later
"""The stores of a repository, as its configuration says.

This and ``references`` are the only modules of this folder that know Mercurial.
"""

from __future__ import annotations

import os
import threading
from typing import Any

from mercurial import demandimport, util

from .. import errors
from .blobs import StoreRoles
from .files import FileCreator
from .local import LocalStore
from .locks import LockStore
from .usercache import UserCache
from .verdicts import VerdictCache

LOCAL = b'local'

_import_lock = threading.Lock()

# One cache per repository that this process serves, by the path of its
# database. They are kept so that verdicts stay in memory.
_verdict_caches: dict[str, VerdictCache] = {}


def _after_fork() -> None:
    """Renew what a thread of the parent may have held or been changing."""
    global _import_lock, _verdict_caches
    _import_lock = threading.Lock()
    _verdict_caches = {}


os.register_at_fork(after_in_child=_after_fork)


def lock_store(repo: Any) -> LockStore:
    """Return the locks of ``repo``; a share has those of its source."""
    return LockStore(os.fsdecode(repo.svfs.join(b'lfs/locks.sqlite')))


def blob_store(repo: Any) -> StoreRoles:
    """Return the store that ``lfsserver.store`` names.

    Raises StoreUnavailable.
    """
    url = repo.ui.config(b'lfsserver', b'store')
    if url == LOCAL:
        local = _local_store(repo)
        return StoreRoles(local, local)
    try:
        # Mercurial's lazy imports look for the files of modules. The compiled
        # library of obstore creates some modules without files.
        with _import_lock, demandimport.deactivated():
            from . import byurl, signedstore
    except ImportError:
        raise errors.StoreUnavailable(
            'the blob store cannot be opened',
            detail='an object store needs the Python package obstore',
        ) from None
    _main, options = repo.ui.configsuboptions(b'lfsserver', b'store')
    store = byurl.open_store(
        url.decode('utf-8', 'replace'),
        {
            key.decode('utf-8', 'replace'): value.decode('utf-8', 'replace')
            for key, value in options.items()
        },
        signed=repo.ui.configbool(b'lfsserver', b'signed-links'),
    )
    if isinstance(store, signedstore.SignedObjectStore):
        return StoreRoles(store, store, store)
    return StoreRoles(store, store)


def _local_store(repo: Any) -> LocalStore:
    """Return the store in ``.hg/store/lfs``, which core's lfs also uses."""
    directory_mode = repo.svfs.createmode
    mode = directory_mode if directory_mode is not None else 0o777 & ~util.umask
    creator = FileCreator(mode & 0o666, directory_mode)
    verdicts = os.fsdecode(repo.cachevfs.join(b'lfs-verified.sqlite'))
    return LocalStore(
        os.fsdecode(repo.svfs.join(b'lfs')),
        _verdict_caches.setdefault(verdicts, VerdictCache(verdicts)),
        creator,
        _user_cache(repo, creator),
    )


def _user_cache(repo: Any, creator: FileCreator) -> UserCache | None:
    """Return the cache of core's lfs extension, or None if it has none.

    Core's store object has decided where the cache is, and whether it is used.
    """
    store = getattr(repo.svfs, 'lfslocalblobstore', None)
    base = getattr(getattr(store, 'cachevfs', None), 'base', None)
    return None if base is None else UserCache(os.fsdecode(base), creator)
