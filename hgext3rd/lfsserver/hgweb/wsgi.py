# SPDX-License-Identifier: GPL-2.0-or-later
"""hgweb's requests and responses <-> ours."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

from mercurial.hgweb import common as hgwebcommon

from .. import errors
from ..api import routes
from ..api.endpoint import (
    Endpoint,
    Gate,
    Limits,
    Request,
    Response,
    error_response,
)
from ..api.transfer import Transfer
from ..stores import configured
from ..stores.blobs import CHUNK, FileSlice
from .connection import ServedBody, is_lfs

_CHALLENGE = 'Basic realm="Git LFS"'

# Where the query is kept in the WSGI environment, see ``hide_query``.
QUERY = 'lfsserver.query'

# All transfers of this process.
_gate = Gate()


def hide_query(env: Mapping[str, Any]) -> Mapping[str, Any]:
    """The environment for hgweb: that of an LFS request without a query.

    hgweb parses queries as ASCII and fails for the path of a lock that is
    not.
    """
    path = env.get('PATH_INFO', '')
    if isinstance(path, bytes):
        # hgwebdir parses a request twice, the second time from bytes
        path = path.decode('latin-1')
    if QUERY in env or not is_lfs(path):
        return env
    return {**env, QUERY: env.get('QUERY_STRING', ''), 'QUERY_STRING': ''}


class WSGIBody:
    """The request body a WSGI server other than ``hg serve`` provides."""

    def __init__(self, req: Any) -> None:
        length = req.rawenv.get(b'CONTENT_LENGTH')
        self.length = int(length) if length else None
        # Only a server that undoes the coding itself says so.
        self.chunked = self.length is None and bool(
            req.rawenv.get(b'wsgi.input_terminated')
            and req.rawenv.get(b'HTTP_TRANSFER_ENCODING')
        )
        self._read = req.bodyfh.read

    def pieces(self) -> Iterator[bytes]:
        received = 0
        while True:
            try:
                data = self._read(CHUNK)
            except Exception as error:
                # WSGI leaves it to each server how its input fails
                raise errors.ShortBody(
                    'the request body cannot be read'
                ) from error
            if not data:
                break
            received += len(data)
            yield data
        if self.length is not None and received < self.length:
            raise errors.ShortBody(
                f'the request body ended {self.length - received} bytes early'
            )


def handle(rctx: Any, req: Any, res: Any, checkperm: Any) -> bool:
    """Answer an LFS request through ``res``; False if it is none."""
    if not req.dispatchpath:
        return False
    target = target_of(req.dispatchparts)
    ui = rctx.repo.ui
    if target is None or not ui.configbool(b'lfsserver', b'serve'):
        return False
    served = req.rawenv[b'wsgi.input']
    body = served if isinstance(served, ServedBody) else WSGIBody(req)

    def tell(text: str) -> None:
        _tell_operator(req, text)

    response = guarded(
        lambda: routes.dispatch(
            endpoint(rctx.repo, _url(ui, req)),
            _request(rctx, req, body, checkperm),
            *target,
        ),
        ui,
        b'%s %s' % (req.method, req.dispatchpath),
        tell,
    )
    if isinstance(body, ServedBody):
        body.refuse()
    _send(req, res, response, tell)
    return True


def target_of(parts: Iterable[bytes]) -> routes.Target | None:
    """What the segments of a path below a repository ask for; see routes."""
    return routes.find([part.decode('utf-8', 'replace') for part in parts])


def guarded(
    work: Callable[[], Response],
    ui: Any,
    request: bytes,
    tell: Callable[[str], None],
) -> Response:
    """What ``work`` returns, or the answer that tells about its error.

    ``request`` names the request in the log of ``ui``; ``tell`` writes to the
    error log of the server.
    """
    try:
        return work()
    except errors.LfsServerError as error:
        ui.log(
            b'lfsserver',
            b'%s: %d %s\n',
            request,
            error.status,
            _local(error.full_text),
        )
        if error.status >= 500:
            tell(f'failed: {error.full_text}')
        return error_response(error)
    except Exception:
        tell(f'failed:\n{traceback.format_exc()}')
        return error_response(errors.LfsServerError('internal server error'))


def _local(text: str) -> bytes:
    return text.encode('utf-8', 'replace')


def _tell_operator(req: Any, text: str) -> None:
    """Write to the error log of the server."""
    text = operator_text(req.dispatchpath, text)
    stream = req.rawenv[b'wsgi.errors']
    try:
        stream.write(_local(text))
    except TypeError:
        # hg serve wants bytes, all other servers text
        stream.write(text + '\n')


def operator_text(path: bytes, text: str) -> str:
    """What the error log says about a request."""
    return f'LFS request {path.decode("utf-8", "replace")} {text}'


def endpoint(repo: Any, url: str) -> Endpoint:
    """What serves ``repo`` at ``url``, by its configuration."""
    ui = repo.ui
    limits = Limits(
        object_size=ui.configbytes(b'lfsserver', b'max-object-size'),
        batch=ui.configint(b'lfsserver', b'max-batch'),
        lifetime=ui.configint(b'lfsserver', b'link-lifetime'),
    )
    most = ui.configint(b'lfsserver', b'max-transfers')
    with_locks = ui.configbool(b'lfsserver', b'locks')

    def log(line: str) -> None:
        ui.log(b'lfsserver', b'%s\n', _local(line))

    return Endpoint(
        store=configured.blob_store(repo),
        locks=configured.lock_store(repo) if with_locks else None,
        limits=limits,
        url=url,
        admit=lambda: _gate.enter(most),
        log=log,
        now=time.time,
    )


def endpoint_maker(repo: Any) -> Callable[[str], Endpoint]:
    """``endpoint`` of ``repo`` for any address, set up only once."""
    made: list[Endpoint] = []

    def make(url: str) -> Endpoint:
        if not made:
            made.append(endpoint(repo, url))
        return replace(made[0], url=url)

    return make


def _url(ui: Any, req: Any) -> str:
    """The address of the repository as clients see it."""
    base = req.baseurl
    if ui.config(b'web', b'baseurl') and req.reponame:
        # hgwebdir has parsed the request with web.baseurl then
        base = req.advertisedbaseurl
    url: bytes = base + req.apppath.rstrip(b'/')
    return url.decode('utf-8', 'replace')


def _request(rctx: Any, req: Any, body: Any, checkperm: Any) -> Request:
    query = req.rawenv.get(QUERY.encode('ascii'), b'').decode('latin-1')
    headers = {
        key.decode('latin-1').lower(): value.decode('latin-1')
        for key, value in req.headers.items()
    }
    user = req.remoteuser
    return Request(
        method=req.method.decode('ascii', 'replace'),
        query=dict(parse_qsl(query)),
        headers=headers,
        body=body,
        user=user.decode('utf-8', 'replace') if user else None,
        permit=_permit(rctx, req, checkperm),
    )


def _permit(rctx: Any, req: Any, checkperm: Any) -> Callable[[str], None]:
    def permit(operation: str) -> None:
        try:
            checkperm(rctx, req, operation.encode('ascii'))
        except hgwebcommon.ErrorResponse as error:
            raise forbidden(error, req.remoteuser) from error

    return permit


def forbidden(error: Any, user: bytes | None) -> errors.Forbidden:
    """Ours for what a permission hook of hgweb raised."""
    headers = {
        key.decode('latin-1'): value.decode('latin-1')
        for key, value in error.headers
    }
    status = error.code
    if status == hgwebcommon.HTTP_UNAUTHORIZED:
        if user:
            # hgweb says 401 to everyone; asking again would not help
            status = hgwebcommon.HTTP_FORBIDDEN
        else:
            # the first is for git-lfs, the second for core's client
            headers['LFS-Authenticate'] = _CHALLENGE
            headers.setdefault('WWW-Authenticate', _CHALLENGE)
    message = error.message or b'not authorized'
    return errors.Forbidden(
        message.decode('utf-8', 'replace'), status=status, headers=headers
    )


def _send(
    req: Any, res: Any, response: Response, tell: Callable[[str], None]
) -> None:
    res.status = hgwebcommon.statusmessage(response.status)
    if b'Content-Type' in res.headers:
        # hgwebdir's default is for pages
        del res.headers[b'Content-Type']
    for name, value in response.headers.items():
        res.headers[name.encode('latin-1')] = value.encode('latin-1')
    body = response.body
    if req.method == b'HEAD':
        size = len(body) if isinstance(body, bytes) else response.length
        res.headers[b'Content-Length'] = b'%d' % size
    elif isinstance(body, bytes):
        res.setbodybytes(body)
    elif body is not None:
        res.headers[b'Content-Length'] = b'%d' % response.length
        res.setbodygen(_stream(req, body, tell))


def _stream(
    req: Any, body: Iterable[bytes], tell: Callable[[str], None]
) -> Iterator[bytes | FileSlice]:
    served = req.rawenv[b'wsgi.input']
    if isinstance(served, ServedBody):
        yield from served_pieces(served, body, tell)
    else:
        yield from body


def served_pieces(
    served: ServedBody, body: Iterable[bytes], tell: Callable[[str], None]
) -> Iterator[bytes | FileSlice]:
    """The content of an answer for ``hg serve``.

    What fails now closes the connection: the status is out already, and a
    short body is all that can be told.
    """
    try:
        if served.sends_files and isinstance(body, Transfer):
            yield from body.slices()
        else:
            yield from body
    except errors.LfsServerError as error:
        tell(f'aborted: {error.full_text}')
        served.abort()
