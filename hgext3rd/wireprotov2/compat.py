# SPDX-License-Identifier: GPL-2.0-or-later
"""Differences between the supported versions of Mercurial.

Each difference has one name here, so that callers never ask for a version. Each
fallback is marked with the last version that needs it, as in ``hg <= 7.1``.
"""

from __future__ import annotations

from typing import Any


def entry_files(entry: Any, vfs: Any) -> list[Any]:
    """Return the files of ``entry``, an entry of a store."""
    try:
        return entry.files(vfs)
    except TypeError:
        return entry.files()  # hg <= 7.1


def preserve_volatiles(entry: Any, vfs: Any, volatiles: Any) -> None:
    """Keep the volatile files of a store entry readable.

    ``volatiles`` is a ``store.VolatileManager``. Volatile files may be replaced
    while the entry is being sent.
    """
    if hasattr(entry, 'preserve_volatiles'):
        entry.preserve_volatiles(vfs, volatiles)
        return
    # hg <= 7.1
    for f in entry_files(entry, vfs):
        if f.is_volatile:
            volatiles(vfs.join(f.unencoded_path))


def writable_revlog(**arguments: Any) -> Any:
    """Return a revlog opened for writing, from the arguments of its class."""
    from mercurial import revlog

    try:
        return revlog.revlog(writable=True, **arguments)
    except TypeError:
        # hg <= 7.0: every revlog is writable.
        return revlog.revlog(**arguments)


def clone_module() -> Any:
    """Return the module whose function ``clone`` clones a repository."""
    try:
        from mercurial.cmd_impls import clone
    except ImportError:
        from mercurial import hg as clone  # hg <= 7.1
    return clone


def peer_schemes() -> dict[bytes, Any]:
    """Return the modules that make peers, by the scheme of a URL."""
    try:
        from mercurial.repo import factory
    except ImportError:
        from mercurial import hg as factory  # hg <= 7.1
    schemes: dict[bytes, Any] = factory.peer_schemes
    return schemes


def feature_setup_functions() -> set[Any]:
    """Return the functions that name the requirements a process supports."""
    functions: set[Any]
    try:
        from mercurial.repo import requirements

        functions = requirements.feature_setup_funcs
    except (ImportError, AttributeError):
        # hg <= 7.1
        from mercurial import localrepo

        functions = localrepo.featuresetupfuncs
    return functions


def store_options(repo: Any) -> dict[bytes, Any]:
    """Return the options of the store's vfs for the requirements of ``repo``."""
    try:
        from mercurial.repo import vfs_options
    except ImportError:  # hg <= 7.1
        from mercurial import localrepo

        return localrepo.resolvestorevfsoptions(
            repo.ui, repo.requirements, repo.features
        )
    return vfs_options.resolve_store_vfs_options(
        repo.ui, repo.requirements, repo.features
    )


def peer(repo: Any, path: Any) -> Any:
    """Return a peer for ``path``, with the configuration of ``repo``."""
    try:
        from mercurial.repo import factory
    except ImportError:
        from mercurial import hg as factory  # hg <= 7.1
    return factory.peer(repo, {}, path)
