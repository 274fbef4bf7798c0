# SPDX-License-Identifier: GPL-2.0-or-later
"""Create a repository: choose its requirements, make its empty database.

Knows nothing of the content of a database.
"""

from __future__ import annotations

import os
from typing import Any

from mercurial import requirements as corerequirements
from mercurial import scmutil
from mercurial import vfs as vfsmod
from mercurial.i18n import _

from .. import requirements


def new_repo_requirements(orig: Any, ui: Any, createopts: Any) -> set[bytes]:
    """Return the requirements of a new repository."""
    if createopts.get(b'backend') != requirements.BACKEND:
        return orig(ui, createopts)
    compression = requirements.compression_requirement(ui)
    names: set[bytes] = orig(ui, {**createopts, b'backend': b'revlogv1'})
    if b'sharedrepo' in createopts:
        # A share has the backend of its source.
        return names
    if corerequirements.STORE_REQUIREMENT not in names:
        # This is the oldest format of Mercurial. create_repository() warns.
        return names
    if requirements.FILE_INDEX in names:
        # The file index lists the revlogs of files. The database has its own
        # list of files.
        names = names - {requirements.FILE_INDEX} | {
            corerequirements.FNCACHE_REQUIREMENT,
            corerequirements.DOTENCODE_REQUIREMENT,
        }
    return names | {requirements.REQUIREMENT, compression}


def create_repository(
    orig: Any,
    ui: Any,
    path: bytes,
    createopts: Any = None,
    requirements: Any = None,
) -> Any:
    """Create a repository, and its database if it requires one."""
    if (
        requirements is None
        and b'sharedrepo' not in (createopts or {})
        and _lacks_store(ui)
    ):
        # Mercurial does the same for its options that need a store.
        ui.warn(
            _(
                b"ignoring 'storage.new-repo-backend=sqlite' because it is"
                b" incompatible with disabled 'format.usestore' config\n"
            )
        )
    result = orig(ui, path, createopts, requirements)
    create_database(ui, path)
    return result


def _lacks_store(ui: Any) -> bool:
    """Return whether SQLite is configured together with ``usestore = no``."""
    backend = ui.config(b'storage', b'new-repo-backend')
    return backend == requirements.BACKEND and not ui.configbool(
        b'format', b'usestore'
    )


def create_database(ui: Any, path: bytes) -> None:
    """Create an empty database if the repository at ``path`` needs one.

    A share uses the database of its source. In a repository that is about to
    receive a stream clone or a local copy, the copy replaces the database.
    """
    hgvfs = vfsmod.vfs(os.path.join(path, b'.hg'))
    names = scmutil.readrequires(hgvfs, True)
    if names & {
        corerequirements.SHARED_REQUIREMENT,
        corerequirements.RELATIVE_SHARED_REQUIREMENT,
    }:
        return
    # The first version of stream clones makes repositories without a store.
    in_store = names & {
        corerequirements.STORE_REQUIREMENT,
        corerequirements.SHARESAFE_REQUIREMENT,
    }
    store = vfsmod.vfs(hgvfs.join(b'store' if in_store else b''))
    if corerequirements.SHARESAFE_REQUIREMENT in names:
        names |= scmutil.readrequires(store, False)
    if requirements.REQUIREMENT not in names:
        return
    from ..database import connection
    from ..formats import schema

    db = connection.Database(
        store.join(schema.FILENAME),
        ui.config(b'storage', b'sqlite.synchronous'),
    )
    if not store.exists(schema.FILENAME):
        db.create()
        mode = store.stat(b'.').st_mode & 0o666
        os.chmod(db.path, mode)
