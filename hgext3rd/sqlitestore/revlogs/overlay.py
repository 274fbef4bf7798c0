# SPDX-License-Identifier: GPL-2.0-or-later
"""Files and manifests in bundle repositories and union repositories.

Such a history has revisions that are not in the database, after those that are:
from the changegroup of a bundle, or from another repository of any kind. They
are added to a copy of the index in memory. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from mercurial import error, mdiff
from mercurial import vfs as vfsmod
from mercurial.i18n import _
from mercurial.node import nullrev

from .. import compat
from ..formats import schema
from ..formats.index import Revision
from ..reading.store import Store
from .deltaview import DeltaView
from .filelog import SQLiteFilelog
from .indexview import IndexView
from .manifests import SQLiteManifest
from .sqliterevlog import SQLiteRevlog
from .textreader import TextReader


class Overlay(Protocol):
    """The revisions of a file that are not in the database."""

    def text(self, rev: int, reader: TextReader) -> bytes:
        """Return the raw text of a revision; ``reader`` has the others."""

    def deltaparent(self, rev: int) -> int:
        """Return the base of a revision's delta, -1 if there is no delta."""

    def delta(self, rev: int) -> bytes | None:
        """Return the delta of a revision, or None."""


class OverlayReader(TextReader):
    """Reads texts from the database and, above ``tip``, from an overlay."""

    def __init__(
        self, store: Store, view: IndexView, overlay: Overlay, tip: int
    ) -> None:
        super().__init__(store, view)
        self._overlay = overlay
        self._tip = tip

    def raw_text(self, rev: int) -> tuple[bytes, bool]:
        """Return the raw text of a revision, and whether it was checked."""
        if rev <= self._tip:
            return super().raw_text(rev)
        last = self.last
        if last is None or last[0] != rev:
            self.last = last = (rev, self._overlay.text(rev, self), False)
        return last[1], last[2]

    def check(self, text: bytes, rev: int) -> None:
        """Raise an error unless a text is that of a revision.

        Texts of the overlay never entered the store. They need core's own
        hash, which recognizes collision attacks.
        """
        if rev > self._tip:
            self.checkhash(text, self._view.node(rev), rev=rev)
        else:
            super().check(text, rev)


class OverlayDeltas(DeltaView):
    """Stored deltas of the database and, above ``tip``, of an overlay."""

    def __init__(
        self,
        store: Store,
        view: IndexView,
        overlay: Overlay,
        tip: int,
    ) -> None:
        super().__init__(store, view)
        self._overlay = overlay
        self._tip = tip

    def deltaparent(self, rev: int) -> int:
        """Return the base of a revision's delta, -1 if there is no delta."""
        if rev > self._tip:
            return self._overlay.deltaparent(rev)
        return super().deltaparent(rev)

    def stored_between(self, rev1: int, rev2: int) -> bytes | None:
        """Return a delta that need not be computed, or None."""
        if max(rev1, rev2) <= self._tip:
            return super().stored_between(rev1, rev2)
        if nullrev in (rev1, rev2) or rev2 <= self._tip:
            return None
        if self._overlay.deltaparent(rev2) != rev1:
            return None
        return self._overlay.delta(rev2)

    def stored_delta(self, rev: int) -> bytes | None:
        """Return the stored full text or delta of a revision, or None."""
        if rev > self._tip:
            return self._overlay.delta(rev)
        return super().stored_delta(rev)


class OverlayStore(SQLiteRevlog):
    """A path with the revisions of an overlay on top.

    ``repotiprev`` is the last revision in the database. ``bundlerevs`` are the
    numbers of all revisions that the other side has, including those that are
    in the database.
    """

    def __init__(
        self, store: Store, opener: Any, path: bytes, kind: int
    ) -> None:
        super().__init__(
            store, vfsmod.readonlyvfs(opener), path, writable=False, kind=kind
        )
        self.view = IndexView(store, path, kind)
        # Not the shared index, because revisions are added to this one.
        self.view.idx = store.read_index(store.path_id(path, kind))
        self.repotiprev = len(self.idx) - 1
        self.bundlerevs: set[int] = set()

    def _lay_over(self, overlay: Overlay) -> None:
        store, view, tip = self.store, self.view, self.repotiprev
        self.reader = OverlayReader(store, view, overlay, tip)
        self.deltas = OverlayDeltas(store, view, overlay, tip)

    def addgroup(self, *args: Any, **kwargs: Any) -> bool:
        """Raise ProgrammingError: overlays are read-only."""
        raise error.ProgrammingError(b'cannot write to an overlay')

    def addrawrevision(self, *args: Any, **kwargs: Any) -> int:
        """Raise ProgrammingError: overlays are read-only."""
        raise error.ProgrammingError(b'cannot write to an overlay')

    def strip(self, minlink: int, transaction: Any) -> None:
        """Raise ProgrammingError: overlays are read-only."""
        raise error.ProgrammingError(b'cannot write to an overlay')


