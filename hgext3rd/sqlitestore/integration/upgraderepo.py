# SPDX-License-Identifier: GPL-2.0-or-later
"""``hg debugupgraderepo`` in a repository that keeps its files in SQLite.

Mercurial makes a new store beside the old one, with changelog and manifests in
their new format, and swaps the two. No upgrade changes the format of the
database, so it moves as a whole. In the new store it has its usual name and is
still the same file, because other processes may have it open and SQLite finds
its log by that name. The old store, which Mercurial keeps as a backup, gets a
copy.

An upgrade cannot change the backend. ``hg admin::sqlite-convert`` does that.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

from mercurial import util
from mercurial.i18n import _

from ...amalgam import sidefiles
from .. import requirements
from ..formats import schema, statements
from . import copies, storeentries

# The name of the history of all files in Mercurial's upgrade_engine.
FILELOGS = b'all-filelogs'

# The name of all manifests there.
MANIFESTS = b'manifest'


def upgrade_repository(
    orig: Any, ui: Any, repo: Any, *args: Any, **kwargs: Any
) -> Any:
    """Upgrade a repository without changing its backend."""
    wanted = repo.ui.config(b'storage', b'new-repo-backend')
    overrides = {(b'storage', b'new-repo-backend'): b'revlogv1'}
    if requirements.uses_sqlite(repo):
        compression = requirements.compression_of(repo.requirements)
        overrides = {
            (b'storage', b'new-repo-backend'): requirements.BACKEND,
            (b'storage', b'sqlite.compression'): compression.encode(),
            # The temporary repository no longer exists when a repack of it
            # would start.
            (b'storage', b'sqlite.auto-repack'): b'no',
        }
    elif wanted != requirements.BACKEND:
        return orig(ui, repo, *args, **kwargs)
    else:
        ui.status(
            _(
                b'(file history stays in revlogs;'
                b" 'hg admin::sqlite-convert' moves it to SQLite)\n"
            )
        )
    with repo.ui.configoverride(overrides, b'sqlitestore'):
        return orig(ui, repo, *args, **kwargs)


def known_requirements(orig: Any, repo: Any) -> set[bytes]:
    """Return the requirements that an upgraded repository may have."""
    found: set[bytes] = orig(repo)
    return found | {
        name for name in repo.requirements if requirements.is_current(name)
    }


def plan_operation(
    orig: Any, operation: Any, ui: Any, *args: Any, **kwargs: Any
) -> None:
    """Plan an upgrade, without filelogs among the revlogs to process."""
    orig(operation, ui, *args, **kwargs)
    if requirements.REQUIREMENT not in operation.current_requirements:
        return
    if operation.revlogs_to_process & {FILELOGS, MANIFESTS}:
        ui.status(
            _(b'(files and manifests are in SQLite and stay as they are)\n')
        )
        operation.revlogs_to_process -= {FILELOGS, MANIFESTS}


def copy_history(
    orig: Any,
    ui: Any,
    dstrepo: Any,
    tr: Any,
    old: Any,
    entry: Any,
    *args: Any,
    **kwargs: Any,
) -> Any:
    """Copy a changelog, a manifest or a filelog; return the new one."""
    if isinstance(entry, storeentries.FileEntry):
        # The history of a file moves with the database.
        return old
    return orig(ui, dstrepo, tr, old, entry, *args, **kwargs)


def other_files(orig: Any, srcrepo: Any) -> Iterator[bytes]:
    """Yield the names of the other files of the store to copy."""
    for name in orig(srcrepo):
        if not name.startswith(schema.FILENAME):
            yield name


def replace_stores(
    orig: Any, repo: Any, upgraded: Any, backup: Any, operation: Any
) -> None:
    """Replace the store of ``repo``, but keep its database."""
    if requirements.uses_sqlite(repo):
        _hand_over(repo, upgraded.svfs, operation.backup_store)
    orig(repo, upgraded, backup, operation)


def _hand_over(repo: Any, target: Any, backup: bool) -> None:
    """Put the database into the store ``target`` (a vfs), as the same file.

    With ``backup`` the old store keeps a copy, otherwise a link to the same
    file. So both stores have a database even if the process dies on the way.
    """
    db = repo.unfiltered().sqlitestore.db
    copy = db.path + b'.upgrade'
    if backup:
        copies.copy_database(db.path, copy)
        shutil.copymode(db.path, copy)
    # Afterwards the file is complete without its log, unless other processes
    # read it.
    db.execute(statements.SHRINK_LOG)
    names = sidefiles.files_of(target.join(schema.FILENAME))
    for path, name in zip(sidefiles.files_of(db.path), names, strict=True):
        util.tryunlink(name)
        _link(path, name)
    if backup:
        for suffix in sidefiles.SUFFIXES:
            util.tryunlink(sidefiles.beside(db.path, suffix))
        util.rename(copy, db.path)


def _link(path: bytes, name: bytes) -> None:
    """Give the file at ``path``, if it exists, the second name ``name``."""
    try:
        os.link(path, name)
    except FileNotFoundError:
        pass
    except OSError:
        # The file system has no links: give it this name instead.
        util.rename(path, name)
