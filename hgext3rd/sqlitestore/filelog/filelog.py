# SPDX-License-Identifier: GPL-2.0-or-later
"""The object that ``repo.file()`` returns.

It is core's ``filelog`` with another object inside where a revlog would be.
Core, its bundled extensions and others wrap methods of that class and reach
for its ``_revlog``, so this shape gives copies, narrow clones, lfs and
censoring the code they have with revlogs, in every supported version; an
``ifilestorage`` of our own would have to repeat it. What is inside is not a
revlog: ``FileStore`` composes index, data and mutation over rows.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from mercurial import filelog, mdiff, revlog, util
from mercurial.node import sha1nodeconstants
from mercurial.revlogutils import constants, flagutil

from ..compat import config
from ..formats.index import FileIndex
from ..reading.store import Store
from .mutation import MutationMixin


class FileStore(MutationMixin):
    """The revisions of the file ``path``, with the interface of a revlog.

    ``opener`` is the store's vfs, whose options core keeps settings in.
    """

    nullid = sha1nodeconstants.nullid
    nodeconstants = sha1nodeconstants
    # what extensions and debug commands look at
    _format_version = constants.REVLOGV1
    _format_flags = constants.FLAG_GENERALDELTA
    _flagserrorclass = revlog.revlog._flagserrorclass
    _large_file_enabled = False
    _trypending = False
    _docket = None
    _inline = False
    _indexfile = None
    _datafile = None
    _sidedatafile = None
    _nodemap_file = None
    _diff_fn = staticmethod(mdiff.textdiff)
    revlog_kind = constants.KIND_FILELOG
    is_delaying = False
    has_revdiff_extra = False
    uses_rust = False

    def __init__(
        self, store: Store, opener: Any, path: bytes, writable: bool
    ) -> None:
        self.store = store
        self.opener = opener
        self.filename = self.display_id = path
        self.target = (constants.KIND_FILELOG, path)
        self.radix = b'data/' + path
        self._writable = writable
        self._pcache: dict[bytes, bytes] = {}

    # What follows is made when it is asked for: update and archive open each
    # file of the repository once, and read what prefetch.py has ready.

    @util.propertycache
    def idx(self) -> FileIndex:
        """The index of the file."""
        return self.store.index(self.filename)

    @util.propertycache
    def feature_config(self) -> Any:
        """Core's settings for what revlogs may hold."""
        feature: Any = self.opener.options.get(b'feature-config')
        feature = config.FeatureConfig() if feature is None else feature.copy()
        feature.censorable = True
        feature.canonical_parent_order = False
        return feature

    @util.propertycache
    def _flagprocessors(self) -> dict[int, Any]:
        options = self.opener.options
        processors = dict(flagutil.flagprocessors)
        processors.update(options.get(b'flagprocessors', {}))
        if (
            options.get(b'enableellipsis')
            or self.feature_config.enable_ellipsis
        ):
            processors[constants.REVIDX_ELLIPSIS] = revlog.ellipsisprocessor
        return processors

    @property
    def delta_config(self) -> Any:
        """Core's settings for deltas; ours are always general."""
        delta: Any = self.opener.options.get(b'delta-config')
        delta = config.DeltaConfig() if delta is None else delta.copy()
        delta.general_delta = True
        return delta

    @property
    def data_config(self) -> Any:
        """Core's settings for reading revlogs."""
        data: Any = self.opener.options.get(b'data-config')
        return config.DataConfig() if data is None else data

    def get_revlog(self) -> FileStore:
        """What core asks of things that hold a revlog."""
        return self

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Core keeps files open within; there is nothing to open here."""
        yield

    def files(self, include_old: bool = True) -> list[bytes]:
        """Store files that belong to this file alone: none."""
        return []

    def update_caches(self, transaction: Any) -> None:
        """There are none on disk."""


class SQLiteFilelog(filelog.filelog):
    """A file's history in the repository's database."""

    def __init__(
        self, store: Store, opener: Any, path: bytes, writable: bool
    ) -> None:
        # core's would open a revlog
        self._revlog = FileStore(store, opener, path, writable)
        self.nullid = self._revlog.nullid
        # done by ``ingest``, which has the texts that core would build for it
        self._fix_issue6528 = False

    def lookup(self, node: Any) -> bytes:
        """Core's; it would read the index to see that there is the node."""
        inner = self._revlog
        if inner.store.ready and (inner.filename, node) in inner.store.ready:
            known: bytes = node
            return known
        found: bytes = super().lookup(node)
        return found


class NarrowSQLiteFilelog(SQLiteFilelog, filelog.narrowfilelog):
    """The same in a narrow clone: copies from outside are not shown."""

    def __init__(
        self,
        store: Store,
        opener: Any,
        path: bytes,
        writable: bool,
        narrowmatch: Callable[[bytes], bool],
    ) -> None:
        SQLiteFilelog.__init__(self, store, opener, path, writable)
        self._narrowmatch = narrowmatch
