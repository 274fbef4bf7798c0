# SPDX-License-Identifier: GPL-2.0-or-later
"""Converting a repository in place: revlogs to SQLite, SQLite to revlogs.

The new store is built beside the old one, which nobody writes to meanwhile.
When it is complete and on disk, the requirements file is replaced: before that
moment the repository is what it was, afterwards it is what it should become,
and in either case the files of the other kind that lie beside are not looked
at. They are removed last. If the process dies on the way, converting again
removes what is left.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from mercurial import error, pycompat, scmutil, util
from mercurial import requirements as corerequirements
from mercurial import transaction as transactionmod
from mercurial import vfs as vfsmod
from mercurial.i18n import _

from .. import compat, requirements
from ..database import links
from ..filelog import filelog
from ..formats import schema, statements
from ..reading.store import Store
from . import legacy, sources

SQLITE = b'sqlite'
REVLOG = b'revlog'
TARGETS = (SQLITE, REVLOG)

# Everything unfinished is below this directory of .hg/store.
WORK_DIRECTORY = b'sqlite-convert'

# Where revlogs of files lie in a store, and the list of them.
DATA = b'data'
REVLOG_FOLDERS = (DATA, b'dh')
FNCACHE = b'fncache'

# What DATA links to in a repository that was converted to SQLite. Below a file
# there can be nothing.
NOWHERE = schema.FILENAME + b'/instead'

# Where core keeps a revlog while it is split in two files.
SPLIT_FOLDER = b'data-s'

# The backends that have another list of revlogs, which we do not maintain.
FILE_INDEX = b'fileindex-v1'


class Converted(NamedTuple):
    """Numbers of what was converted; None if there was nothing to do."""

    files: int
    revisions: int


def convert(
    ui: Any, repo: Any, target: bytes, progress: sources.Progress
) -> Converted | None:
    """Convert a repository; ``target`` is one of TARGETS.

    Returns None if it is of that kind already. Raises Abort where it cannot be
    done, and whatever reading damaged history raises; the repository is then
    as before.
    """
    repo = repo.unfiltered()
    if repo.shared():
        raise error.Abort(
            _(b'cannot convert a share'),
            hint=_(b'convert its source: %s') % repo.sharedpath,
        )
    with repo.wlock(), repo.lock():
        _refuse_unsettled(repo)
        _clean_up(repo)
        kind = (
            SQLITE if requirements.REQUIREMENT in repo.requirements else REVLOG
        )
        if requirements.LEGACY_REQUIREMENT in repo.requirements:
            kind = b''
        if kind == target:
            return None
        wanted = _requirements(ui, repo, target)
        # Its offsets are those of files that will not be there.
        transactionmod.cleanup_undo_files(ui.warn, repo.vfs_map)
        repo.svfs.makedir(WORK_DIRECTORY)
        try:
            if target == SQLITE:
                result = _to_sqlite(ui, repo, wanted, progress)
            else:
                result = _to_revlogs(ui, repo, wanted, progress)
            _sync(repo)
            _switch(repo, wanted)
        finally:
            # The switch may have failed, or been interrupted in its middle.
            repo.requirements = _requirements_on_disk(repo)
            _clean_up(repo)
        return result


def _refuse_unsettled(repo: Any) -> None:
    if repo.svfs.exists(b'journal'):
        raise error.RepoError(
            _(b'abandoned transaction found'),
            hint=_(b"run 'hg recover' to clean up transaction"),
        )
    if FILE_INDEX in repo.requirements:
        raise error.Abort(
            _(b'cannot convert a repository with %s') % FILE_INDEX,
            hint=_(b"run 'hg debugupgraderepo' without it first"),
        )
    if corerequirements.STORE_REQUIREMENT not in repo.requirements:
        raise error.Abort(
            _(b'cannot convert a repository without a store'),
            hint=_(b"run 'hg debugupgraderepo' first"),
        )
    if requirements.REQUIREMENT in repo.requirements:
        from ..writing import recovery

        recovery.recover(repo.sqlitestore)


def _requirements(ui: Any, repo: Any, target: bytes) -> set[bytes]:
    """The requirements the repository will have."""
    result = {
        name
        for name in repo.requirements
        if name != requirements.REQUIREMENT
        and not name.startswith(requirements.COMPRESSION_PREFIX)
        and not name.startswith(requirements.LEGACY_PREFIX)
    }
    if target == SQLITE:
        result |= {
            requirements.REQUIREMENT,
            requirements.compression_requirement(ui),
        }
    return result


def _requirements_on_disk(repo: Any) -> set[bytes]:
    """What the repository is for everybody else."""
    found: set[bytes] = scmutil.readrequires(repo.vfs, True)
    if corerequirements.SHARESAFE_REQUIREMENT in found:
        found |= scmutil.readrequires(repo.svfs, False)
    return found


@contextlib.contextmanager
def _source(repo: Any, deltas: bool) -> Iterator[sources.Source]:
    if requirements.LEGACY_REQUIREMENT not in repo.requirements:
        yield sources.RepositorySource(repo, deltas)
        return
    database = legacy.LegacyDatabase(repo.svfs.join(legacy.FILENAME))
    with contextlib.closing(database):
        yield sources.LegacySource(database, deltas)


def _to_sqlite(
    ui: Any, repo: Any, wanted: set[bytes], progress: sources.Progress
) -> Converted:
    """Build the database and put it in its place."""
    folder = vfsmod.vfs(repo.svfs.join(WORK_DIRECTORY))
    store = Store(
        folder.join(schema.FILENAME),
        requirements.compression_of(wanted),
        # made durable as a whole, see _sync
        b'off',
        lambda: len(repo.changelog),
    )
    store.db.create()

    def open_target(path: bytes) -> sources.Target:
        file = filelog.SQLiteFilelog(store, repo.svfs, path, writable=True)
        target: sources.Target = file._revlog
        return target

    tr = transactionmod.transaction(
        ui.warn, folder, {b'plain': folder, b'store': folder}, b'journal'
    )
    try:
        with _source(repo, deltas=True) as source:
            counts = sources.copy_all(source, open_target, tr, progress)
        tr.close()
    finally:
        tr.release()
        # also moves what is in the write-ahead log into the database
        store.db.close()
    path = folder.join(schema.FILENAME)
    os.chmod(path, os.stat(repo.store.rawvfs.base).st_mode & 0o666)
    _sync_file(path)
    util.rename(path, repo.svfs.join(schema.FILENAME))
    return Converted(*counts)


def _to_revlogs(
    ui: Any, repo: Any, wanted: set[bytes], progress: sources.Progress
) -> Converted:
    """Build revlogs in a repository of their own and move them over."""
    folder = repo.svfs.join(WORK_DIRECTORY)
    repoui = ui.copy()
    repoui.setconfig(b'storage', b'new-repo-backend', b'revlogv1', b'convert')
    compat.open_repository(repoui, folder, create=True)
    # Its files must be like those of the repository in every respect.
    hgvfs = vfsmod.vfs(os.path.join(folder, b'.hg'))
    hgvfs.tryunlink(b'store/requires')
    scmutil.writerequires(
        hgvfs, wanted - {corerequirements.SHARESAFE_REQUIREMENT}
    )
    temporary = compat.open_repository(repoui, folder).unfiltered()

    def open_target(path: bytes) -> sources.Target:
        target: sources.Target = compat.writable_file(
            temporary, path
        ).get_revlog()
        return target

    with temporary.lock(), temporary.transaction(b'convert') as tr:
        with _source(repo, deltas=False) as source:
            counts = sources.copy_all(source, open_target, tr, progress)
    _allow_revlogs(repo.store.rawvfs)
    for name in REVLOG_FOLDERS:
        _merge_tree(temporary.store.rawvfs.base, repo.store.rawvfs.base, name)
    _write_fncache(repo, vfsmod.vfs(temporary.store.rawvfs.base))
    return Converted(*counts)


def _merge_tree(source: bytes, dest: bytes, name: bytes) -> None:
    """Move what is below ``name`` in one folder to the same place in another."""
    origin = os.path.join(source, name)
    if not os.path.isdir(origin):
        return
    target = os.path.join(dest, name)
    if not os.path.isdir(target):
        util.rename(origin, target)
        return
    for entry in os.listdir(origin):
        path = os.path.join(name, entry)
        if os.path.isdir(os.path.join(source, path)):
            _merge_tree(source, dest, path)
        else:
            util.rename(os.path.join(source, path), os.path.join(dest, path))


def _is_file_revlog(entry: bytes) -> bool:
    return entry.startswith(b'data/')


def _fncache_entries(vfs: Any) -> list[bytes]:
    return [line for line in vfs.tryread(FNCACHE).split(b'\n') if line]


def _write_fncache(repo: Any, files: Any) -> None:
    """List the revlogs of files that ``files`` (a vfs) lists, and no others.

    Those of tree manifests stay.
    """
    if corerequirements.FNCACHE_REQUIREMENT not in repo.requirements:
        return
    raw = vfsmod.vfs(repo.store.rawvfs.base)
    entries = [e for e in _fncache_entries(raw) if not _is_file_revlog(e)]
    if files is not None:
        entries += filter(_is_file_revlog, _fncache_entries(files))
    with raw(FNCACHE, b'wb', atomictemp=True) as file:
        file.write(b''.join(entry + b'\n' for entry in entries))


def _switch(repo: Any, wanted: set[bytes]) -> None:
    """Let the repository be what ``wanted`` say, from now on."""
    scmutil.writereporequirements(repo, wanted)
    _touch_changelog(repo)
    for vfs in (repo.store.rawvfs, repo.vfs):
        if vfs.exists(b'requires'):
            _sync_file(vfs.join(b'requires'))
        _sync_file(vfs.base)


def _touch_changelog(repo: Any) -> None:
    """Have servers open the repository anew, which look at the changelog."""
    path = repo.svfs.join(b'00changelog.i')
    with contextlib.suppress(FileNotFoundError):
        before = int(os.stat(path).st_mtime)
        # they may not see fractions of seconds
        now = max(int(time.time()), before + 1)
        os.utime(path, (now, now))


def _clean_up(repo: Any) -> None:
    """Remove files of kinds that the repository is not, or no longer, of."""
    raw = vfsmod.vfs(repo.store.rawvfs.base)
    if raw.isdir(WORK_DIRECTORY):
        shutil.rmtree(raw.join(WORK_DIRECTORY))
    names = repo.requirements
    if requirements.LEGACY_REQUIREMENT not in names:
        _remove_database(raw, legacy.FILENAME)
    if requirements.REQUIREMENT in names:
        _remove_revlogs(repo, raw)
        _block_revlogs(raw)
    elif raw.exists(schema.FILENAME):
        _disable(raw.join(schema.FILENAME))
        _remove_database(raw, schema.FILENAME)
    if requirements.LEGACY_REQUIREMENT in names:
        _remove_revlogs(repo, raw)


def _remove_database(raw: Any, name: bytes) -> None:
    for suffix in (b'', b'-wal', b'-shm', b'-journal'):
        raw.tryunlink(name + suffix)


def _disable(path: bytes) -> None:
    """Stop processes that still have the database open from using it."""
    import sqlite3

    if links.is_linked(path):
        # another repository needs it
        return
    try:
        db = sqlite3.connect(pycompat.fsdecode(path), isolation_level=None)
        try:
            db.execute(statements.DROP_COUNTERS)
        finally:
            db.close()
    except sqlite3.Error:
        # an unfinished one; nobody can use it either
        return


def _remove_revlogs(repo: Any, raw: Any) -> None:
    """Remove the revlogs of files, and take them off the list."""
    if not raw.exists(DATA) and not any(
        map(_is_file_revlog, _fncache_entries(raw))
    ):
        return
    for name in (DATA, SPLIT_FOLDER):
        if raw.isdir(name):
            shutil.rmtree(raw.join(name))
    for entry in filter(_is_file_revlog, _fncache_entries(raw)):
        # long names are elsewhere, hashed
        encoded = repo.store.encode(entry)
        if encoded.startswith(b'dh/'):
            raw.unlinkpath(encoded, ignoremissing=True)
    _write_fncache(repo, None)


def _block_revlogs(raw: Any) -> None:
    """Make it impossible to read or write revlogs of files.

    A process that opened the repository before it was converted, without this
    extension, would take files for empty, or write where nobody looks.
    """
    # where there are no symbolic links, there is nothing as harmless
    with contextlib.suppress(OSError):
        os.symlink(NOWHERE, raw.join(DATA))


def _allow_revlogs(raw: Any) -> None:
    if raw.islink(DATA):
        raw.unlink(DATA)


def _sync(repo: Any) -> None:
    """Have the disk hold everything that was written, before the switch."""
    if hasattr(os, 'sync'):
        os.sync()


def _sync_file(path: bytes) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