class BundleOverlay:
    """Revisions in a bundle: the base and the position of each delta.

    ``tip`` is the last revision in the database.
    """

    def __init__(self, bundle: Any, tip: int) -> None:
        self._bundle = bundle
        self._tip = tip
        # revision -> base, position and length of the delta
        self._deltas: dict[int, tuple[int, int, int]] = {}

    def add(self, rev: int, base: int, size: int) -> None:
        """Add a revision whose delta was just read from the bundle."""
        self._deltas[rev] = (base, self._bundle.tell() - size, size)

    def text(self, rev: int, reader: TextReader) -> bytes:
        """Return the raw text of a revision."""
        deltas = []
        while rev > self._tip:
            last = reader.last
            if last is not None and last[0] == rev:
                break
            deltas.append(self.delta(rev))
            rev = self.deltaparent(rev)
        text = b'' if rev == nullrev else reader.raw_text(rev)[0]
        deltas.reverse()
        return bytes(mdiff.patches(text, deltas)) if deltas else text

    def deltaparent(self, rev: int) -> int:
        """Return the base of a revision's delta."""
        return self._deltas[rev][0]

    def delta(self, rev: int) -> bytes:
        """Return the delta of a revision."""
        _base, position, size = self._deltas[rev]
        self._bundle.seek(position)
        data: bytes = self._bundle.read(size)
        return data


