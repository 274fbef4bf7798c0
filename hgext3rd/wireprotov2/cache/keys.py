# SPDX-License-Identifier: GPL-2.0-or-later
"""Make the key of a response from everything the response depends on.

Pure. Invalidation happens here and nowhere else: when something changes that a
response depends on, its key changes too, and the old entry is never asked for
again.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from typing import Any

import cbor2

#: Increase it when responses change for the same request.
VERSION = 1

#: ``KeyState.view`` of requests about public changesets only. Everybody who may
#: read the repository sees the same of them, forever.
PUBLIC = b'public'


@dataclass(frozen=True, slots=True)
class KeyState:
    """Everything the bytes of a response depend on.

    ``api`` and ``framing`` are the names on the wire; ``args`` the validated
    arguments, defaults included; ``encoding`` is the content encoding of the
    body. ``repository`` tells repositories that share a cacher apart. ``view``
    is ``PUBLIC``, or a digest of what the requester sees beyond public
    changesets. ``narrow`` are the patterns access is limited to, ``censored``
    is the censor generation. ``mutable`` is a digest of state outside the
    history that the response shows (bookmarks), or empty.
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

    @property
    def for_everybody(self) -> bool:
        """Whether everybody who may read the repository gets this response."""
        return self.view == PUBLIC and self.narrow is None


_FIELDS = tuple(item.name for item in fields(KeyState))


def canonical(value: Any) -> bytes:
    """Return the encoding of a value, the same for equal values only.

    It is canonical CBOR (RFC 8949, section 4.2.1), which has maps and sets in a
    fixed order.
    """
    encoded: bytes = cbor2.dumps(value, canonical=True)
    return encoded


def digest(value: Any) -> bytes:
    """Return the digest of a value as 40 lower-case hexadecimal digits.

    ``value`` is anything that ``canonical`` can encode.
    """
    hasher = hashlib.blake2b(canonical(value), digest_size=20)
    return hasher.hexdigest().encode('ascii')


def derive(state: KeyState) -> bytes:
    """Return the key of ``state``: 40 lower-case hexadecimal digits."""
    # dataclasses.astuple would copy every list of nodes.
    values = [getattr(state, name) for name in _FIELDS]
    return digest([b'amalgam-cache', VERSION, *values])
