# SPDX-License-Identifier: GPL-2.0-or-later
"""What ``hg admin::doctor`` looks at because of this extension.

The stores are looked at here, requests through proxies in ``doctorweb``.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator

from mercurial import encoding
from mercurial.i18n import _

from ...amalgam import loading
from ...amalgam.doctor import (
    asking,
    clocks,
    filesystems,
    packages,
    permissions,
)
from ...amalgam.doctor.findings import (
    Check,
    Examined,
    Finding,
    ok,
    problem,
    warning,
)
from .. import errors
from ..stores import configured
from ..stores.blobs import StoreRoles
from . import doctorweb

# Bytes of the object that is stored as a trial.
_SIZE = 1000


def modules(examined: Examined) -> Iterator[Finding]:
    """Import what the configured store needs."""
    if not _is_local(examined):
        yield from packages.judge(_(b'lfsserver.store'), ['obstore'])


def _is_local(examined: Examined) -> bool:
    return bool(examined.ui.config(b'lfsserver', b'store') == configured.LOCAL)


def mercurial_lfs(examined: Examined) -> Iterator[Finding]:
    """Look at the configuration of Mercurial's own extension."""
    if not loading.is_enabled(examined.ui, b'lfs'):
        if b'lfs' in examined.repo.requirements:
            yield problem(
                _(b'the repository has large files, and lfs is not enabled'),
                _(b"enable Mercurial's extension lfs on the server"),
            )
        return
    if not examined.ui.configbool(b'experimental', b'lfs.disableusercache'):
        yield warning(
            _(b'large files of all repositories of the user share a cache'),
            _(
                b'set experimental.lfs.disableusercache, unless readers of one '
                b'repository may read all'
            ),
        )


def store(examined: Examined) -> Iterator[Finding]:
    """Look at the folder of blobs, or try the object store."""
    if _is_local(examined):
        yield from _local(examined)
        return
    try:
        roles = configured.blob_store(examined.repo)
        yield from _try_store(examined, roles)
    except errors.LfsServerError as exc:
        yield problem(
            _(b'the store of large files does not work: %s')
            % encoding.strtolocal(exc.full_text),
            _(
                b'check lfsserver.store and its options, that the bucket exists, '
                b'and the keys'
            ),
        )


def _local(examined: Examined) -> Iterator[Finding]:
    root = examined.repo.svfs.join(b'lfs')
    objects = os.path.join(root, b'objects')
    pattern = os.stat(examined.repo.spath)
    paths = [*permissions.entries(root), *permissions.entries(objects, 2)]
    found = list(permissions.judge(paths, examined.user, pattern))
    apart = os.path.isdir(objects) and os.stat(objects).st_dev != pattern.st_dev
    if apart:
        what = _(b'the folder of large files')
        found += filesystems.judge_lasting(objects, what)
        found += filesystems.judge_space(objects)
    # The databases of locks and promises are beside the blobs.
    found += filesystems.judge_sharing(root, _(b'the database of locks'))
    yield from found
    if not found:
        yield ok(
            _(b'large files are in a folder on another file system')
            if apart
            else _(b'large files are in the store of the repository')
        )


def _try_store(examined: Examined, roles: StoreRoles) -> Iterator[Finding]:
    """Store an object of random bytes, read and delete it."""
    data = secrets.token_bytes(_SIZE)
    oid = hashlib.sha256(data).hexdigest()
    roles.blobs.put(oid, [data], len(data))
    try:
        blob = roles.blobs.examine([oid]).get(oid)
        back = (
            None
            if blob is None
            else b''.join(roles.blobs.read(blob, 0, blob.size))
        )
        if roles.links is not None:
            yield from _link(examined, roles.links.link('GET', oid, 60).href)
    finally:
        roles.maintenance.delete(oid)
    if back != data:
        yield problem(
            _(b'the store returns other bytes than it got'),
            _(b'check what imitates S3 there'),
        )
    else:
        yield ok(_(b'the store of large files writes, reads and deletes'))


def _link(examined: Examined, href: str) -> Iterator[Finding]:
    """Yield whether a signed link works, and what time it is in the store."""
    timeout = 10.0 if examined.site is None else examined.site.timeout
    try:
        answer = asking.fetch(examined.ui, href.encode(), timeout)
    except asking.Unanswered as exc:
        yield problem(
            _(b'signed links do not work: %s') % exc.reason,
            _(b'set store:public-endpoint to what clients can reach'),
        )
        return
    if answer.status != 200:
        yield problem(
            _(b'signed links do not work: %s') % answer.told,
            _(b'check the clock, the region and the keys that sign links'),
        )
    yield from clocks.judge(answer, _(b'the store of large files'))


CHECKS = (
    Check(b'lfs-modules', _(b'the package for the store'), modules),
    Check(b'lfs', _(b"configuration of Mercurial's lfs"), mercurial_lfs),
    Check(b'lfs-store', _(b'where large files are'), store),
    *doctorweb.CHECKS,
)
