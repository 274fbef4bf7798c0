# SPDX-License-Identifier: GPL-2.0-or-later
"""listkeys and pushkey: bookmarks, phases and other small tables.

The tables are those of ``mercurial.pushkey``.
"""

from __future__ import annotations

from collections.abc import Iterator

from mercurial import encoding

from ...proto import cbor
from .registry import Request


def listkeys(request: Request, namespace: bytes) -> Iterator[bytes]:
    """Send the table ``namespace`` as a map."""
    keys = request.repo.listkeys(encoding.tolocal(namespace))
    yield cbor.encode(
        {encoding.fromlocal(k): encoding.fromlocal(v) for k, v in keys.items()}
    )


def pushkey(
    request: Request, namespace: bytes, key: bytes, old: bytes, new: bytes
) -> Iterator[bytes]:
    """Set ``key`` to ``new`` if it is ``old``; send whether that was done."""
    tolocal = encoding.tolocal
    done = request.repo.pushkey(
        tolocal(namespace), tolocal(key), tolocal(old), tolocal(new)
    )
    yield cbor.encode(bool(done))
