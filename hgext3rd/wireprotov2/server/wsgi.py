# SPDX-License-Identifier: GPL-2.0-or-later
"""hgweb requests to protocol bytes, protocol bytes to hgweb responses.

Routes ``/api/`` and the upgrade handshake, checks permissions before anything
is read, and answers what is wrong with a request at the level of HTTP.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from typing import Any

from mercurial import extensions, wireprotoserver, wireprotov1server
from mercurial.hgweb import common as hgwebcommon
from mercurial.utils import stringutil

from .. import compat
from ..proto import cbor
from ..proto.errors import LimitError, ProtocolError
from ..proto.events import CommandReceived
from ..proto.server import RequestLimits, ServerConnection
from . import dispatch, metrics
from .commands import apis, capabilities
from .commands.registry import API, Command, Request
from .errors import HTTPError

SECTION = b'wireprotov2'
HANDSHAKE_TYPE = b'application/mercurial-cbor'
API_BASE = b'api/'
MULTIREQUEST = b'multirequest'

# What is read from the client at a time.
_READ_SIZE = 65536

CheckPerm = Callable[[Any, Any, bytes], None]

# Statuses of requests that are broken, not just for something else.
_LOGGED = frozenset((400, 408, 411, 413))

# What the two halves of the URL space allow. Permission to push does not
# include permission to pull: each command's own is checked as well.
_URL_PERMISSIONS = {b'ro': b'pull', b'rw': b'push'}


def serves(ui: Any) -> bool:
    """Whether a repository with this configuration answers version 2.

    The extension is in the process as soon as one repository enables it, and
    must leave the others alone.
    """
    return ui.configbool(SECTION, b'serve') and any(
        name == SECTION for name, _module in extensions.extensions(ui)
    )


def enabled_apis(ui: Any) -> dict[bytes, API]:
    """Return the APIs that are served, by name."""
    names = ui.configlist(SECTION, b'apis')
    return {name: api for name, api in apis.APIS.items() if name in names}


def handlewsgirequest(
    orig: Any, rctx: Any, req: Any, res: Any, checkperm: CheckPerm
) -> bool:
    """Answer requests for /api/ and the handshake; return whether it did."""
    if not serves(rctx.repo.ui):
        return orig(rctx, req, res, checkperm)
    parts = req.dispatchparts
    try:
        if parts and parts[0] == b'api':
            _route(rctx, req, res, checkperm, parts[1:])
            return True
        if (
            req.qsparams.get(b'cmd') == b'capabilities'
            and not req.dispatchpath
            and _handshake(rctx, req, res, checkperm)
        ):
            return True
    except HTTPError as e:
        _fail(req, res, e)
        return True
    except hgwebcommon.ErrorResponse as e:
        _deny(res, e)
        return True
    return orig(rctx, req, res, checkperm)


def _text(res: Any, status: int, body: bytes) -> None:
    res.status = hgwebcommon.statusmessage(status)
    res.headers[b'Content-Type'] = b'text/plain'
    res.setbodybytes(body)


def _fail(req: Any, res: Any, e: HTTPError) -> None:
    for name, value in e.headers:
        res.headers[name] = value
    _text(res, e.status, e.body)
    if e.status in _LOGGED:
        _report(req)(b'bad request: ' + e.body.strip(), False)


def _deny(res: Any, e: Any) -> None:
    """Answer as a permission check wants it, its reason as the status line."""
    res.status = hgwebcommon.statusmessage(e.code, stringutil.forcebytestr(e))
    for name, value in e.headers:
        res.headers[name] = value
    res.headers[b'Content-Type'] = b'text/plain'
    res.setbodybytes(b'permission denied')


def _report(req: Any) -> dispatch.Report:
    """Return a function that writes to the server's error log."""

    def report(message: bytes, with_traceback: bool) -> None:
        line = 'wireprotov2: %s: %s\n' % (
            (req.remotehost or b'-').decode('ascii', 'replace'),
            message.decode('utf-8', 'backslashreplace').replace('\n', ' '),
        )
        if with_traceback:
            line += traceback.format_exc()
        compat.write_errors(req, line)

    return report


# routing


def _route(
    rctx: Any, req: Any, res: Any, checkperm: CheckPerm, parts: list[bytes]
) -> None:
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
    _command_url(rctx, req, res, checkperm, available[name], parts[1:])


def _metrics(rctx: Any, req: Any, res: Any, checkperm: CheckPerm) -> None:
    checkperm(rctx, req, b'pull')
    if not metrics.available():
        raise HTTPError(404, b'prometheus-client is not installed\n')
    text, mediatype = metrics.exposition(rctx.repo)
    res.status = b'200 OK'
    res.headers[b'Content-Type'] = mediatype
    res.setbodybytes(text)


def _command_url(
    rctx: Any,
    req: Any,
    res: Any,
    checkperm: CheckPerm,
    api: API,
    parts: list[bytes],
) -> None:
    permission, name = parts[:2]
    if permission not in _URL_PERMISSIONS:
        raise HTTPError(404, b'unknown permission: %s' % permission)
    if req.method != b'POST':
        raise HTTPError(
            405, b'commands require POST requests', ((b'Allow', b'POST'),)
        )
    checkperm(rctx, req, _URL_PERMISSIONS[permission])
    offered = api.offered(rctx.repo)
    if len(parts) > 2 or (name not in offered and name != MULTIREQUEST):
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
    conn = ServerConnection(api.framing, _limits(rctx.repo.ui))
    commands = _receive(req, rctx.repo.ui, conn)
    calls = _check_commands(name, permission, offered, commands)
    for needed in {command.permission for _event, command in calls}:
        checkperm(rctx, req, needed)
    res.status = b'200 OK'
    res.headers[b'Content-Type'] = mediatype
    res.setbodygen(_respond(rctx, req, conn, api, calls))


