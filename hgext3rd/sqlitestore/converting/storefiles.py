# SPDX-License-Identifier: GPL-2.0-or-later
"""The files of a store that belong to one backend or the other.

A conversion removes the files of the backend that the repository had, and stops
processes that still expect them. Nothing here reads history.

Paths are those on disk: ``raw`` is a vfs of the store without the encoding of
names.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from typing import Any

from mercurial import pycompat, util
from mercurial import requirements as corerequirements
from mercurial import vfs as vfsmod

from ...amalgam import sidefiles
from .. import requirements
from ..database import links
from ..formats import schema, statements
from . import legacy

# Everything unfinished is below this directory of .hg/store.
WORK_DIRECTORY = b'sqlite-convert'

# The folders of a store with revlogs of files: by name, and by the hash of a
# name that is too long.
DATA = b'data'
HASHED = b'dh'

# Mercurial's list of the revlogs in a store, one path a line.
FNCACHE = b'fncache'

# What DATA links to in a repository that was converted to SQLite. Nothing can
# exist below a file.
NOWHERE = schema.FILENAME + b'/instead'

# The folder of the revlogs of tree manifests, and the beginning of the names of
# the files of the root manifest.
META = b'meta'
ROOT_MANIFEST = b'00manifest'

# Where Mercurial keeps a revlog while it is split in two files.
SPLIT_FOLDER = b'data-s'


def raw_vfs(repo: Any) -> Any:
    """Return the vfs of the store of ``repo`` without encoding of names."""
    return vfsmod.vfs(repo.store.rawvfs.base)


def clean_up(repo: Any) -> None:
    """Remove unfinished work, and the files of backends no longer in use.

    ``repo.requirements`` says which backend is in use.
    """
    raw = raw_vfs(repo)
    if raw.isdir(WORK_DIRECTORY):
        shutil.rmtree(raw.join(WORK_DIRECTORY))
    names = repo.requirements
    if requirements.LEGACY_REQUIREMENT not in names:
        sidefiles.remove(raw.join(legacy.FILENAME))
    if requirements.REQUIREMENT in names:
        _remove_revlogs(repo, raw)
        _remove_manifests(repo, raw)
        _block_revlogs(raw)
    elif raw.exists(schema.FILENAME):
        _disable(raw.join(schema.FILENAME))
        sidefiles.remove(raw.join(schema.FILENAME))
    if requirements.LEGACY_REQUIREMENT in names:
        _remove_revlogs(repo, raw)


def take_revlogs(repo: Any, source: bytes) -> None:
    """Move the revlogs of another store into the store of ``repo``.

    They are those of files and of manifests.

    ``source`` is the folder of the other store.
    """
    raw = raw_vfs(repo)
    if raw.islink(DATA):
        # See _block_revlogs.
        raw.unlink(DATA)
    for name in (DATA, META, HASHED):
        _merge_tree(source, raw.base, name)
    for name in _root_manifest_files(source):
        util.rename(os.path.join(source, name), raw.join(name))
    _write_fncache(repo, _is_revlog, vfsmod.vfs(source))


def _root_manifest_files(folder: bytes) -> list[bytes]:
    """Return the names of the files of the root manifest's revlog."""
    return [n for n in os.listdir(folder) if n.startswith(ROOT_MANIFEST)]


def _merge_tree(source: bytes, dest: bytes, name: bytes) -> None:
    """Move the folder ``name`` from ``source`` to ``dest``.

    If ``dest`` has such a folder, the files are added to it.
    """
    origin = os.path.join(source, name)
    if not os.path.isdir(origin):
        return
    target = os.path.join(dest, name)
    if not os.path.isdir(target):
        util.rename(origin, target)
        return
    for entry in os.listdir(origin):
        path = os.path.join(name, entry)
        if os.path.isdir(os.path.join(source, path)):
            _merge_tree(source, dest, path)
        else:
            util.rename(os.path.join(source, path), os.path.join(dest, path))


def _is_file_revlog(entry: bytes) -> bool:
    return entry.startswith(b'data/')


def _is_manifest_revlog(entry: bytes) -> bool:
    return entry.startswith(b'meta/')


def _is_revlog(entry: bytes) -> bool:
    return _is_file_revlog(entry) or _is_manifest_revlog(entry)


def _fncache_entries(vfs: Any) -> list[bytes]:
    return [line for line in vfs.tryread(FNCACHE).split(b'\n') if line]


def _write_fncache(
    repo: Any, chosen: Callable[[bytes], bool], files: Any = None
) -> None:
    """Replace the ``chosen`` ones among the revlogs that ``repo`` lists.

    Its store then lists those that the store ``files`` (a vfs) lists, or none
    if ``files`` is None.
    """
    if corerequirements.FNCACHE_REQUIREMENT not in repo.requirements:
        return
    raw = raw_vfs(repo)
    entries = [e for e in _fncache_entries(raw) if not chosen(e)]
    if files is not None:
        entries += filter(chosen, _fncache_entries(files))
    with raw(FNCACHE, b'wb', atomictemp=True) as file:
        file.write(b''.join(entry + b'\n' for entry in entries))


def _disable(path: bytes) -> None:
    """Stop processes that still have the database open from using it."""
    import sqlite3

    if links.is_linked(path):
        # The file is also the database of another repository.
        return
    try:
        db = sqlite3.connect(pycompat.fsdecode(path), isolation_level=None)
        try:
            db.execute(statements.DROP_COUNTERS)
        finally:
            db.close()
    except sqlite3.Error:
        # The database is unfinished, so no process can use it.
        return


def _remove_revlogs(repo: Any, raw: Any) -> None:
    """Remove the revlogs of files, and take them off Mercurial's list."""
    if not raw.exists(DATA) and not any(
        map(_is_file_revlog, _fncache_entries(raw))
    ):
        return
    for name in (DATA, SPLIT_FOLDER):
        if raw.isdir(name):
            shutil.rmtree(raw.join(name))
    _remove_listed(repo, raw, _is_file_revlog)


def _remove_manifests(repo: Any, raw: Any) -> None:
    """Remove the revlogs of manifests, and take them off Mercurial's list."""
    for name in _root_manifest_files(raw.base):
        raw.unlink(name)
    if not raw.isdir(META) and not any(
        map(_is_manifest_revlog, _fncache_entries(raw))
    ):
        return
    if raw.isdir(META):
        shutil.rmtree(raw.join(META))
    _remove_listed(repo, raw, _is_manifest_revlog)


def _remove_listed(
    repo: Any, raw: Any, chosen: Callable[[bytes], bool]
) -> None:
    """Remove chosen revlogs whose names are hashed, and their list."""
    for entry in filter(chosen, _fncache_entries(raw)):
        encoded = repo.store.encode(entry)
        # The folder of hashed names has revlogs of files and of manifests.
        if encoded.startswith(HASHED + b'/'):
            raw.unlinkpath(encoded, ignoremissing=True)
    _write_fncache(repo, chosen)


def _block_revlogs(raw: Any) -> None:
    """Make it impossible to read or write revlogs of files.

    A process without this extension that opened the repository before it was
    converted would otherwise find no history of files, or write revlogs that no
    other process reads.
    """
    # Without symbolic links nothing is blocked: other ways could do harm.
    with contextlib.suppress(OSError):
        os.symlink(NOWHERE, raw.join(DATA))
