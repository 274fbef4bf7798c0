# SPDX-License-Identifier: GPL-2.0-or-later
"""The class of repository objects that read files from SQLite.

Imported whenever a repository is opened: nothing at module level may import
``sqlite3``, ``zstandard`` or the modules that do.
"""

from __future__ import annotations

import contextlib
import os
import weakref
from typing import TYPE_CHECKING, Any

from mercurial import error, util
from mercurial import requirements as corerequirements
from mercurial.i18n import _

from .. import requirements

if TYPE_CHECKING:
    from ..reading.store import Store

_classes: dict[Any, Any] = {}


def make_repository(orig: Any, *args: Any, **kwargs: Any) -> Any:
    """Open a repository, as an object of the class for its storage."""
    repo = orig(*args, **kwargs)
    adopt_any(repo)
    return repo


def adopt_any(repo: Any) -> None:
    """Give a repository object the class for its storage, old or current."""
    if requirements.LEGACY_REQUIREMENT in repo.requirements:
        adopt_legacy(repo)
    else:
        adopt(repo)


def adopt(repo: Any) -> None:
    """Give a repository object a class that can read files from SQLite.

    Repositories with revlogs get the class as well, because another process
    may convert them (see ``follow_conversion``).
    """
    repo = repo.unfiltered()
    base = repo.__class__
    # Not hasattr(repo, 'sqlitestore'): that would make the file store, and
    # import everything it needs.
    if not any('sqlitestore' in vars(cls) for cls in base.__mro__):
        if base not in _classes:
            _classes[base] = make_class(base)
        repo.__class__ = _classes[base]
    if not requirements.uses_sqlite(repo):
        return
    from . import storeentries

    ref = weakref.ref(repo)

    def get_store() -> Store | None:
        repo = ref()
        assert repo is not None
        # A stream clone may have given the repository revlogs meanwhile.
        return repo.sqlitestore if requirements.uses_sqlite(repo) else None

    storeentries.extend(repo.store, get_store)


def follow_conversion(repo: Any) -> None:
    """Adapt the repository object if another process converted the repository.

    This costs two calls of ``stat`` unless the files of requirements were
    written. A share that has a copy of its source's requirements follows
    its source.
    """
    repo = repo.unfiltered()
    names = (os.path.join(repo.sharedpath, b'requires'), _store_requires(repo))
    seen = [_signature(name) for name in names]
    if seen == vars(repo).get('_sqlite_requires'):
        return
    found: set[bytes] = set()
    for name in names:
        with contextlib.suppress(OSError):
            found.update(util.readfile(name).splitlines())
    repo._sqlite_requires = seen
    had = set(filter(requirements.is_current, repo.requirements))
    has = set(filter(requirements.is_current, found))
    if has == had or not found:
        return
    repo.requirements = repo.requirements - had | has
    forget_manifests(repo)
    store = vars(repo).pop('sqlitestore', None)
    if store is not None:
        store.db.close()
    from .. import compat

    compat.invalidate_store(repo.store)
    adopt(repo)


def follow_manifests(repo: Any) -> None:
    """Make Mercurial read manifests again if their indexes have changed.

    Another process or a pack may have changed them. Mercurial looks at the file
    of a revlog for that.
    """
    repo = repo.unfiltered()
    store = vars(repo).get('sqlitestore')
    if store is None:
        return
    if store.exists:
        store.revalidate()
    if store.generation != vars(repo).get('_sqlite_generation', 0):
        forget_manifests(repo)
        repo._sqlite_generation = store.generation


def forget_manifests(repo: Any) -> None:
    """Make Mercurial create the object for manifests again."""
    repo = repo.unfiltered()
    vars(repo).pop('manifestlog', None)
    repo._filecache.pop(b'manifestlog', None)


def _store_requires(repo: Any) -> bytes:
    path: bytes = repo.svfs.join(b'requires')
    return path


def _signature(path: bytes) -> tuple[int, ...] | None:
    """Return a value that changes when the file is written; None if absent."""
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def adopt_legacy(repo: Any) -> None:
    """Give a repository in the old format a class that refuses to read files.

    The old format is that of the extension that came with Mercurial until 6.9.
    """
    repo = repo.unfiltered()
    base = repo.__class__
    if base.__name__ == 'legacyrepository':
        return

    class legacyrepository(base):  # type: ignore[misc,valid-type]
        """A repository that must be converted before files can be read."""

        def file(self, path: bytes, writable: bool = False) -> Any:
            """Raise Abort, with a hint at the command that converts."""
            raise error.Abort(
                _(b'this repository has an old format (%s)')
                % requirements.LEGACY_REQUIREMENT,
                hint=_(b"run 'hg admin::sqlite-convert'"),
            )

    repo.__class__ = legacyrepository


