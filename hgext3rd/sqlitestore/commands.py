# SPDX-License-Identifier: GPL-2.0-or-later
"""The ``hg`` commands of this extension: options, help text and messages.

Imported whenever the extension is loaded: what does the work is imported when
a command runs.
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


def store_of(repo: Any) -> Store:
    """The file store of a repository. Raises Abort if it has none."""
    if requirements.REQUIREMENT not in repo.requirements:
        raise error.Abort(
            _(b'this repository does not keep its files in SQLite'),
            hint=_(b"see 'hg help admin::sqlite-convert'"),
        )
    store: Store = repo.unfiltered().sqlitestore
    return store


@contextlib.contextmanager
def _progress_of(ui: Any) -> Iterator[Callable[..., None]]:
    """A function to report (topic, position, total), each topic a bar."""
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
    """show what the database of file history holds

    Prints sizes, how much smaller than the texts of all revisions the stored
    form is, the size of each table, how many deltas reading a revision takes,
    how many revisions share a frame, and the paths that take most space.

    Loose revisions were committed or pulled since the last
    :hg:`admin::sqlite-repack`. Unused entries and free pages are what a repack
    gives back.

    Template keywords: ``size``, ``wal``, ``free``, ``raw`` and ``stored`` in
    bytes; ``files``, ``revisions``, ``loose``, ``framecount`` and ``unused``;
    and the lists ``tables`` (``name``, ``rows``, ``size``), ``deltas`` and
    ``frames`` (``from``, ``to``, ``count``), ``paths`` (``path``, ``stored``,
    ``raw``, ``revisions``). Sizes of paths are estimated where revisions share
    a frame.

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
    [],
    _(b'DEST'),
    helpcategory=command.CATEGORY_MAINTENANCE,
    helpbasic=False,
)
def sqlite_backup(ui: Any, repo: Any, dest: bytes, **opts: Any) -> None:
    """copy the database of file history while it is in use

    Writes a consistent copy of ``.hg/store/files.sqlite`` to the new file
    DEST, or under that name into the directory DEST. Nobody has to wait for it,
    readers or writers. If it is interrupted, there is no DEST.

    The database holds the contents of files; changesets and manifests are in
    other files of ``.hg/store``. To back up a whole repository, copy ``.hg``
    without ``store/files.sqlite*`` first and run this command afterwards. To
    restore, put the copy back in its place as ``.hg/store/files.sqlite``,
    without any ``files.sqlite-wal`` and ``files.sqlite-shm`` beside it, and run
    :hg:`recover`. That removes from the database what was added after the rest
    was copied.

    Returns 0 on success.
    """
    import os

    from .formats import schema
    from .writing import backup

    store = store_of(repo)
    dest = util.expandpath(dest)
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
    b'admin::sqlite-repack',
    [
        (b'', b'max', None, _(b'take longer to save more')),
        (b'', b'auto', None, _(b'only if it pays')),
    ],
    _(b'[--max | --auto]'),
    helpcategory=command.CATEGORY_MAINTENANCE,
    helpbasic=False,
)
def sqlite_repack(ui: Any, repo: Any, **opts: Any) -> int:
    """make the database of file history smaller and faster to read

    Commits add one row for each new revision of a file, and a pull packs
    revisions as they come. This command stores all of them anew: similar files
    side by side, the newest revision of each cheapest to read, and compresses
    them more strongly. Unused space is given back to the file system.

    The repository can be used meanwhile. Readers never wait; who wants to
    commit or push waits while a part is written, usually less than a second.
    The command can be interrupted or killed at any moment. When it runs again
    it begins anew.

    With --max, larger units are compressed with the highest level. That takes
    several times as long and saves a little more, and reading a file takes some
    milliseconds more.

    With --auto, nothing is done unless enough was added since the last time.
    With the following settings, such a repack is started in the background when
    a transaction ends, suggested in a message, or neither::

      [storage]
      sqlite.auto-repack = yes | suggest | no

    Returns 0 on success, also when there was nothing to do.
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
            _(b'what to convert to: sqlite or revlog'),
            _(b'KIND'),
        ),
    ],
    _(b'[--to KIND]'),
    helpcategory=command.CATEGORY_MAINTENANCE,
    helpbasic=False,
)
def sqlite_convert(ui: Any, repo: Any, **opts: Any) -> int:
    """move the file history of this repository to SQLite, or back

    Converts in place. Every revision is checked on the way. The repository is
    locked against writers meanwhile, and can be read. It can be interrupted or
    killed at any moment: the repository is then what it was before, and stays
    that until all of the new store is on disk; only then is the old one
    removed. Run the command again to go on with an interrupted conversion.

    Repositories of the extension ``sqlitestore`` that came with Mercurial until
    6.9 (requirement ``exp-sqlite-001``) are converted in the same way.

    Processes that have the repository open, such as servers, notice. So do
    shares. Those that do not load this extension cannot go on afterwards:
    Mercurial refuses to open the repository, and a symbolic link at
    ``.hg/store/data`` stops those that did so before.

    Returns 0 on success, also when there was nothing to do.
    """
    from .converting import convert

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
    if converted is None:
        ui.status(_(b'nothing to convert\n'))
    else:
        ui.status(
            _(b'%d revisions of %d files converted\n')
            % (converted.revisions, converted.files)
        )
    return 0