def _media_types(header: bytes | None) -> list[bytes]:
    """Return the media types of a header without their parameters."""
    return [
        item.partition(b';')[0].strip().lower()
        for item in (header or b'').split(b',')
    ]


def _limits(ui: Any) -> RequestLimits:
    return RequestLimits(
        command_size=ui.configbytes(SECTION, b'limit.command-size'),
        commands=ui.configint(SECTION, b'limit.commands'),
    )


# one request


def _receive(
    req: Any, ui: Any, conn: ServerConnection
) -> list[CommandReceived]:
    """Read the body; return the commands in it. Nothing has run yet."""
    limit = ui.configbytes(SECTION, b'limit.request-size')
    too_large = HTTPError(413, b'request is larger than %d bytes\n' % limit)
    length = req.headers.get(b'Content-Length')
    if length is None and not req.rawenv.get(b'wsgi.input_terminated'):
        compat.abandon_body(req)
        raise HTTPError(411, b'client MUST send Content-Length header\n')
    if length is not None and int(length) > limit:
        compat.abandon_body(req)
        raise too_large
    found: list[CommandReceived] = []
    size = 0
    try:
        while True:
            data = req.bodyfh.read(_READ_SIZE)
            if not data:
                break
            size += len(data)
            if size > limit:
                compat.abandon_body(req)
                raise too_large
            for event in conn.feed(data):
                if isinstance(event, CommandReceived):
                    found.append(event)
        if length is not None and size < int(length):
            raise HTTPError(400, b'request body is shorter than announced\n')
        conn.finish()
    except LimitError as e:
        raise HTTPError(413, e.message + b'\n') from None
    except ProtocolError as e:
        raise HTTPError(400, e.message + b'\n') from None
    except OSError:
        compat.abandon_body(req)
        raise HTTPError(408, b'request was not received in time\n') from None
    return found


def _check_commands(
    name: bytes,
    permission: bytes,
    offered: dict[bytes, Command],
    received: list[CommandReceived],
) -> list[tuple[CommandReceived, Command]]:
    """Return what is to run; raise unless all of it may."""
    if not received:
        raise HTTPError(400, b'request has no command\n')
    if name != MULTIREQUEST:
        if len(received) > 1:
            raise HTTPError(
                400, b'multiple commands cannot be issued to this URL\n'
            )
        if received[0].name != name:
            raise HTTPError(
                400, b'command in frame must match command in URL\n'
            )
    calls = []
    for event in received:
        command = offered.get(event.name)
        if command is None:
            raise HTTPError(
                400,
                b'wire protocol command not available: %s\n' % event.name[:100],
            )
        if permission == b'ro' and command.permission != b'pull':
            raise HTTPError(
                403,
                b'insufficient permissions to execute command: %s\n'
                % command.name,
            )
        calls.append((event, command))
    return calls


def _respond(
    rctx: Any,
    req: Any,
    conn: ServerConnection,
    api: API,
    calls: list[tuple[CommandReceived, Command]],
) -> Iterator[bytes]:
    report = _report(req)
    for event, command in calls:
        request = Request(_view(rctx, req, command), api, req.remoteuser)
        frames = dispatch.respond(conn, event, command, request, report)
        yield from metrics.observed(
            request.repo, api.name, command.name, frames
        )


def _view(rctx: Any, req: Any, command: Command) -> Any:
    """Return the repository as this requester may see it."""
    repo = rctx.repo
    # the function extensions change to serve another view
    return wireprotov1server.getdispatchrepo(
        repo,
        None,
        command.name,
        accesshidden=hgwebcommon.hashiddenaccess(repo, req),
    )


# the handshake


def _handshake(rctx: Any, req: Any, res: Any, checkperm: CheckPerm) -> bool:
    """Answer a capabilities request of a client that knows one of our APIs."""
    repo = rctx.repo
    upgrade = wireprotoserver.decodevaluefromheaders(req, b'X-HgUpgrade')
    proto = wireprotoserver.decodevaluefromheaders(req, b'X-HgProto')
    if b'cbor' not in proto.split():
        return False
    wanted = set(upgrade.split())
    common = [api for n, api in enabled_apis(repo.ui).items() if n in wanted]
    if not common:
        return False
    checkperm(rctx, req, b'pull')
    handler = wireprotoserver.httpv1protocolhandler(
        req, repo.ui, lambda perm: checkperm(rctx, req, perm)
    )
    v1 = wireprotov1server.dispatch(
        repo,
        handler,
        b'capabilities',
        accesshidden=hgwebcommon.hashiddenaccess(repo, req),
    )
    answer = {
        b'apibase': API_BASE,
        b'apis': {api.name: capabilities.describe(api, repo) for api in common},
        b'v1capabilities': v1.data,
    }
    res.status = b'200 OK'
    res.headers[b'Content-Type'] = HANDSHAKE_TYPE
    res.setbodybytes(cbor.encode(answer))
    return True
