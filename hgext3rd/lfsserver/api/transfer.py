# SPDX-License-Identifier: GPL-2.0-or-later
"""The basic transfer: GET, HEAD and PUT of one blob, and its verification.

docs/api/basic-transfers.md of the git-lfs project.  Content streams through;
nothing here holds more than a piece of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .. import errors
from ..http import fields as httpfields
from ..stores.blobs import Blob, FileSlice, Piece, is_oid
from . import documents
from .endpoint import (
    MAX_DOCUMENT,
    Endpoint,
    Request,
    Response,
    Slot,
    json_response,
)

# Content never changes under its name; only its users keep it, not proxies.
_CACHE_CONTROL = 'private, max-age=31536000, immutable'


def _intact(endpoint: Endpoint, oid: str) -> Blob:
    blob = endpoint.store.examine([oid]).get(oid)
    if blob is None:
        raise errors.NotFound('The object does not exist')
    if not blob.intact:
        raise errors.Invalid('The object is corrupt')
    return blob


def download(endpoint: Endpoint, request: Request, oid: str) -> Response:
    """Send a blob, or the range of it that is asked for."""
    if not is_oid(oid):
        raise errors.NotFound('The object does not exist')
    blob = _intact(endpoint, oid)
    get = request.headers.get
    etag = f'"{oid}"'
    headers = {'ETag': etag, 'Cache-Control': _CACHE_CONTROL}
    if not httpfields.matches(
        get('if-match'), get('if-unmodified-since'), etag, blob.modified
    ):
        raise errors.PreconditionFailed('The object is not the expected one')
    if httpfields.not_modified(
        get('if-none-match'), get('if-modified-since'), etag, blob.modified
    ):
        return Response(304, headers)
    headers['Accept-Ranges'] = 'bytes'
    headers['Content-Type'] = 'application/octet-stream'
    headers['Last-Modified'] = httpfields.http_date(blob.modified)
    span = None
    if httpfields.range_applies(get('if-range'), etag, blob.modified):
        span = httpfields.byte_range(get('range'), blob.size)
    status = 200
    if span is None:
        span = httpfields.Span(0, blob.size)
    else:
        status = 206
        headers['Content-Range'] = (
            f'bytes {span.start}-{span.stop - 1}/{blob.size}'
        )
    if request.method == 'HEAD':
        return Response(status, headers, None, span.length)
    slot = endpoint.admit()
    pieces = endpoint.store.read(blob, span.start, span.stop)
    endpoint.log(f'sending {oid} ({span.length} bytes)')
    return Response(status, headers, Transfer(pieces, slot), span.length)


class Transfer:
    """The pieces of a download; gives the slot back when it ends."""

    def __init__(self, pieces: Iterable[bytes], slot: Slot) -> None:
        self._pieces = pieces
        self._slot = slot

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._pieces
        finally:
            self._slot.release()

    def slices(self) -> Iterator[bytes | FileSlice]:
        """As iteration, but a file is left for the server to send."""
        try:
            if isinstance(self._pieces, FileSlice):
                with self._pieces.file:
                    yield self._pieces
            else:
                yield from self._pieces
        finally:
            self._slot.release()


def upload(endpoint: Endpoint, request: Request, oid: str) -> Response:
    """Receive a blob: 201, or 200 if it has been there before."""
    if not is_oid(oid):
        raise errors.Invalid('"oid" must be 64 lower-case hexadecimal digits')
    request.require_length()
    length = request.body.length
    limit = endpoint.limits.object_size
    if limit and length is not None and length > limit:
        raise _too_large(limit)
    slot = endpoint.admit()
    try:
        pieces = request.body.pieces()
        if limit:
            pieces = _limited(pieces, limit)
        created = endpoint.store.put(oid, pieces, length)
    finally:
        slot.release()
    endpoint.log(f'received {oid}')
    fields = {'Content-Type': 'text/plain; charset=utf-8'}
    return Response(201 if created else 200, fields)


def _too_large(limit: int) -> errors.TooLarge:
    return errors.TooLarge(f'The object is larger than {limit} bytes')


def _limited(pieces: Iterable[Piece], limit: int) -> Iterator[Piece]:
    left = limit
    for piece in pieces:
        left -= len(piece)
        if left < 0:
            raise _too_large(limit)
        yield piece


def verify(
    endpoint: Endpoint, request: Request, oid: str | None = None
) -> Response:
    """Say whether an upload has arrived; ``oid`` is that of the address."""
    pointer = documents.parse_pointer(request.document(MAX_DOCUMENT))
    if oid is not None and oid != pointer.oid:
        raise errors.Invalid('"oid" is not the one of the address')
    endpoint.store.settle(pointer.oid)
    blob = _intact(endpoint, pointer.oid)
    if blob.size != pointer.size:
        raise errors.Invalid(
            f'The object has {blob.size} bytes, not {pointer.size}'
        )
    return json_response(
        200, documents.encode({'oid': blob.oid, 'size': blob.size})
    )
