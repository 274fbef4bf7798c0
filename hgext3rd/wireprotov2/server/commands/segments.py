# SPDX-License-Identifier: GPL-2.0-or-later
"""segments and segmentdata: public history in pieces that caches can keep.

The wire format of both; how history is cut and how a piece is built are
``segments`` and ``segmentbundle`` of the package.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mercurial.node import hex

from ...cache import view
from ...cache.agreement import CacheAgreement
from ...proto import cbor
from ...proto.errors import CommandError
from ...segments import bundle, record
from .registry import Argument, Command, Request

#: Version of the two responses.
VERSION = 1

#: Bytes of the piece in one chunk of its CBOR bytestring.
CHUNK = 64 * 1024


def segments(request: Request) -> Iterator[bytes]:
    """List the pieces of the public history, in order of application."""
    repo = request.repo
    listing = record.Listing((), None)
    if _offered(request):
        listing = record.listing(repo, CacheAgreement(repo))
    pieces = listing.pieces()
    yield cbor.encode(
        {
            b'version': VERSION,
            b'totalitems': len(pieces),
            b'changesets': sum(piece.changesets for piece in pieces),
            b'cgversion': record.changegroup_version(repo),
        }
    )
    for piece in pieces:
        yield cbor.encode(
            {
                b'name': piece.name,
                b'changesets': piece.changesets,
                b'estimate': piece.size,
                b'heads': list(piece.heads),
                b'final': piece is not listing.rest,
            }
        )


def segmentdata(request: Request, name: bytes) -> Iterator[bytes]:
    """Send one piece."""
    repo = request.repo
    piece = None
    if _offered(request):
        piece = record.find(repo, name, CacheAgreement(repo))
    if piece is None:
        raise CommandError(b'unknown segment: %s', (hex(name),))
    yield from body(repo, piece, bundle.LEVEL_NOW)


def body(repo: Any, piece: Any, level: int) -> Iterator[bytes]:
    """Yield the response for ``piece``, compressed at zstd's ``level``."""
    version = record.changegroup_version(repo)
    payload = bundle.build(repo, piece, version, level)
    with payload.stream as stream:
        yield cbor.encode(
            {
                b'name': piece.name,
                b'size': payload.size,
                b'sha256': payload.sha256,
                b'changesets': piece.changesets,
                b'cgversion': version,
                b'mediatype': payload.mediatype,
            }
        )
        chunks = iter(lambda: stream.read(CHUNK), b'')
        yield from cbor.encode_indefinite_bytes(chunks)


def _offered(request: Request) -> bool:
    narrow = view.narrow_access(request.repo, request.user)
    return record.offered(request.repo, narrow)


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
        ),
    )
}
