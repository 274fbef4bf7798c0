# SPDX-License-Identifier: GPL-2.0-or-later
"""The entries that Mercurial finds when it walks the store.

Each tracked file appears as a filelog entry without files of its own, which is
how verify, upgrade, largefiles and debug commands find it. So does each
directory of manifests. The database is one more entry. A stream clone reads a
snapshot of it, for two reasons: the file is changed in place, and opening and
closing it outside of SQLite would drop the locks that this process has on it.

Imported whenever a repository in SQLite is opened: keep it light.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from mercurial import error, util
from mercurial import store as storemod
from mercurial.i18n import _

from ..formats import schema

if TYPE_CHECKING:
    from ..database.wholefile import Snapshot
    from ..reading.store import Store


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
        """Return the files that belong to this entry alone: none."""
        return []

    def get_streams(self, *args: Any, **kwargs: Any) -> list[Any]:
        """Return what a stream clone sends of this entry alone: nothing."""
        return []

    def preserve_volatiles(self, vfs: Any, volatiles: Any) -> None:
        """Do nothing: the snapshot of the database keeps the revisions."""

    def main_file_path(self) -> bytes:
        """Return the path that the revlog would have; messages show it."""
        return b'data/%s.i' % self.target_id

    def get_revlog_instance(self, repo: Any, writable: bool = False) -> Any:
        """Return the filelog of this file."""
        if writable:
            return repo.file(self.target_id, writable)
        return repo.file(self.target_id)


class ManifestEntry(FileEntry):
    """The manifests of one directory: of a tree manifest, or the flat one."""

    is_filelog = False
    is_manifestlog = True
    revlog_type = storemod.KIND_MANIFESTLOG

    def main_file_path(self) -> bytes:
        """Return the path that the revlog would have; messages show it."""
        name = schema.display_name(schema.DIRECTORY, self.target_id)
        return b'%s.i' % name

    def get_revlog_instance(self, repo: Any, writable: bool = False) -> Any:
        """Return the manifests of this directory."""
        return repo.manifestlog.getstorage(self.target_id)


class DatabaseEntry(storemod.BaseStoreEntry):
    """The database, of which a stream clone sends a snapshot.

    Without ``files``, the snapshot has only manifests.
    """

    is_revlog = False
    is_filelog = False
    is_changelog = False
    is_manifestlog = False
    maybe_volatile = True

    def __init__(self, store: Store, files: bool = True) -> None:
        super().__init__()
        self._store = store
        self._with_files = files
        # The state to send, until it is copied.
        self._snapshot: Snapshot | None = None
        # An open copy.
        self._copied: Any = None
        self._files: list[Any] | None = None

    def files(self, vfs: Any = None) -> list[Any]:
        """Return the one file, with the size of the snapshot if one exists."""
        if self._files is None:
            self._files = [
                storemod.StoreFile(schema.FILENAME, is_volatile=True)
            ]
        return self._files

    def preserve_volatiles(self, vfs: Any, volatiles: Any) -> None:
        """Take the snapshot. Mercurial calls this with the store locked.

        The database is copied later, without the lock, where that is possible.
        """
        if self._with_files:
            self._snapshot = self._store.db.snapshot()
        if self._snapshot is not None:
            size = self._snapshot.size
        else:
            size = self._copy()
        self._files = [
            storemod.StoreFile(
                schema.FILENAME, file_size=size, is_volatile=True
            )
        ]

    def _copy(self) -> int:
        """Copy the database to a file without a name, and return its size."""
        directory = tempfile.mkdtemp(prefix='hg-sqlite-')
        path = os.path.join(os.fsencode(directory), schema.FILENAME)
        try:
            (self._snapshot or self._store.db).copy(path)
            if not self._with_files:
                from ..writing import narrowing

                narrowing.remove_files(path)
            # An open file can be removed, and then nothing is left behind when
            # the process dies.
            self._copied = open(path, 'rb')
            return os.fstat(self._copied.fileno()).st_size
        finally:
            self._snapshot = None
            util.tryunlink(path)
            os.rmdir(directory)

    def get_streams(
        self,
        repo: Any = None,
        vfs: Any = None,
        volatiles: Any = None,
        **kwargs: Any,
    ) -> list[Any]:
        """Return [(name, chunks, size in bytes)] of the snapshot."""
        if self._snapshot is None and self._copied is None:
            self.preserve_volatiles(vfs, volatiles)
        (file_,) = self.files(vfs)

        def chunks() -> Iterator[bytes]:
            if self._copied is None:
                self._copy()
            with self._copied as fp:
                yield from util.filechunkiter(fp)

        return [(schema.FILENAME, chunks(), file_.file_size(None))]


def extend(store: Any, get_store: Callable[[], Store | None]) -> None:
    """Make the store object of a repository list the files in the database.

    ``get_store`` returns the file store, or None while the repository is not in
    SQLite. The object gets a subclass of its class.
    """
    if hasattr(store, 'sqlite'):
        return
    base = store.__class__

    class sqlitebackedstore(base):  # type: ignore[misc,valid-type]
        """A store whose files and manifests are in a database."""

        def manifestlog(self, repo: Any, storenarrowmatch: Any) -> Any:
            """Return the manifests of the repository ``repo``."""
            store = self.sqlite()
            if store is None:
                return super().manifestlog(repo, storenarrowmatch)
            from ..revlogs import manifests

            root = manifests.SQLiteManifest(store, repo.nodeconstants, self.vfs)
            return manifests.SQLiteManifestLog(
                self.vfs, repo, root, storenarrowmatch
            )

        def data_entries(
            self, matcher: Any = None, undecodable: Any = None
        ) -> Iterator[Any]:
            """Yield the entries of files and of tree manifests."""
            store = self.sqlite()
            if store is None:
                yield from super().data_entries(
                    matcher, undecodable=undecodable
                )
                return
            for path in store.paths(schema.FILE):
                if matcher is None or matcher(path):
                    yield FileEntry(path)
            for path in store.paths(schema.DIRECTORY):
                if path and (matcher is None or matcher.visitdir(path[:-1])):
                    yield ManifestEntry(path)

        def top_entries(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
            """Yield the entries of changelog, root manifest and other files."""
            store = self.sqlite()
            if store is None:
                yield from super().top_entries(*args, **kwargs)
                return
            if store.path_id(b'', schema.DIRECTORY) is not None:
                yield ManifestEntry(b'')
            for entry in super().top_entries(*args, **kwargs):
                # A conversion that was interrupted leaves a revlog behind.
                if not (entry.is_revlog and entry.is_manifestlog):
                    yield entry

        def walk(self, matcher: Any = None, **kwargs: Any) -> Iterator[Any]:
            """Yield all entries. Raises Abort if ``matcher`` skips files."""
            store = self.sqlite()
            if store is not None:
                if matcher is not None and not matcher.always():
                    raise error.Abort(
                        _(
                            b'cannot stream only some files of a repository'
                            b' in SQLite'
                        ),
                        hint=_(b'clone without --stream'),
                    )
                # Before the changelog, so that it never names a file that
                # is missing.
                yield DatabaseEntry(store)
            yield from super().walk(matcher, **kwargs)

        def __contains__(self, path: bytes) -> bool:
            """Return whether a file or directory has a history."""
            store = self.sqlite()
            if store is not None and (
                store.path_id(path) is not None or store.has_directory(path)
            ):
                return True
            known: bool = super().__contains__(path)
            return known

    store.__class__ = sqlitebackedstore
    store.sqlite = get_store
