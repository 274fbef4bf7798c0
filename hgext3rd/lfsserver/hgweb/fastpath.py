# SPDX-License-Identifier: GPL-2.0-or-later
"""LFS requests that ``hg serve`` answers without calling hgweb.

For each request, hgweb checks whether history has changed and prepares its web
pages. That takes longer than sending a small blob, which needs neither. The
fast path applies hgweb's own permission check with the current configuration.

The fast path is for plain servers: they serve a single repository with
Mercurial's own permission check, no wrapper has to see LFS requests, and there
is no logger (a logger needs a repository of its own). All other requests go to
hgweb and from there to ``wsgi``.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from mercurial import extensions, wireprotoserver
from mercurial.hgweb import common as hgwebcommon
from mercurial.hgweb import server as hgwebserver

from ...amalgam import wrapping
from .. import compat, errors
from ..api.messages import LfsResponse, error_response
from ..stores.content import FileSlice
from . import configfiles, exchange
from .addresses import Arrival
from .body import ConnectionBody
from .endpoints import EndpointFactory
from .handler import HandlerBase, Reply

# Packages whose functions and wrappers may be skipped: Mercurial itself, and
# core's lfs, whose endpoint this extension replaces. Other extensions have to
# declare which of their wrappers may be skipped; see ``amalgam.wrapping``.
_SKIPPED_PACKAGES = ('mercurial.', 'hgext.lfs.')

# The methods of an hgweb application that the fast path skips.
_SKIPPED_METHODS = (
    '__call__',
    'run_wsgi',
    '_runwsgi',
    '_obtainrepo',
    'check_perm',
)


@dataclass(frozen=True, slots=True)
class PermissionRequest:
    """The attributes of a request that hgweb's permission check reads."""

    method: bytes
    urlscheme: bytes
    # hg serve does not authenticate users.
    remoteuser: None = None


class PermissionContext:
    """The part of a request context that hgweb's permission check reads.

    Threads share it: reading the configuration is thread-safe.
    """

    def __init__(self, repo: Any) -> None:
        self.repo = repo
        self.allowpull = self.configbool(b'web', b'allow-pull')

    # Like hgweb, this trusts the owners of repositories to decide who may read
    # them.
    def configbool(self, section: bytes, name: bytes) -> Any:
        return self.repo.ui.configbool(section, name, untrusted=True)

    def configlist(self, section: bytes, name: bytes) -> Any:
        return self.repo.ui.configlist(section, name, untrusted=True)


@dataclass(frozen=True, slots=True)
class OpenedRepository:
    """A repository, opened while its configuration ``files`` had ``states``.

    ``endpoints`` is None if requests have to go through hgweb.
    """

    files: list[bytes]
    states: tuple[configfiles.FileState, ...]
    context: PermissionContext
    endpoints: EndpointFactory | None


def fast_path(app: Any) -> FastPath | None:
    """Return the fast path for a WSGI application.

    Returns None unless it is Mercurial's application for one repository.
    """
    module = sys.modules.get(type(app).__module__)
    if type(app) is not getattr(module, 'hgweb', None):
        return None
    return FastPath(app)


class FastPath:
    """Answers requests for the repository of the hgweb application ``app``.

    Threads share it.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self._opened: OpenedRepository | None = None

    def __call__(
        self, handler: HandlerBase, body: ConnectionBody
    ) -> Reply | None:
        """Return the reply to a request, or None if hgweb has to answer it."""
        raw, _, query = handler.path.partition('?')
        path = unquote_to_bytes(raw)
        prefix: bytes = handler.server.prefix or b''
        host = handler.headers.get('Host')
        if not host or not path.startswith(prefix + b'/'):
            return None
        path = path[len(prefix) :].strip(b'/')
        target = exchange.target_of(path.split(b'/'))
        if target is None:
            return None

        def write_error(text: str) -> None:
            for line in text.splitlines():
                handler.log_error('HG error:  %s', line)

        try:
            opened = self._current()
        except Exception:
            # The configuration cannot be read, so the permissions are unknown.
            text = f'failed:\n{traceback.format_exc()}'
            write_error(exchange.error_log_text(path, text))
            error = errors.LfsServerError('the repository cannot be opened')
            return _reply(error_response(error), handler.command, ())
        endpoints, context = opened.endpoints, opened.context
        if endpoints is None or hgwebcommon.permhooks != [
            hgwebcommon.checkauthz
        ]:
            return None
        scheme: bytes = handler.url_scheme
        method = handler.command.encode('latin-1')
        asked = PermissionRequest(method, scheme)
        # hgweb's check demands that uploads have the method PUT.
        asked_upload = PermissionRequest(b'PUT', scheme)
        received = exchange.Exchange(
            target=target,
            method=handler.command,
            path=path,
            query=query,
            arrival=Arrival(
                peer=handler.client_address[0],
                scheme=scheme.decode(),
                authority=host,
                headers=_joined(handler.headers.items()),
                app=prefix,
            ),
            body=body,
            user=None,
            check_permission=lambda operation: hgwebcommon.checkauthz(
                context,
                asked_upload if operation == b'upload' else asked,
                operation,
            ),
            write_error=write_error,
        )
        response = exchange.respond(received, context.repo.ui, endpoints.at)
        content = response.body
        return _reply(
            response,
            handler.command,
            ()
            if content is None or isinstance(content, bytes)
            else exchange.stream(received, content),
        )

    def _current(self) -> OpenedRepository:
        """Return the repository; reopen it if its configuration has changed."""
        opened = self._opened
        if opened is None or configfiles.states(opened.files) != opened.states:
            opened = self._opened = self._open()
        return opened

    def _open(self) -> OpenedRepository:
        with self._app._obtainrepo() as known:
            baseui, root = known.baseui, known.root
            files = configfiles.files_of(known)
        # The states are taken before the files are read. If a file changes in
        # between, the next request reopens the repository.
        states = configfiles.states(files)
        repo = compat.open_repository(baseui, root)
        ui = repo.ui
        possible = (
            ui.configbool(b'lfsserver', b'serve')
            and not ui.configbool(b'profiling', b'enabled')
            and not ui.config(b'web', b'csp')
            and not ui._loggers
            and _may_skip_hgweb(type(self._app))
        )
        return OpenedRepository(
            files,
            states,
            PermissionContext(repo),
            EndpointFactory(repo) if possible else None,
        )


def _joined(items: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return header fields by lower-case name; repeated ones are joined."""
    fields: dict[str, str] = {}
    for name, value in items:
        key = name.lower()
        fields[key] = f'{fields[key]},{value}' if key in fields else value
    return fields


def _may_skip_hgweb(app: type) -> bool:
    """Return whether all wrappers of hgweb may be skipped for LFS requests.

    ``app`` is the class of the hgweb application.
    """
    skipped = [
        *((app, name) for name in _SKIPPED_METHODS),
        (wireprotoserver, 'handlewsgirequest'),
        (hgwebserver._httprequesthandler, 'do_hgweb'),
    ]
    return all(
        wrapping.has_own_addresses_only(wrapper)
        or f'{wrapper.__module__}.'.startswith(_SKIPPED_PACKAGES)
        for container, name in skipped
        for wrapper in extensions.getwrapperchain(container, name)
    )


def _reply(
    response: LfsResponse, method: str, streamed: Iterable[bytes | FileSlice]
) -> Reply:
    """Return a response in the form that a connection sends.

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