class BundleStore(OverlayStore):
    """A path with the revisions of a bundle.

    ``bundle`` is core's changegroup unpacker, placed at the path's deltas.
    ``linkmapper`` returns the number of the changeset with a node.
    """

    def __init__(
        self,
        store: Store,
        opener: Any,
        path: bytes,
        bundle: Any,
        linkmapper: Callable[[bytes], int],
        kind: int = schema.FILE,
    ) -> None:
        super().__init__(store, opener, path, kind)
        self.bundle = bundle
        overlay = BundleOverlay(bundle, self.repotiprev)
        self._lay_over(overlay)
        for data in compat.incoming(bundle.deltaiter()):
            known = self.index.get_rev(data.node)
            if known is not None:
                self.bundlerevs.add(known)
                continue
            for parent in (data.p1, data.p2):
                if not self.index.has_node(parent):
                    raise error.LookupError(
                        parent, self.display_id, _(b'unknown parent')
                    )
            if not self.index.has_node(data.delta_base):
                raise error.LookupError(
                    data.delta_base,
                    self.display_id,
                    _(b'unknown delta base'),
                )
            base = self.rev(data.delta_base)
            rev = self.idx.append(
                Revision(
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
            overlay.add(rev, base, len(data.delta))
            self.bundlerevs.add(rev)


class UnionOverlay:
    """Revisions of another repository; ``other`` is the revlog there."""

    def __init__(self, other: Any, view: IndexView) -> None:
        self._other = other
        self._view = view

    def text(self, rev: int, reader: TextReader) -> bytes:
        """Return the raw text of a revision."""
        text: bytes = self._other.rawdata(self._view.node(rev))
        return text

    def deltaparent(self, rev: int) -> int:
        """Return -1: deltas of the other repository are not used."""
        return nullrev

    def delta(self, rev: int) -> bytes | None:
        """Return None: deltas of the other repository are not used."""
        return None


class UnionStore(OverlayStore):
    """A path with the revisions that another repository has of it.

    ``other`` is the object with a revlog's interface of that path there.
    ``linkmapper`` translates numbers of changesets.
    """

    def __init__(
        self,
        store: Store,
        opener: Any,
        path: bytes,
        other: Any,
        linkmapper: Callable[[int], int],
        kind: int = schema.FILE,
    ) -> None:
        super().__init__(store, opener, path, kind)
        self.revlog2 = other
        self._lay_over(UnionOverlay(other, self.view))
        for rev2 in other:
            node = other.node(rev2)
            known = self.index.get_rev(node)
            if known is not None:
                self.bundlerevs.add(known)
                continue
            p1, p2 = other.parents(node)
            rev = self.idx.append(
                Revision(
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


class OverlayFilelog(SQLiteFilelog):
    """A filelog around an OverlayStore."""

    def __init__(self, overlay: OverlayStore) -> None:
        self._revlog = overlay
        self.nullid = overlay.nullid
        options = overlay.opener.options
        self._fix_issue6528 = options.get(b'issue6528.fix-incoming', True)
        self.repotiprev = overlay.repotiprev


def _bundle_store(repo: Any, path: bytes, kind: int) -> BundleStore:
    """Return a path of a bundle repository on top of SQLite."""
    unfiltered = repo.unfiltered()
    return BundleStore(
        unfiltered.sqlitestore,
        repo.svfs,
        path,
        repo._cgunpacker,
        unfiltered.changelog.rev,
        kind,
    )


def _union_store(repo: Any, path: bytes, other: Any, kind: int) -> UnionStore:
    """Return a path of a union repository on top of SQLite.

    ``other`` is the filelog or manifest in the other repository.
    """
    unfiltered = repo.unfiltered()
    return UnionStore(
        unfiltered.sqlitestore,
        repo.svfs,
        path,
        other._revlog,
        unfiltered._clrev,
        kind,
    )


def bundle_file(repo: Any, path: bytes) -> Any:
    """Return the filelog of a file that the bundle of a repository contains."""
    return OverlayFilelog(_bundle_store(repo, path, schema.FILE))


def union_file(repo: Any, path: bytes) -> Any:
    """Return the filelog of a file in a union repository on top of SQLite."""
    other = repo.repo2.file(path)
    return OverlayFilelog(_union_store(repo, path, other, schema.FILE))


def union_with_ours(repo: Any, path: bytes) -> Any:
    """Return the filelog of a file in a union repository on top of revlogs.

    The other repository of the union has its files in SQLite.
    """
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


class OverlayManifest(SQLiteManifest):
    """The manifests of one directory, around an OverlayStore."""

    def __init__(
        self,
        repo: Any,
        overlay: OverlayStore,
        dirlogcache: dict[bytes, Any] | None,
    ) -> None:
        super().__init__(
            overlay.store,
            repo.nodeconstants,
            repo.svfs,
            overlay.filename,
            dirlogcache,
            overlay,
        )
        self._repo = repo


class BundleManifest(OverlayManifest):
    """The manifests of one directory, with those in a bundle on top.

    ``starts`` are the positions of the deltas of other directories in the
    bundle.
    """

    def __init__(
        self,
        repo: Any,
        tree: bytes,
        starts: dict[bytes, int],
        dirlogcache: dict[bytes, Any] | None = None,
    ) -> None:
        overlay = _bundle_store(repo, tree, schema.DIRECTORY)
        super().__init__(repo, overlay, dirlogcache)
        self._starts = starts

    def _open(self, tree: bytes) -> Any:
        if tree not in self._starts:
            return super()._open(tree)
        self._repo._cgunpacker.seek(self._starts[tree])
        return BundleManifest(self._repo, tree, self._starts, self._dirlogcache)


class UnionManifest(OverlayManifest):
    """The manifests of one directory in a union repository on top of SQLite."""

    def __init__(
        self,
        repo: Any,
        tree: bytes,
        dirlogcache: dict[bytes, Any] | None = None,
    ) -> None:
        other = repo.repo2.manifestlog.getstorage(tree)
        overlay = _union_store(repo, tree, other, schema.DIRECTORY)
        super().__init__(repo, overlay, dirlogcache)

    def _open(self, tree: bytes) -> Any:
        return UnionManifest(self._repo, tree, self._dirlogcache)


def bundle_manifests(repo: Any) -> Any:
    """Return the manifests of a bundle repository on top of SQLite.

    The unpacker must be at the first manifest. Afterwards it is at the files.
    """
    from mercurial import bundlerepo

    root = BundleManifest(repo, b'', {})
    if repo._cgunpacker.version == b'03':
        root._starts.update(bundlerepo._getfilestarts(repo._cgunpacker))
    return root


def union_manifests_with_ours(repo: Any) -> Any:
    """Return the manifests of a union repository on top of revlogs.

    The other repository of the union has its manifests in SQLite.
    """
    from mercurial import manifest, unionrepo

    class unionmanifest(unionrepo.unionrevlog, manifest.manifestrevlog):
        def __init__(self, other: Any) -> None:
            manifest.manifestrevlog.__init__(
                self, repo.nodeconstants, repo.svfs
            )
            unionrepo.unionrevlog.__init__(
                self,
                repo.svfs,
                self._revlog.radix,
                other,
                repo.unfiltered()._clrev,
            )

    return unionmanifest(repo.repo2.manifestlog.getstorage(b'')._revlog)
