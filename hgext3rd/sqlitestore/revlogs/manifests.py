# SPDX-License-Identifier: GPL-2.0-or-later
"""The objects that ``repo.manifestlog`` consists of.

They are core's classes with a ``SQLiteRevlog`` where core has a revlog. How
manifests are parsed, cached and compared stays core's work. The flat manifest,
and the root of tree manifests, is the directory ``b''``; other directories of
tree manifests have names that end with a slash.
"""

from __future__ import annotations

from typing import Any

from mercurial import manifest

from ..formats import schema
from ..reading.store import Store
from .sqliterevlog import SQLiteRevlog

# Core's default for the number of manifests kept in memory.
CACHE_SIZE = 4


class SQLiteManifest(manifest.manifestrevlog):
    """The manifests of one directory, in the repository's database.

    ``inner`` takes the place of the revlog; by default it is the history of the
    directory ``tree`` in the store.
    """

    def __init__(
        self,
        store: Store,
        nodeconstants: Any,
        opener: Any,
        tree: bytes = b'',
        dirlogcache: dict[bytes, Any] | None = None,
        inner: Any = None,
    ) -> None:
        # Core's constructor is not called: it would open a revlog.
        self.store = store
        self.nodeconstants = nodeconstants
        self.tree = tree
        options = opener.options
        self._treeondisk = options.get(b'treemanifest', False)
        assert not tree or self._treeondisk, tree
        self._fulltextcache = manifest.manifestfulltextcache(
            options.get(b'manifestcachesize', CACHE_SIZE)
        )
        self._dirlogcache = dirlogcache if dirlogcache is not None else {}
        self._dirlogcache.setdefault(tree, self)
        if inner is None:
            inner = SQLiteRevlog(
                store, opener, tree, writable=True, kind=schema.DIRECTORY
            )
        self._revlog = inner

    @property
    def index(self) -> Any:
        """Core's index object."""
        return self._revlog.index

    def dirlog(self, d: bytes) -> Any:
        """Return the manifests of the directory ``d``."""
        assert not d or self._treeondisk
        found = self._dirlogcache.get(d)
        if found is None:
            found = self._open(d)
            self._dirlogcache[d] = found
        return found

    def _open(self, tree: bytes) -> Any:
        return SQLiteManifest(
            self.store,
            self.nodeconstants,
            self.opener,
            tree,
            self._dirlogcache,
        )


class SQLiteManifestLog(manifest.manifestlog):
    """All manifests of a repository, in its database."""

    def get(self, tree: bytes, node: bytes, verify: bool = True) -> Any:
        """Return the object for a manifest. Raises LookupError if unknown.

        A manifest whose text core has cached is not looked up. So ``hg status``
        does not open the database.
        """
        if not tree and node in self._rootstore.fulltextcache:
            verify = False
        return super().get(tree, node, verify)
