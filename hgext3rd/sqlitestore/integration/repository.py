# SPDX-License-Identifier: GPL-2.0-or-later
"""The repository class: where files come from and who recovers.

Imported whenever the extension is loaded: nothing at module level may import
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


def adopt(repo: Any) -> None:
    """Give a repository object our behaviour, or readiness for it.

    Repositories of other kinds get the class as well: another process may
    convert them (see ``notice``).
    """
    repo = repo.unfiltered()
    base = repo.__class__
    # Not hasattr(repo, 'sqlitestore'): that makes the store and imports it all.
    if not any('sqlitestore' in vars(cls) for cls in base.__mro__):
        if base not in _classes:
            _classes[base] = make_class(base)
        repo.__class__ = _classes[base]
    if requirements.REQUIREMENT not in repo.requirements:
        return
    from . import storeentries

    ref = weakref.ref(repo)

    def get_store() -> Store | None:
        repo = ref()
        assert repo is not None
        # a stream clone may have turned it into another kind of repository
        return (
            repo.sqlitestore
            if requirements.REQUIREMENT in repo.requirements
            else None
        )

    storeentries.extend(repo.store, get_store)


def notice(repo: Any) -> None:
    """Follow another process that converted the repository.

    Costs little unless the files of requirements were written to. A share
    that keeps a copy of its source's requirements follows its source.
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
    had = {name for name in repo.requirements if _is_ours(name)}
    has = {name for name in found if _is_ours(name)}
    if has == had or not found:
        return
    repo.requirements = repo.requirements - had | has
    store = vars(repo).pop('sqlitestore', None)
    if store is not None:
        store.db.close()
    from .. import compat

    compat.invalidate_store(repo.store)
    adopt(repo)


def _store_requires(repo: Any) -> bytes:
    path: bytes = repo.svfs.join(b'requires')
    return path


def _signature(path: bytes) -> tuple[int, ...] | None:
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _is_ours(requirement: bytes) -> bool:
    return requirement == requirements.REQUIREMENT or requirement.startswith(
        requirements.COMPRESSION_PREFIX
    )


def adopt_legacy(repo: Any) -> None:
    """Give a repository of the old extension a class that reads no files."""
    repo = repo.unfiltered()
    base = repo.__class__
    if base.__name__ == 'legacyrepository':
        return

    class legacyrepository(base):  # type: ignore[misc,valid-type]
        """A repository whose files are in a format of the past."""

        def file(self, path: bytes, writable: bool = False) -> Any:
            raise error.Abort(
                _(b'this repository has an old format (%s)')
                % requirements.LEGACY_REQUIREMENT,
                hint=_(b"run 'hg admin::sqlite-convert'"),
            )

    repo.__class__ = legacyrepository


def make_class(base: Any) -> Any:
    """The class of a repository that keeps its files in SQLite."""

    class sqliterepository(base):
        """A repository whose file history is in ``store/files.sqlite``."""

        @util.propertycache
        def sqlitestore(self) -> Store:
            """The file store; nothing is opened until it is used."""
            from ..formats import schema
            from ..reading import store

            # A reference to the repository would be a cycle that keeps the
            # connection open.
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
            )

        def file(self, path: bytes, *args: Any, **kwargs: Any) -> Any:
            if requirements.REQUIREMENT not in self.requirements:
                # not ours, or a stream clone made it of another kind
                return super().file(path, *args, **kwargs)
            if path.startswith(b'/'):
                path = path[1:]
            from .. import compat
            from ..filelog import filelog

            writable = compat.file_writable(*args, **kwargs)
            store = self.unfiltered().sqlitestore
            if corerequirements.NARROW_REQUIREMENT in self.requirements:
                return filelog.NarrowSQLiteFilelog(
                    store, self.svfs, path, writable, self._storenarrowmatch
                )
            return filelog.SQLiteFilelog(store, self.svfs, path, writable)

        def invalidate(self, *args: Any, **kwargs: Any) -> None:
            """Core's, for each command of a server and each lock.

            What is read and written next is what another process made of it.
            """
            super().invalidate(*args, **kwargs)
            notice(self)

        def close(self) -> None:
            """Core's, when a command is over.

            The worker of a command server lives on for a moment: by then the
            files beside the database shall be gone.
            """
            super().close()
            store = vars(self.unfiltered()).get('sqlitestore')
            if store is not None and not store.db.in_transaction:
                store.db.close()

        def lock(self, *args: Any, **kwargs: Any) -> Any:
            """Core's; nobody else writes from here on."""
            lock = super().lock(*args, **kwargs)
            store = vars(self.unfiltered()).get('sqlitestore')
            if store is not None:
                store.revalidate()
            return lock

        def transaction(self, *args: Any, **kwargs: Any) -> Any:
            """Core's, with a look at how the last one ended.

            And one at whether to repack when all is done.
            """
            if requirements.REQUIREMENT not in self.requirements:
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
                    from ..repacking import automatic

                    if (
                        success
                        and requirements.REQUIREMENT in self.requirements
                    ):
                        automatic.consider(self.unfiltered(), before)

                tr.addpostclose(
                    b'zz-sqlitestore', lambda _tr: self._afterlock(consider)
                )
            return tr

        def recover(self) -> bool:
            with self.lock():
                journal = self.svfs.exists(b'journal')
                if not journal and self._undo_file_revisions():
                    self.ui.status(
                        _(b'removing file revisions of a lost transaction\n')
                    )
                    return True
                recovered: bool = super().recover()
                self._undo_file_revisions()
                return recovered

        def _rollback(self, dryrun: bool, force: bool) -> int:
            if not dryrun and requirements.REQUIREMENT in self.requirements:
                from ..writing import recovery

                recovery.try_lock(self.unfiltered().sqlitestore)
            result: int = super()._rollback(dryrun, force)
            if not dryrun:
                self._undo_file_revisions()
            return result

        def _undo_file_revisions(self) -> bool:
            if requirements.REQUIREMENT not in self.requirements:
                return False
            from ..writing import recovery

            return recovery.recover(self.unfiltered().sqlitestore)

    return sqliterepository
