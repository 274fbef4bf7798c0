# SPDX-License-Identifier: GPL-2.0-or-later
"""Mercurial's debug commands that look inside revlogs.

Commands that only ask for revisions, parents and data work on files in SQLite
unchanged. Those that show or repair the layout of a revlog refuse such files.

Every command imports this module, so it imports other modules of this package
only when they are needed.
"""

from __future__ import annotations

from typing import Any

from mercurial import error
from mercurial.i18n import _

from .. import requirements

# Commands of core's contrib/perf.py that ask only for texts and base revisions.
_PERF_COMMANDS = (b'perfbdiff', b'perfrevlogrevisions', b'perfunidiff')


def open_revlog(
    orig: Any, repo: Any, cmd: bytes, *args: Any, **kwargs: Any
) -> Any:
    """Return the revlog that the debug command ``cmd`` asks for.

    Raises InputError if it is a history in SQLite.
    """
    found = orig(repo, cmd, *args, **kwargs)
    if repo and requirements.uses_sqlite(repo):
        if cmd == b'debugrevlogindex' and not repo.ui.verbose:
            # This command shows offsets in the revlog only when verbose.
            return found
        if cmd in _PERF_COMMANDS:
            return found
        from ..revlogs.sqliterevlog import SQLiteRevlog

        if isinstance(found, SQLiteRevlog):
            raise error.InputError(
                _(b"the history of '%s' is not in a revlog") % found.display_id,
                hint=_(b"see 'hg help admin::sqlite-stats'"),
            )
    return found


def revlog_stats(
    orig: Any,
    repo: Any,
    fm: Any,
    changelog: bool,
    manifest: bool,
    filelogs: bool,
) -> Any:
    """Show statistics about revlogs, without histories in SQLite."""
    if requirements.uses_sqlite(repo):
        filelogs = manifest = False
    return orig(repo, fm, changelog, manifest, filelogs)


def persist_nodemap(
    orig: Any, tr: Any, revlog: Any, *args: Any, **kwargs: Any
) -> Any:
    """Write the persistent nodemap of a revlog; ours need none."""
    if getattr(revlog, 'in_sqlite', False):
        return None
    return orig(tr, revlog, *args, **kwargs)


def delete_nodemap(
    orig: Any, tr: Any, repo: Any, revlog: Any, *args: Any, **kwargs: Any
) -> Any:
    """Delete the persistent nodemap of a revlog; ours have none.

    When a stream clone has just replaced the database by revlogs, the object
    for manifests that Mercurial passes is still that for the database.
    """
    if getattr(revlog, 'in_sqlite', False):
        if requirements.uses_sqlite(repo):
            return None
        from . import repository

        repository.forget_manifests(repo)
        revlog = repo.unfiltered().manifestlog.getstorage(b'').get_revlog()
    return orig(tr, repo, revlog, *args, **kwargs)


def repair_issue6528(orig: Any, ui: Any, repo: Any, **kwargs: Any) -> Any:
    """Repair the revlogs of files; raise StateError if files are in SQLite."""
    if requirements.uses_sqlite(repo):
        raise error.StateError(
            _(b'the file history of this repository is not in revlogs'),
            hint=_(
                b"convert it with 'hg admin::sqlite-convert --to revlog',"
                b' repair it, and convert it back'
            ),
        )
    return orig(ui, repo, **kwargs)
