# SPDX-License-Identifier: GPL-2.0-or-later
"""``hg debugupgraderepo`` in a repository of ours.

Core makes a new store beside the old one, with changelog and manifests in
their new format, and swaps the two. File history is in no format of core's, so
the database takes part as a whole: it is in the new store under the name it
always had, and still the same file, because other processes may have it open
and SQLite finds its log by that name. The old store, which core keeps as a
backup, gets a copy.

Another backend is not a format that core could upgrade to; that is what
``upgrade`` does.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

from mercurial import util
from mercurial.i18n import _

from .. import requirements
from ..formats import statements
from . import storeentries

# What core's upgrade_engine calls the history of all files.
FILELOGS = b'all-filelogs'

SIDE_FILES = (b'-wal', b'-shm')


def upgrade_repository(
    orig: Any, ui: Any, repo: Any, *args: Any, **kwargs: Any
) -> Any:
    """Core's ``upgraderepo``, with the backend the repository has."""
    ours = requirements.REQUIREMENT in repo.requirements
    wanted = repo.ui.config(b'storage', b'new-repo-backend')
    overrides = {(b'storage', b'new-repo-backend'): b'revlogv1'}
    if ours:
        compression = requirements.compression_of(repo.requirements)
        overrides = {
            (b'storage', b'new-repo-backend'): requirements.BACKEND,
            (b'storage', b'sqlite.compression'): compression.encode(),
            # the temporary repository is gone when it would be looked at
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
    """The requirements an upgraded repository may have."""
    found: set[bytes] = orig(repo)
    return found | {
        name
        for name in repo.requirements
        if name == requirements.REQUIREMENT
        or name.startswith(requirements.COMPRESSION_PREFIX)
    }


def plan_operation(
    orig: Any, operation: Any, ui: Any, *args: Any, **kwargs: Any
) -> None:
    """Take filelogs off the list of what is to be processed."""
    orig(operation, ui, *args, **kwargs)
    if (
        requirements.REQUIREMENT in operation.current_requirements
        and FILELOGS in operation.revlogs_to_process
    ):
        ui.status(_(b'(file history is in SQLite and stays as it is)\n'))
        operation.revlogs_to_process.discard(FILELOGS)


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
    """Copy a changelog, manifest or filelog; returns the new one."""
    if isinstance(entry, storeentries.FileEntry):
        # comes with the database
        return old
    return orig(ui, dstrepo, tr, old, entry, *args, **kwargs)


def other_files(orig: Any, srcrepo: Any) -> Iterator[bytes]:
    """The names of other files of the store that are to be copied."""
    for name in orig(srcrepo):
        if not name.startswith(storeentries.FILENAME):
            yield name


def replace_stores(
    orig: Any, repo: Any, upgraded: Any, backup: Any, operation: Any
) -> None:
    """Replace the store of ``repo``, and keep its database."""
    if requirements.REQUIREMENT in repo.requirements:
        _hand_over(repo, upgraded.svfs, operation.backup_store)
    orig(repo, upgraded, backup, operation)


def _hand_over(repo: Any, target: Any, backup: bool) -> None:
    """Put the database into the store ``target`` (a vfs), as the same file.

    With ``backup`` a copy stays, else another name of the same file. So both
    stores have one whenever this ends.
    """
    db = repo.unfiltered().sqlitestore.db
    copy = db.path + b'.upgrade'
    if backup:
        storeentries.copy_database(db.path, copy)
        shutil.copymode(db.path, copy)
    # Now the file holds everything without its log, unless others read it.
    db.execute(statements.SHRINK_LOG)
    for suffix in (b'', *SIDE_FILES):
        name = target.join(storeentries.FILENAME + suffix)
        util.tryunlink(name)
        _link(db.path + suffix, name)
    if backup:
        for suffix in SIDE_FILES:
            util.tryunlink(db.path + suffix)
        util.rename(copy, db.path)


def _link(path: bytes, name: bytes) -> None:
    """Give the file at ``path``, if it exists, a second name."""
    try:
        os.link(path, name)
    except FileNotFoundError:
        pass
    except OSError:
        # a file system without links: its only name
        util.rename(path, name)
