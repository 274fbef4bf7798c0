# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands of administrators, ``hg admin::lfs-*``.

Every hg command imports this module, so it must stay light.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from mercurial import cmdutil, error, pycompat, registrar, util
from mercurial.i18n import _

from ..amalgam import compat
from . import errors

if TYPE_CHECKING:
    from .stores.blobs import Blob, BlobMaintenance

cmdtable: dict = {}
command = registrar.command(cmdtable)

_DAY = 24 * 60 * 60


def _store(repo: Any) -> BlobMaintenance:
    """Return the maintenance role of the store of ``repo``; raise Abort."""
    from .stores import configured

    try:
        return configured.blob_store(repo).maintenance
    except errors.LfsServerError as failure:
        raise _abort(failure) from failure


def _abort(failure: errors.LfsServerError) -> error.Abort:
    return error.Abort(
        failure.full_text.encode('utf-8', 'replace'),
        hint=_(b"see lfsserver.store in 'hg help -e lfsserver'"),
    )


def _sorted_blobs(store: BlobMaintenance) -> list[Blob]:
    return sorted(store.walk(), key=lambda blob: blob.oid)


@command(
    b'admin::lfs-verify',
    [
        (
            b'n',
            b'dry-run',
            None,
            _(b'report corrupt blobs, but do not move them'),
        ),
    ]
    + cmdutil.formatteropts,
    _(b'hg admin::lfs-verify [-n]'),
    helpcategory=command.CATEGORY_MAINTENANCE,
)
def lfsverify(ui: Any, repo: Any, **opts: Any) -> int:
    """read all large files again and quarantine corrupt ones

    This command reads every blob in the store of the repository and compares
    its hash with its name, even if the server has verified the blob before. It
    moves corrupt blobs to ``.hg/store/lfs/quarantine`` (or ``quarantine/`` in
    an object store). The server then asks clients that have a good copy to
    upload it again.

    Returns 0 if all blobs are intact, 1 otherwise.
    """
    store = _store(repo)
    corrupt = 0
    try:
        blobs = _sorted_blobs(store)
        total = sum(blob.size for blob in blobs)
        with (
            ui.makeprogress(
                _(b'verifying'), unit=_(b'bytes'), total=total
            ) as progress,
            ui.formatter(
                b'admin::lfs-verify', pycompat.byteskwargs(opts)
            ) as fm,
        ):
            for blob in blobs:
                if not _rehash(store, blob):
                    corrupt += 1
                    _report_corrupt(store, blob, fm, opts['dry_run'])
                progress.increment(blob.size)
    except errors.LfsServerError as failure:
        raise _abort(failure) from failure
    ui.status(
        _(b'%d blobs verified (%s), %d corrupt\n')
        % (len(blobs), util.bytecount(total), corrupt)
    )
    return 1 if corrupt else 0


def _rehash(store: BlobMaintenance, blob: Blob) -> bool:
    """Return False if the blob is corrupt."""
    try:
        return store.rehash(blob.oid)
    except errors.NotFound:
        # The blob was deleted after it had been listed.
        return True


def _report_corrupt(
    store: BlobMaintenance, blob: Blob, fm: Any, dry: bool
) -> None:
    place = '' if dry else store.quarantine(blob.oid)
    fm.startitem()
    fm.write(b'oid', b'%s is corrupt', blob.oid.encode('ascii'))
    fm.data(size=blob.size)
    fm.condwrite(
        place, b'quarantine', b', moved to %s', pycompat.fsencode(place)
    )
    fm.plain(b'\n')


