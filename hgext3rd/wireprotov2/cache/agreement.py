# SPDX-License-Identifier: GPL-2.0-or-later
"""How replicas that share a cacher agree on where history is cut.

The first to close a piece leaves the list of its nodes in the cacher, under a
key made from the piece before. Knows nothing of how history is cut.
"""

from __future__ import annotations

from typing import Any

import cbor2

from ..segments import cut
from . import factory, identity, keys, service

#: The most bytes of a list: nodes of the largest piece.
MOST_BYTES = 2 * 20 * cut.MOST_CHANGESETS


class CacheAgreement:
    """Lists of nodes in the cache of a repository."""

    def __init__(self, repo: Any) -> None:
        self._repo = repo

    def learn(self, version: bytes, previous: bytes) -> list[bytes] | None:
        """Return the nodes of the piece after ``previous``, if known."""
        cache = self._cache()
        if cache is None:
            return None
        found = cache.peek(self._key(version, previous))
        if found is None or len(found.body) > MOST_BYTES:
            return None
        try:
            nodes = cbor2.loads(found.body)
        except (cbor2.CBORDecodeError, ValueError):
            return None
        if isinstance(nodes, list) and all(map(_is_node, nodes)):
            return nodes
        return None

    def teach(
        self, version: bytes, previous: bytes, nodes: list[bytes]
    ) -> None:
        """Leave the nodes of the piece after ``previous``."""
        cache = self._cache()
        if cache is not None:
            cache.store(self._key(version, previous), cbor2.dumps(nodes))

    def _cache(self) -> service.ResponseCache | None:
        # a list under a name that can be guessed would name all pieces
        if self._repo.ui.config(
            b'wireprotov2', b'cacher.objectstore.public-url'
        ):
            return None
        return factory.silent_for_repo(self._repo)

    def _key(self, version: bytes, previous: bytes) -> bytes:
        owner = identity.of(self._repo)
        return keys.digest(
            [b'amalgam-cut', cut.VERSION, owner, version, previous]
        )


def _is_node(value: object) -> bool:
    return isinstance(value, bytes) and len(value) == 20
