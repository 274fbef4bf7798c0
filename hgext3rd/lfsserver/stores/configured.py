# SPDX-License-Identifier: GPL-2.0-or-later
"""The stores of a repository, as its configuration says.

This and ``references`` are the only modules of this folder that know Mercurial.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import Any

from mercurial import demandimport, util

from .. import errors
from .blobs import StoreRoles
from .counters import Counters
from .files import FileCreator
from .local import LocalStore
from .locks import LockStore
from .promises import PromiseStore
from .quota import Quota
from .usage import Usage
from .usercache import UserCache
from .verdicts import VerdictCache

LOCAL = b'local'

_import_lock = threading.Lock()

# One cache per repository that this process serves, by the path of its
# database. They are kept so that verdicts stay in memory.
_verdict_caches: dict[str, VerdictCache] = {}

# The counts of each repository, by their folder. They are kept, because a file
# belongs to each.
_counters: dict[str, Counters] = {}

# What counts the bytes of each store that has a quota, by the URL of the store
# and the folder of its reservations.
_usages: dict[tuple[bytes, str], Usage] = {}
_usages_lock = threading.Lock()


def _after_fork() -> None:
    """Renew what a thread of the parent may have held or been changing."""
    global _import_lock, _verdict_caches, _counters, _usages, _usages_lock
    _import_lock = threading.Lock()
    _usages_lock = threading.Lock()
    _usages = {}
    _verdict_caches = {}
    _counters = {}


os.register_at_fork(after_in_child=_after_fork)


def lock_store(repo: Any) -> LockStore:
    """Return the locks of ``repo``; a share has those of its source."""
    path = os.fsdecode(repo.svfs.join(b'lfs/locks.sqlite'))
    return LockStore(path, file_creator(repo))


def file_creator(repo: Any) -> FileCreator:
    """Return the creator of files that all users of ``repo`` can change."""
    directory_mode = repo.svfs.createmode
    mode = directory_mode if directory_mode is not None else 0o777 & ~util.umask
    return FileCreator(mode & 0o666, directory_mode)


def promise_store(repo: Any) -> PromiseStore:
    """Return the promises of ``repo``; a share has those of its source."""
    path = os.fsdecode(repo.svfs.join(b'lfs/promised.sqlite'))
    return PromiseStore(path, file_creator(repo))


def counters(repo: Any, names: Sequence[str]) -> Counters:
    """Return the counts of what has been done for ``repo``, by ``names``."""
    folder = os.fsdecode(repo.cachevfs.join(b'lfs-counts'))
    if folder not in _counters:
        found = Counters(folder, names, file_creator(repo))
        # Another thread may have been faster.
        _counters.setdefault(folder, found)
    return _counters[folder]


def blob_store(repo: Any) -> StoreRoles:
    """Return the store that ``lfsserver.store`` names.

    Raises StoreUnavailable.
    """
    url = repo.ui.config(b'lfsserver', b'store')
    if url == LOCAL:
        local = _local_store(repo)
        return StoreRoles(local, local, local.partials)
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
        limits=signedstore.UploadLimits(
            repo.ui.configbytes(b'lfsserver', b'max-object-size'),
            repo.ui.configbytes(b'lfsserver', b'max-signed-upload'),
        ),
    )
    if isinstance(store, signedstore.SignedObjectStore):
        return StoreRoles(store, store, store.partials, store)
    return StoreRoles(store, store, store.partials)


def _local_store(repo: Any) -> LocalStore:
    """Return the store in ``.hg/store/lfs``, which core's lfs also uses."""
    creator = file_creator(repo)
    verdicts = os.fsdecode(repo.cachevfs.join(b'lfs-verified.sqlite'))
    return LocalStore(
        os.fsdecode(repo.svfs.join(b'lfs')),
        _verdict_caches.setdefault(verdicts, VerdictCache(verdicts, creator)),
        creator,
        _user_cache(repo, creator),
    )


def quota(repo: Any, roles: StoreRoles) -> Quota | None:
    """Return the quota of ``repo``, whose store has ``roles``; None without."""
    limit = repo.ui.configbytes(b'lfsserver', b'quota')
    if limit <= 0:
        return None
    return Quota(limit, usage(repo, roles), _reserved(repo), file_creator(repo))


def usage(repo: Any, roles: StoreRoles) -> Usage:
    """Return what counts the bytes of the store of ``repo``.

    It is kept, because the first count reads the whole store.
    """
    with _usages_lock:
        key = (repo.ui.config(b'lfsserver', b'store'), _reserved(repo))
        if key not in _usages:
            _usages[key] = roles.maintenance.usage()
        return _usages[key]


def _reserved(repo: Any) -> str:
    """Return the folder of what uploads have reserved of the quota."""
    return os.fsdecode(repo.svfs.join(b'lfs/reserved'))


def _user_cache(repo: Any, creator: FileCreator) -> UserCache | None:
    """Return the cache of core's lfs extension, or None if it has none.

    Core's store object has decided where the cache is, and whether it is used.
    """
    store = getattr(repo.svfs, 'lfslocalblobstore', None)
    base = getattr(getattr(store, 'cachevfs', None), 'base', None)
    return None if base is None else UserCache(os.fsdecode(base), creator)
