# SPDX-License-Identifier: GPL-2.0-or-later
"""capabilities: what this server answers, and how.

The handshake says the same, see ``server.handshake``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mercurial import narrowspec, streamclone

from ...cache import factory
from ...proto import cbor
from .registry import API, Request


def describe(api: API, repo: Any) -> dict[bytes, Any]:
    """Return the description of an API, the same for all its clients."""
    described: dict[bytes, Any] = {
        b'commands': {
            name: command.describe(repo)
            for name, command in api.offered(repo).items()
        },
        b'framingmediatypes': [api.framing.mediatype],
        b'pathfilterprefixes': set(narrowspec.VALID_PREFIXES),
        b'rawrepoformats': sorted(streamclone.streamed_requirements(repo)),
    }
    if api.lists_compression:
        described[b'compression'] = [{b'name': b'zstd'}, {b'name': b'zlib'}]
    if api.redirects:
        cache = factory.for_repo(repo)
        targets = cache.targets() if cache is not None else ()
        if targets:
            described[b'redirect'] = {
                b'targets': [
                    {
                        b'name': target.name,
                        b'protocol': target.protocol,
                        b'uris': list(target.uris),
                    }
                    for target in targets
                ],
                b'hashes': [b'sha256', b'sha1'],
            }
    return described


def capabilities(request: Request) -> Iterator[bytes]:
    """Send the description of the API that was asked."""
    yield cbor.encode(describe(request.api, request.repo))
