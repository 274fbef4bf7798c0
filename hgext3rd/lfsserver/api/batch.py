# SPDX-License-Identifier: GPL-2.0-or-later
"""``objects/batch``: what a client has to do for each of its objects.

docs/api/batch.md of the git-lfs project; the endpoint's own addresses are
defined here and routed in ``routes``.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..stores.blobs import Blob, Link
from . import documents
from .endpoint import PUSH, Endpoint, Request, Response, json_response

# Schemes whose credentials are good for any request, so that they can be
# handed back for the transfers.
_REUSABLE = ('basic ', 'bearer ')


# What core's endpoint and lfs-test-server tell clients to send with content.
_ACCEPT = {'Accept': 'application/vnd.git-lfs'}


def answer(endpoint: Endpoint, request: Request) -> Response:
    """Answer a batch request; the caller has checked PULL."""
    data = request.document(endpoint.limits.batch_document)
    batch = documents.parse_batch(data, endpoint.limits.batch)
    if batch.operation == documents.UPLOAD:
        request.permit(PUSH)
    valid = {p.oid for p in batch.objects if p.problem is None}
    blobs = endpoint.store.examine(valid)
    judge = _upload if batch.operation == documents.UPLOAD else _download
    answers = [
        documents.ObjectAnswer(p.oid, p.size, error=(422, p.problem))
        if p.problem is not None
        else judge(endpoint, request, p, blobs)
        for p in batch.objects
    ]
    endpoint.log(f'batch {batch.operation} of {len(answers)} objects')
    return json_response(200, documents.encode_batch(answers, endpoint.now()))


def _download(
    endpoint: Endpoint,
    request: Request,
    pointer: documents.Pointer,
    blobs: Mapping[str, Blob],
) -> documents.ObjectAnswer:
    blob = blobs.get(pointer.oid)
    if blob is None:
        return _failed(pointer, 404, 'The object does not exist')
    if not blob.intact:
        return _failed(pointer, 422, 'The object is corrupt')
    if blob.size != pointer.size:
        return _wrong_size(pointer, blob)
    link = endpoint.store.link('GET', pointer.oid, endpoint.limits.lifetime)
    return _with_actions(endpoint, request, pointer, {documents.DOWNLOAD: link})


def _upload(
    endpoint: Endpoint,
    request: Request,
    pointer: documents.Pointer,
    blobs: Mapping[str, Blob],
) -> documents.ObjectAnswer:
    blob = blobs.get(pointer.oid)
    if blob is not None and blob.intact:
        if blob.size != pointer.size:
            return _wrong_size(pointer, blob)
        # no actions: the client has nothing to do
        return documents.ObjectAnswer(pointer.oid, pointer.size)
    limit = endpoint.limits.object_size
    if limit and pointer.size > limit:
        return _failed(pointer, 413, f'The object is larger than {limit} bytes')
    link = endpoint.store.link('PUT', pointer.oid, endpoint.limits.lifetime)
    return _with_actions(
        endpoint,
        request,
        pointer,
        {documents.UPLOAD: link, documents.VERIFY: None},
    )


def _failed(
    pointer: documents.Pointer, code: int, message: str
) -> documents.ObjectAnswer:
    return documents.ObjectAnswer(
        pointer.oid, pointer.size, error=(code, message)
    )


def _wrong_size(
    pointer: documents.Pointer, blob: Blob
) -> documents.ObjectAnswer:
    return _failed(
        pointer, 422, f'The object has {blob.size} bytes, not {pointer.size}'
    )


def _with_actions(
    endpoint: Endpoint,
    request: Request,
    pointer: documents.Pointer,
    links: Mapping[str, Link | None],
) -> documents.ObjectAnswer:
    """Actions by name; those without a link come to this server."""
    lifetime = endpoint.limits.lifetime
    header = _credentials(request)
    actions = {
        name: documents.Action(link.href, link.header, lifetime)
        if link is not None
        else documents.Action(
            _own_href(endpoint, name, pointer),
            header if name == documents.VERIFY else {**_ACCEPT, **header},
            lifetime,
        )
        for name, link in links.items()
    }
    # Whoever has proven nothing so far will not be asked by the transfer
    # either; credentials handed back need no second asking.  Other ways to
    # authenticate (certificates, Kerberos) are the client's to repeat.
    authenticated = request.user is None or bool(header)
    return documents.ObjectAnswer(
        pointer.oid, pointer.size, actions, authenticated
    )


def _own_href(endpoint: Endpoint, name: str, pointer: documents.Pointer) -> str:
    href = f'{endpoint.url}/.hg/lfs/objects/{pointer.oid}'
    return f'{href}/verify' if name == documents.VERIFY else href


def _credentials(request: Request) -> Mapping[str, str]:
    value = request.headers.get('authorization', '')
    if value.lower().startswith(_REUSABLE):
        return {'Authorization': value}
    return {}
