# SPDX-License-Identifier: GPL-2.0-or-later
"""``hg admin::lfs-verify`` and ``hg admin::lfs-gc``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from mercurial import cmdutil, error, pycompat, registrar, util
from mercurial.i18n import _

from . import compat, errors
from .stores import configured, references

if TYPE_CHECKING:
    # every hg command imports this module; dataclasses are slow to import
    from .stores.blobs import Blob, BlobStore

cmdtable: dict = {}
command = registrar.command(cmdtable)

_DAY = 24 * 60 * 60


def _store(repo: Any) -> BlobStore:
    try:
        return configured.blob_store(repo)
    except errors.LfsServerError as failure:
        raise _abort(failure) from failure


def _abort(failure: errors.LfsServerError) -> error.Abort:
    return error.Abort(
        failure.full_text.encode('utf-8', 'replace'),
        hint=_(b"see 'hg help -e lfsserver', section 'store'"),
    )


def _sorted_blobs(store: BlobStore) -> list[Blob]:
    return sorted(store.walk(), key=lambda blob: blob.oid)


@command(
    b'admin::lfs-verify',
    [
        (
            b'n',
            b'dry-run',
            None,
            _(b'report corrupt blobs, but leave them where they are'),
        ),
    ]
    + cmdutil.formatteropts,
    _(b'hg admin::lfs-verify [-n]'),
    helpcategory=command.CATEGORY_MAINTENANCE,
)
def lfsverify(ui: Any, repo: Any, **opts: Any) -> int:
    """read all large files again and take corrupt ones out of service

    Every blob in the store of this repository is read and compared with its
    name, whatever was known about it before. Corrupt blobs are moved to
    ``.hg/store/lfs/quarantine`` (or ``quarantine/`` in an object store), so
    that clients which have a good copy are asked to upload it again.

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


def _rehash(store: BlobStore, blob: Blob) -> bool:
    try:
        return store.rehash(blob.oid)
    except errors.NotFound:
        # deleted meanwhile
        return True


def _report_corrupt(store: BlobStore, blob: Blob, fm: Any, dry: bool) -> None:
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
            _(b'keep blobs that are younger than this'),
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

    Blobs are listed which no changeset of this repository, hidden and secret
    ones included, refers to. Nothing is deleted without --delete.

    Young blobs are kept in any case: clients upload blobs before the
    changesets that refer to them. With --delete, what uploads that were
    interrupted as long ago have left behind is removed as well.

    If other repositories use the same store (an object store configured for
    several of them), name them all with --also. Blobs which only Git
    repositories refer to are not known here; do not use --delete on a store
    that serves git-lfs clients of other repositories.

    Returns 0 on success.
    """
    store = _store(repo)
    days = opts['keep_days']
    if days < 0:
        raise error.InputError(_(b'--keep-days must not be negative'))
    before = time.time() - days * _DAY
    repos = [repo] + [compat.open_repository(ui, path) for path in opts['also']]
    live: set[str] = set()
    for each in repos:
        live |= references.oids(each)
    delete = opts['delete']
    count = size = swept = 0
    try:
        with ui.formatter(b'admin::lfs-gc', pycompat.byteskwargs(opts)) as fm:
            for blob in _sorted_blobs(store):
                if blob.oid in live or blob.modified > before:
                    continue
                if delete:
                    store.delete(blob.oid)
                count += 1
                size += blob.size
                fm.startitem()
                fm.write(
                    b'oid size',
                    b'%s %12d\n',
                    blob.oid.encode('ascii'),
                    blob.size,
                )
                fm.data(deleted=bool(delete))
        if delete:
            swept = store.sweep(before)
    except errors.LfsServerError as failure:
        raise _abort(failure) from failure
    total = util.bytecount(size)
    if delete:
        ui.status(_(b'deleted %d blobs (%s)\n') % (count, total))
        if swept:
            ui.status(_(b'removed %d interrupted uploads\n') % swept)
    else:
        ui.status(_(b'%d blobs (%s) are not referred to\n') % (count, total))
        if count:
            ui.status(_(b'(use --delete to delete them)\n'))
    return 0
