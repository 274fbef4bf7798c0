# SPDX-License-Identifier: GPL-2.0-or-later
"""Links to the pages in the navigation of hgweb's own pages.

Mercurial's templates have no place for links of extensions, and each page has
the navigation written out. So links are put into the text of a template when it
is loaded, in front of the link to the help, in the way of that style. A
template without that link stays as it is.
"""

from __future__ import annotations

import re
from typing import Any

from mercurial import templateutil

from ..serving import offers

#: The name under which templates find the pages of a repository.
KEYWORD = b'amalgampages'

_MARK = b'url|urlescape}help{sessionvars'
_HELP = re.compile(
    rb'(?P<item><li[^>]*>)?<a href="\{url\|urlescape\}help'
    rb'\{sessionvars%urlparameter\}">help</a>|<li class="current">help</li>'
)
_LINK = b'<a href="{url|urlescape}{page}{sessionvars%urlparameter}">{label}</a>'


def with_links(text: bytes) -> bytes:
    """Return the text of a template with links in its navigation."""
    if _MARK not in text or KEYWORD in text:
        return text
    return _HELP.sub(_replacement, text, count=1)


def _replacement(match: re.Match[bytes]) -> bytes:
    if match['item']:
        link = b'<li>%s</li>' % _LINK
    elif match.string[: match.start()].rstrip().endswith(b'|'):
        link = _LINK + b' | '
    else:
        link = _LINK + b'\n'
    return b"{if(%s, %s%%'%s')}%s" % (KEYWORD, KEYWORD, link, match[0])


def keyword(repo: Any) -> Any:
    """Return the value of KEYWORD for the pages of a repository."""
    return templateutil.mappinglist(
        [
            {b'page': page.encode(), b'label': offers.PAGES[page].encode()}
            for page in offers.pages(repo)
        ]
    )
