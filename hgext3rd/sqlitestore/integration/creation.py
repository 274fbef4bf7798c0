# SPDX-License-Identifier: GPL-2.0-or-later
"""Making the database of a repository that was just created."""

from __future__ import annotations

import os
from typing import Any

from mercurial import requirements as corerequirements
from mercurial import scmutil
from mercurial import vfs as vfsmod

from .. import requirements
from ..database import connection
from ..formats import schema


def create_database(ui: Any, path: bytes) -> None:
    """Make an empty database if the repository at ``path`` needs one.

    A share has none of its own; a repository about to receive a stream clone
    or a local copy gets one that is replaced.
    """
    hgvfs = vfsmod.vfs(os.path.join(path, b'.hg'))
    names = scmutil.readrequires(hgvfs, True)
    if names & {
        corerequirements.SHARED_REQUIREMENT,
        corerequirements.RELATIVE_SHARED_REQUIREMENT,
    }:
        return
    # without it a stream clone of the oldest kind, which asks for none
    in_store = names & {
        corerequirements.STORE_REQUIREMENT,
        corerequirements.SHARESAFE_REQUIREMENT,
    }
    store = vfsmod.vfs(hgvfs.join(b'store' if in_store else b''))
    if corerequirements.SHARESAFE_REQUIREMENT in names:
        names |= scmutil.readrequires(store, False)
    if requirements.REQUIREMENT not in names:
        return
    db = connection.Database(
        store.join(schema.FILENAME),
        ui.config(b'storage', b'sqlite.synchronous'),
    )
    if not store.exists(schema.FILENAME):
        db.create()
        mode = store.stat(b'.').st_mode & 0o666
        os.chmod(db.path, mode)


def remove_database(repo: Any) -> None:
    """Remove the unused database of a repository that became another kind."""
    store = vars(repo.unfiltered()).pop('sqlitestore', None)
    if store is not None:
        store.db.close()
    for suffix in (b'', b'-wal', b'-shm'):
        repo.svfs.tryunlink(schema.FILENAME + suffix)
