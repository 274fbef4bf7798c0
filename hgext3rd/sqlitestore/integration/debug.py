# SPDX-License-Identifier: GPL-2.0-or-later
"""Mercurial's debug commands that look inside revlogs, told what is none.

Those that only ask for revisions, parents and data work on a file store as
they are; the layout they would show otherwise does not exist here.
"""

from __future__ import annotations

from typing import Any

from mercurial import error
from mercurial.i18n import _

from .. import requirements


def open_revlog(
    orig: Any, repo: Any, cmd: bytes, *args: Any, **kwargs: Any
) -> Any:
    """Open a revlog; raises InputError for the history of a file of ours."""
    found = orig(repo, cmd, *args, **kwargs)
    if repo and requirements.REQUIREMENT in repo.requirements:
        if cmd == b'debugrevlogindex' and not repo.ui.verbose:
            # it shows offsets only when verbose
            return found
        from ..filelog.filestore import FileStore

        if isinstance(found, FileStore):
            raise error.InputError(
                _(b"the history of '%s' is not in a revlog") % found.filename,
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
    """List the revlogs there are: in our repositories, not those of files."""
    if requirements.REQUIREMENT in repo.requirements:
        filelogs = False
    return orig(repo, fm, changelog, manifest, filelogs)
