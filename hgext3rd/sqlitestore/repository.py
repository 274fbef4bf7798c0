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
from mercurial import requirements as requirementsmod
from mercurial.i18n import _

if TYPE_CHECKING:
    from .store import Store

REQUIREMENT = b'sqlitestore-v2'
COMPRESSION_PREFIX = b'sqlitestore-compression='
COMPRESSIONS = (b'zstd', b'zlib', b'none')
BACKEND = b'sqlite'

# Repositories of the extension that came with Mercurial until 6.9: only good
# for being converted (see ``upgrade``).
LEGACY_PREFIX = b'exp-sqlite-'
LEGACY_REQUIREMENT = b'exp-sqlite-001'
LEGACY_COMPRESSION_PREFIX = b'exp-sqlite-comp-001='


def compression_requirement(ui: Any) -> bytes:
    """The requirement for the configured compression. Raises Abort."""
    name: bytes = ui.config(b'storage', b'sqlite.compression')
    if name not in COMPRESSIONS:
        raise error.Abort(
            _(b"unknown compression for storage.sqlite.compression: '%s'")
            % name,
            hint=_(b'use one of: %s') % b', '.join(COMPRESSIONS),
        )
    return COMPRESSION_PREFIX + name


def busy_seconds(ui: Any) -> float:
    """How long to wait for a lock of the database. Raises ConfigError."""
    value: bytes = ui.config(b'storage', b'sqlite.busy-timeout')
    try:
        return float(value)
    except ValueError as exc:
        raise error.ConfigError(
            _(b"storage.sqlite.busy-timeout is not a number of seconds ('%s')")
            % value
        ) from exc


def compression_of(requirements: set[bytes]) -> str:
    """The name of the compression a repository's requirements state."""
    for requirement in requirements:
        if requirement.startswith(COMPRESSION_PREFIX):
            return requirement[len(COMPRESSION_PREFIX) :].decode('ascii')
    return 'zstd'


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
    if REQUIREMENT not in repo.requirements:
        return
    from . import storeentries

    ref = weakref.ref(repo)

    def get_store() -> Store | None:
        repo = ref()
        assert repo is not None
        # a stream clone may have turned it into another kind of repository
        return repo.sqlitestore if REQUIREMENT in repo.requirements else None

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
    from . import compat

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
    return requirement == REQUIREMENT or requirement.startswith(
        COMPRESSION_PREFIX
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
                % LEGACY_REQUIREMENT,
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
            from . import schema, store

            # A reference to the repository would be a cycle that keeps the
            # connection open.
            ref = weakref.ref(self)

            def changesets() -> int:
                return len(ref().changelog)  # type: ignore[union-attr]

            return store.Store(
                self.svfs.join(schema.FILENAME),
                compression_of(self.requirements),
                self.ui.config(b'storage', b'sqlite.synchronous'),
                changesets,
                busy_seconds(self.ui),
                self.svfs.createmode,
            )

        def file(self, path: bytes, *args: Any, **kwargs: Any) -> Any:
            if REQUIREMENT not in self.requirements:
                # not ours, or a stream clone made it of another kind
                return super().file(path, *args, **kwargs)
            if path.startswith(b'/'):
                path = path[1:]
            from . import compat, filestore

            writable = compat.file_writable(*args, **kwargs)
            store = self.unfiltered().sqlitestore
            if requirementsmod.NARROW_REQUIREMENT in self.requirements:
                return filestore.NarrowSQLiteFilelog(
                    store, self.svfs, path, writable, self._storenarrowmatch
                )
            return filestore.SQLiteFilelog(store, self.svfs, path, writable)

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
            if REQUIREMENT not in self.requirements:
                return super().transaction(*args, **kwargs)
            outermost = self.currenttransaction() is None
            tr = super().transaction(*args, **kwargs)
            if outermost:
                from . import transaction

                try:
                    transaction.settle(self.unfiltered().sqlitestore)
                except BaseException:
                    tr.release()
                    raise
                before = len(self.unfiltered().changelog)

                def consider(success: bool) -> None:
                    from . import autorepack

                    if success and REQUIREMENT in self.requirements:
                        autorepack.consider(self.unfiltered(), before)

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
            if not dryrun and REQUIREMENT in self.requirements:
                from . import transaction

                transaction.try_lock(self.unfiltered().sqlitestore)
            result: int = super()._rollback(dryrun, force)
            if not dryrun:
                self._undo_file_revisions()
            return result

        def _undo_file_revisions(self) -> bool:
            if REQUIREMENT not in self.requirements:
                return False
            from . import transaction

            return transaction.recover(self.unfiltered().sqlitestore)

    return sqliterepository
