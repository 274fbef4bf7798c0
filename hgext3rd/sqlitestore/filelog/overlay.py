# SPDX-License-Identifier: GPL-2.0-or-later
"""Bundle and union repositories on top of a file store.

Both add revisions to a file in memory, after those in the database, without
writing anything: from a bundle's changegroup, or from another repository of
any kind. The index they extend is a copy of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mercurial import error, mdiff
from mercurial import vfs as vfsmod
from mercurial.i18n import _
from mercurial.node import nullrev

from .. import compat
from ..formats import index
from ..reading.store import Store
from . import filelog

Linkmapper = Callable[[bytes], int]


class OverlayStore(filelog.FileStore):
    """A file with revisions that are not in the database.

    Those have numbers above ``repotiprev``; ``bundlerevs`` are the numbers of
    all revisions that the other side has.
    """

    def __init__(self, store: Store, opener: Any, path: bytes) -> None:
        super().__init__(
            store, vfsmod.readonlyvfs(opener), path, writable=False
        )
        self.idx = store.read_index(store.path_id(path))
        self.repotiprev = len(self.idx) - 1
        self.bundlerevs: set[int] = set()

    def _overlaid(self, rev: int) -> bytes:
        """The raw text of a revision above ``repotiprev``."""
        raise error.ProgrammingError(b'no overlaid revisions')

    def _rawtext(self, rev: int) -> tuple[bytes, bool]:
        if rev <= self.repotiprev:
            return super()._rawtext(rev)
        cached = self._cache
        if cached is None or cached[0] != rev:
            self._cache = cached = (rev, self._overlaid(rev), False)
        return cached[1], cached[2]

    def _check(self, text: bytes, rev: int) -> None:
        """Raise unless ``text`` is that of a revision.

        What is overlaid was never checked before, so core's hash is due.
        """
        if rev > self.repotiprev:
            self.checkhash(text, self.node(rev), rev=rev)
        else:
            super()._check(text, rev)

    def deltaparent(self, rev: int) -> int:
        """As in the database; overlaid revisions have none."""
        return nullrev if rev > self.repotiprev else super().deltaparent(rev)

    def addgroup(self, *args: Any, **kwargs: Any) -> bool:
        """Overlays are read-only."""
        raise error.ProgrammingError(b'cannot write to an overlay')

    def addrawrevision(self, *args: Any, **kwargs: Any) -> int:
        """Overlays are read-only."""
        raise error.ProgrammingError(b'cannot write to an overlay')

    def strip(self, minlink: int, transaction: Any) -> None:
        """Overlays are read-only."""
        raise error.ProgrammingError(b'cannot write to an overlay')


class BundleStore(OverlayStore):
    """A file with the revisions of a bundle.

    ``bundle`` is core's changegroup unpacker, placed at the file's deltas.
    """

    def __init__(
        self,
        store: Store,
        opener: Any,
        path: bytes,
        bundle: Any,
        linkmapper: Linkmapper,
    ) -> None:
        super().__init__(store, opener, path)
        self.bundle = bundle
        # overlaid revision -> delta base, position and length of its delta
        self._deltas: dict[int, tuple[int, int, int]] = {}
        for data in compat.incoming(bundle.deltaiter()):
            known = self.index.get_rev(data.node)
            if known is not None:
                self.bundlerevs.add(known)
                continue
            for parent in (data.p1, data.p2):
                if not self.index.has_node(parent):
                    raise error.LookupError(parent, path, _(b'unknown parent'))
            if not self.index.has_node(data.delta_base):
                raise error.LookupError(
                    data.delta_base, path, _(b'unknown delta base')
                )
            base = self.rev(data.delta_base)
            size = len(data.delta)
            rev = self.idx.append(
                index.Revision(
                    data.node,
                    self.rev(data.p1),
                    self.rev(data.p2),
                    linkmapper(data.link_node),
                    data.flags,
                    mdiff.patchedsize(self.rawsize(base), data.delta),
                    0,
                    0,
                )
            )
            self._deltas[rev] = (base, bundle.tell() - size, size)
            self.bundlerevs.add(rev)

    def _delta(self, rev: int) -> bytes:
        _base, position, size = self._deltas[rev]
        self.bundle.seek(position)
        data: bytes = self.bundle.read(size)
        return data

    def _overlaid(self, rev: int) -> bytes:
        deltas = []
        while rev > self.repotiprev:
            cached = self._cache
            if cached is not None and cached[0] == rev:
                break
            deltas.append(self._delta(rev))
            rev = self._deltas[rev][0]
        text = b'' if rev == nullrev else self._rawtext(rev)[0]
        deltas.reverse()
        return bytes(mdiff.patches(text, deltas)) if deltas else text

    def deltaparent(self, rev: int) -> int:
        """As in the bundle, or in the database."""
        if rev > self.repotiprev:
            return self._deltas[rev][0]
        return super().deltaparent(rev)

    def stored_delta(self, rev: int) -> bytes | None:
        """As in the bundle, or in the database."""
        if rev > self.repotiprev:
            return self._delta(rev)
        return super().stored_delta(rev)


class UnionStore(OverlayStore):
    """A file with the revisions that another repository has of it.

    ``other`` is the revlog-shaped object of that file there.
    """

    def __init__(
        self,
        store: Store,
        opener: Any,
        path: bytes,
        other: Any,
        linkmapper: Callable[[int], int],
    ) -> None:
        super().__init__(store, opener, path)
        self.revlog2 = other
        for rev2 in other:
            node = other.node(rev2)
            known = self.index.get_rev(node)
            if known is not None:
                self.bundlerevs.add(known)
                continue
            p1, p2 = other.parents(node)
            rev = self.idx.append(
                index.Revision(
                    node,
                    self.rev(p1),
                    self.rev(p2),
                    linkmapper(other.linkrev(rev2)),
                    other.flags(rev2),
                    other.rawsize(rev2),
                    0,
                    0,
                )
            )
            self.bundlerevs.add(rev)

    def _overlaid(self, rev: int) -> bytes:
        text: bytes = self.revlog2.rawdata(self.node(rev))
        return text


class OverlayFilelog(filelog.SQLiteFilelog):
    """A filelog around one of the stores above."""

    def __init__(self, overlay: OverlayStore) -> None:
        self._revlog = overlay
        self.nullid = overlay.nullid
        options = overlay.opener.options
        self._fix_issue6528 = options.get(b'issue6528.fix-incoming', True)
        self.repotiprev = overlay.repotiprev


def bundle_file(repo: Any, path: bytes) -> Any:
    """The filelog of a file that a bundle repository's bundle contains."""
    return OverlayFilelog(
        BundleStore(
            repo.unfiltered().sqlitestore,
            repo.svfs,
            path,
            repo._cgunpacker,
            repo.unfiltered().changelog.rev,
        )
    )


def union_file(repo: Any, path: bytes) -> Any:
    """The filelog of a file in a union repository over one of ours."""
    return OverlayFilelog(
        UnionStore(
            repo.unfiltered().sqlitestore,
            repo.svfs,
            path,
            repo.repo2.file(path)._revlog,
            repo.unfiltered()._clrev,
        )
    )


def union_with_ours(repo: Any, path: bytes) -> Any:
    """The filelog of a file in a union of a core repository with ours."""
    from mercurial import unionrepo

    class unionfilelog(unionrepo.unionfilelog):
        def __init__(self, base: Any, other: Any) -> None:
            self._revlog = unionrepo.unionrevlog(
                repo.svfs, base.radix, other, repo.unfiltered()._clrev
            )
            self.nullid = self._revlog.nullid
            self._fix_issue6528 = True
            self._repo = repo
            self.repotiprev = self._revlog.repotiprev
            self.revlog2 = self._revlog.revlog2

    base = super(unionrepo.unionrepository, repo).file(path)
    return unionfilelog(base._revlog, repo.repo2.file(path)._revlog)
