# SPDX-License-Identifier: GPL-2.0-or-later
"""Interrupted clones: kept, marked, recovered, continued.

While pieces are applied the repository has a marker and, if it is a clone, its
default path: whatever ends the process, what is there can be continued with
``hg pull``. Nothing here knows how pieces are fetched.
"""

from __future__ import annotations

import os
import shutil
from typing import Any

from mercurial import error, util
from mercurial import ui as uimod
from mercurial.i18n import _
from mercurial.utils import urlutil

# in .hg; its content is the version of what continues it
MARKER = b'wireprotov2-unfinished'
VERSION = b'1\n'

# paths of interrupted clones, which hg.clone would remove
_kept: set[bytes] = set()


def unfinished(repo: Any) -> bool:
    """Return whether ``repo`` is the destination of an interrupted clone."""
    return bool(repo.vfs.tryread(MARKER) == VERSION)


def begin_clone(repo: Any) -> bool:
    """Begin if ``repo`` is being cloned and empty; return whether it is."""
    if len(repo.unfiltered()) or _hgrc(repo) is None:
        return False
    with repo.wlock():
        begin(repo)
    return True


def begin(repo: Any) -> None:
    """Mark ``repo``; give it its default path if it is being cloned."""
    if unfinished(repo):
        return
    repo.vfs.write(MARKER, VERSION)
    content = _hgrc(repo)
    if content is not None and not repo.vfs.exists(b'hgrc'):
        repo.vfs.write(b'hgrc', content)


def end(repo: Any) -> None:
    """Say that ``repo`` is as complete as a pull makes it."""
    # hg.clone writes the hgrc again, before what it finds there
    content = _hgrc(repo)
    if content is not None and repo.vfs.tryread(b'hgrc') == content:
        repo.vfs.tryunlink(b'hgrc')
    repo.vfs.tryunlink(MARKER)


def _hgrc(repo: Any) -> bytes | None:
    """Return the hgrc ``hg clone`` writes, None if this is no clone."""
    ui = repo.ui
    if ui.configsource(b'paths', b'default') != b'clone':
        return None
    default = urlutil.url(ui.config(b'paths', b'default'))
    default.passwd = None
    content: bytes = util.tonativeeol(
        uimod.samplehgrcs[b'cloned'] % bytes(default)
    )
    return content


def interrupted(repo: Any) -> None:
    """Keep what an interrupted clone has, and say how to go on."""
    count = len(repo.unfiltered())
    if not count:
        if not repo.svfs.exists(b'journal'):
            end(repo)
        return
    _kept.update((repo.root, repo.path))
    repo.ui.warn(
        _(b"(kept %d changesets in %s; 'hg pull' there continues)\n")
        % (count, repo.root)
    )


def recover(repo: Any) -> None:
    """Roll back what a killed process left in the middle of a piece."""
    if not (unfinished(repo) and repo.svfs.exists(b'journal')):
        return
    try:
        with repo.lock(wait=False):
            repo.recover()
    except error.LockError:
        # somebody is at work on it
        pass


class Keeper:
    """Stands in for ``shutil`` where a failed clone is removed."""

    def __getattr__(self, name: str) -> Any:
        return getattr(shutil, name)

    def rmtree(self, path: bytes, *args: Any, **kwargs: Any) -> None:
        if os.path.realpath(path) in {os.path.realpath(p) for p in _kept}:
            return
        shutil.rmtree(path, *args, **kwargs)
