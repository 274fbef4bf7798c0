# SPDX-License-Identifier: GPL-2.0-or-later
"""Put a copy of the database into a repository, and make both agree.

The copy and the rest of the repository may be of different moments. The changesets
that both have in common stay: the database then loses what belongs to later ones,
and the changelog loses changesets whose files the database lacks.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from mercurial import error, node, repair, util

from ...amalgam import durable, sidefiles
from ..database import connection
from ..formats import schema
from ..writing import backup, recovery

SUFFIX = b'.restored'


def restore(
    repo: Any, source: bytes, progress: Callable[[int, int], None]
) -> tuple[int, int]:
    """Replace the database of ``repo`` by a copy of the database ``source``.

    Return how many changesets are there now, and how many were removed. Raises
    StoreUnavailable or CorruptStore, and leaves the repository as it was, if
    ``source`` cannot be used. If it is interrupted later, repeat it.
    """
    repo = repo.unfiltered()
    path = repo.svfs.join(schema.FILENAME)
    copy = path + SUFFIX
    # The store is not opened before: there may be no database, or a damaged one.
    with repo.wlock(), repo.lock():
        sidefiles.remove(copy)
        origin = connection.Database(source)
        try:
            # Its note makes the recovery below remove what has no changeset.
            backup.backup(origin, copy, progress)
        finally:
            origin.close()
        os.chmod(copy, os.stat(repo.svfs.join(b'')).st_mode & 0o666)
        # A log beside another database would be taken for a part of it.
        sidefiles.remove(path)
        util.rename(copy, path)
        durable.sync_directory(os.path.dirname(path))
        store = repo.sqlitestore
        before = len(repo.changelog)
        common = _common(repo)
        store.db.begin()
        recovery.strip_rows(store, common)
        store.db.commit()
        store.forget()
        if common < before:
            repo.invalidate(clearfilecache=True)
            changelog = repo.changelog
            lost = [changelog.node(rev) for rev in range(common, before)]
            repair.strip(repo.ui, repo, lost, backup=False)
        recovery.recover(store)
    return common, before - common


def _common(repo: Any) -> int:
    """Return how many changesets, from the first, have what they need.

    A manifest is stored in one transaction with its files. Its link is to the
    changeset that brought it, by number. Numbers differ if one of the two copies
    is from before a strip, and the other from after it.
    """
    changelog = repo.changelog
    manifests = repo.manifestlog.getstorage(b'')

    def manifest_of(rev: int) -> bytes:
        found: bytes = changelog.changelogrevision(rev).manifest
        return found

    for rev in range(len(changelog)):
        wanted = manifest_of(rev)
        if wanted == node.nullid:
            continue
        try:
            link = manifests.linkrev(manifests.rev(wanted))
        except error.LookupError:
            return rev
        if link > rev or manifest_of(link) != wanted:
            return rev
    return len(changelog)
