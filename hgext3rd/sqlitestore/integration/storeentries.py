# SPDX-License-Identifier: GPL-2.0-or-later
"""What core sees when it walks the files of the store.

Each tracked file appears as a filelog entry without files of its own, so that
verify, upgrade, largefiles and debug commands meet it; the database itself is
one more entry. Whoever copies the store (stream clone, local clone) gets a
snapshot of the database: the file is changed in place, and reading it behind
SQLite's back would also drop the locks of this process on it.

Imported whenever such a repository is opened; must stay light.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from mercurial import error, util
from mercurial import store as storemod
from mercurial.i18n import _

if TYPE_CHECKING:
    from ..reading.store import Store

FILENAME = b'files.sqlite'


class FileEntry(storemod.BaseStoreEntry):
    """The history of one tracked file."""

    is_revlog = True
    is_filelog = True
    is_changelog = False
    is_manifestlog = False
    maybe_volatile = False
    revlog_type = storemod.KIND_FILELOG

    def __init__(self, path: bytes) -> None:
        super().__init__()
        self.target_id = path

    def files(self, vfs: Any = None) -> list[Any]:
        """Files in the store that belong to this entry alone: none."""
        return []

    def get_streams(self, *args: Any, **kwargs: Any) -> list[Any]:
        """What to send of this entry by itself: nothing."""
        return []

    def preserve_volatiles(self, vfs: Any, volatiles: Any) -> None:
        """Nothing of it can change by itself."""

    def main_file_path(self) -> bytes:
        """The path core would keep its revlog at; for messages."""
        return b'data/%s.i' % self.target_id

    def get_revlog_instance(self, repo: Any, writable: bool = False) -> Any:
        """The filelog."""
        if writable:
            return repo.file(self.target_id, writable)
        return repo.file(self.target_id)


class DatabaseEntry(storemod.BaseStoreEntry):
    """The database, as a file that a snapshot must be taken of."""

    is_revlog = False
    is_filelog = False
    is_changelog = False
    is_manifestlog = False
    maybe_volatile = True

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store
        self._snapshot: Any = None
        self._files: list[Any] | None = None

    def files(self, vfs: Any = None) -> list[Any]:
        """The one file, with the size of the snapshot once there is one."""
        if self._files is None:
            self._files = [storemod.StoreFile(FILENAME, is_volatile=True)]
        return self._files

    def preserve_volatiles(self, vfs: Any, volatiles: Any) -> None:
        """Take the snapshot; called with the store locked."""
        directory = tempfile.mkdtemp(prefix='hg-sqlite-')
        path = os.path.join(os.fsencode(directory), FILENAME)
        try:
            self._store.db.copy(path)
            # The open file is all that is needed, whatever becomes of us.
            self._snapshot = open(path, 'rb')
            size = os.fstat(self._snapshot.fileno()).st_size
        finally:
            util.tryunlink(path)
            os.rmdir(directory)
        self._files = [
            storemod.StoreFile(FILENAME, file_size=size, is_volatile=True)
        ]

    def get_streams(
        self,
        repo: Any = None,
        vfs: Any = None,
        volatiles: Any = None,
        **kwargs: Any,
    ) -> list[Any]:
        """[(name, chunks, size)] of the snapshot."""
        if self._snapshot is None:
            self.preserve_volatiles(vfs, volatiles)
        (file_,) = self.files(vfs)

        def chunks() -> Iterator[bytes]:
            with self._snapshot as fp:
                yield from util.filechunkiter(fp)

        return [(FILENAME, chunks(), file_.file_size(None))]


def is_database(item: Any) -> bool:
    """Whether an item of core's list of files to copy is the database."""
    if len(item) == 3:
        # hg <= 7.1: (vfs key, path, optional)
        return bool(item[1] == FILENAME)
    return isinstance(item[1], DatabaseEntry)


def copy_database(source: bytes, target: bytes) -> None:
    """Copy a database file, consistent while others write to it."""
    from ..database import connection

    db = connection.Database(source)
    util.tryunlink(target)
    try:
        db.copy(target)
    finally:
        db.close()


def extend(store: Any, get_store: Callable[[], Store | None]) -> None:
    """Make a repository's store object list what is in the database."""
    base = store.__class__
    if hasattr(store, 'sqlite'):
        return

    class sqlitestore(base):  # type: ignore[misc,valid-type]
        """A store whose file history is in a database."""

        def data_entries(
            self, matcher: Any = None, undecodable: Any = None
        ) -> Iterator[Any]:
            store = self.sqlite()
            if store is not None:
                for path in store.paths():
                    if matcher is None or matcher(path):
                        yield FileEntry(path)
            yield from super().data_entries(matcher, undecodable=undecodable)

        def walk(self, matcher: Any = None, **kwargs: Any) -> Iterator[Any]:
            store = self.sqlite()
            if store is not None:
                if matcher is not None and not matcher.always():
                    raise error.Abort(
                        _(
                            b'cannot stream a part of a repository with sqlitestore'
                        ),
                        hint=_(b'clone without --stream'),
                    )
                # Before the changelog: what it refers to comes first.
                yield DatabaseEntry(store)
            yield from super().walk(matcher, **kwargs)

        def __contains__(self, path: bytes) -> bool:
            store = self.sqlite()
            if store is not None and (
                store.path_id(path) is not None or store.has_directory(path)
            ):
                return True
            known: bool = super().__contains__(path)
            return known

    store.__class__ = sqlitestore
    store.sqlite = get_store


def generate_v1(
    repo: Any, walk: Callable[[Any], Iterable[Any]], volatiles: Any
) -> tuple[int, int, Iterator[bytes]]:
    """What core's ``streamclone.generatev1`` returns, from a snapshot.

    Core's reads the files by name after it gave up the lock. ``walk`` lists the
    entries, as core's function for it does, which extensions wrap; ``volatiles``
    is core's VolatileManager, which the chunks keep open.
    """
    emitted = _emit_v1(repo, walk, volatiles)
    count, size = next(emitted)
    return count, size, emitted


def _with_database(repo: Any, entries: Iterable[Any]) -> list[Any]:
    """The entries, and the database if it holds the history of any.

    remotefilelog chooses files one by one, often none.
    """
    found = list(entries)
    if any(isinstance(entry, FileEntry) for entry in found) and not any(
        isinstance(entry, DatabaseEntry) for entry in found
    ):
        store = repo.unfiltered().sqlitestore
        # Before the changelog: what it refers to comes first.
        found.insert(0, DatabaseEntry(store))
    return found


def _emit_v1(
    repo: Any, walk: Callable[[Any], Iterable[Any]], volatiles: Any
) -> Iterator[Any]:
    """First (number of files, bytes), then the chunks."""
    streams: list[tuple[bytes, Iterator[bytes], int]] = []
    with volatiles:
        with repo.lock():
            for entry in _with_database(repo, walk(repo)):
                entry.preserve_volatiles(repo.svfs, volatiles)
                for name, chunks, size in entry.get_streams(
                    repo=repo,
                    vfs=repo.svfs,
                    volatiles=volatiles,
                    max_changeset=len(repo),
                ):
                    if size:
                        streams.append((name, chunks, size))
        yield len(streams), sum(stream[2] for stream in streams)
        for name, chunks, size in streams:
            yield b'%s\0%d\n' % (storemod.encodedir(name), size)
            yield from chunks
