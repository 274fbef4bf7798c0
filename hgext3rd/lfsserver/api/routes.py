# SPDX-License-Identifier: GPL-2.0-or-later
"""The addresses of LFS: a table of handlers and required permissions.

``dispatch`` checks the permission before it calls the handler, so no byte of a
request body is read for a user who lacks it. Nothing here knows hgweb.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from .. import errors
from . import batch, locking, resuming, transfer
from .endpoint import TRANSFER_PREFIX, Endpoint
from .messages import PULL, PUSH, UPLOAD, LfsRequest, LfsResponse

Handler = Callable[..., LfsResponse]

# Path segments below the address of the repository. Git appends the first
# prefix to the URL of a remote; the second is for addresses that people type.
API_PREFIXES = (('.git', 'info', 'lfs'), ('info', 'lfs'))

# Every LFS address contains one of these, whatever the path of the repository.
_MARKS = ('/info/lfs/', '/.hg/lfs/')

# Stands for one path segment, which is passed to the handler.
ANY = '*'


@dataclass(frozen=True, slots=True)
class Route:
    """A handler, and the permission that its requests need.

    ``json`` says whether the response is LFS JSON, which the client has to
    accept.
    """

    permission: str
    handler: Handler
    json: bool = True


RouteTable = dict[tuple[str, ...], dict[str, Route]]

# A table, and the path segments to look up in it.
RouteTarget = tuple[RouteTable, tuple[str, ...]]

API: RouteTable = {
    ('objects', 'batch'): {'POST': Route(PULL, batch.respond)},
    ('locks',): {
        'GET': Route(PULL, locking.listing),
        'POST': Route(PUSH, locking.create),
    },
    ('locks', 'verify'): {'POST': Route(PUSH, locking.verify)},
    ('locks', ANY, 'unlock'): {'POST': Route(PUSH, locking.unlock)},
}

TRANSFERS: RouteTable = {
    ('verify',): {'POST': Route(PUSH, transfer.verify)},
    ('objects', 'verify'): {'POST': Route(PUSH, transfer.verify)},
    ('objects', ANY): {
        'GET': Route(PULL, transfer.download, json=False),
        'HEAD': Route(PULL, transfer.download, json=False),
        'PUT': Route(UPLOAD, transfer.upload, json=False),
    },
    ('uploads', ANY, ANY): {
        'HEAD': Route(UPLOAD, resuming.state, json=False),
        'PATCH': Route(UPLOAD, resuming.append, json=False),
    },
    ('objects', ANY, 'verify'): {'POST': Route(PUSH, transfer.verify)},
}


def may_be_lfs(request_target: str) -> bool:
    """Return whether a request target can be an LFS address.

    This takes the whole target of the request line, which may contain a query
    and the path of the repository. Given only the path below the repository,
    ``find`` decides.
    """
    path = unquote(request_target.partition('?')[0])
    return any(mark in path for mark in _MARKS)


def find(segments: Sequence[str]) -> RouteTarget | None:
    """Return the table and the remaining path for an address.

    ``segments`` are those of the path below a repository. Returns None if the
    path is not an LFS address.
    """
    path = tuple(segments)
    for prefix in API_PREFIXES:
        if path[: len(prefix)] == prefix:
            return API, path[len(prefix) :]
    if path[: len(TRANSFER_PREFIX)] == TRANSFER_PREFIX:
        return TRANSFERS, path[len(TRANSFER_PREFIX) :]
    return None


def _match(pattern: tuple[str, ...], path: tuple[str, ...]) -> list[str] | None:
    """Return the segments that ANY matches, or None if the paths differ."""
    if len(pattern) != len(path):
        return None
    found = []
    for expected, segment in zip(pattern, path, strict=True):
        if expected == ANY:
            found.append(segment)
        elif expected != segment:
            return None
    return found


def dispatch(
    endpoint: Endpoint, request: LfsRequest, target: RouteTarget
) -> LfsResponse:
    """Return the response to a request for ``target``.

    Raises LfsServerError if there is no route, the permission is missing, or
    the handler fails.
    """
    try:
        response = _dispatch(endpoint, request, target)
    except errors.LfsServerError as error:
        endpoint.count_refusal(error.status)
        raise
    endpoint.count_refusal(response.status)
    return response


def _dispatch(
    endpoint: Endpoint, request: LfsRequest, target: RouteTarget
) -> LfsResponse:
    table, path = target
    for pattern, methods in table.items():
        arguments = _match(pattern, path)
        if arguments is None:
            continue
        route = methods.get(request.method)
        if route is None:
            allowed = ', '.join(sorted(methods))
            raise errors.MethodNotAllowed(
                f'this address supports only {allowed}',
                headers={'Allow': allowed},
            )
        request.permit(route.permission)
        if route.json:
            request.require_json_accepted()
        return route.handler(endpoint, request, *arguments)
    raise errors.NotFound('there is no such LFS address')
