# SPDX-License-Identifier: GPL-2.0-or-later
"""Which address does what, as a table, with the permission it takes.

Permissions are checked before the handler is called, so before a byte of a
body is read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .. import errors
from . import batch, locking, transfer
from .endpoint import PULL, PUSH, UPLOAD, Endpoint, Request, Response

Handler = Callable[..., Response]

# Both below the address of the repository.  Git adds the first to the URL of
# a remote, people write the second.
API_PREFIXES = (('.git', 'info', 'lfs'), ('info', 'lfs'))
TRANSFER_PREFIX = ('.hg', 'lfs')

# Stands for one path segment that is handed to the handler.
ANY = '*'


@dataclass(frozen=True, slots=True)
class Route:
    """A handler and the permission its requests need."""

    permission: str
    handler: Handler
    json: bool = True


Table = dict[tuple[str, ...], dict[str, Route]]

# A table, and the path of an address in it.
Target = tuple[Table, tuple[str, ...]]

API: Table = {
    ('objects', 'batch'): {'POST': Route(PULL, batch.answer)},
    ('locks',): {
        'GET': Route(PULL, locking.listing),
        'POST': Route(PUSH, locking.create),
    },
    ('locks', 'verify'): {'POST': Route(PUSH, locking.verify)},
    ('locks', ANY, 'unlock'): {'POST': Route(PUSH, locking.unlock)},
}

TRANSFERS: Table = {
    ('verify',): {'POST': Route(PUSH, transfer.verify)},
    ('objects', 'verify'): {'POST': Route(PUSH, transfer.verify)},
    ('objects', ANY): {
        'GET': Route(PULL, transfer.download, json=False),
        'HEAD': Route(PULL, transfer.download, json=False),
        'PUT': Route(UPLOAD, transfer.upload, json=False),
    },
    ('objects', ANY, 'verify'): {'POST': Route(PUSH, transfer.verify)},
}


def find(parts: Sequence[str]) -> Target | None:
    """The table for a path below a repository and the rest of the path.

    None if the path is not one of LFS.
    """
    path = tuple(parts)
    for prefix in API_PREFIXES:
        if path[: len(prefix)] == prefix:
            return API, path[len(prefix) :]
    if path[: len(TRANSFER_PREFIX)] == TRANSFER_PREFIX:
        return TRANSFERS, path[len(TRANSFER_PREFIX) :]
    return None


def _match(pattern: tuple[str, ...], path: tuple[str, ...]) -> list[str] | None:
    """The segments that stand for ANY, or None if the path is another."""
    if len(pattern) != len(path):
        return None
    found = []
    for expected, segment in zip(pattern, path):  # noqa: B905
        if expected == ANY:
            found.append(segment)
        elif expected != segment:
            return None
    return found


def dispatch(
    endpoint: Endpoint,
    request: Request,
    table: Table,
    path: tuple[str, ...],
) -> Response:
    """Answer a request for ``path`` of ``table``; raises LfsServerError."""
    for pattern, methods in table.items():
        arguments = _match(pattern, path)
        if arguments is None:
            continue
        route = methods.get(request.method)
        if route is None:
            allowed = ', '.join(sorted(methods))
            raise errors.MethodNotAllowed(
                f'only {allowed} is possible here',
                headers={'Allow': allowed},
            )
        request.permit(route.permission)
        if route.json:
            request.require_json_accepted()
        return route.handler(endpoint, request, *arguments)
    raise errors.NotFound('there is no such LFS address')
