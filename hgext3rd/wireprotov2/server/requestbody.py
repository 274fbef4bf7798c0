# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading the body of a request of hgweb, with a limit.

Nothing here knows what is in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from . import frontends
from .errors import HTTPError

# Bytes that are read from the client at a time.
_READ_SIZE = 65536


def chunks(req: Any, limit: int) -> Iterator[bytes]:
    """Yield the body of a request, which may have up to ``limit`` bytes.

    Raises ``HTTPError`` if it is longer, or does not arrive.
    """
    too_large = HTTPError(413, b'request is larger than %d bytes\n' % limit)
    length = req.headers.get(b'Content-Length')
    if length is None and not req.rawenv.get(b'wsgi.input_terminated'):
        frontends.abandon_body(req)
        raise HTTPError(411, b'client MUST send Content-Length header\n')
    if length is not None and int(length) > limit:
        frontends.abandon_body(req)
        raise too_large
    size = 0
    try:
        while data := req.bodyfh.read(_READ_SIZE):
            size += len(data)
            if size > limit:
                frontends.abandon_body(req)
                raise too_large
            yield data
    except OSError:
        frontends.abandon_body(req)
        raise HTTPError(408, b'request was not received in time\n') from None
    if length is not None and size < int(length):
        raise HTTPError(400, b'request body is shorter than announced\n')
