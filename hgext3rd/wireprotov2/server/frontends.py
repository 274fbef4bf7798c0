# SPDX-License-Identifier: GPL-2.0-or-later
"""Differences between the servers that run hgweb: ``hg serve`` and WSGI.

Each function takes a request of hgweb. Nothing else asks which server it is.
"""

from __future__ import annotations

from typing import Any

from mercurial import util


def write_errors(req: Any, text: str) -> None:
    """Write ``text`` to the error log of the server that received ``req``."""
    stream = req.rawenv[b'wsgi.errors']
    # The log of "hg serve" takes bytes, those of WSGI servers take text.
    if hasattr(stream, 'handler'):
        stream.write(text.rstrip('\n').encode('utf-8', 'backslashreplace'))
    else:
        stream.write(text)
        stream.flush()


def abandon_body(req: Any) -> None:
    """Do not read the rest of a request, and close its connection afterwards.

    Without this, hgweb reads a request to its end before it answers, and
    ``hg serve`` ignores the header ``Connection: close``. WSGI servers manage
    connections themselves.
    """
    if isinstance(req.bodyfh, util.cappedreader):
        req.bodyfh._left = 0
    handler = getattr(req.rawenv.get(b'wsgi.errors'), 'handler', None)
    if handler is not None:
        handler.close_connection = True
