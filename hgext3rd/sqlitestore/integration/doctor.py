# SPDX-License-Identifier: GPL-2.0-or-later
"""What ``hg admin::doctor`` looks at because of this extension.

The database is not opened: see ``database.health``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from mercurial import util
from mercurial.i18n import _

from ...amalgam import sidefiles
from ...amalgam.doctor import filesystems, packages, permissions
from ...amalgam.doctor.findings import (
    Check,
    Examined,
    Finding,
    ok,
    problem,
    warning,
)
from .. import requirements
from ..database import health, links
from ..formats import schema

#: The oldest SQLite that works.
OLDEST = (3, 35, 0)

#: Bytes. SQLite moves the log into the database at 4 MB, Litestream as well. It is
#: larger than this only if a reader prevents that, or nobody does it.
LARGE_LOG = 64 << 20


def _path(examined: Examined) -> bytes:
    path: bytes = examined.repo.svfs.join(schema.FILENAME)
    return path


def versions(examined: Examined) -> Iterator[Finding]:
    """Look at the version of SQLite."""
    import sqlite3

    told = _(b'SQLite %s') % sqlite3.sqlite_version.encode()
    if sqlite3.sqlite_version_info < OLDEST:
        yield problem(
            told,
            _(b'use a Python with SQLite %s or newer')
            % b'.'.join(b'%d' % part for part in OLDEST),
        )
    else:
        yield ok(told)


def modules(examined: Examined) -> Iterator[Finding]:
    """Import what the compression of the repository needs."""
    repo = examined.repo
    if (
        requirements.uses_sqlite(repo)
        and requirements.compression_of(repo.requirements) == 'zstd'
    ):
        yield from packages.judge(_(b'the database'), ['zstandard'])


def formats(examined: Examined) -> Iterator[Finding]:
    """Look at the requirements of the repository."""
    repo = examined.repo
    if requirements.LEGACY_REQUIREMENT in repo.requirements:
        yield problem(
            _(b'the repository has an old format (%s)')
            % requirements.LEGACY_REQUIREMENT,
            _(b"run 'hg admin::sqlite-convert'"),
        )
    elif not requirements.uses_sqlite(repo):
        yield ok(_(b'files are in revlogs'))
    else:
        yield ok(_(b'files are in SQLite (%s)') % requirements.REQUIREMENT)


def database_permissions(examined: Examined) -> Iterator[Finding]:
    """Look at owners and modes of the database and the files beside it."""
    if not requirements.uses_sqlite(examined.repo):
        return
    path = _path(examined)
    pattern = os.stat(examined.repo.spath)
    found = list(
        permissions.judge(sidefiles.files_of(path), examined.user, pattern)
    )
    yield from found
    if not found:
        yield ok(_(b'%s can write the database') % examined.user.name)


def database_disk(examined: Examined) -> Iterator[Finding]:
    """Look at the file system of the database."""
    if not requirements.uses_sqlite(examined.repo):
        return
    path = _path(examined)
    folder = os.path.dirname(path)
    found = list(filesystems.judge_sharing(folder, _(b'the database')))
    if os.path.exists(path):
        found += filesystems.judge_room(
            folder, os.stat(path).st_size, _(b'a repack or a conversion')
        )
    yield from found
    if not found:
        yield ok(_(b'the database is on a local disk with room for a copy'))


def log(examined: Examined) -> Iterator[Finding]:
    """Look at the write-ahead log, and at who reads and writes it."""
    if not requirements.uses_sqlite(examined.repo):
        return
    path = _path(examined)
    try:
        state = health.look(path)
    except OSError as exc:
        yield problem(
            _(b'cannot read %s: %s')
            % (path, os.strerror(exc.errno or 0).encode()),
            _(b'restore it from a backup: hg help admin::sqlite-restore'),
        )
        return
    found = [
        *_damage(path, state),
        *_growth(path, state, requirements.keeps_log(examined.ui)),
    ]
    yield from found
    if not found:
        yield ok(
            _(b'the write-ahead log has %s') % util.bytecount(state.log or 0)
        )


def _damage(path: bytes, state: health.Health) -> Iterator[Finding]:
    """Yield what is wrong with the files."""
    if state.size and not state.database:
        yield problem(
            _(b'%s is not a SQLite database') % path,
            _(b'restore it from a backup: hg help admin::sqlite-restore'),
        )
        return
    if not state.wal:
        yield warning(
            _(b'the database is not in WAL mode: readers wait for writers'),
            _(
                b'move it to a local file system; then, with nobody using it: '
                b"sqlite3 %s 'PRAGMA journal_mode = WAL'"
            )
            % path,
        )
    if state.journal:
        yield problem(
            _(b'a rollback journal was left by a program that was interrupted'),
            _(b"run 'hg recover' and 'hg verify'; do not remove the journal"),
        )
    if links.is_linked(path):
        yield warning(
            _(b'the database has another name (a hard link)'),
            _(b'nothing to do: the next commit makes a copy of its own'),
        )


def _growth(path: bytes, state: health.Health, keep: bool) -> Iterator[Finding]:
    """Yield what is wrong with the log."""
    size = state.log or 0
    told = util.bytecount(size)
    if keep and not state.users and state.users is not None:
        # Litestream has the database open all the time.
        yield (problem if size >= LARGE_LOG else warning)(
            _(
                b'keep-wal is set, and no program has the database open (log: %s)'
            )
            % told,
            _(
                b'start Litestream for it, or unset storage.sqlite.keep-wal: '
                b'the log grows without limit'
            ),
        )
    elif size >= LARGE_LOG and state.readers:
        yield problem(
            _(b'the log has %s, and process %s reads an old state of it')
            % (told, b', '.join(b'%d' % p for p in sorted(state.readers))),
            _(b'see what that process does, and end it: the log cannot shrink'),
        )
    elif size >= LARGE_LOG:
        yield warning(
            _(b'the write-ahead log has %s') % told,
            _(b'let Litestream run')
            if keep
            else _(b"commit or run 'hg admin::sqlite-repack' to empty it"),
        )
    elif not keep and size and state.users is not None and not state.users:
        yield warning(
            _(b'a process was killed and left a log of %s') % told,
            _(
                b'nothing is lost: the next command of a user who may write '
                b'empties it. Do not remove %s'
            )
            % sidefiles.beside(path, sidefiles.LOG),
        )


CHECKS = (
    Check(b'sqlite', _(b'version of SQLite'), versions, once=True),
    Check(b'sqlite-modules', _(b'modules that the database needs'), modules),
    Check(b'format', _(b'requirements'), formats),
    Check(
        b'database-permissions',
        _(b'owners and modes of the database'),
        database_permissions,
    ),
    Check(b'database-disk', _(b'its file system'), database_disk),
    Check(b'log', _(b'the write-ahead log'), log),
)
