# SPDX-License-Identifier: GPL-2.0-or-later
"""The store of one repository: its database, indexes and content.

A store composes ``Indexes`` and ``Contents`` over one database, and decides
when their caches are outdated. ``filelog`` knows what a revision means (nodes,
flags, hashes), and ``writing`` makes changes. Each repository object has one
store.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from mercurial.i18n import _

from ...amalgam.codecs import chunks, columns
from .. import errors
from ..database import connection
from ..formats import schema
from ..formats.openframe import OpenFrame
from .contents import Contents
from .fileindex import FileIndex
from .indexes import Indexes


class OpenWriter(Protocol):
    """The part of a Writer that reading needs."""

    def open_frame(self, frame_id: int) -> OpenFrame | None:
        """Return the frame being filled if it has this id, or None."""


class Store:
    """The store in the database file at ``path``.

    ``compression`` names the engine for new data (see ``chunks``).
    ``changesets`` returns the number of changesets on disk, which decides
    whether an earlier transaction was completed (see ``writing.writer``). The
    other parameters are those of ``connection.Database``.
    """

    def __init__(
        self,
        path: bytes,
        compression: str,
        synchronous: bytes = b'full',
        changesets: Callable[[], int] = lambda: 0,
        busy: float = connection.BUSY_SECONDS,
        mode: int | None = None,
        keep_log: bool = False,
    ) -> None:
        self.db = db = connection.Database(
            path, synchronous, busy, mode, keep_log
        )
        self.compression = compression
        self.changesets = changesets
        # Texts that were read ahead, by path and node (see ``prefetch``).
        self.ready: dict[tuple[bytes, bytes], Any] = {}
        self._version: Any = None
        # Grows when cached indexes become outdated. Objects that hold an index
        # for long compare it.
        self.generation = 0
        self._open_writer: OpenWriter | None = None
        self._indexes = indexes = Indexes(db)
        self._contents = contents = Contents(db, indexes)
        # The methods of both that other layers call. They are bound here,
        # rather than wrapped, because some run once for each revision.
        self.path_id = indexes.path_id
        self.paths = indexes.paths
        self.path_of = indexes.path_of
        self.has_directory = indexes.has_directory
        self.add_path = indexes.add_path
        self.note_path = indexes.note_path
        self.drop_path = indexes.drop_path
        self.index_of = indexes.of_id
        self.drop_index = indexes.drop
        self.keep_index = indexes.keep
        self.read_index = indexes.read
        self.update_places = indexes.update_places
        self.note_full_text = indexes.note_full_text
        self.frame = contents.frame
        self.cached_frame = contents.cached_frame
        self.read_frame = contents.read_frame
        self.sealed = contents.sealed
        self.loose = contents.loose
        self.text = contents.text
        self.chain_text = contents.chain_text
        self.find_content = contents.find_content

    @property
    def exists(self) -> bool:
        """Whether there is a database."""
        return os.path.exists(self.db.path)

    def index(self, path: bytes, kind: int = schema.FILE) -> FileIndex:
        """Return the valid index of a path; it is empty if it has no history.

        All callers get the same object, also for a new path while a
        transaction writes.
        """
        self.revalidate()
        sharing = self._open_writer is not None
        return self._indexes.of_path((kind, path), sharing)

    @property
    def open_writer(self) -> OpenWriter | None:
        """The object that writes in a running transaction, or None."""
        return self._open_writer

    @open_writer.setter
    def open_writer(self, writer: OpenWriter | None) -> None:
        self._open_writer = writer
        self._contents.open_frame = (
            None if writer is None else writer.open_frame
        )
        self._contents.keep_less(writer is not None)

    @contextlib.contextmanager
    def keeping_less(self) -> Iterator[None]:
        """Cache as little content as while a transaction writes."""
        self._contents.keep_less(True)
        try:
            yield
        finally:
            self._contents.keep_less(self._open_writer is not None)

    # validity

    def revalidate(self) -> None:
        """Drop cached data if another process wrote to the database."""
        if self.db.in_transaction:
            return
        self.db.refresh()
        version = self.db.version()
        if version != self._version:
            # Frame ids are not reused, but censoring rewrites frames in place.
            self.drop_caches()
            if self._version is not None:
                self.generation += 1
            self._version = version

    def forget_content(self) -> None:
        """Drop cached content."""
        self._contents.clear()
        self.ready.clear()

    def forget(self) -> None:
        """Drop everything cached, after rows were changed."""
        self._indexes.clear()
        self._indexes.clear_new()
        self.forget_content()
        self.generation += 1

    # limits, see "resting"

    @property
    def cached_bytes(self) -> int:
        """The bytes that all caches take."""
        return self._contents.cached_bytes + self._indexes.cached_bytes

    def share_limits(self, users: int) -> None:
        """Let the caches grow to their part if ``users`` stores are in use.

        Other threads call this while a thread uses the store. The caches get
        smaller when that thread adds something.
        """
        self._contents.users = users
        self._indexes.share_limit(users)

    def drop_caches(self) -> None:
        """Drop what is cached, before the store is used again."""
        self._indexes.clear()
        self.forget_content()

    @contextlib.contextmanager
    def naming_damage(self) -> Iterator[None]:
        """Re-raise decoding errors as CorruptStore, with the database's path.

        Use it for work on all files. Code that reads one file names that file
        instead.
        """
        try:
            yield
        except (columns.ColumnError, chunks.ChunkError) as exc:
            raise errors.CorruptStore(
                _(b'%s is damaged: %s') % (self.db.path, str(exc).encode()),
                hint=_(b"run 'hg verify'"),
            ) from exc
