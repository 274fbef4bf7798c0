# SPDX-License-Identifier: GPL-2.0-or-later
"""The ``hg`` commands of this extension: arguments, help texts and messages.

Imported whenever the extension is loaded: the modules that do the work are
imported when a command runs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from mercurial import cmdutil, error, pycompat, registrar, util
from mercurial.i18n import _

from . import requirements

if TYPE_CHECKING:
    from .reading.store import Store

cmdtable: dict = {}
command = registrar.command(cmdtable)


def check_backend(repo: Any) -> None:
    """Raise Abort if a repository has no file store."""
    if not requirements.uses_sqlite(repo):
        raise error.Abort(
            _(b'this repository does not keep its files in SQLite'),
            hint=_(b"see 'hg help admin::sqlite-convert'"),
        )


def store_of(repo: Any) -> Store:
    """Return the file store of a repository. Raises Abort if it has none."""
    check_backend(repo)
    store: Store = repo.unfiltered().sqlitestore
    return store


@contextlib.contextmanager
def _progress_of(ui: Any) -> Iterator[Callable[..., None]]:
    """Yield a function of (topic, position, total) that shows progress.

    Each topic is shown as a progress bar of its own.
    """
    bars: dict[bytes, Any] = {}

    def update(topic: bytes, position: int, total: int | None) -> None:
        if topic not in bars:
            finish()
            bars[topic] = ui.makeprogress(topic, unit=_(b'files'))
        bars[topic].update(position, total=total)

    def finish() -> None:
        for bar in bars.values():
            bar.complete()
        bars.clear()

    try:
        yield update
    finally:
        finish()


@command(
    b'admin::sqlite-stats',
    [
        (
            b'n',
            b'limit',
            10,
            _(b'how many of the biggest paths to list'),
            _(b'N'),
        ),
        *cmdutil.formatteropts,
    ],
    _(b'[-n N] [-T TEMPLATE]'),
    helpcategory=command.CATEGORY_MAINTENANCE,
    helpbasic=False,
)
def sqlite_stats(ui: Any, repo: Any, **opts: Any) -> None:
    """show what the database of file history contains

    Prints the size of the database, how much smaller it is than the texts of
    all revisions, the size of each table, how many deltas have to be applied to
    read a revision, how many revisions share a frame, and the paths that take
    the most space. A frame is a group of revisions that are compressed
    together.

    Loose revisions are those that are not in a frame yet: they were committed
    or pulled since the last :hg:`admin::sqlite-repack`. A repack frees the
    space of unused entries and free pages.

    Template keywords. All sizes are in bytes:

    :size: size of the database
    :wal: size of its write-ahead log
    :free: size of its free pages
    :raw: size of the texts of all revisions
    :stored: size of what is stored for these texts
    :files: number of files
    :manifests: number of directories of manifests; 1 without tree manifests
    :revisions: number of revisions of all files and directories
    :loose: number of loose revisions
    :framecount: number of frames
    :unused: number of entries in frames that no revision uses
    :tables: list of tables, with ``name``, ``rows`` and ``size``
    :deltas: numbers of revisions (``count``) that take ``from`` to ``to``
        deltas to read, as a list
    :frames: numbers of frames (``count``) with ``from`` to ``to`` revisions, as
        a list
    :paths: list of the biggest paths, with ``path``, ``stored``, ``raw`` and
        ``revisions``

    Manifests have the names of their revlogs, such as ``00manifest``. The size
    of a path is an estimate if its revisions share frames with those
    of other paths.

    Returns 0 on success.
    """
    from .reading import stats, statsview

    store = store_of(repo)
    with ui.makeprogress(_(b'reading indexes'), unit=_(b'files')) as progress:
        found = stats.collect(store, progress.update)
    with ui.formatter(b'sqlite-stats', pycompat.byteskwargs(opts)) as fm:
        statsview.show(fm, found, opts['limit'])


@command(
    b'admin::sqlite-backup',
    [(b'', b'rest', None, _(b'copy everything but the database'))],
    _(b'[--rest] DEST'),
    helpcategory=command.CATEGORY_MAINTENANCE,
    helpbasic=False,
)
def sqlite_backup(ui: Any, repo: Any, dest: bytes, **opts: Any) -> None:
    """copy the database of file history while it is in use

    Writes a consistent copy of ``.hg/store/history.sqlite`` to the new file DEST.
    If DEST is a directory, the copy is named ``history.sqlite``. Other processes
    can read and write the repository meanwhile. If the command is interrupted,
    it leaves no file behind.

    The database contains the history of files and manifests. Changesets, phases,
    bookmarks and the configuration are in other files of ``.hg``. With --rest, the
    command writes these to the tar archive DEST, and replaces an older archive. It
    locks the repository meanwhile. Large files of LFS and the working directory
    are in neither copy. To back up a whole repository, make both copies, first
    that of the rest: every changeset in the backup then has its files.

    To restore such a backup, unpack the archive where the repository shall be, and
    give the copy of the database to :hg:`admin::sqlite-restore` there.

    Returns 0 on success.
    """
    import os

    from .formats import schema
    from .writing import backup, rest

    store = store_of(repo)
    dest = util.expandpath(dest)
    if opts['rest']:
        size = rest.archive(repo, dest)
        ui.status(_(b'%s written (%s)\n') % (dest, util.bytecount(size)))
        return
    if os.path.isdir(dest):
        dest = os.path.join(dest, schema.FILENAME)
    with ui.makeprogress(_(b'copying'), unit=_(b'pages')) as progress:
        size = backup.backup(
            store.db,
            dest,
            lambda done, total: progress.update(done, total=total),
        )
    ui.status(_(b'%s written (%s)\n') % (dest, util.bytecount(size)))


@command(
    b'admin::sqlite-restore',
    [],
    _(b'FILE'),
    helpcategory=command.CATEGORY_MAINTENANCE,
    helpbasic=False,
)
def sqlite_restore(ui: Any, repo: Any, source: bytes, **opts: Any) -> None:
    """put a copy of the database back into a repository

    Replaces ``.hg/store/history.sqlite`` by a copy of the database FILE, which
    :hg:`admin::sqlite-backup` or Litestream wrote. The rest of the repository must
    be there, for example from :hg:`admin::sqlite-backup --rest`.

    FILE and the rest may be of different moments. The history that both have stays:
    newer changesets whose files are not in FILE are removed, and so are revisions
    of files in FILE that belong to no changeset. So nothing of FILE is lost if the
    rest was copied later than FILE. After a strip, the changesets that were above it
    are lost if one copy is from before it and the other from after it.

    Nobody may use the repository meanwhile. If the command is interrupted, run it
    again. Afterwards, :hg:`verify` checks the repository.

    Returns 0 on success.
    """
    from .integration import restoring

    check_backend(repo)
    source = util.expandpath(source)
    with ui.makeprogress(_(b'copying'), unit=_(b'pages')) as progress:
        kept, removed = restoring.restore(
            repo,
            source,
            lambda done, total: progress.update(done, total=total),
        )
    ui.status(_(b'database restored (%d changesets)\n') % kept)
    if removed:
        ui.warn(
            _(b'removed %d newer changesets whose files are not in %s\n')
            % (removed, source)
        )


@command(
    b'admin::sqlite-repack',
    [
        (b'', b'max', None, _(b'take longer to save more space')),
        (b'', b'auto', None, _(b'only repack if enough was added')),
    ],
    _(b'[--max | --auto]'),
    helpcategory=command.CATEGORY_MAINTENANCE,
    helpbasic=False,
)
def sqlite_repack(ui: Any, repo: Any, **opts: Any) -> int:
    """make the database of file history smaller and faster to read

    A commit adds one row for each new revision of a file, and a pull stores
    revisions in the order in which they arrive. This command stores all
    revisions anew: similar files are compressed together and more strongly, and
    the newest revision of each file becomes the fastest to read. Unused space
    is returned to the file system.

    The repository can be used meanwhile. Readers never wait. Commits and pushes
    wait while a batch of revisions is written, usually for less than a second.
    The command can be interrupted or killed at any time; it starts from the
    beginning when it runs again.

    With --max, more revisions are compressed together, at the highest level.
    The repack takes several times as long and saves a little more space, and
    reading a file takes some milliseconds longer.

    With --auto, the command does nothing unless enough was added since the last
    repack. The option ``storage.sqlite.auto-repack`` says whether such a repack
    is started in the background when a transaction ends, or suggested in a
    message.

    Returns 0 on success or if there was nothing to do.
    """
    from .repacking import automatic, run

    cmdutil.check_at_most_one_arg(opts, 'max', 'auto')
    store = store_of(repo)
    if opts['auto'] and not automatic.pays(store):
        return 0
    before = run.database_size(store)
    effort = run.MAXIMUM if opts['max'] else run.NORMAL
    with _progress_of(ui) as progress:
        try:
            done = run.repack(repo, store, effort, progress)
        except error.LockHeld as exc:
            if opts['auto']:
                return 0
            raise error.Abort(
                _(b'another repack of this repository is running'),
                hint=_(b'process %s') % (exc.locker or b'?'),
            ) from exc
    if not done:
        ui.status(_(b'nothing to repack\n'))
        return 0
    ui.status(
        _(b'database repacked (%s, was %s)\n')
        % (
            util.bytecount(run.database_size(store)),
            util.bytecount(before),
        )
    )
    return 0


@command(
    b'admin::sqlite-convert',
    [
        (
            b'',
            b'to',
            b'sqlite',
            _(b'where to move file history: sqlite or revlog'),
            _(b'KIND'),
        ),
    ],
    _(b'[--to KIND]'),
    helpcategory=command.CATEGORY_MAINTENANCE,
    helpbasic=False,
)
def sqlite_convert(ui: Any, repo: Any, **opts: Any) -> int:
    """move the file history of this repository to SQLite, or back

    Converts the repository in place and checks every revision. Meanwhile the
    repository can be read, but not written to. The command can be interrupted
    or killed at any time: the repository stays as it was until all of the new
    store is on disk, and only then is the old one removed. If it was
    interrupted, run it again.

    Repositories in the format of the extension ``sqlitestore`` that came with
    Mercurial until 6.9 (requirement ``exp-sqlite-001``) can be converted, too.

    Servers and other processes that have the repository open follow the
    conversion, and so do shares, if they use this extension. Mercurial without
    this extension refuses to open a repository in SQLite. A process without it
    that had the repository open before is stopped by a symbolic link at
    ``.hg/store/data``.

    Returns 0 on success or if there was nothing to do.
    """
    from .converting import convert
    from .integration import repository

    if opts['to'] not in convert.TARGETS:
        raise error.InputError(
            _(b"cannot convert to '%s'") % opts['to'],
            hint=_(b'use one of: %s') % b', '.join(convert.TARGETS),
        )
    with ui.makeprogress(_(b'converting'), unit=_(b'files')) as progress:
        converted = convert.convert(
            ui,
            repo,
            opts['to'],
            lambda done, total: progress.update(done, total=total),
        )
    # The object goes on to live in a command server.
    repository.forget_manifests(repo)
    repository.adopt(repo)
    if converted is None:
        ui.status(_(b'nothing to convert\n'))
    else:
        ui.status(
            _(b'%d revisions of %d files converted\n')
            % (converted.revisions, converted.files)
        )
    return 0
