# SPDX-License-Identifier: GPL-2.0-or-later
"""Convert a repository in place: revlogs to SQLite, or SQLite to revlogs.

The new store is built beside the old one, while the repository is locked
against writers. When all of it is on disk, the file of requirements is
replaced. That is the moment of the conversion: the requirements decide which
backend is read, and the files of the other one are ignored. Those are removed
last. If the process dies before that, the next conversion removes them.

``sources`` copies revisions from one backend to the other. ``storefiles`` knows
which files belong to which backend.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from mercurial import error, scmutil, util
from mercurial import requirements as corerequirements
from mercurial import transaction as transactionmod
from mercurial import vfs as vfsmod
from mercurial.i18n import _

from ...amalgam import durable
from ...amalgam.compat import open_repository, writable_file
from .. import compat, requirements
from ..formats import schema, statements
from ..reading.store import Store
from ..revlogs import sqliterevlog
from . import legacy, sources, storefiles

SQLITE = b'sqlite'
REVLOG = b'revlog'
TARGETS = (SQLITE, REVLOG)


class Converted(NamedTuple):
    """How many files and revisions a conversion copied."""

    files: int
    revisions: int


def convert(
    ui: Any, repo: Any, target: bytes, progress: sources.Progress
) -> Converted | None:
    """Convert a repository to ``target``, one of TARGETS.

    Return None if the repository has that backend already. Raises Abort if it
    cannot be converted or its history is damaged; the repository is then
    unchanged. ``progress`` is called with the number of files done and of all
    files.
    """
    repo = repo.unfiltered()
    if repo.shared():
        raise error.Abort(
            _(b'cannot convert a share'),
            hint=_(b'convert its source: %s') % repo.sharedpath,
        )
    with repo.wlock(), repo.lock():
        _refuse_unsettled(repo)
        storefiles.clean_up(repo)
        kind = SQLITE if requirements.uses_sqlite(repo) else REVLOG
        if requirements.LEGACY_REQUIREMENT in repo.requirements:
            kind = b''
        if kind == target:
            return None
        wanted = _requirements(ui, repo, target)
        # "hg rollback" would truncate files that no longer exist.
        transactionmod.cleanup_undo_files(ui.warn, repo.vfs_map)
        repo.svfs.makedir(storefiles.WORK_DIRECTORY)
        try:
            if target == SQLITE:
                result = _to_sqlite(ui, repo, wanted, progress)
            else:
                result = _to_revlogs(ui, repo, wanted, progress)
            _sync()
            _switch(repo, wanted)
        finally:
            # The switch may have failed, or been interrupted half way.
            repo.requirements = _requirements_on_disk(repo)
            storefiles.clean_up(repo)
        return result


def _refuse_unsettled(repo: Any) -> None:
    """Raise an error if the repository cannot be converted as it is."""
    if repo.svfs.exists(b'journal'):
        raise error.RepoError(
            _(b'abandoned transaction found'),
            hint=_(b"run 'hg recover' to clean up transaction"),
        )
    if requirements.FILE_INDEX in repo.requirements:
        raise error.Abort(
            _(b'cannot convert a repository with %s') % requirements.FILE_INDEX,
            hint=_(b"run 'hg debugupgraderepo' without it first"),
        )
    if corerequirements.STORE_REQUIREMENT not in repo.requirements:
        raise error.Abort(
            _(b'cannot convert a repository without a store'),
            hint=_(b"run 'hg debugupgraderepo' first"),
        )
    if requirements.uses_sqlite(repo):
        from ..writing import recovery

        recovery.recover(repo.sqlitestore)
        # Files that look like leftovers are removed. A development version kept
        # manifests in revlogs, and this fails with its tables.
        repo.sqlitestore.db.row(statements.COUNT_PATHS, (schema.DIRECTORY,))


def _requirements(ui: Any, repo: Any, target: bytes) -> set[bytes]:
    """Return the requirements that the repository will have."""
    result = {
        name
        for name in repo.requirements
        if not requirements.is_current(name)
        and not name.startswith(requirements.LEGACY_PREFIX)
    }
    if target == SQLITE:
        result |= {
            requirements.REQUIREMENT,
            requirements.compression_requirement(ui),
        }
    return result


def _requirements_on_disk(repo: Any) -> set[bytes]:
    """Return the requirements that other processes read."""
    found: set[bytes] = scmutil.readrequires(repo.vfs, True)
    if corerequirements.SHARESAFE_REQUIREMENT in found:
        found |= scmutil.readrequires(repo.svfs, False)
    return found


@contextlib.contextmanager
def _source(repo: Any, deltas: bool) -> Iterator[sources.Source]:
    """Open the history of the repository as it is now."""
    if requirements.LEGACY_REQUIREMENT not in repo.requirements:
        yield sources.RepositorySource(repo, deltas)
        return
    database = legacy.LegacyDatabase(repo.svfs.join(legacy.FILENAME))
    with contextlib.closing(database):
        revlogs = sources.RepositorySource(repo, deltas)
        yield sources.LegacySource(database, revlogs, deltas)


def _to_sqlite(
    ui: Any, repo: Any, wanted: set[bytes], progress: sources.Progress
) -> Converted:
    """Build the database and put it in its place in the store."""
    folder = vfsmod.vfs(repo.svfs.join(storefiles.WORK_DIRECTORY))
    store = Store(
        folder.join(schema.FILENAME),
        requirements.compression_of(wanted),
        # One sync at the end makes the whole database durable: see _sync.
        b'off',
        lambda: len(repo.changelog),
    )
    store.db.create()

    def open_target(key: sources.Key) -> sources.Destination:
        kind, path = key
        return sqliterevlog.SQLiteRevlog(
            store, repo.svfs, path, writable=True, kind=kind
        )

    tr = transactionmod.transaction(
        ui.warn, folder, {b'plain': folder, b'store': folder}, b'journal'
    )
    try:
        with _source(repo, deltas=True) as source:
            counts = sources.copy_all(source, open_target, tr, progress)
        tr.close()
    finally:
        tr.release()
        # This also moves the write-ahead log into the database.
        store.db.close()
    path = folder.join(schema.FILENAME)
    os.chmod(path, os.stat(repo.store.rawvfs.base).st_mode & 0o666)
    durable.sync_file(path)
    util.rename(path, repo.svfs.join(schema.FILENAME))
    return Converted(*counts)


def _to_revlogs(
    ui: Any, repo: Any, wanted: set[bytes], progress: sources.Progress
) -> Converted:
    """Build revlogs in a temporary repository and move them over."""
    folder = repo.svfs.join(storefiles.WORK_DIRECTORY)
    repoui = ui.copy()
    repoui.setconfig(b'storage', b'new-repo-backend', b'revlogv1', b'convert')
    open_repository(repoui, folder, create=True)
    # Its revlogs must have the format of those of the repository.
    hgvfs = vfsmod.vfs(os.path.join(folder, b'.hg'))
    hgvfs.tryunlink(b'store/requires')
    scmutil.writerequires(
        hgvfs, wanted - {corerequirements.SHARESAFE_REQUIREMENT}
    )
    temporary = open_repository(repoui, folder).unfiltered()

    def open_target(key: sources.Key) -> sources.Destination:
        kind, path = key
        if kind == schema.DIRECTORY:
            log = temporary.manifestlog.getstorage(path)
        else:
            log = writable_file(temporary, path)
        inner: sources.Destination = compat.inner_revlog(log)
        return inner

    with temporary.lock(), temporary.transaction(b'convert') as tr:
        with _source(repo, deltas=False) as source:
            counts = sources.copy_all(source, open_target, tr, progress)
    storefiles.take_revlogs(repo, temporary.store.rawvfs.base)
    return Converted(*counts)


def _switch(repo: Any, wanted: set[bytes]) -> None:
    """Replace the requirements on disk by ``wanted``, and make that durable."""
    scmutil.writereporequirements(repo, wanted)
    _touch_changelog(repo)
    for vfs in (repo.store.rawvfs, repo.vfs):
        if vfs.exists(b'requires'):
            durable.sync_file(vfs.join(b'requires'))
        durable.sync_directory(vfs.base)


def _touch_changelog(repo: Any) -> None:
    """Make servers open the repository anew.

    A server does that when the modification time of the changelog changes.
    """
    path = repo.svfs.join(b'00changelog.i')
    with contextlib.suppress(FileNotFoundError):
        before = int(os.stat(path).st_mtime)
        # Some servers compare whole seconds.
        now = max(int(time.time()), before + 1)
        os.utime(path, (now, now))


def _sync() -> None:
    """Wait until everything written so far is on the disk.

    One call for all of it, because the new store may consist of many thousand
    files.
    """
    if hasattr(os, 'sync'):
        os.sync()
