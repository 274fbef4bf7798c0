# SPDX-License-Identifier: GPL-2.0-or-later
"""segments and segmentdata: public history in segments that caches can keep.

Only the responses of the two commands are here. The package ``segments`` cuts
history and builds the bytes of a segment.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from mercurial.node import hex

from ...cache.keys import KeyState
from ...proto import cbor
from ...proto.errors import CommandError
from ...segments import bundle
from ...segments.history import CHUNK, History
from .registry import Argument, Command, Request
from .revisions import node_list

#: Version of the two responses.
VERSION = 1


def segments(request: Request, known: list) -> Iterator[bytes]:
    """List the segments of the public history, in the order of application.

    If there are nodes ``known``, tell how many changesets of each segment are
    not among these and their ancestors. Leave out the segments before the first
    that has such changesets.
    """
    history = History(request.requester)
    listing = history.segments()
    found = listing.segments()
    skipped = 0
    missing = [segment.changesets for segment in found]
    if known:
        missing = history.missing(node_list(known, b'known'))
        while skipped < len(found) and not missing[skipped]:
            skipped += 1
    found, missing = found[skipped:], missing[skipped:]
    yield cbor.encode(
        {
            b'version': VERSION,
            b'totalitems': len(found),
            b'changesets': sum(segment.changesets for segment in found),
            b'cgversion': history.changegroup_version(),
            b'spans': [
                {
                    b'name': span.name,
                    b'first': start - skipped,
                    b'changesets': span.changesets,
                }
                for start, span in history.spans()
                if start >= skipped
            ],
        }
    )
    for segment, count in zip(found, missing, strict=True):
        described: dict[bytes, Any] = {
            b'name': segment.name,
            b'changesets': segment.changesets,
            b'estimate': segment.size,
            b'heads': list(segment.heads),
            b'final': segment is not listing.rest,
        }
        if known:
            described[b'missing'] = count
        yield cbor.encode(described)


def segmentdata(
    request: Request, name: bytes, offset: int, sha256: bytes, outline: bool
) -> Iterator[bytes]:
    """Send one segment, or a span of several.

    An ``outline`` has files without their data. ``_rest`` does what ``offset``
    and ``sha256`` ask for.
    """
    if offset < 0:
        raise CommandError(b'offset must not be negative')
    history = History(request.requester)
    segment = history.find(name)
    if segment is None:
        raise CommandError(b'unknown segment: %s', (hex(name),))
    yield from history.build(segment, bundle.LEVEL_NOW, outline)


def _rest(
    args: dict[bytes, Any], body: Iterable[bytes | memoryview]
) -> Iterable[bytes | memoryview]:
    """Return a response without the bytes of the payload before ``offset``.

    That is the whole response unless it has the payload that ``sha256`` is the
    digest of.
    """
    if not args[b'offset'] or not args[b'sha256']:
        return body
    return _skipping(args[b'offset'], args[b'sha256'], body)


def _skipping(
    offset: int, sha256: bytes, body: Iterable[bytes | memoryview]
) -> Iterator[bytes]:
    decoder = cbor.Decoder(chunked=True)
    values = (
        value
        for chunk in body
        # A body from the cache is a single chunk.
        for start in range(0, len(chunk), CHUNK)
        for value in decoder.feed(bytes(chunk[start : start + CHUNK]))
    )
    about = next(values)
    assert isinstance(about, dict)
    if about[b'sha256'] != sha256 or offset >= about[b'size']:
        offset = 0
    else:
        about[b'offset'] = offset
    yield cbor.encode(about)

    def rest() -> Iterator[bytes]:
        left = offset
        for value in values:
            assert isinstance(value, cbor.BytesChunk)
            skipped = min(left, len(value.data))
            left -= skipped
            yield value.data[skipped:]

    yield from cbor.encode_indefinite_bytes(rest())


def _key_state(request: Request, args: dict[bytes, Any]) -> KeyState | None:
    return History(request.requester).key_state(args[b'name'], args[b'outline'])


COMMANDS = {
    command.name: command
    for command in (
        Command(
            b'segments',
            segments,
            args={b'known': Argument(b'list', [])},
            outgoing=True,
            quick=True,
        ),
        Command(
            b'segmentdata',
            segmentdata,
            args={
                b'name': Argument(b'bytes'),
                b'offset': Argument(b'int', 0),
                b'sha256': Argument(b'bytes', b''),
                b'outline': Argument(b'bool', False),
            },
            outgoing=True,
            compressed=True,
            lasting=True,
            key_state=_key_state,
            shorten=_rest,
        ),
    )
}
