# SPDX-License-Identifier: GPL-2.0-or-later
"""Responses of hgweb that end before their body does.

Imported whenever an extension is loaded: keep it light.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .. import wrapping


@wrapping.own_addresses_only
def send(orig: Any, response: Any) -> Iterator[bytes]:
    """Send a response, and close its body however that ends.

    Wraps ``wsgiresponse.sendresponse`` of Mercurial, which leaves a body to the
    garbage collector if the client goes away. Until then, anything that refers
    to the response would keep what the body holds: memory, open files, slots.
    Several extensions may wrap it.
    """
    try:
        yield from orig(response)
    finally:
        body, response._bodygen = response._bodygen, None
        response._bodybytes = None
        # Templates of hgweb yield strings by iterators that cannot be closed.
        close = getattr(body, 'close', None)
        if close is not None:
            close()
