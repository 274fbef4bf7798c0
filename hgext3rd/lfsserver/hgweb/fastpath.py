# SPDX-License-Identifier: GPL-2.0-or-later
"""LFS requests of ``hg serve``, answered before hgweb prepares for a page.

For each request hgweb looks whether history has changed and sets up what
pages need, which takes longer than to answer a request for a small blob.
Blobs need none of it.  Who may have them is asked as hgweb asks, and of the
configuration as it is now.

This is only for a server as Mercurial makes it: of a single repository, with
Mercurial's own permission check, nobody's wrapper in the way, and no logger
that wants a repository of its own.  All else is left to hgweb.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote_to_bytes

from mercurial import extensions, wireprotoserver
from mercurial.hgweb import common as hgwebcommon
from mercurial.hgweb import server as hgwebserver

from .. import compat, errors
from ..api import routes
from ..api.endpoint import Endpoint, Request, Response, error_response
from ..stores.blobs import FileSlice
from . import hgrcs, wsgi
from .connection import Answer, Connection, ServedBody

# Whose wrappers of what is passed by are known to concern no LFS request, or
# to be done here as well.
_KNOWN = (
    'mercurial.',
    'hgext.lfs.',
    'hgext3rd.lfsserver.',
    'hgext3rd.wireprotov2.',
)
_PASSED = ('__call__', 'run_wsgi', '_runwsgi', '_obtainrepo', 'check_perm')


@dataclass(frozen=True, slots=True)
class Asker:
    """What hgweb's permission check looks at in a request."""

    method: bytes
    urlscheme: bytes
    # hg serve does not authenticate
    remoteuser: None = None


class Context:
    """What hgweb's permission check looks at in the context of a request.

    Shared by threads, which is fine for reading the configuration.
    """

    def __init__(self, repo: Any) -> None:
        self.repo = repo
        self.allowpull = self.configbool(b'web', b'allow-pull')

    # As hgweb: owners of repositories may say who reads them.
    def configbool(self, section: bytes, name: bytes) -> Any:
        return self.repo.ui.configbool(section, name, untrusted=True)

    def configlist(self, section: bytes, name: bytes) -> Any:
        return self.repo.ui.configlist(section, name, untrusted=True)


@dataclass(frozen=True, slots=True)
class _Served:
    """The repository with the configuration ``files`` had in ``states``.

    ``make`` takes an address; it is None if requests are left to hgweb.
    """

    files: list[bytes]
    states: tuple[hgrcs.State, ...]
    context: Context
    make: Callable[[str], Endpoint] | None


def answerer(app: Any) -> Answerer | None:
    """What answers for a WSGI application; None where only hgweb can."""
    module = sys.modules.get(type(app).__module__)
    if type(app) is not getattr(module, 'hgweb', None):
        return None
    return Answerer(app)


class Answerer:
    """Answers requests for the repository of an hgweb application."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._served: _Served | None = None

    def __call__(
        self, connection: Connection, body: ServedBody
    ) -> Answer | None:
        """The answer to the request on ``connection``; None if not ours."""
        raw, _, query = connection.path.partition('?')
        path = unquote_to_bytes(raw)
        prefix: bytes = connection.server.prefix or b''
        host = connection.headers.get('Host')
        if not host or not path.startswith(prefix + b'/'):
            return None
        path = path[len(prefix) :].strip(b'/')
        target = wsgi.target_of(path.split(b'/'))
        if target is None:
            return None

        def tell(text: str) -> None:
            for line in wsgi.operator_text(path, text).splitlines():
                connection.log_error('HG error:  %s', line)

        try:
            served = self._current()
        except Exception:
            # who may do what is not known then
            tell(f'failed:\n{traceback.format_exc()}')
            error = errors.LfsServerError('the repository cannot be opened')
            return _answer(error_response(error), connection, body, tell)
        make, context = served.make, served.context
        if make is None or hgwebcommon.permhooks != [hgwebcommon.checkauthz]:
            return None
        scheme: bytes = connection.url_scheme
        asker = Asker(connection.command.encode('latin-1'), scheme)
        url = f'{scheme.decode()}://{host}{prefix.decode("utf-8", "replace")}'
        request = Request(
            method=connection.command,
            query=dict(parse_qsl(query)) if query else {},
            headers={k.lower(): v for k, v in connection.headers.items()},
            body=body,
            user=None,
            permit=_permit(context, asker),
        )
        response = wsgi.guarded(
            lambda: routes.dispatch(make(url), request, *target),
            context.repo.ui,
            b'%s %s' % (asker.method, path),
            tell,
        )
        return _answer(response, connection, body, tell)

    def _current(self) -> _Served:
        """The repository, opened again if its configuration has changed."""
        served = self._served
        if served is None or hgrcs.states(served.files) != served.states:
            served = self._served = self._read()
        return served

    def _read(self) -> _Served:
        with self._app._obtainrepo() as known:
            baseui, root = known.baseui, known.root
            files = hgrcs.files_of(known)
        # before reading: what changes meanwhile is read once more
        states = hgrcs.states(files)
        repo = compat.open_repository(baseui, root)
        ui = repo.ui
        possible = (
            ui.configbool(b'lfsserver', b'serve')
            and not ui.configbool(b'profiling', b'enabled')
            and not ui.config(b'web', b'csp')
            and not ui._loggers
            and _nothing_between(type(self._app))
        )
        make = wsgi.endpoint_maker(repo) if possible else None
        return _Served(files, states, Context(repo), make)


def _nothing_between(app: type) -> bool:
    """Whether requests come to our handler as Mercurial passes them."""
    passed = [
        *((app, name) for name in _PASSED),
        (wireprotoserver, 'handlewsgirequest'),
        (hgwebserver._httprequesthandler, 'do_hgweb'),
    ]
    return all(
        f'{wrapper.__module__}.'.startswith(_KNOWN)
        for container, name in passed
        for wrapper in extensions.getwrapperchain(container, name)
    )


def _answer(
    response: Response,
    connection: Connection,
    body: ServedBody,
    tell: Callable[[str], None],
) -> Answer:
    headers = list(response.headers.items())
    content = response.body
    length = len(content) if isinstance(content, bytes) else response.length
    pieces: Iterable[bytes | FileSlice] = ()
    if response.status != hgwebcommon.HTTP_NOT_MODIFIED:
        headers.append(('Content-Length', str(length)))
    if connection.command != 'HEAD' and content:
        if isinstance(content, bytes):
            pieces = (content,)
        else:
            pieces = wsgi.served_pieces(body, content, tell)
    status: bytes = hgwebcommon.statusmessage(response.status)
    return status.decode('ascii'), headers, pieces


def _permit(context: Context, asker: Asker) -> Callable[[str], None]:
    def permit(operation: str) -> None:
        try:
            hgwebcommon.checkauthz(context, asker, operation.encode('ascii'))
        except hgwebcommon.ErrorResponse as error:
            raise wsgi.forbidden(error, asker.remoteuser) from error

    return permit
