# SPDX-License-Identifier: GPL-2.0-or-later
"""The basic transfer: GET, HEAD and PUT of one blob, and its verification.

Source: docs/api/basic-transfers.md of the git-lfs project. Content is streamed;
nothing here holds more than one block of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext

from .. import errors
from ..formats import batches, documents
from ..formats.oids import is_oid
from ..http import fields as httpfields
from ..stores.blobs import Blob
from ..stores.content import Block, FileSlice
from ..stores.quota import Reservation
from .endpoint import DOWNLOADS, RECEIVED, SENT, UPLOADS, Endpoint, TransferSlot
from .messages import MAX_DOCUMENT, LfsRequest, LfsResponse, json_response

# The content of an oid never changes, so clients may keep it. Shared proxies
# may not, because permissions decide who may read it.
_CACHE_CONTROL = 'private, max-age=31536000, immutable'


def _intact(endpoint: Endpoint, oid: str) -> Blob:
    blob = endpoint.store.examine([oid]).get(oid)
    if blob is None:
        raise errors.NotFound('The object does not exist')
    if not blob.intact:
        raise errors.Invalid('The object is corrupt')
    return blob


def download(endpoint: Endpoint, request: LfsRequest, oid: str) -> LfsResponse:
    """Answer GET or HEAD with a blob, or with the requested range of it."""
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
        return LfsResponse(304, headers)
    headers['Accept-Ranges'] = 'bytes'
    # A browser must not show content that a user has uploaded as a page of this
    # server.
    headers['X-Content-Type-Options'] = 'nosniff'
    headers['Content-Disposition'] = 'attachment'
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
        return LfsResponse(status, headers, None, span.length)
    slot = endpoint.admit()
    content = endpoint.store.read(blob, span.start, span.stop)
    endpoint.count({DOWNLOADS: 1, SENT: span.length})
    endpoint.log(f'sending {oid} ({span.length} bytes)')
    return LfsResponse(status, headers, Download(content, slot), span.length)


class Download:
    """The content of a download; releases its slot when iteration ends."""

    def __init__(self, content: Iterable[bytes], slot: TransferSlot) -> None:
        self._content = content
        self._slot = slot

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._content
        finally:
            self._slot.release()

    def slices(self) -> Iterator[bytes | FileSlice]:
        """Yield the content like ``__iter__``, but a file as one FileSlice.

        This is for servers that can send a file without reading it. The file
        is closed afterwards.
        """
        try:
            if isinstance(self._content, FileSlice):
                with self._content.file:
                    yield self._content
            else:
                yield from self._content
        finally:
            self._slot.release()


def upload(endpoint: Endpoint, request: LfsRequest, oid: str) -> LfsResponse:
    """Store a blob; answer 201 if it is new, and 200 if it existed before."""
    if not is_oid(oid):
        raise errors.Invalid('"oid" must be 64 lower-case hexadecimal digits')
    request.require_length()
    length = request.body.length
    limit = endpoint.limits.object_size
    if limit and length is not None and length > limit:
        raise errors.object_too_large(limit)
    # Content that exists is not stored again, so it has to stay.
    known = endpoint.keep(endpoint.store.examine([oid])).get(oid)
    slot = endpoint.admit()
    try:
        content = counted(endpoint, request.body.blocks())
        if limit:
            content = limited(content, limit, errors.object_too_large(limit))
        with reserved(endpoint, oid, known, length) as reservation:
            if reservation is not None and length is None:
                content = reservation.covering(content)
            created = endpoint.store.put(oid, content, length)
            if reservation is not None:
                reservation.stored(endpoint.now())
    finally:
        slot.release()
    endpoint.count({UPLOADS: 1})
    endpoint.log(f'received {oid}')
    fields = {
        'Content-Type': 'text/plain; charset=utf-8',
        'X-Content-Type-Options': 'nosniff',
    }
    return LfsResponse(201 if created else 200, fields)


def reserved(
    endpoint: Endpoint, oid: str, known: Blob | None, length: int | None
) -> AbstractContextManager[Reservation | None]:
    """Reserve ``length`` bytes of the quota, or as many as a repair adds.

    ``known`` is what the store has under ``oid``.
    """
    if endpoint.quota is None or (known is not None and known.intact):
        return nullcontext()
    present = 0 if known is None else known.size
    return endpoint.quota.reserve(oid, max((length or 0) - present, 0))


def counted(endpoint: Endpoint, content: Iterable[Block]) -> Iterator[Block]:
    """Pass ``content`` through and count its bytes."""
    received = 0
    try:
        for block in content:
            received += len(block)
            yield block
    finally:
        endpoint.count({RECEIVED: received})


def limited(
    content: Iterable[Block], limit: int, error: errors.TooLarge
) -> Iterator[Block]:
    """Pass ``content`` through; raise ``error`` after ``limit`` bytes."""
    for block in content:
        limit -= len(block)
        if limit < 0:
            raise error
        yield block


def verify(
    endpoint: Endpoint, request: LfsRequest, oid: str | None = None
) -> LfsResponse:
    """Confirm that an upload has arrived.

    ``oid`` comes from the address; it is None if the address has no oid.
    """
    pointer = batches.parse_pointer(request.document(MAX_DOCUMENT))
    if oid is not None and oid != pointer.oid:
        raise errors.Invalid('"oid" differs from the one in the address')
    if endpoint.links is not None:
        endpoint.links.settle(pointer.oid)
    blob = _intact(endpoint, pointer.oid)
    if blob.size != pointer.size:
        raise errors.Invalid(
            f'The object has {blob.size} bytes, not {pointer.size}'
        )
    return json_response(
        200, documents.encode({'oid': blob.oid, 'size': blob.size})
    )