@command(
    b'admin::lfs-gc',
    [
        (b'', b'delete', None, _(b'delete the blobs instead of listing them')),
        (
            b'',
            b'keep-days',
            14,
            _(b'keep blobs that are newer than this'),
            _(b'DAYS'),
        ),
        (
            b'',
            b'also',
            [],
            _(b'another repository that uses the same store'),
            _(b'REPO'),
        ),
    ]
    + cmdutil.formatteropts,
    _(b'hg admin::lfs-gc [--delete] [--keep-days DAYS] [--also REPO]...'),
    helpcategory=command.CATEGORY_MAINTENANCE,
)
def lfsgc(ui: Any, repo: Any, **opts: Any) -> int:
    """find large files that no changeset refers to

    This command lists the blobs that no changeset of the repository refers to.
    Hidden and secret changesets count too. It deletes the blobs only with
    --delete.

    Clients upload blobs before the changesets that refer to them. Therefore
    blobs that are newer than --keep-days are never listed, and neither are
    older ones that the server told a client, since then, it need not upload.
    The command can run at any time, also from cron beside pushes and commits.
    With --delete, it also removes the leftovers of uploads that were
    interrupted before that time.

    If other repositories use the same store, such as an object store that is
    configured for several repositories, name them all with --also.

    References from Git repositories are unknown to this command. Do not use
    --delete on a store that also serves git-lfs clients of Git repositories.

    Returns 0 on success, 1 if some blobs could not be deleted.
    """
    from .integration import collection

    store = _store(repo)
    days = opts['keep_days']
    if days < 0:
        raise error.InputError(_(b'--keep-days must not be negative'))
    repos = [repo] + [compat.open_repository(ui, path) for path in opts['also']]
    try:
        return collection.run(
            ui,
            repos,
            store,
            ui.formatter(b'admin::lfs-gc', pycompat.byteskwargs(opts)),
            time.time() - days * _DAY,
            bool(opts['delete']),
        )
    except errors.LfsServerError as failure:
        raise _abort(failure) from failure


@command(
    b'admin::lfs-locks',
    [
        (b'', b'break', None, _(b'remove the locks instead of only listing')),
        (b'', b'owner', [], _(b'only the locks of this user'), _(b'USER')),
        (b'a', b'all', None, _(b'break all locks')),
    ]
    + cmdutil.formatteropts,
    _(b'hg admin::lfs-locks [--break] [--owner USER]... [PATH|ID]...'),
    helpcategory=command.CATEGORY_MAINTENANCE,
)
def lfslocks(ui: Any, repo: Any, *paths: bytes, **opts: Any) -> int:
    """list the locks of large files, or break them

    This command lists who has locked which file, and when. Paths are relative
    to the root of the repository; the id of a lock is accepted as well. A lock
    that git-lfs took for one branch is listed with it.

    With --break, the command removes the locks, whoever owns them.

    Returns 0 on success, 1 if there are no locks on the given files or of the
    given users.
    """
    from .integration import locklist

    try:
        return locklist.run(
            ui,
            repo,
            ui.formatter(b'admin::lfs-locks', pycompat.byteskwargs(opts)),
            paths=paths,
            owners=opts['owner'],
            every=opts['all'],
            breaks=opts['break'],
        )
    except errors.LfsServerError as failure:
        raise error.Abort(
            failure.full_text.encode('utf-8', 'replace')
        ) from failure


@command(
    b'admin::lfs-usage',
    [
        (
            b'',
            b'depth',
            1,
            _(b'add up by this many levels of folders'),
            _(b'N'),
        ),
    ]
    + cmdutil.formatteropts,
    _(b'hg admin::lfs-usage [--depth N]'),
    helpcategory=command.CATEGORY_MAINTENANCE,
)
def lfsusage(ui: Any, repo: Any, **opts: Any) -> int:
    """show how much space large files take

    This command shows the number of blobs and their bytes: in all, by the
    folders of the files that changesets refer to, and by the time of their
    upload. A blob that files in several folders refer to counts in each of
    them. ``(unreferenced)`` are blobs that no changeset of this repository
    refers to, such as those of Git repositories. The first line also has what
    interrupted and running uploads take, and the quota, if there is one.

    Returns 0 on success.
    """
    from .integration import usagereport

    depth = opts['depth']
    if depth < 1:
        raise error.InputError(_(b'--depth must be at least 1'))
    try:
        usagereport.run(
            ui,
            repo,
            ui.formatter(b'admin::lfs-usage', pycompat.byteskwargs(opts)),
            depth,
        )
    except errors.LfsServerError as failure:
        raise _abort(failure) from failure
    return 0
