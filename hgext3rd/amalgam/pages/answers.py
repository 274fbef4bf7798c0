# SPDX-License-Identifier: GPL-2.0-or-later
"""Answer requests of hgweb for the pages of a repository.

hgweb has checked the permission to read the repository. Extensions offer the
sections (``offers``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from mercurial.hgweb import common as hgwebcommon

from ..serving import offers
from . import navigation, rendering

Answer = Callable[[Any], Iterator[bytes]]


def command(page: str) -> Answer:
    """Return the function that hgweb calls for a page."""

    def answer(rctx: Any) -> Iterator[bytes]:
        return _answer(page, rctx)

    return answer


def _answer(page: str, rctx: Any) -> Iterator[bytes]:
    found = list(offers.offers(rctx.repo, page))
    if not found:
        # What hgweb says of a page that it does not have.
        raise hgwebcommon.ErrorResponse(
            hgwebcommon.HTTP_BAD_REQUEST, b'method not found'
        )
    forbid_storing(rctx.res)
    if rctx.req.method == b'POST':
        return _act(rctx, found)
    style = rendering.style_of(rctx.tmpl)
    sections = [offer.section(rctx) for offer in found]
    document = {'repository': rctx.reponame}
    for section in sections:
        document.update(section.data)
    bare = rendering.without_frame(style, document, sections)
    if bare is not None:
        return send(rctx.res, *bare)
    rendering.add_frame(rctx.tmpl, style)
    answer: Iterator[bytes] = rctx.sendtemplate(
        rendering.TEMPLATE,
        current=page.encode(),
        **rendering.values(offers.PAGES[page], sections),
    )
    return answer


def forbid_storing(res: Any) -> None:
    """Keep others from storing or framing a page.

    Its content changes without history, from which hgweb makes its validators.
    """
    if b'ETag' in res.headers:
        del res.headers[b'ETag']
    res.headers[b'Cache-Control'] = b'no-store'
    res.headers[b'X-Frame-Options'] = b'DENY'


def send(res: Any, mediatype: bytes, body: bytes) -> Iterator[bytes]:
    """Answer with a body."""
    res.headers[b'Content-Type'] = mediatype
    res.setbodybytes(body)
    answer: Iterator[bytes] = res.sendresponse()
    return answer


def _act(rctx: Any, found: list[offers.Offer]) -> Iterator[bytes]:
    """Do what a form of the page asks for, and lead back to the page."""
    for offer in found:
        if offer.act is not None:
            location = offer.act(rctx)
            rctx.res.status = b'303 See Other'
            rctx.res.headers[b'Location'] = location
            return send(rctx.res, b'text/plain', b'')
    raise hgwebcommon.ErrorResponse(
        hgwebcommon.HTTP_METHOD_NOT_ALLOWED,
        b'this page is only read',
        [(b'Allow', b'GET, HEAD')],
    )


def send_template(orig: Any, rctx: Any, name: bytes, **kwargs: Any) -> Any:
    """Render a page of hgweb, with the links of ``navigation``."""
    kwargs.setdefault(
        navigation.KEYWORD.decode('ascii'), navigation.keyword(rctx.repo)
    )
    return orig(rctx, name, **kwargs)


def parse_template(orig: Any, loader: Any, text: bytes) -> Any:
    """Parse a template of hgweb, with the links of ``navigation``."""
    return orig(loader, navigation.with_links(text))
