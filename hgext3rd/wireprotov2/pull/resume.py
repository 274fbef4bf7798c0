# SPDX-License-Identifier: GPL-2.0-or-later
"""Interrupted clones: how they are marked, kept, repaired and continued.

The repository of a clone that takes several transactions has a marker and its
default path from the beginning. So ``hg pull`` can continue the clone, whatever
ended the process. Nothing here knows how history is fetched.
"""

from __future__ import annotations

import os
from typing import Any

from mercurial import error, util
from mercurial import ui as uimod
from mercurial.i18n import _
from mercurial.utils import urlutil

from ..requirements import UNFINISHED
from .parts import Parts

# The content of the marker. Code that expects another cannot continue.
VERSION = b'1\n'


class Resumption:
    """The mark of an unfinished clone in ``repo``."""

    def __init__(self, repo: Any) -> None:
        self._repo = repo
        #: whether this object marked a clone when it was still empty
        self.new_clone = False

    def unfinished(self) -> bool:
        """Return whether the repository is marked as an unfinished clone."""
        return bool(self._repo.vfs.tryread(UNFINISHED) == VERSION)

    def begin_clone(self) -> None:
        """Mark the repository if ``hg clone`` has just created it."""
        repo = self._repo
        if len(repo.unfiltered()) or self._clone_hgrc() is None:
            return
        with repo.wlock():
            self.begin()
        self.new_clone = True

    def begin(self) -> None:
        """Give a clone its default path; mark the repository.

        A kill between two steps must never leave the mark without the path.
        """
        repo = self._repo
        if self.unfinished():
            return
        content = self._clone_hgrc()
        if content is not None and not repo.vfs.exists(b'hgrc'):
            repo.vfs.write(b'hgrc', content, atomictemp=True)
        repo.vfs.write(UNFINISHED, VERSION, atomictemp=True)

    def end(self) -> None:
        """Remove the mark: the repository is as complete as a pull makes it."""
        repo = self._repo
        # As in begin(), the mark must not outlive the path.
        repo.vfs.tryunlink(UNFINISHED)
        Parts(repo.vfs).forget()
        # "hg clone" writes its own hgrc in front of the content it finds.
        content = self._clone_hgrc()
        if content is not None and repo.vfs.tryread(b'hgrc') == content:
            repo.vfs.tryunlink(b'hgrc')

    def interrupted(self) -> None:
        """Tell the user how to continue, if there is anything to continue.

        Otherwise remove the mark.
        """
        repo = self._repo
        count = len(repo.unfiltered())
        if count:
            repo.ui.warn(
                _(b"(kept %d changesets in %s; 'hg pull' there continues)\n")
                % (count, repo.root)
            )
        elif kept := Parts(repo.vfs).size():
            repo.ui.warn(
                _(b"(kept %s in %s; 'hg pull' there continues)\n")
                % (util.bytecount(kept), repo.root)
            )
        elif self.new_clone or not repo.svfs.exists(b'journal'):
            self.end()

    def _clone_hgrc(self) -> bytes | None:
        """Return the hgrc that ``hg clone`` writes; None if it is no clone."""
        ui = self._repo.ui
        if ui.configsource(b'paths', b'default') != b'clone':
            return None
        default = urlutil.url(ui.config(b'paths', b'default'))
        default.passwd = None
        content: bytes = util.tonativeeol(
            uimod.samplehgrcs[b'cloned'] % bytes(default)
        )
        return content


def recover(repo: Any) -> None:
    """Roll back the transaction during which a clone was killed."""
    if not (Resumption(repo).unfinished() and repo.svfs.exists(b'journal')):
        return
    try:
        with repo.lock(wait=False):
            repo.recover()
    except error.LockError:
        # Another process is working on the repository.
        pass


def remove_unless_kept(orig: Any, path: Any, *args: Any, **kwargs: Any) -> None:
    """Remove a tree with ``orig``, unless it is a clone that can continue.

    Wrapped around ``shutil.rmtree``, with which Mercurial removes the
    destination of a failed clone. ``path`` is the root of the repository, or
    its ``.hg`` if the root existed before.
    """
    if isinstance(path, bytes) and any(
        os.path.exists(os.path.join(folder, UNFINISHED))
        for folder in (path, os.path.join(path, b'.hg'))
    ):
        return
    orig(path, *args, **kwargs)
