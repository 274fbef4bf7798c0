# SPDX-License-Identifier: GPL-2.0-or-later
"""LFS requests that are answered without calling hgweb.

For each request, hgweb checks whether history has changed and prepares its web
pages. If it serves several repositories, it also opens the repository and lets
Python collect garbage. All of that takes longer than sending a small blob,
which needs none of it. The fast path applies hgweb's own permission check with
the current configuration.

The fast path is for plain servers: they have Mercurial's own permission check,
and no wrapper has to see LFS requests. All other requests go to hgweb and from
there to ``wsgi``. ``direct`` and ``connected`` receive requests and send
responses.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from mercurial import extensions, wireprotoserver
from mercurial.hgweb import common as hgwebcommon
from mercurial.hgweb import request as hgwebrequest
from mercurial.hgweb import server as hgwebserver

from ...amalgam import compat, wrapping
from .. import errors
from ..api.messages import LfsResponse, RequestBody, error_response
from ..stores.content import FileSlice
from . import exchange
from .addresses import Arrival
from .applications import Application, Found, application_of
from .handler import Reply
from .wsgibody import apply_timeout

# Packages whose functions and wrappers may be skipped: Mercurial itself, and
# core's lfs, whose endpoint this extension replaces. Other extensions have to
# declare which of their wrappers may be skipped; see ``amalgam.wrapping``.
_SKIPPED_PACKAGES = ('mercurial.', 'hgext.lfs.')

_single = compat.hgweb_module().hgweb
_several = compat.hgwebdir_module().hgwebdir

# What the fast path skips.
_SKIPPED = (
    *(
        (_single, name)
        for name in (
            '__init__',
            '__call__',
            'run_wsgi',
            '_runwsgi',
            '_obtainrepo',
            'check_perm',
        )
    ),
    *((_several, name) for name in ('__call__', 'run_wsgi', '_runwsgi')),
    (wireprotoserver, 'handlewsgirequest'),
    (hgwebrequest, 'parserequestfromenv'),
    (hgwebrequest.wsgiresponse, 'sendresponse'),
    (hgwebserver._httprequesthandler, 'do_hgweb'),
)


@dataclass(frozen=True, slots=True)
class Received:
    """A request, as it was received for an application.

    ``path`` is decoded, below the application and without slashes at its ends.
    ``arrival`` has no name of a repository yet. ``user`` is the authenticated
    user, or None. ``write_error`` writes to the error log of the server.
    """

    method: str
    path: bytes
    query: str
    arrival: Arrival
    body: RequestBody
    user: bytes | None
    write_error: Callable[[str], None]


def fast_path(app: Any) -> FastPath | None:
    """Return the fast path for a WSGI application.

    Returns None unless it is one of Mercurial's.
    """
    application = application_of(app)
    return None if application is None else FastPath(application)


class FastPath:
    """Answers requests for the repositories of an application.

    Threads share it.
    """

    def __init__(self, application: Application) -> None:
        self._application = application
        self._checked = -1
        self._skips = False

    def answer(self, received: Received) -> Reply | None:
        """Return the reply to a request, or None if hgweb has to answer."""
        if not self._may_skip_hgweb():
            return None
        try:
            found = self._application.find(received.path)
        except Exception:
            # The configuration cannot be read, so the permissions are unknown.
            text = f'failed:\n{traceback.format_exc()}'
            received.write_error(exchange.error_log_text(received.path, text))
            error = errors.LfsServerError('the repository cannot be opened')
            return _reply(error_response(error), received.method, ())
        return None if found is None else _answer(received, found)

    def _may_skip_hgweb(self) -> bool:
        """Return whether nothing but Mercurial handles or checks LFS requests.

        The wrappers can change whenever an extension is loaded.
        """
        loaded = len(extensions._extensions)
        if loaded != self._checked:
            self._skips = all(
                wrapping.has_own_addresses_only(wrapper)
                or f'{wrapper.__module__}.'.startswith(_SKIPPED_PACKAGES)
                for container, name in _SKIPPED
                for wrapper in extensions.getwrapperchain(container, name)
            )
            self._checked = loaded
        return self._skips and hgwebcommon.permhooks == [hgwebcommon.checkauthz]


def _answer(received: Received, found: Found) -> Reply | None:
    opened, name, path = found
    target = exchange.target_of(path.split(b'/'))
    if target is None or opened.endpoints is None:
        return None
    apply_timeout(received.body, opened.ui)
    method = received.method.encode('latin-1')
    scheme = received.arrival.scheme.encode('latin-1')
    user = received.user
    arrival = received.arrival
    exchanged = exchange.Exchange(
        target=target,
        method=received.method,
        path=path,
        query=received.query,
        arrival=replace(arrival, name=name) if name else arrival,
        body=received.body,
        user=user,
        check_permission=lambda operation: opened.context.check(
            operation, method, scheme, user
        ),
        write_error=received.write_error,
    )
    response = exchange.respond(
        exchanged, opened.ui, opened.endpoints.at, opened.log
    )
    policy, _nonce = hgwebcommon.cspvalues(opened.ui)
    if policy:
        headers = {
            **response.headers,
            'Content-Security-Policy': policy.decode('latin-1'),
        }
        response = replace(response, headers=headers)
    content = response.body
    return _reply(
        response,
        received.method,
        ()
        if content is None or isinstance(content, bytes)
        else exchange.stream(exchanged, content),
    )


def _reply(
    response: LfsResponse, method: str, streamed: Iterable[bytes | FileSlice]
) -> Reply:
    """Return a response in the form that connections and WSGI send.

    ``streamed`` is the content if the body of the response is not bytes.
    """
    headers = list(response.headers.items())
    if response.status != hgwebcommon.HTTP_NOT_MODIFIED:
        headers.append(('Content-Length', str(response.content_length)))
    content: Iterable[bytes | FileSlice] = streamed
    if method == 'HEAD':
        content = ()
    elif isinstance(response.body, bytes):
        content = (response.body,) if response.body else ()
    status: bytes = hgwebcommon.statusmessage(response.status)
    return status.decode('ascii'), headers, content
