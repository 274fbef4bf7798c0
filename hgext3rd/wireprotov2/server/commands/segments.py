# SPDX-License-Identifier: GPL-2.0-or-later
"""segments and segmentdata: public history in segments that caches can keep.

Only the responses of the two commands are here. The package ``segments`` cuts
history and builds the bytes of a segment.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mercurial.node import hex

from ...cache.keys import KeyState
from ...proto import cbor
from ...proto.errors import CommandError
from ...segments import bundle
from ...segments.history import History
from .registry import Argument, Command, Request

#: Version of the two responses.
VERSION = 1


def segments(request: Request) -> Iterator[bytes]:
    """List the segments of the public history, in the order of application."""
    history = History(request.requester)
    listing = history.segments()
    found = listing.segments()
    yield cbor.encode(
        {
            b'version': VERSION,
            b'totalitems': len(found),
            b'changesets': sum(segment.changesets for segment in found),
            b'cgversion': history.changegroup_version(),
            b'spans': [
                {
                    b'name': span.name,
                    b'first': start,
                    b'changesets': span.changesets,
                }
                for start, span in history.spans()
            ],
        }
    )
    for segment in found:
        yield cbor.encode(
            {
                b'name': segment.name,
                b'changesets': segment.changesets,
                b'estimate': segment.size,
                b'heads': list(segment.heads),
                b'final': segment is not listing.rest,
            }
        )


def segmentdata(request: Request, name: bytes) -> Iterator[bytes]:
    """Send one segment, or a span of several."""
    history = History(request.requester)
    segment = history.find(name)
    if segment is None:
        raise CommandError(b'unknown segment: %s', (hex(name),))
    yield from history.build(segment, bundle.LEVEL_NOW)


def _key_state(request: Request, args: dict[bytes, Any]) -> KeyState | None:
    return History(request.requester).key_state(args[b'name'])


COMMANDS = {
    command.name: command
    for command in (
        Command(b'segments', segments, outgoing=True),
        Command(
            b'segmentdata',
            segmentdata,
            args={b'name': Argument(b'bytes')},
            outgoing=True,
            compressed=True,
            key_state=_key_state,
        ),
    )
}
