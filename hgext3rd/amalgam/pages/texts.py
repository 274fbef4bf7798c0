# SPDX-License-Identifier: GPL-2.0-or-later
"""Names of the repository as text of a page."""

from __future__ import annotations

from mercurial import encoding, pycompat


def shown(name: bytes | str) -> str:
    """Return a name as people read it.

    Text has bytes that are not UTF-8 as ``surveys.text_of`` gives them. What is
    not in the encoding of hgweb is replaced.
    """
    if isinstance(name, str):
        name = name.encode('utf-8', 'surrogateescape')
    return name.decode(pycompat.sysstr(encoding.encoding), 'replace')


def page_encoding() -> bytes:
    """Return the encoding of hgweb's pages."""
    found: bytes = encoding.encoding
    return found
