# SPDX-License-Identifier: GPL-2.0-or-later
"""An HTTP exchange: answers its LFS request and streams the response.

Requests arrive either through hgweb (``wsgi``) or past it (``fastpath``). Both
modules describe a request as an Exchange. The steps that they share are here:
asking hgweb for permissions, calling the handlers, and turning errors into
responses and log lines. This module reads no configuration.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from mercurial.hgweb import common as hgwebcommon

from .. import errors
from ..api import routes
from ..api.endpoint import Endpoint
from ..api.messages import (
    LfsRequest,
    LfsResponse,
    RequestBody,
    error_response,
)
from ..api.transfer import Download
from ..stores.content import FileSlice
from . import addresses
from .addresses import Arrival
from .body import ConnectionBody

_CHALLENGE = 'Basic realm="Git LFS"'


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request for an LFS address, as the server received it.

    ``path`` is the path below the repository, for the logs. ``arrival`` has
    the header. ``user`` is the authenticated user, or None.
    ``check_permission`` takes the name of an operation and raises hgweb's
    ErrorResponse unless the operation is allowed. ``write_error`` writes to the
    error log of the server.
    """

    target: routes.RouteTarget
    method: str
    path: bytes
    query: str
    arrival: Arrival
    body: RequestBody
    user: bytes | None
    check_permission: Callable[[bytes], None]
    write_error: Callable[[str], None]


def target_of(segments: Iterable[bytes]) -> routes.RouteTarget | None:
    """Return the target of a path below a repository.

    Returns None if the path is not an LFS address.
    """
    return routes.find(
        [segment.decode('utf-8', 'replace') for segment in segments]
    )


def respond(
    exchange: Exchange,
    ui: Any,
    endpoint_at: Callable[[str], Endpoint],
    log: Callable[[str], None],
) -> LfsResponse:
    """Return the response to a request; no exception escapes.

    ``ui`` has the configuration of the repository, and ``log`` writes a line to
    its log. ``endpoint_at`` takes the address of the repository, returns its
    endpoint and may raise LfsServerError.
    """
    try:
        address = addresses.address_of(ui, exchange.arrival)
        response = routes.dispatch(
            endpoint_at(address.url),
            _request(exchange, address.reveals),
            exchange.target,
        )
    except errors.LfsServerError as error:
        path = exchange.path.decode('utf-8', 'replace')
        log(f'{exchange.method} {path}: {error.status} {error.full_text}')
        if error.status >= 500:
            _report(exchange, f'failed: {error.full_text}')
        response = error_response(error)
    except Exception:
        _report(exchange, f'failed:\n{traceback.format_exc()}')
        response = error_response(
            errors.LfsServerError('internal server error')
        )
    return response


def _request(exchange: Exchange, reveals: bool) -> LfsRequest:
    def permit(operation: str) -> None:
        try:
            exchange.check_permission(operation.encode('ascii'))
        except hgwebcommon.ErrorResponse as error:
            raise _forbidden(error, exchange.user) from error

    user = exchange.user
    query = exchange.query
    return LfsRequest(
        method=exchange.method,
        query=dict(parse_qsl(query)) if query else {},
        headers=exchange.arrival.headers,
        body=exchange.body,
        user=user.decode('utf-8', 'replace') if user else None,
        permit=permit,
        repeat_credentials=not reveals,
    )


def _forbidden(error: Any, user: bytes | None) -> errors.Forbidden:
    """Return a Forbidden for an ErrorResponse of hgweb's permission check."""
    headers = {
        key.decode('latin-1'): value.decode('latin-1')
        for key, value in error.headers
    }
    status = error.code
    if status == hgwebcommon.HTTP_UNAUTHORIZED:
        if user:
            # hgweb also sends 401 to authenticated users who lack a permission.
            # Their clients would ask for another password, which does not help.
            status = hgwebcommon.HTTP_FORBIDDEN
        else:
            # The first field is for git-lfs, the second for core's client.
            headers['LFS-Authenticate'] = _CHALLENGE
            headers.setdefault('WWW-Authenticate', _CHALLENGE)
    message = error.message or b'not authorized'
    return errors.Forbidden(
        message.decode('utf-8', 'replace'), status=status, headers=headers
    )


def _report(exchange: Exchange, text: str) -> None:
    exchange.write_error(error_log_text(exchange.path, text))


def error_log_text(path: bytes, text: str) -> str:
    """Return the text for the error log about the request for ``path``."""
    return f'LFS request {path.decode("utf-8", "replace")} {text}'


def stream(
    exchange: Exchange, content: Iterable[bytes]
) -> Iterator[bytes | FileSlice]:
    """Yield the content of a response in a form that the server can send.

    Only ``hg serve`` can send FileSlice objects. An error there closes the
    connection: the status has been sent already, so a short body is the only
    way to report it. Other servers close the connection when they see the
    exception.
    """
    body = exchange.body
    if not isinstance(body, ConnectionBody):
        yield from content
        return
    try:
        if body.sends_files and isinstance(content, Download):
            yield from content.slices()
        else:
            yield from content
    except errors.LfsServerError as error:
        _report(exchange, f'aborted: {error.full_text}')
        body.abort()
