# SPDX-License-Identifier: GPL-2.0-or-later
"""LFS requests that come through hgweb, from ``hg serve`` or a WSGI server.

This module translates hgweb's request and response objects; ``exchange`` does
the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mercurial.hgweb import common as hgwebcommon
from mercurial.thirdparty import attr

from ..api.messages import LfsResponse
from ..api.routes import may_be_lfs
from ..http.origin import server_authority
from .addresses import Arrival
from .body import ConnectionBody
from .direct import write_error
from .endpoints import endpoint_of, log_of
from .exchange import Exchange, respond, stream, target_of
from .wsgibody import WSGIBody, apply_timeout

# Where ``prepare`` keeps the query in the WSGI environment.
QUERY = 'lfsserver.query'


def prepare(env: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the WSGI environment that hgweb gets for an LFS request.

    It has no query, because hgweb parses queries as ASCII and fails if one
    names a lock whose path is not ASCII. Its body can be refused. Other
    requests keep their environment.
    """
    # hgwebdir parses a request twice. The second time, it gets what this
    # function returned the first time, with values that are bytes.
    path = env.get('PATH_INFO', '')
    if isinstance(path, bytes) or not may_be_lfs(path):
        return env
    changed = {
        **env,
        QUERY: env.get('QUERY_STRING', ''),
        'QUERY_STRING': '',
    }
    if not isinstance(env['wsgi.input'], ConnectionBody):
        changed['wsgi.input'] = WSGIBody(env)
    return changed


def refuse_rest(response: Any) -> None:
    """Keep hgweb from reading the rest of the body of an LFS request.

    ``response`` is a wsgiresponse of hgweb that is about to be sent.
    """
    body = response._req.rawenv[b'wsgi.input']
    if isinstance(body, WSGIBody):
        body.refuse(response._startresponse)
    elif isinstance(body, ConnectionBody):
        body.refuse()


def handle(rctx: Any, req: Any, res: Any, checkperm: Any) -> bool:
    """Answer an LFS request through ``res``.

    The arguments are those of wireprotoserver.handlewsgirequest. Returns False
    if the request is not for an LFS address, or if LFS is disabled.
    """
    if not req.dispatchpath:
        return False
    target = target_of(req.dispatchparts)
    ui = rctx.repo.ui
    if target is None or not ui.configbool(b'lfsserver', b'serve'):
        return False
    body = req.rawenv[b'wsgi.input']
    apply_timeout(body, ui)
    exchange = Exchange(
        target=target,
        method=req.method.decode('ascii', 'replace'),
        path=req.dispatchpath,
        query=req.rawenv.get(QUERY.encode('ascii'), b'').decode('latin-1'),
        arrival=arrival_of(req),
        body=body,
        user=req.remoteuser,
        check_permission=lambda operation: checkperm(
            rctx, _as_checked(req, operation), operation
        ),
        write_error=lambda text: write_error(req.rawenv[b'wsgi.errors'], text),
    )
    log = log_of(rctx.repo)
    response = respond(
        exchange, ui, lambda url: endpoint_of(rctx.repo, url, log), log
    )
    _send(exchange, response, res)
    return True


def _as_checked(req: Any, operation: bytes) -> Any:
    """Return the request as hgweb's permission check takes it.

    The check demands that uploads have the method PUT.
    """
    if operation == b'upload' and req.method != b'PUT':
        return attr.evolve(req, method=b'PUT')
    return req


def arrival_of(req: Any) -> Arrival:
    """Return a request of hgweb as it arrived."""

    def variable(name: bytes) -> str:
        value: bytes = req.rawenv.get(name, b'')
        return value.decode('latin-1')

    scheme = req.urlscheme.decode('latin-1')
    authority = variable(b'HTTP_HOST') or server_authority(
        scheme, variable(b'SERVER_NAME'), variable(b'SERVER_PORT')
    )
    return Arrival(
        peer=variable(b'REMOTE_ADDR'),
        scheme=scheme,
        authority=authority,
        headers={
            key.decode('latin-1').lower(): value.decode('latin-1')
            for key, value in req.headers.items()
        },
        app=req.rawenv.get(b'SCRIPT_NAME', b''),
        name=req.reponame or b'',
    )


def _send(exchange: Exchange, response: LfsResponse, res: Any) -> None:
    """Set the status, the header and the body of hgweb's response ``res``."""
    res.status = hgwebcommon.statusmessage(response.status)
    if b'Content-Type' in res.headers:
        # hgwebdir has set the type of its pages.
        del res.headers[b'Content-Type']
    for name, value in response.headers.items():
        res.headers[name.encode('latin-1')] = value.encode('latin-1')
    body = response.body
    if exchange.method == 'HEAD':
        res.headers[b'Content-Length'] = b'%d' % response.content_length
    elif isinstance(body, bytes):
        res.setbodybytes(body)
    elif body is not None:
        res.headers[b'Content-Length'] = b'%d' % response.content_length
        res.setbodygen(stream(exchange, body))
