# SPDX-License-Identifier: GPL-2.0-or-later
"""The URIs that tell SQLite which file to open, and in which mode.

Knows nothing of files: it only translates a path.
"""

from __future__ import annotations

from urllib.parse import quote


def uri(path: bytes, mode: str = '') -> str:
    """Return the URI of the file at ``path``.

    ``mode`` is its query, such as ``mode=ro``. See
    https://www.sqlite.org/uri.html.
    """
    # Without an empty authority, SQLite would take the start of a path with
    # two slashes for one.
    start = 'file://' if path.startswith(b'/') else 'file:'
    query = '?' + mode if mode else ''
    return start + quote(path) + query
