# SPDX-License-Identifier: GPL-2.0-or-later
"""From everything a response depends on to the key it is kept under.

Pure. Invalidation happens here and nowhere else: when something a response
depends on changes, so does its key, and the old entry is never asked for
again.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from typing import Any

import cbor2

#: Raised when responses change for the same request.
VERSION = 1

#: ``KeyState.view`` of requests that touch public changesets only: everybody
#: who may read the repository sees those alike, for ever.
PUBLIC = b'public'


@dataclass(frozen=True, slots=True)
class KeyState:
    """Everything the bytes of a response depend on.

    ``api`` and ``framing`` are the names on the wire; ``args`` the validated
    arguments, defaults included; ``encoding`` the content encoding of the
    body. ``repository`` tells repositories that share a cacher apart.
    ``view`` is ``PUBLIC`` or a digest of what the requester sees beyond
    public changesets; ``narrow`` the patterns access is limited to;
    ``censored`` the censor generation; ``mutable`` a digest of state outside
    the history that shows in the response (bookmarks), or empty.
    """

    api: bytes
    framing: bytes
    command: bytes
    args: dict[bytes, Any]
    encoding: bytes
    repository: bytes
    view: bytes = PUBLIC
    narrow: tuple[tuple[bytes, ...], tuple[bytes, ...]] | None = None
    censored: bytes = b''
    mutable: bytes = b''


_FIELDS = tuple(item.name for item in fields(KeyState))


def canonical(value: Any) -> bytes:
    """Return one byte string for equal values, others for different ones.

    Canonical CBOR (RFC 8949, section 4.2.1): maps and sets in a fixed order.
    """
    encoded: bytes = cbor2.dumps(value, canonical=True)
    return encoded


def digest(value: Any) -> bytes:
    """Return 40 hexadecimal digits for any value ``canonical`` takes."""
    hasher = hashlib.blake2b(canonical(value), digest_size=20)
    return hasher.hexdigest().encode('ascii')


def derive(state: KeyState) -> bytes:
    """Return the key of ``state``: 40 lower-case hexadecimal digits."""
    # not dataclasses.astuple, which copies every list of nodes
    values = [getattr(state, name) for name in _FIELDS]
    return digest([b'amalgam-cache', VERSION, *values])
