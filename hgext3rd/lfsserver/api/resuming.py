# SPDX-License-Identifier: GPL-2.0-or-later
"""Resumable uploads: HEAD and PATCH of tus 1.0.0, as git-lfs speaks it.

The batch response hands out the address of an upload, so nothing has to be
created first. Source: https://tus.io/protocols/resumable-upload, and the
behaviour of git-lfs, which skips an object, and its verification, if HEAD
answers with its whole size. Nothing here stores content.
"""

from __future__ import annotations

from .. import errors
from ..formats.batches import MAX_SIZE
from ..formats.oids import is_oid
from ..http import fields as httpfields
from ..stores.blobs import PARTS_LIFETIME, Blob, ResumableUploads
from .endpoint import UPLOADS, Endpoint
from .messages import LfsRequest, LfsResponse
from .transfer import counted, limited, reserved

VERSION = '1.0.0'
_MEDIA_TYPE = 'application/offset+octet-stream'

# Digits of the largest size.
_MAX_DIGITS = len(str(MAX_SIZE))


def _number(text: str) -> int | None:
    if not text.isascii() or not text.isdigit() or len(text) > _MAX_DIGITS:
        return None
    return int(text)


def _upload(
    endpoint: Endpoint, request: LfsRequest, oid: str, size: str
) -> tuple[ResumableUploads, int]:
    """Return the store of uploads and the size; raise LfsServerError."""
    total = _number(size)
    if endpoint.partials is None or not is_oid(oid) or total is None:
        raise errors.NotFound('there is no such upload')
    if request.headers.get('tus-resumable') != VERSION:
        raise errors.PreconditionFailed(
            f'Tus-Resumable must be {VERSION}',
            headers={'Tus-Version': VERSION},
        )
    if endpoint.limits.object_size and total > endpoint.limits.object_size:
        raise errors.object_too_large(endpoint.limits.object_size)
    return endpoint.partials, total


def _known(endpoint: Endpoint, oid: str, size: int) -> Blob | None:
    """Return what the store has; raise Invalid for a blob of another size."""
    blob = endpoint.store.examine([oid]).get(oid)
    if blob is not None and blob.intact and blob.size != size:
        raise errors.Invalid(f'The object has {blob.size} bytes, not {size}')
    return blob


def _is_stored(endpoint: Endpoint, oid: str, size: int) -> bool:
    blob = _known(endpoint, oid, size)
    return blob is not None and blob.intact


def _answer(
    endpoint: Endpoint, status: int, offset: int, size: int
) -> LfsResponse:
    headers = {
        'Tus-Resumable': VERSION,
        'Upload-Offset': str(offset),
        'Upload-Length': str(size),
        'Cache-Control': 'no-store',
    }
    if offset < size:
        expires = endpoint.now() + PARTS_LIFETIME
        headers['Upload-Expires'] = httpfields.http_date(expires)
    return LfsResponse(status, headers)


def state(
    endpoint: Endpoint, request: LfsRequest, oid: str, size: str
) -> LfsResponse:
    """Answer HEAD: at which offset the client has to continue.

    The whole size is answered only if the blob is stored and verified.
    """
    partials, total = _upload(endpoint, request, oid, size)
    if not _is_stored(endpoint, oid, total):
        if total:
            # The server may have been killed between the last byte and the
            # check.
            partials.finish(oid, total)
        else:
            # git-lfs sends nothing else for an empty object.
            endpoint.store.put(oid, (), 0)
        if not _is_stored(endpoint, oid, total):
            offset = partials.offset(oid, total)
            return _answer(endpoint, 200, offset, total)
    return _answer(endpoint, 200, total, total)


def append(
    endpoint: Endpoint, request: LfsRequest, oid: str, size: str
) -> LfsResponse:
    """Answer PATCH: store what follows at the offset.

    What has arrived is kept if the body breaks off.
    """
    partials, total = _upload(endpoint, request, oid, size)
    media_type = httpfields.media_type(request.headers.get('content-type'))
    if media_type != _MEDIA_TYPE:
        raise errors.UnsupportedMediaType(f'Content-Type must be {_MEDIA_TYPE}')
    offset = _number(request.headers.get('upload-offset', ''))
    if offset is None:
        raise errors.BadRequest('Upload-Offset must be a number')
    request.require_length()
    if offset + (request.body.length or 0) > total:
        raise errors.TooLarge(f'The object has only {total} bytes')
    known = _known(endpoint, oid, total)
    if known is not None and known.intact:
        raise errors.Conflict('the object is complete')
    slot = endpoint.admit()
    try:
        with reserved(endpoint, oid, known, total) as reservation:
            blocks = limited(
                counted(endpoint, request.body.blocks()),
                total - offset,
                errors.TooLarge('the body is longer than the rest'),
            )
            offset = partials.append(oid, total, offset, blocks)
            if reservation is not None and offset == total:
                reservation.stored(endpoint.now())
    finally:
        slot.release()
    if offset == total:
        endpoint.count({UPLOADS: 1})
    endpoint.log(f'received {oid} up to {offset} of {total} bytes')
    return _answer(endpoint, 204, offset, total)
