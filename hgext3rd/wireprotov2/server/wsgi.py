# SPDX-License-Identifier: GPL-2.0-or-later
"""Requests of hgweb below ``/api/``, and the handshake that leads there.

This module handles HTTP: addresses, permissions, media types and statuses. It
passes a request for commands on to ``exchange``. The body of a request is not
read before its permission is checked.
"""

from __future__ import annotations

import traceback
from typing import Any

from mercurial.hgweb import common as hgwebcommon
from mercurial.utils import stringutil

from ...amalgam import loading
from ..access import requester
from . import (
    dispatch,
    exchange,
    frontends,
    handshake,
    load,
    metrics,
    requestbody,
    scrape,
)
from .commands import apis
from .commands.registry import API
from .errors import HTTPError
from .exchange import SECTION, CheckPerm

# Statuses that say that a request is broken. They are logged.
_LOGGED = frozenset((400, 408, 411, 413))

# What all answers say but those to commands: they depend on permissions and on
# the configuration, which may change at any time. Answers to commands do without
# it: no cache keeps an answer to POST that does not name its lifetime.
_NO_STORE = b'no-store'

# What the two halves of the URL space allow. Permission to push does not
# include permission to pull, so the permission of each command is checked as
# well.
_URL_PERMISSIONS = {b'ro': b'pull', b'rw': b'push'}


def enabled(ui: Any) -> bool:
    """Return whether a repository with this configuration has the extension.

    The extension is in the process as soon as one repository enables it, and
    must leave other repositories alone.
    """
    return loading.is_enabled(ui, SECTION)


def serves(ui: Any) -> bool:
    """Return whether a repository with this configuration answers version 2."""
    return ui.configbool(SECTION, b'serve') and enabled(ui)


def enabled_apis(ui: Any) -> dict[bytes, API]:
    """Return the APIs that are served, by name."""
    names = ui.configlist(SECTION, b'apis')
    return {name: api for name, api in apis.APIS.items() if name in names}


def handlewsgirequest(
    orig: Any, rctx: Any, req: Any, res: Any, checkperm: CheckPerm
) -> bool:
    """Answer requests for /api/ and handshakes; return whether it answered.

    Passes other requests on to ``orig``, which is Mercurial's function, and
    limits how many clones and pulls that computes.
    """
    ui = rctx.repo.ui
    if not enabled(ui):
        return orig(rctx, req, res, checkperm)
    parts = req.dispatchparts
    try:
        if serves(ui):
            if parts and parts[0] == b'api':
                _route(rctx, req, res, checkperm, parts[1:])
                return True
            if (
                req.qsparams.get(b'cmd') == b'capabilities'
                and not req.dispatchpath
                and _handshake(rctx, req, res, checkperm)
            ):
                return True
        return load.answer(orig, rctx, req, res, checkperm, _warn(req))
    except HTTPError as e:
        _fail(req, res, e)
    except hgwebcommon.ErrorResponse as e:
        _deny(res, e)
    return True


def _handshake(rctx: Any, req: Any, res: Any, checkperm: CheckPerm) -> bool:
    """Answer a request for capabilities if the client knows an enabled API.

    Returns whether it answered. If it did not, the answer of version 1 goes to
    the same address, so both say which headers decided.
    """
    res.headers[b'Vary'] = b', '.join(handshake.HEADERS)
    if not handshake.answer(
        rctx, req, res, checkperm, enabled_apis(rctx.repo.ui)
    ):
        return False
    res.headers[b'Cache-Control'] = _NO_STORE
    return True


def _text(res: Any, status: int, body: bytes) -> None:
    """Answer with plain text."""
    res.status = hgwebcommon.statusmessage(status)
    res.headers[b'Cache-Control'] = _NO_STORE
    res.headers[b'Content-Type'] = b'text/plain'
    res.setbodybytes(body)


def _fail(req: Any, res: Any, e: HTTPError) -> None:
    """Answer with the status of ``e``."""
    for name, value in e.headers:
        res.headers[name] = value
    _text(res, e.status, e.body)
    if e.status in _LOGGED:
        _report(req)(b'bad request: ' + e.body.strip(), False)


def _deny(res: Any, e: Any) -> None:
    """Answer with the status and the reason of a failed permission check."""
    res.status = hgwebcommon.statusmessage(e.code, stringutil.forcebytestr(e))
    for name, value in e.headers:
        res.headers[name] = value
    res.headers[b'Cache-Control'] = _NO_STORE
    res.headers[b'Content-Type'] = b'text/plain'
    res.setbodybytes(b'permission denied')


def _warn(req: Any) -> load.Warn:
    """Return a function that writes a line to the error log of the server."""
    report = _report(req)
    return lambda line: report(line, False)


def _report(req: Any) -> dispatch.Report:
    """Return a function that writes to the error log of the server."""

    def report(message: bytes, with_traceback: bool) -> None:
        line = 'wireprotov2: %s: %s\n' % (
            (req.remotehost or b'-').decode('ascii', 'replace'),
            message.decode('utf-8', 'backslashreplace').replace('\n', ' '),
        )
        if with_traceback:
            line += traceback.format_exc()
        frontends.write_errors(req, line)

    return report


