# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks of version 2 of the protocol through the proxies, by asking over HTTP.

The requests are those that clients make. All of them only read.
"""

from __future__ import annotations

import time
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
from ..proto import cbor, client, frames
from .exchange import SECTION

API = 'exp-http-v2-0003'
FRAMING = frames.FRAMING_0006

UPGRADE = {'X-HgUpgrade-1': API, 'X-HgProto-1': 'cbor'}

#: Bytes of a large request. Clients with many heads send as much, and proxies
#: allow 1 MB unless they are told otherwise.
LARGE = 2 << 20


def _serves(examined: Examined) -> bool:
    """Return whether the server is to answer version 2, and answers at all."""
    return examined.ui.configbool(SECTION, b'serve') and web.answers(examined)


def _kind(answer: Answer) -> str:
    """Return ``v1`` or ``v2`` for the answer to a handshake, or its media type."""
    known = {web.MEDIA_TYPE: 'v1', cbor.MEDIA_TYPE.decode(): 'v2'}
    return known.get(answer.kind, answer.kind)


def handshake(examined: Examined) -> Iterator[Finding]:
    """Ask for both versions in turn: an answer must fit its request."""
    if not _serves(examined):
        return
    site: Any = examined.site
    wanted = ['v2', 'v1', 'v2', 'v1']
    try:
        answers = [
            site.ask('GET', web.CAPABILITIES, UPGRADE if v == 'v2' else {})
            for v in wanted
        ]
        # No cache has an answer to this.
        fresh = site.ask('GET', f'{web.CAPABILITIES}&{time.time()}', UPGRADE)
    except Unanswered as exc:
        yield problem(
            _(b'no answer to the handshake: %s') % exc.reason,
            _(b'see the logs of the proxy and of the server'),
        )
        return
    kinds = [_kind(answer) for answer in answers]
    if _kind(fresh) != 'v2':
        yield problem(
            _(b'the server answers in version 1 to clients that ask for 2'),
            _(
                b'let the proxy pass X-HgUpgrade-1 and X-HgProto-1, and enable '
                b'the extension in the configuration of the server'
            ),
        )
    elif kinds != wanted:
        yield problem(
            _(b'a cache gives answers of one version to clients of the other'),
            _(
                b'let the cache in front of the server respect Vary, or cache '
                b'nothing with cmd=capabilities'
            ),
        )
    elif 'x-hgupgrade-1' not in answers[0].headers.get('vary', '').lower():
        yield warning(
            _(b'the proxy removes the field Vary'),
            _(b'pass it on: other caches need it'),
        )
    else:
        yield ok(_(b'the handshake passes'))


def _command(site: Any, name: bytes, args: dict[bytes, Any]) -> Answer:
    """Return the answer to a command. Raises Unanswered."""
    connection = client.ClientConnection(FRAMING, accept=())
    connection.command(name, args)
    media = FRAMING.mediatype.decode()
    answer: Answer = site.ask(
        'POST',
        f'api/{API}/ro/{name.decode()}',
        {'Accept': media, 'Content-Type': media, 'Accept-Encoding': 'identity'},
        connection.data_to_send(),
    )
    return answer


def reads(examined: Examined) -> Iterator[Finding]:
    """Run commands: reads of version 2 are POST requests."""
    if not _serves(examined):
        return
    site: Any = examined.site
    try:
        answer = _command(site, b'heads', {})
    except Unanswered as exc:
        yield problem(
            _(b'no answer to a read by POST: %s') % exc.reason,
            _(b'let the proxy pass POST below /api/NAME/ro/'),
        )
        return
    if answer.status != 200 or answer.kind != FRAMING.mediatype.decode():
        yield problem(
            _(b'a read by POST gets %s, and clients fall back to version 1')
            % answer.told,
            _(
                b'let the proxy pass POST below /api/NAME/ro/ for all who may '
                b'read (nginx: a location ~ /api/[^/]+/ro/)'
            ),
        )
        return
    if 'content-encoding' in answer.headers:
        yield problem(
            _(b'the proxy compresses answers that are compressed already'),
            _(b'switch compression off for %s') % FRAMING.mediatype,
        )
    yield from _large_request(site)


def _large_request(site: Any) -> Iterator[Finding]:
    try:
        # There is no such namespace, so the answer is empty.
        answer = _command(site, b'listkeys', {b'namespace': b'-' * LARGE})
        told = answer.told
        passed = answer.status == 200
    except Unanswered as exc:
        told, passed = exc.reason, False
    if passed:
        yield ok(_(b'reads by POST pass, also with bodies of 2 MB'))
    else:
        yield problem(
            _(b'a request with a body of 2 MB is refused: %s') % told,
            _(b'nginx: client_max_body_size 0 (the server has limits itself)'),
        )


def pushes(examined: Examined) -> Iterator[Finding]:
    """See whether the server knows that clients use HTTPS."""
    site: Any = examined.site
    if not _serves(examined) or not site.secure:
        return
    try:
        # Without media types, it is refused in any case.
        answer = site.ask('POST', f'api/{API}/rw/heads', anonymous=True)
    except Unanswered:
        return
    yield web.judge_push(answer)


def metrics(examined: Examined) -> Iterator[Finding]:
    """See whether everybody can read the metrics."""
    if not examined.ui.configbool(SECTION, b'metrics') or not _serves(examined):
        return
    site: Any = examined.site
    try:
        answer = site.ask('GET', 'api/metrics', anonymous=True)
    except Unanswered:
        return
    if answer.status == 200 and b'amalgam_' in answer.body:
        yield warning(
            _(b'everybody who can reach the server can read its metrics'),
            _(b'demand a login, or limit /api/metrics to the scraper in nginx'),
        )
    else:
        yield ok(_(b'metrics need a login (%s)') % answer.told)


CHECKS = (
    Check(b'handshake', _(b'version 2 and caches in between'), handshake),
    Check(b'requests', _(b'reads by POST, and their size'), reads),
    Check(b'https', _(b'X-Forwarded-Proto'), pushes),
    Check(b'metrics', _(b'who can read metrics'), metrics),
)
