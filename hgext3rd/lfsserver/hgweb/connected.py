# SPDX-License-Identifier: GPL-2.0-or-later
"""Answers of the fast path on a connection of ``hg serve``.

This module translates the request handler's requests and replies; ``fastpath``
does the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import unquote_to_bytes

from . import fastpath
from .addresses import Arrival
from .body import ConnectionBody
from .handler import HandlerBase, Reply

Responder = Callable[[HandlerBase, ConnectionBody], Reply | None]


def responder(app: Any) -> Responder | None:
    """Return a function that answers requests for the application ``app``.

    The function returns None if hgweb has to answer.
    """
    path = fastpath.fast_path(app)
    if path is None:
        return None

    def respond(handler: HandlerBase, body: ConnectionBody) -> Reply | None:
        received = _received(handler, body)
        return None if received is None else path.answer(received)

    return respond


def _received(
    handler: HandlerBase, body: ConnectionBody
) -> fastpath.Received | None:
    """Return a request, or None if hgweb has to find out what it means."""
    raw, _, query = handler.path.partition('?')
    path = unquote_to_bytes(raw)
    prefix: bytes = handler.server.prefix or b''
    host = handler.headers.get('Host')
    if not host or not path.startswith(prefix + b'/'):
        return None

    def write_error(text: str) -> None:
        for line in text.splitlines():
            handler.log_error('HG error:  %s', line)

    scheme: bytes = handler.url_scheme
    return fastpath.Received(
        method=handler.command,
        path=path[len(prefix) :].strip(b'/'),
        query=query,
        arrival=Arrival(
            peer=handler.client_address[0],
            scheme=scheme.decode(),
            authority=host,
            headers=_joined(handler.headers.items()),
            app=prefix,
        ),
        body=body,
        # hg serve does not authenticate users.
        user=None,
        write_error=write_error,
    )


def _joined(items: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return header fields by lower-case name; repeated ones are joined."""
    fields: dict[str, str] = {}
    for name, value in items:
        key = name.lower()
        fields[key] = f'{fields[key]},{value}' if key in fields else value
    return fields