def _route(
    rctx: Any, req: Any, res: Any, checkperm: CheckPerm, parts: list[bytes]
) -> None:
    """Answer a request by its address; ``parts`` is the path below /api/."""
    available = enabled_apis(rctx.repo.ui)
    if not parts:
        checkperm(rctx, req, b'pull')
        lines = [
            b'APIs can be accessed at /api/<name>, where <name> can be one of '
            b'the following:\n',
            *(sorted(available) or [b'(no available APIs)\n']),
        ]
        _text(res, 200, b'\n'.join(lines))
        return
    if parts == [b'metrics'] and rctx.repo.ui.configbool(SECTION, b'metrics'):
        _metrics(rctx, req, res, checkperm)
        return
    name = parts[0]
    if name not in apis.APIS:
        known = b', '.join(sorted(available))
        raise HTTPError(404, b'Unknown API: %s\nKnown APIs: %s' % (name, known))
    if name not in available:
        raise HTTPError(404, b'API %s not enabled\n' % name)
    if len(parts) == 1:
        _text(res, 200, b'HTTP version 2 API handler')
        return
    if len(parts) == 2:
        raise HTTPError(
            404, b'do not know how to process %s\n' % req.dispatchpath
        )
    _command(rctx, req, res, checkperm, available[name], parts[1:])


def _metrics(rctx: Any, req: Any, res: Any, checkperm: CheckPerm) -> None:
    """Answer with the metrics of this repository."""
    checkperm(rctx, req, b'pull')
    _require_prometheus()
    # hgwebdir names the repository.
    alone = not req.reponame
    _exposition(res, scrape.of_repository(rctx.repo, alone, _report(req)))


def answer_directory(app: Any, req: Any, res: Any) -> bool:
    """Answer a request for the metrics of all repositories of an hgwebdir.

    Returns False for any other request. Permissions are checked for each
    repository.
    """
    parts = tuple((req.dispatchpath or b'').strip(b'/').split(b'/'))
    if parts != scrape.PATH:
        return False
    app.refresh()
    ui = app.ui
    if not (serves(ui) and ui.configbool(SECTION, b'metrics')):
        return False
    if {parts[0], b'/'.join(parts)} & {name for name, _path in app.repos}:
        # A repository with this address has always been there.
        return False
    try:
        if req.method not in (b'GET', b'HEAD'):
            raise HTTPError(
                405, b'metrics are only read', ((b'Allow', b'GET, HEAD'),)
            )
        _require_prometheus()
        _exposition(res, scrape.of_server(app, req, res, _report(req)))
    except HTTPError as e:
        _fail(req, res, e)
    return True


def _require_prometheus() -> None:
    if not metrics.available():
        raise HTTPError(404, b'prometheus-client is not installed\n')


def _exposition(res: Any, exposition: tuple[bytes, bytes]) -> None:
    text, mediatype = exposition
    res.status = b'200 OK'
    res.headers[b'Cache-Control'] = _NO_STORE
    res.headers[b'Content-Type'] = mediatype
    res.setbodybytes(text)


def _command(
    rctx: Any,
    req: Any,
    res: Any,
    checkperm: CheckPerm,
    api: API,
    parts: list[bytes],
) -> None:
    """Answer a request for a command; ``parts`` is the path below the API."""
    permission, name = parts[:2]
    if permission not in _URL_PERMISSIONS:
        raise HTTPError(404, b'unknown permission: %s' % permission)
    if req.method != b'POST':
        raise HTTPError(
            405, b'commands require POST requests', ((b'Allow', b'POST'),)
        )
    checkperm(rctx, req, _URL_PERMISSIONS[permission])
    offered = api.offered(rctx.repo)
    if len(parts) > 2 or (
        name not in offered and name != exchange.MULTIREQUEST
    ):
        raise HTTPError(
            404,
            b'unknown wire protocol command: %s\n' % b'/'.join(parts[1:]),
        )
    mediatype = api.framing.mediatype
    if mediatype not in _media_types(req.headers.get(b'Accept')):
        raise HTTPError(
            406,
            b'client MUST specify Accept header with value: %s\n' % mediatype,
        )
    if _media_types(req.headers.get(b'Content-Type')) != [mediatype]:
        raise HTTPError(
            415,
            b'client MUST send Content-Type header with value: %s\n'
            % mediatype,
        )
    ui = rctx.repo.ui

    def identify(command: bytes) -> requester.Requester:
        hidden = hgwebcommon.hashiddenaccess(rctx.repo, req)
        return requester.for_command(rctx.repo, command, req.remoteuser, hidden)

    permit = load.Permit(rctx.repo, _warn(req))
    served = exchange.ServedExchange(ui, api, identify, permit, _report(req))
    limit = ui.configbytes(SECTION, b'limit.request-size')
    body = requestbody.chunks(req, limit)
    served.receive(body, name, permission == b'ro', offered)
    for needed in served.permissions():
        checkperm(rctx, req, needed)
    response = served.respond()
    res.status = b'200 OK'
    res.headers[b'Content-Type'] = mediatype
    res.setbodygen(response)


def _media_types(header: bytes | None) -> list[bytes]:
    """Return the media types in a header, without their parameters."""
    return [
        item.partition(b';')[0].strip().lower()
        for item in (header or b'').split(b',')
    ]
