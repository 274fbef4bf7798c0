# SPDX-License-Identifier: GPL-2.0-or-later
"""How replicas that share a cacher agree on where history is cut.

The first replica that closes a segment leaves the list of its nodes in the
cacher, under a key made from the name of the segment before. Nothing here knows
how history is cut.
"""

from __future__ import annotations

from typing import Any

import cbor2

from ..cache import factory, identity, keys, service
from . import cut

#: The most bytes of a list: twice the nodes of the largest segment.
MOST_BYTES = 2 * 20 * cut.MOST_CHANGESETS


class CacheAgreement:
    """Lists of nodes in the cache of a repository, an ``Agreement``."""

    def __init__(self, repo: Any) -> None:
        self._repo = repo

    def learn(self, version: bytes, previous: bytes) -> list[bytes] | None:
        """Return the nodes of the segment after ``previous``, or None."""
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
        """Leave the nodes of the segment after ``previous`` in the cache."""
        cache = self._cache()
        if cache is not None:
            cache.store(self._key(version, previous), cbor2.dumps(nodes))

    def _cache(self) -> service.ResponseCache | None:
        # The keys of lists can be computed. In a store that everybody can read,
        # the lists would reveal the names of all segments.
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
