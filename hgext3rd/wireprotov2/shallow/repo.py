# SPDX-License-Identifier: GPL-2.0-or-later
"""Repositories of limited depth: the subclasses of Mercurial's repo and store.

Their files report data that is missing (see ``storage``). Copies and streams of
the store include the data that arrived later. Nothing here knows the wire.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mercurial import scmutil
from mercurial import store as storemod
from mercurial.node import bin

from ..requirements import SHALLOW
from . import absence, account, demand, extent, storage, texts


def begin(repo: Any) -> None:
    """Turn an empty repository into one of limited depth."""
    unfiltered = repo.unfiltered()
    with repo.lock():
        repo.requirements.add(SHALLOW)
        scmutil.writereporequirements(unfiltered)
    adopt(unfiltered)
    if repo is not unfiltered:
        view = unfiltered.filtered(repo.filtername)
        object.__setattr__(repo, '__class__', type(view))


def adopt(repo: Any) -> None:
    """Give a repository of limited depth, and its store, their subclasses."""
    _put_on_top(repo)
    _adopt_store(repo.store)


def _put_on_top(repo: Any) -> None:
    """Make the subclass of ``repo`` the outermost one.

    Other extensions may have made subclasses in the meantime.
    """
    inherited = type(repo)
    if getattr(inherited.file, '_shallow', False):
        return

    class shallowrepo(inherited):  # type: ignore[misc, valid-type]
        #: the number of file revisions without data that ``verify`` has met
        shallow_missing = 0

        #: fetches data that is missing, see ``demand``
        shallow_source: demand.Source | None = None

        #: returns the text of a file revision, given its path, node and
        #: parents, or None; set while a pull runs that can request texts
        shallow_fetch: storage.Fetch | None = None

        def file(self, *args: Any, **kwargs: Any) -> Any:
            return storage.guarded(self, super().file(*args, **kwargs))

        file._shallow = True  # type: ignore[attr-defined]

        def hook(self, name: bytes, *args: Any, **kwargs: Any) -> Any:
            if (
                name == b'pretxnchangegroup'
                # It may have become complete since it was opened.
                and absence.is_shallow(self)
                and not extent.is_lazy(self)
            ):
                changelog = self.unfiltered().changelog
                first = changelog.rev(bin(kwargs['node']))
                # A clone itself records which changesets are incomplete.
                if first:
                    account.note_reused(self, first)
            return super().hook(name, *args, **kwargs)

        def close(self) -> None:
            # Connections over ssh have a process each.
            source = self.unfiltered().shallow_source
            if source is not None:
                source.close()
            super().close()

        def filtered(self, *args: Any, **kwargs: Any) -> Any:
            # Commands ask for a filtered view after every extension has set up
            # the repository.
            _put_on_top(self)
            return super().filtered(*args, **kwargs)

    repo.__class__ = shallowrepo
    unfiltered = repo.unfiltered()
    if 'shallow_reads' not in vars(unfiltered):
        # How many ancestors were fetched at the last reads of each path.
        unfiltered.shallow_reads = {}
        # The storages of files to which revisions are being added, by path.
        unfiltered.shallow_adding = {}


def _adopt_store(store: Any) -> None:
    """Make clones, streams and ``hg unshare`` copy data that arrived later."""
    inherited = type(store)
    if hasattr(inherited, 'shallow_entries'):
        return

    class shallowstore(inherited):  # type: ignore[misc, valid-type]
        def shallow_entries(self) -> Iterator[Any]:
            # The raw vfs, because these names are never encoded.
            vfs: Any = getattr(self, 'rawvfs', self.vfs)
            for folder, _folders, names in sorted(vfs.walk(texts.FOLDER)):
                for name in sorted(names):
                    if name.endswith(texts.LOCK_SUFFIX):
                        continue
                    yield storemod.SimpleStoreEntry(
                        entry_path=b'%s/%s' % (folder, name),
                        # These files are replaced, and never appended to.
                        is_volatile=True,
                    )

        def walk(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
            yield from self.shallow_entries()
            yield from super().walk(*args, **kwargs)

        def copylist(self) -> list[bytes]:
            listed: list[bytes] = super().copylist()
            prefix = b'store/' if b'store/data' in listed else b''
            return [*listed, prefix + texts.FOLDER]

    store.__class__ = shallowstore
