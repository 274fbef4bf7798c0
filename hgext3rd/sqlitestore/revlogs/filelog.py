# SPDX-License-Identifier: GPL-2.0-or-later
"""The objects that ``repo.file()`` returns.

They are core's ``filelog`` with a ``SQLiteRevlog`` where core has a revlog. Core,
its bundled extensions and others wrap methods of that class and use the revlog
inside. In this shape, copies, narrow clones, lfs and censoring run the same
code as with revlogs, in every supported version. A separate implementation of
``ifilestorage`` would have to repeat that code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mercurial import filelog

from ..reading.store import Store
from .sqliterevlog import SQLiteRevlog


class SQLiteFilelog(filelog.filelog):
    """The history of a file in the repository's database."""

    def __init__(
        self, store: Store, opener: Any, path: bytes, writable: bool
    ) -> None:
        # Core's constructor is not called: it would open a revlog.
        self._revlog = SQLiteRevlog(store, opener, path, writable)
        self.nullid = self._revlog.nullid
        # ``ingest`` fixes the order of parents instead: it has the texts,
        # which core would have to build.
        self._fix_issue6528 = False

    def lookup(self, node: Any) -> bytes:
        """Return the node that ``node`` stands for.

        For a revision that was read ahead, the index need not be read to see
        that it exists.
        """
        inner = self._revlog
        if inner.store.ready and (inner.filename, node) in inner.store.ready:
            known: bytes = node
            return known
        found: bytes = super().lookup(node)
        return found

    def has_meta(self, node: bytes) -> Any:
        """Return whether the text of a revision begins with metadata.

        Mercurial would read the text of a revision without a first parent.
        """
        known = self._metadata_size(node)
        return super().has_meta(node) if known is None else bool(known)

    def renamed(self, node: bytes) -> Any:
        """Return the path and node that a revision is a copy of, or None."""
        return None if self._metadata_size(node) == 0 else super().renamed(node)

    def size(self, rev: int) -> int:
        """Return the bytes of a text without metadata.

        Mercurial would read the texts of copies.
        """
        inner = self._revlog
        known: int | None = inner.idx.metadata_size(rev)
        size: int = (
            super().size(rev) if known is None else inner.size(rev) - known
        )
        return size

    def _metadata_size(self, node: bytes) -> int | None:
        """Return the bytes of metadata in a text, if the index has them."""
        inner = self._revlog
        # First: this may decode the index, which then is of another class.
        rev = inner.rev(node)
        found: int | None = inner.idx.metadata_size(rev)
        return found


class NarrowSQLiteFilelog(SQLiteFilelog, filelog.narrowfilelog):
    """A file in a narrow clone: copies from outside of it are not shown."""

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
