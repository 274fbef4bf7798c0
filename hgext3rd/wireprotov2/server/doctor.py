# SPDX-License-Identifier: GPL-2.0-or-later
"""What ``hg admin::doctor`` looks at because of this extension.

The cache and the folders are looked at here, requests through proxies in
``doctorweb``.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from typing import Any

from mercurial import encoding
from mercurial.i18n import _

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
from ..cache import base, entry, factory
from . import doctorweb, hgserve, load
from .exchange import SECTION

# What is put into the cache and into the object store as a trial.
_SIZE = 1000


def modules(examined: Examined) -> Iterator[Finding]:
    """Import all that requests need, with the configured cacher and metrics."""
    names = [*hgserve.REQUEST_MODULES, 'cbor2', 'zstandard']
    cacher = examined.ui.config(SECTION, b'cacher')
    if cacher == b'redis':
        names.append('redis')
    if cacher == b'objectstore':
        names.append('obstore')
    if examined.ui.configbool(SECTION, b'metrics'):
        names.append('prometheus_client')
    yield from packages.judge(_(b'version 2 of the protocol'), names)


def cache(examined: Examined) -> Iterator[Finding]:
    """Write an entry through the cacher of the server, read and remove it."""
    name = examined.ui.config(SECTION, b'cacher')
    if not name or name == b'none':
        yield warning(
            _(b'no cacher is configured: each clone is computed'),
            _(b"set wireprotov2.cacher, see 'hg help -e wireprotov2'"),
        )
        return
    told: list[bytes] = []
    found = factory.for_repo(examined.repo, told.append)
    used = factory.cacher_of(examined.repo)
    if found is None or used is None:
        yield problem(
            b'; '.join(told) or _(b'the cacher cannot be made'),
            _(b'correct wireprotov2.cacher and its options'),
        )
        return
    if name == b'memory':
        yield warning(
            _(b'the cacher memory is not shared by processes'),
            _(b'use directory, unless the server is a single hg serve'),
        )
    folder = _folder(examined) if name == b'directory' else None
    if folder is not None:
        trouble = list(_judge_folder(folder, examined))
        yield from trouble
        if trouble:
            return
        if not examined.acting or permissions.would_exclude_group(
            examined.repo.spath
        ):
            # What this process makes would be in the way of the server.
            yield ok(_(b'the cache can be written (not tried)'))
            return
    yield from _try_cacher(examined, used.name.encode(), used.shared.cacher)


def _folder(examined: Examined) -> bytes:
    path: bytes = examined.ui.configpath(SECTION, b'cacher.directory.path')
    return path or os.path.join(examined.repo.cachevfs.base, b'wireprotov2')


def _judge_folder(folder: bytes, examined: Examined) -> Iterator[Finding]:
    """Yield what is wrong with a folder that servers write to."""
    if os.path.isdir(folder):
        yield from permissions.judge(
            permissions.entries(folder, 3),
            examined.user,
            os.stat(examined.repo.spath),
        )
        yield from filesystems.judge_space(folder)
        return
    parent = os.path.dirname(folder)
    while not os.path.isdir(parent):
        parent = os.path.dirname(parent)
    if not examined.user.may(os.stat(parent), 7):
        yield problem(
            _(b'%s cannot make %s') % (examined.user.name, folder),
            _(b'make the folder, and give it to that user'),
        )


def _try_cacher(
    examined: Examined, name: bytes, cacher: base.Cacher
) -> Iterator[Finding]:
    """Put an entry, get it, look for where clients would, and remove it."""
    key = secrets.token_hex(20).encode()
    data = entry.encode(key, secrets.token_bytes(_SIZE))
    advice = _advice(name)
    try:
        cacher.put(key, data)
        back = cacher.get(key)
        yield from _clients(examined, cacher, key)
        _remove(cacher, key)
        left = cacher.get(key)
    except base.CacherError as exc:
        yield problem(
            _(b'the cache does not work: %s') % encoding.strtolocal(str(exc)),
            advice,
        )
        return
    if back is None:
        yield problem(
            _(b'the cache loses what was just written'),
            _(
                b'give it more space: see maxmemory of Redis, or the size option'
            ),
        )
    elif back != data:
        yield problem(_(b'the cache returns other bytes than it got'), advice)
    elif left is not None:
        yield warning(
            _(b'the trial entry could not be removed from the cache'),
            _(b'give the server permission to delete, or ignore 1 kB'),
        )
    else:
        yield ok(_(b'the cacher %s writes, reads and removes') % name)


def _remove(cacher: base.Cacher, key: bytes) -> None:
    # A cacher of somebody else may lack the method.
    remove: Any = getattr(cacher, 'remove', None)
    if remove is not None:
        remove(key)


def _advice(name: bytes) -> bytes:
    if name == b'redis':
        return _(
            b'check that Redis runs at wireprotov2.cacher.redis.url with that '
            b'login, and has maxmemory-policy allkeys-lru'
        )
    if name == b'objectstore':
        return _(
            b'check wireprotov2.cacher.objectstore.url, that the bucket exists, '
            b'and the keys and the endpoint in the environment of the server'
        )
    return _(b"let the server's user write there")


def _clients(
    examined: Examined, cacher: base.Cacher, key: bytes
) -> Iterator[Finding]:
    """Yield whether clients can fetch what is under ``key``, if they should.

    This machine asks in place of a client, which may see another network.
    """
    url = None
    if cacher.targets():
        location = cacher.locate(key)
        url = None if location is None else location.url
    elif isinstance(cacher, base.FileStore) and cacher.reachable:
        # Not there; the store says what time it is all the same.
        url = cacher.url(b'doctor')
    if url is None:
        return
    try:
        answer = asking.fetch(examined.ui, url, _timeout(examined))
    except (asking.Unanswered, ValueError) as exc:
        reason = getattr(exc, 'reason', b'not an address')
        if cacher.targets():
            yield problem(
                _(b'clients cannot fetch from the store: %s') % reason,
                _(b'check wireprotov2.cacher.objectstore.public-url'),
            )
        return
    if cacher.targets():
        location = cacher.locate(key)
        digest = hashlib.sha256(answer.body).digest()
        if location is None or digest != location.sha256:
            yield problem(
                _(b'clients cannot fetch from the store: %s') % answer.told,
                _(
                    b'let everybody read below the public URL, or check the '
                    b'clock and the keys that sign links'
                ),
            )
        else:
            yield ok(_(b'clients can fetch from the store'))
    yield from clocks.judge(answer, _(b'the object store'))


def _timeout(examined: Examined) -> float:
    return 10.0 if examined.site is None else examined.site.timeout


def slots(examined: Examined) -> Iterator[Finding]:
    """Look at the folder in which processes count what they compute."""
    limit = load.limit_of(examined.repo)
    if limit is None:
        return
    found = [
        *_judge_folder(limit.folder, examined),
        *filesystems.judge_sharing(limit.folder, _(b'limit.folder')),
    ]
    yield from found
    if not found:
        yield ok(_(b'%d clones and pulls are computed at a time') % limit.count)


def replicas(examined: Examined) -> Iterator[Finding]:
    """See whether machines with a common cache would share entries."""
    ui = examined.ui
    if ui.config(SECTION, b'cacher') in (b'redis', b'objectstore') and (
        not ui.config(SECTION, b'cacher.identity')
    ):
        yield warning(
            _(
                b'the cache is shared by machines, and the repository has no name'
            ),
            _(
                b'set wireprotov2.cacher.identity in the hgrc of the repository '
                b'to the same on all machines, or ignore this with one machine'
            ),
        )


CHECKS = (
    Check(b'wire-modules', _(b'modules that requests need'), modules),
    Check(b'cache', _(b'the cacher, by a trial'), cache),
    Check(b'cache-identity', _(b'entries shared by machines'), replicas),
    Check(b'slots', _(b'the folder of limits'), slots),
    *doctorweb.CHECKS,
)
