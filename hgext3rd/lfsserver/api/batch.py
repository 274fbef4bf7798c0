# SPDX-License-Identifier: GPL-2.0-or-later
"""The handler of ``objects/batch``.

The response tells a client how to transfer each of its objects. Source:
docs/api/batch.md of the git-lfs project. For transfers through this server, the
addresses are composed here and routed in ``routes``.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..formats import batches
from ..stores.blobs import Blob, SignedLink
from ..stores.quota import Quota
from .endpoint import Endpoint
from .messages import PUSH, LfsRequest, LfsResponse, json_response

# Authentication schemes whose credentials are valid for any request, so that
# the client can send them with the transfers too.
_REUSABLE = ('basic ', 'bearer ')

# Core's endpoint and lfs-test-server tell clients to send this for content.
_ACCEPT = {'Accept': 'application/vnd.git-lfs'}


def respond(endpoint: Endpoint, request: LfsRequest) -> LfsResponse:
    """Answer a batch request.

    The caller has checked PULL; an upload needs PUSH as well.
    """
    data = request.document(endpoint.limits.batch_document)
    wanted = batches.parse_batch(data, endpoint.limits.batch)
    if wanted.operation == batches.UPLOAD:
        request.permit(PUSH)
    valid = {p.oid for p in wanted.objects if p.problem is None}
    blobs = endpoint.store.examine(valid)
    if wanted.operation == batches.UPLOAD:
        blobs = endpoint.keep(blobs)
    transfer = _transfer(endpoint, wanted)
    respond_to = _upload if wanted.operation == batches.UPLOAD else _download
    results = [
        batches.ObjectResult(p.oid, p.size, error=(422, p.problem))
        if p.problem is not None
        else respond_to(endpoint, request, p, blobs, transfer)
        for p in wanted.objects
    ]
    if wanted.operation == batches.UPLOAD and endpoint.quota is not None:
        results = _within_quota(endpoint, endpoint.quota, results)
    for result in results:
        if result.error is not None:
            endpoint.count_refusal(result.error[0])
    endpoint.log(f'batch {wanted.operation} of {len(results)} objects')
    return json_response(
        200, batches.encode_batch(results, endpoint.now(), transfer)
    )


def _transfer(endpoint: Endpoint, wanted: batches.BatchRequest) -> str:
    """Return the transfer adapter to use: links to the store are best."""
    if (
        wanted.operation == batches.UPLOAD
        and batches.TUS in wanted.transfers
        and endpoint.links is None
        and endpoint.partials is not None
    ):
        return batches.TUS
    return batches.TRANSFER


def _download(
    endpoint: Endpoint,
    request: LfsRequest,
    pointer: batches.Pointer,
    blobs: Mapping[str, Blob],
    transfer: str,
) -> batches.ObjectResult:
    blob = blobs.get(pointer.oid)
    if blob is None:
        return _failed(pointer, 404, 'The object does not exist')
    if not blob.intact:
        return _failed(pointer, 422, 'The object is corrupt')
    if blob.size != pointer.size:
        return _wrong_size(pointer, blob)
    actions = {batches.DOWNLOAD: _link(endpoint, 'GET', pointer)}
    return _with_actions(endpoint, request, pointer, actions, transfer)


def _upload(
    endpoint: Endpoint,
    request: LfsRequest,
    pointer: batches.Pointer,
    blobs: Mapping[str, Blob],
    transfer: str,
) -> batches.ObjectResult:
    blob = blobs.get(pointer.oid)
    if blob is not None and blob.intact:
        if blob.size != pointer.size:
            return _wrong_size(pointer, blob)
        # Without actions: the client has nothing to do.
        return batches.ObjectResult(pointer.oid, pointer.size)
    limit = endpoint.limits.object_size
    if limit and pointer.size > limit:
        return _failed(pointer, 413, f'The object is larger than {limit} bytes')
    actions = {
        batches.UPLOAD: _link(endpoint, 'PUT', pointer),
        batches.VERIFY: None,
    }
    return _with_actions(endpoint, request, pointer, actions, transfer)


def _within_quota(
    endpoint: Endpoint, quota: Quota, results: list[batches.ObjectResult]
) -> list[batches.ObjectResult]:
    """Refuse the uploads that do not fit, in the order of the batch."""
    if not any(result.actions for result in results):
        return results
    room = quota.limit - quota.used()
    until = endpoint.now() + endpoint.limits.lifetime
    allowed = []
    for result in results:
        if result.actions and result.size > room:
            error = quota.exceeded()
            result = batches.ObjectResult(
                result.oid, result.size, error=(error.status, error.message)
            )
        elif result.actions:
            room -= result.size
            if endpoint.links is not None:
                quota.usage.expect(result.oid, result.size, until)
        allowed.append(result)
    return allowed


def _link(
    endpoint: Endpoint, method: str, pointer: batches.Pointer
) -> SignedLink | None:
    """Return a link to the store, or None to transfer through this server."""
    if endpoint.links is None:
        return None
    if method == 'PUT' and pointer.size > endpoint.links.max_upload:
        # The store would refuse it, after the client has sent everything.
        return None
    return endpoint.links.link(method, pointer.oid, endpoint.limits.lifetime)


def _failed(
    pointer: batches.Pointer, code: int, message: str
) -> batches.ObjectResult:
    return batches.ObjectResult(
        pointer.oid, pointer.size, error=(code, message)
    )


def _wrong_size(pointer: batches.Pointer, blob: Blob) -> batches.ObjectResult:
    return _failed(
        pointer, 422, f'The object has {blob.size} bytes, not {pointer.size}'
    )


def _with_actions(
    endpoint: Endpoint,
    request: LfsRequest,
    pointer: batches.Pointer,
    links: Mapping[str, SignedLink | None],
    transfer: str,
) -> batches.ObjectResult:
    """Return a result with actions.

    ``links`` maps names of actions to signed links. An action whose link is
    None is a request to this server.
    """
    lifetime = endpoint.limits.lifetime
    header = _credentials(request)
    actions = {
        name: batches.Action(link.href, link.header, lifetime)
        if link is not None
        else batches.Action(
            _own_href(endpoint, name, pointer, transfer),
            header if name == batches.VERIFY else {**_ACCEPT, **header},
            lifetime,
        )
        for name, link in links.items()
    }
    # The client needs no further credentials for the transfer if it did not
    # have to authenticate for this request, or if the actions contain its
    # credentials. Clients that authenticate in other ways (certificates,
    # Kerberos) have to do so again.
    authenticated = request.user is None or bool(header)
    return batches.ObjectResult(
        pointer.oid, pointer.size, actions, authenticated
    )


def _own_href(
    endpoint: Endpoint, name: str, pointer: batches.Pointer, transfer: str
) -> str:
    if name == batches.UPLOAD and transfer == batches.TUS:
        return endpoint.upload_url(pointer.oid, pointer.size)
    href = endpoint.object_url(pointer.oid)
    return f'{href}/verify' if name == batches.VERIFY else href


def _credentials(request: LfsRequest) -> Mapping[str, str]:
    """Return the Authorization field for transfers, if it can be reused."""
    value = request.headers.get('authorization', '')
    if request.repeat_credentials and value.lower().startswith(_REUSABLE):
        return {'Authorization': value}
    return {}
