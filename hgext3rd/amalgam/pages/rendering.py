# SPDX-License-Identifier: GPL-2.0-or-later
"""Write a page in the style that a request asks for.

The frames of pages are templates in ``styles``, one for each of hgweb's styles;
they use the header and the footer of that style. Styles of others get the
simplest one. Nothing here knows what is on a page, or who may see it.
"""

from __future__ import annotations

import functools
import importlib.resources
from collections.abc import Mapping, Sequence
from typing import Any

from mercurial import templatefilters
from mercurial.hgweb import common as hgwebcommon

from . import markup, plain
from .blocks import Section

# The frames of styles. The others of Mercurial are feeds, which show changes.
_FRAMES = {
    b'paper': 'paper',
    b'coal': 'paper',
    b'gitweb': 'gitweb',
    b'monoblue': 'monoblue',
    b'spartan': 'spartan',
}
_OTHERS = 'spartan'
_FEEDS = (b'atom', b'rss')

# The name of our template among those of a style.
TEMPLATE = b'amalgampage'
_HEAD = b'amalgamhead'
_STYLE = b'amalgamstyle'


@functools.cache
def _source(name: str) -> bytes:
    """Return the content of a file in ``styles``."""
    folder = importlib.resources.files(__package__).joinpath('styles')
    return folder.joinpath(name).read_bytes()


def style_of(tmpl: Any) -> bytes:
    """Return the name of the style of a templater of hgweb.

    Raises ErrorResponse for a style that cannot show pages.
    """
    tmpl.cache[_STYLE] = b'{style}'
    style: bytes = tmpl.render(_STYLE, {})
    if style in _FEEDS:
        raise hgwebcommon.ErrorResponse(
            hgwebcommon.HTTP_NOT_FOUND, b'this page is not a feed'
        )
    return style


def add_frame(tmpl: Any, style: bytes) -> None:
    """Add TEMPLATE to the templates of a style."""
    tmpl.cache[_HEAD] = _source('head.tmpl')
    tmpl.cache[TEMPLATE] = _source(f'{_FRAMES.get(style, _OTHERS)}.tmpl')


def values(title: str, sections: Sequence[Section]) -> dict[str, bytes]:
    """Return what TEMPLATE shows."""
    return {
        'title': title.encode('ascii'),
        'css': _source('page.css'),
        'content': markup.page(sections),
    }


def without_frame(
    style: bytes, document: Mapping[str, Any], sections: Sequence[Section]
) -> tuple[bytes, bytes] | None:
    """Return media type and body in styles without frames; otherwise None."""
    if style == b'json':
        return b'application/json', json(document)
    if style == b'raw':
        return b'text/plain; charset=utf-8', plain.page(sections)
    return None


def json(document: Mapping[str, Any]) -> bytes:
    """Return a document as JSON, as Mercurial's templates write it."""
    encoded: bytes = templatefilters.json(_in_bytes(document))
    return encoded + b'\n'


def _in_bytes(value: Any) -> Any:
    """Return a value with bytes instead of text."""
    if isinstance(value, str):
        return value.encode('utf-8', 'surrogateescape')
    if isinstance(value, Mapping):
        return {_in_bytes(key): _in_bytes(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_in_bytes(item) for item in value]
    return value
