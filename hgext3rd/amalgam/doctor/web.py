# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks of what is between clients and hgweb, by asking over HTTP.

Knows Mercurial's version 1 protocol only. Nothing that a request here asks for
changes a repository.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from mercurial.i18n import _

from . import clocks
from .asking import Answer, Unanswered
from .findings import Check, Examined, Finding, ok, problem, warning

CAPABILITIES = '?cmd=capabilities'
MEDIA_TYPE = 'application/mercurial-0.1'

# Bytes of header fields. Clients send arguments in fields of 1 kB. What
# Mercurial sends when it has many heads to compare is below the first number; a
# client with hundreds of heads needs the second.
MANY, USUAL = 40, 10
FIELD = 'X-HgArgDoctor-%d'

# What proxies and servers answer to a header that is too long for them.
TOO_LONG = (400, 413, 414, 431, 494)


def reachable(examined: Examined) -> Iterator[Finding]:
    """Ask for the capabilities, as the first request of every client does."""
    site = examined.site
    if site is None:
        return
    try:
        answer = site.ask('GET', CAPABILITIES)
    except Unanswered as exc:
        yield problem(
            _(b'%s does not answer: %s') % (site.shown, exc.reason),
            _(b'start the server, and check the address and the certificate'),
        )
        return
    if answer.status in (401, 403) and not site.has_login:
        yield warning(
            _(b'%s demands a login (%s)') % (site.shown, answer.told),
            _(b'give a login in the section [auth] to look behind it'),
        )
    elif 300 <= answer.status < 400:
        yield problem(
            _(b'%s redirects to another address') % site.shown,
            _(b'give clients the address %s')
            % re.sub(r'\?.*', '', answer.headers.get('location', '')).encode(
                'ascii', 'replace'
            ),
        )
    elif not is_hgweb(answer):
        yield problem(
            _(b'%s is not hgweb: %s, %s')
            % (site.shown, answer.told, answer.kind.encode('ascii', 'replace')),
            _(b'check the address, and that the proxy passes the query on'),
        )
    else:
        yield ok(_(b'%s answers') % site.shown)
    yield from clocks.judge(answer, site.authority.encode('ascii', 'replace'))


def is_hgweb(answer: Answer) -> bool:
    """Return whether ``answer`` is that of hgweb to a request of version 1."""
    return answer.status == 200 and answer.kind == MEDIA_TYPE


def answers(examined: Examined) -> bool:
    """Return whether there is a server that answers requests of version 1.

    Otherwise the first check has said what is wrong.
    """
    site = examined.site
    if site is None:
        return False
    if site.usable is None:
        try:
            site.usable = is_hgweb(site.ask('GET', CAPABILITIES))
        except Unanswered:
            site.usable = False
    return site.usable


def long_headers(examined: Examined) -> Iterator[Finding]:
    """Ask with many header fields, as clients with many heads do."""
    if not answers(examined):
        return
    site = examined.site
    assert site is not None
    refused: dict[int, bytes] = {}
    for count in (USUAL, MANY):
        fields = {FIELD % number: 'x' * 1000 for number in range(count)}
        try:
            answer = site.ask('GET', CAPABILITIES, fields)
        except Unanswered as exc:
            refused[count] = exc.reason
        else:
            if not is_hgweb(answer):
                refused[count] = answer.told
    advice = _(b'nginx: large_client_header_buffers 16 16k')
    if USUAL in refused:
        yield problem(
            _(b'header fields of %d kB are refused: %s')
            % (USUAL, refused[USUAL]),
            advice,
        )
    elif MANY in refused:
        yield warning(
            _(b'header fields of %d kB are refused: %s')
            % (MANY, refused[MANY]),
            advice,
        )
    else:
        yield ok(_(b'header fields of %d kB pass') % MANY)


def judge_push(answer: Answer) -> Finding:
    """Return whether hgweb knows that its clients use HTTPS.

    ``answer`` is that to an anonymous request that needs permission to push. hgweb
    refuses it before anything else if it came without HTTPS.
    """
    said = answer.reason + html.unescape(answer.body.decode('latin-1'))
    if answer.status == 403 and 'ssl required' in said:
        return problem(
            _(
                b'hgweb does not know that clients use HTTPS, and refuses pushes'
            ),
            _(
                b'let the proxy set X-Forwarded-Proto, and the WSGI server '
                b'believe it (nginx: proxy_set_header X-Forwarded-Proto $scheme)'
            ),
        )
    return ok(_(b'hgweb knows that clients use HTTPS'))


CHECKS = (
    Check(b'address', _(b'the server, its clock'), reachable),
    Check(b'headers', _(b'length of requests'), long_headers),
)
