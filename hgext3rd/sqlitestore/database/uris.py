# SPDX-License-Identifier: GPL-2.0-or-later
"""How SQLite is told which file to open, and in which way."""

from __future__ import annotations

from urllib.parse import quote


def uri(path: bytes, mode: str = '') -> str:
    """A URI of the file at ``path``; ``mode`` is its query (``mode=ro``).

    See https://www.sqlite.org/uri.html.
    """
    # Without an empty authority, what follows two slashes would pass for one.
    start = 'file://' if path.startswith(b'/') else 'file:'
    query = '?' + mode if mode else ''
    return start + quote(path) + query
