# SPDX-License-Identifier: GPL-2.0-or-later
"""Repositories of limited depth, as Mercurial meets them.

Their files say what is missing (``shallow``); whoever copies or streams the
store gets what belongs to that as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mercurial import scmutil
from mercurial import store as storemod
from mercurial.node import bin

from ..requirements import SHALLOW
from . import checks, storage


def begin(repo: Any) -> None:
    """Make an empty repository one in which files may be missing."""
    unfiltered = repo.unfiltered()
    with repo.lock():
        repo.requirements.add(SHALLOW)
        scmutil.writereporequirements(unfiltered)
    adopt(unfiltered)
    if repo is not unfiltered:
        view = unfiltered.filtered(repo.filtername)
        object.__setattr__(repo, '__class__', type(view))


def adopt(repo: Any) -> None:
    """Let a repository's files tell what is missing."""
    scmutil.fileprefetchhooks.add(b'wireprotov2', checks.check_files)
    _on_top(repo)
    _list_texts(repo.store)


def _on_top(repo: Any) -> None:
    """Make ``repo.file`` ours, whatever other extensions made of it."""
    inherited = type(repo)
    if getattr(inherited.file, '_shallow', False):
        return

    class shallowrepo(inherited):  # type: ignore[misc, valid-type]
        # file revisions without data that a verification met
        shallow_missing = 0

        def file(self, *args: Any, **kwargs: Any) -> Any:
            return storage.guarded(self, super().file(*args, **kwargs))

        file._shallow = True  # type: ignore[attr-defined]

        def hook(self, name: bytes, *args: Any, **kwargs: Any) -> Any:
            target = kwargs.get('parent1')
            if name == b'preupdate' and target and not kwargs['parent2']:
                checks.check_update(self, target)
            elif name == b'pretxnchangegroup':
                changelog = self.unfiltered().changelog
                first = changelog.rev(bin(kwargs['node']))
                # a clone notes what it is
                if first:
                    checks.note_reused(self, first)
            return super().hook(name, *args, **kwargs)

        def filtered(self, *args: Any, **kwargs: Any) -> Any:
            # asked for when all extensions had their turn
            _on_top(self)
            return super().filtered(*args, **kwargs)

    repo.__class__ = shallowrepo


def _list_texts(store: Any) -> None:
    """Let clones, streams and ``hg unshare`` copy what arrived later."""
    inherited = type(store)
    if hasattr(inherited, 'shallow_entries'):
        return

    class shallowstore(inherited):  # type: ignore[misc, valid-type]
        def shallow_entries(self) -> Iterator[Any]:
            # raw: these names are never encoded
            vfs: Any = getattr(self, 'rawvfs', self.vfs)
            for folder, _folders, names in sorted(vfs.walk(storage.FOLDER)):
                for name in sorted(names):
                    yield storemod.SimpleStoreEntry(
                        entry_path=b'%s/%s' % (folder, name),
                        # replaced, never written to
                        is_volatile=True,
                    )

        def walk(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
            yield from self.shallow_entries()
            yield from super().walk(*args, **kwargs)

        def copylist(self) -> list[bytes]:
            listed: list[bytes] = super().copylist()
            prefix = b'store/' if b'store/data' in listed else b''
            return [*listed, prefix + storage.FOLDER]

    store.__class__ = shallowstore
