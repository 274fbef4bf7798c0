# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks of LFS through the proxies, by asking over HTTP.

Nothing is uploaded. Large uploads are announced to an address that does not
exist, so that the server refuses them at once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from mercurial.i18n import _

from ...amalgam.doctor import web
from ...amalgam.doctor.asking import Answer, Unanswered
from ...amalgam.doctor.findings import (
    Check,
    Examined,
    Finding,
    ok,
    problem,
    warning,
)
from .. import errors
from ..formats.documents import MEDIA_TYPE
from ..stores import configured
from ..stores.blobs import Blob

JSON = {'Accept': MEDIA_TYPE, 'Content-Type': MEDIA_TYPE}

BATCH = '.git/info/lfs/objects/batch'

#: An address of uploads that has no handler.
NOWHERE = '.hg/lfs/doctor'

#: The size of the upload that is announced.
LARGE = 8 << 30


def _serves(examined: Examined) -> bool:
    return examined.ui.configbool(b'lfsserver', b'serve') and web.answers(
        examined
    )


def _is_ours(answer: Answer) -> bool:
    """Return whether LFS answered, and not a proxy."""
    return answer.kind == MEDIA_TYPE


def addresses(examined: Examined) -> Iterator[Finding]:
    """Ask for an object that does not exist, as every client begins."""
    if not _serves(examined):
        return
    site: Any = examined.site
    document = _batch('0' * 64, 1)
    try:
        answer = site.ask('POST', BATCH, JSON, document)
    except Unanswered as exc:
        yield problem(
            _(b'no answer to a request of LFS: %s') % exc.reason,
            _(b'let the proxy pass POST to /.git/info/lfs'),
        )
        return
    if not _is_ours(answer) or answer.status != 200:
        yield problem(
            _(b'requests of LFS get %s') % answer.told,
            _(
                b'let the proxy pass POST to /.git/info/lfs for all who may '
                b'read, and all methods to /.hg/lfs'
            ),
        )
        return
    yield ok(_(b'requests of LFS pass'))
    yield from _upload(examined, site)


def _batch(oid: str, size: int) -> bytes:
    document = {
        'operation': 'download',
        'transfers': ['basic'],
        'objects': [{'oid': oid, 'size': size}],
    }
    return json.dumps(document).encode()


def _upload(examined: Examined, site: Any) -> Iterator[Finding]:
    """Announce a large upload; only a proxy would wait for it, or mind it."""
    try:
        answer = site.ask('PUT', NOWHERE, announced=LARGE)
    except Unanswered as exc:
        if exc.late:
            yield warning(
                _(b'the proxy collects uploads before the server sees them'),
                _(b'nginx: proxy_request_buffering off'),
            )
        else:
            yield problem(
                _(b'large uploads are cut: %s') % exc.reason,
                _(b'nginx: client_max_body_size 0'),
            )
        return
    if answer.status == 413:
        yield problem(
            _(b'the proxy refuses large uploads: %s') % answer.told,
            _(
                b'nginx: client_max_body_size 0 (lfsserver.max-object-size is '
                b'the limit of the server)'
            ),
        )
    elif not _is_ours(answer):
        yield problem(
            _(b'uploads get %s') % answer.told,
            _(b'let the proxy pass PUT and PATCH to /.hg/lfs'),
        )
    else:
        yield ok(_(b'large uploads pass'))


def links(examined: Examined) -> Iterator[Finding]:
    """Ask for an object that exists: look at its link, and at ranges of it."""
    if not _serves(examined):
        return
    site: Any = examined.site
    blob = _any_blob(examined)
    if blob is None:
        return
    try:
        answer = site.ask('POST', BATCH, JSON, _batch(blob.oid, blob.size))
        action = json.loads(answer.body)['objects'][0]['actions']['download']
        href = str(action['href'])
    except (Unanswered, ValueError, LookupError, TypeError):
        # What is wrong was found by the other check.
        return
    if site.secure and not href.startswith('https:'):
        yield problem(
            _(b'links of LFS begin with http: and clients use https:'),
            _(
                b'let the proxy set X-Forwarded-Proto (nginx: proxy_set_header '
                b'X-Forwarded-Proto $scheme), name it in '
                b'lfsserver.trusted-proxies, or set web.baseurl'
            ),
        )
    else:
        yield ok(_(b'links of LFS begin with the right scheme'))
    marker = f'.hg/lfs/objects/{blob.oid}'
    if href.partition('?')[0].endswith(marker) and blob.size > 1:
        yield from _ranges(site, marker)


def _any_blob(examined: Examined) -> Blob | None:
    """Return a blob of the store; None if there is none, or it does not work."""
    try:
        maintenance = configured.blob_store(examined.repo).maintenance
        return next(iter(maintenance.walk()), None)
    except errors.LfsServerError:
        return None


def _ranges(site: Any, path: str) -> Iterator[Finding]:
    """Download with and without a range, as a client that knows gzip."""
    fields = {'Accept-Encoding': 'gzip'}
    try:
        whole = site.ask('GET', path, fields)
        part = site.ask('GET', path, {**fields, 'Range': 'bytes=1-1'})
    except Unanswered as exc:
        yield problem(
            _(b'no answer to a download: %s') % exc.reason,
            _(b'see the logs of the proxy and of the server'),
        )
        return
    if whole.status in (401, 403):
        return
    if (
        'content-encoding' in whole.headers
        or 'content-encoding' in part.headers
    ):
        yield warning(
            _(
                b'the proxy compresses large files, which cannot be resumed then'
            ),
            _(b'switch compression off for application/octet-stream'),
        )
    elif part.status != 206 or len(part.body) != 1:
        yield warning(
            _(b'downloads cannot be resumed: a range gets %s') % part.told,
            _(b'let the proxy pass Range, If-Range and Content-Range'),
        )
    else:
        yield ok(_(b'downloads can be resumed'))


CHECKS = (
    Check(b'lfs-requests', _(b'addresses and uploads of LFS'), addresses),
    Check(b'lfs-links', _(b'links and ranges of LFS'), links),
)