def make_class(base: Any) -> Any:
    """Return a subclass of ``base`` that reads files from SQLite if required.

    Whether it does depends on the requirements at the time of each call, which
    a stream clone or a conversion may change.
    """

    class sqliterepository(base):
        """A repository whose file history may be in ``store/history.sqlite``."""

        def pack_sink(self, tr: Any) -> Any:
            """Return what takes the content of packs, or None with revlogs.

            See ``amalgam.packs.sinks``.
            """
            if not requirements.uses_sqlite(self):
                return None
            from ..writing import packs

            repo = self.unfiltered()
            # What comes next in the same transaction, or in a hook, may refer
            # to manifests of the packs.
            return packs.DatabaseSink(
                repo.sqlitestore, tr, lambda: follow_manifests(repo)
            )

        # Whether this command has suggested or started a repack.
        _repack_considered = False

        def consider_repack(self) -> None:
            """Suggest or start a repack if it pays, once per command.

            This is done after transactions that add changesets. Whoever gives
            content to revisions that are there calls it at the end.
            """
            from ..repacking import automatic

            repo = self.unfiltered()
            if not repo._repack_considered and requirements.uses_sqlite(repo):
                repo._repack_considered = automatic.consider(repo)

        @util.propertycache
        def sqlitestore(self) -> Store:
            """The file store; nothing is opened until it is used."""
            from ..formats import schema
            from ..reading import store

            # A strong reference to the repository would be a cycle that keeps
            # the connection open.
            ref = weakref.ref(self)

            def changesets() -> int:
                return len(ref().changelog)  # type: ignore[union-attr]

            return store.Store(
                self.svfs.join(schema.FILENAME),
                requirements.compression_of(self.requirements),
                self.ui.config(b'storage', b'sqlite.synchronous'),
                changesets,
                requirements.busy_seconds(self.ui),
                self.svfs.createmode,
                requirements.keeps_log(self.ui),
            )

        def file(self, path: bytes, *args: Any, **kwargs: Any) -> Any:
            """Return the filelog of ``path``."""
            if not requirements.uses_sqlite(self):
                return super().file(path, *args, **kwargs)
            if path.startswith(b'/'):
                path = path[1:]
            from .. import compat
            from ..revlogs import filelog

            writable = compat.file_writable(*args, **kwargs)
            store = self.unfiltered().sqlitestore
            if corerequirements.NARROW_REQUIREMENT in self.requirements:
                return filelog.NarrowSQLiteFilelog(
                    store, self.svfs, path, writable, self._storenarrowmatch
                )
            return filelog.SQLiteFilelog(store, self.svfs, path, writable)

        def invalidate(self, *args: Any, **kwargs: Any) -> None:
            """Forget what was read, and notice if the backend has changed.

            Mercurial calls this for each command of a server and each lock.
            """
            super().invalidate(*args, **kwargs)
            follow_conversion(self)
            follow_manifests(self)

        def invalidateall(self) -> None:
            """Forget everything: a command server runs the next command."""
            super().invalidateall()
            self.unfiltered()._repack_considered = False

        def close(self) -> None:
            """Close the repository and its database, when a command ends.

            The worker of a command server may live longer than the command. The
            files beside the database must be gone when the command ends.
            """
            super().close()
            store = vars(self.unfiltered()).get('sqlitestore')
            if store is not None and not store.db.in_transaction:
                store.db.close()

        def updatecaches(self, *args: Any, **kwargs: Any) -> None:
            """Update Mercurial's caches, and keep little of what that reads.

            After a clone, these are manifests of all heads, each for one path.
            """
            if not requirements.uses_sqlite(self):
                super().updatecaches(*args, **kwargs)
                return
            with self.unfiltered().sqlitestore.keeping_less():
                super().updatecaches(*args, **kwargs)

        def lock(self, *args: Any, **kwargs: Any) -> Any:
            """Lock the repository, and notice what other processes wrote."""
            lock = super().lock(*args, **kwargs)
            store = vars(self.unfiltered()).get('sqlitestore')
            if store is not None:
                store.revalidate()
            return lock

        def transaction(self, *args: Any, **kwargs: Any) -> Any:
            """Open a transaction, after undoing an earlier one that failed.

            When the outermost transaction is complete, a repack may follow or
            be suggested, once per command.
            """
            if not requirements.uses_sqlite(self):
                return super().transaction(*args, **kwargs)
            outermost = self.currenttransaction() is None
            tr = super().transaction(*args, **kwargs)
            if outermost:
                from ..writing import recovery

                try:
                    recovery.settle(self.unfiltered().sqlitestore)
                except BaseException:
                    tr.release()
                    raise
                before = len(self.unfiltered().changelog)

                def consider(success: bool) -> None:
                    repo = self.unfiltered()
                    if success and len(repo.changelog) > before:
                        repo.consider_repack()

                tr.addpostclose(
                    b'zz-sqlitestore', lambda _tr: self._afterlock(consider)
                )
            return tr

        def recover(self) -> bool:
            """Undo an interrupted transaction; return whether there was one.

            A transaction may have been interrupted before Mercurial wrote its
            journal, when only the database knows of it.
            """
            with self.lock():
                journal = self.svfs.exists(b'journal')
                if not journal and self._undo_file_revisions():
                    self.ui.status(
                        _(
                            b'removing file revisions of an interrupted'
                            b' transaction\n'
                        )
                    )
                    return True
                recovered: bool = super().recover()
                self._undo_file_revisions()
                return recovered

        def _rollback(self, dryrun: bool, force: bool) -> int:
            """Undo the last transaction, in the database as well."""
            if not dryrun and requirements.uses_sqlite(self):
                from ..writing import recovery

                recovery.try_lock(self.unfiltered().sqlitestore)
            result: int = super()._rollback(dryrun, force)
            if not dryrun:
                self._undo_file_revisions()
            return result

        def _undo_file_revisions(self) -> bool:
            """Remove the file revisions of transactions that did not complete.

            Return whether there were any.
            """
            if not requirements.uses_sqlite(self):
                return False
            from ..writing import recovery

            undone = recovery.recover(self.unfiltered().sqlitestore)
            if undone:
                forget_manifests(self)
            return undone

    return sqliterepository
