# SPDX-License-Identifier: GPL-2.0-or-later
"""Version 2 over ssh: the commands that clones and pulls need.

A command of version 1 carries them, see ``proto.tunnel``. Clients learn of it
from a capability. Everything else over ssh stays version 1.
"""

from __future__ import annotations

import traceback
from typing import Any

from mercurial import wireprototypes, wireprotov1server

from ..access import requester
from ..proto import tunnel
from . import exchange, load, wsgi
from .commands import apis
from .errors import HTTPError

#: The event of ``ui.log``. What a server writes to its standard error goes to
#: the client, who must not see it all.
EVENT = b'wireprotov2'


def log(ui: Any) -> load.Warn:
    """Return a function that writes a line to the log of the repository."""
    return lambda line: ui.log(EVENT, b'%s\n', line)


def register() -> None:
    """Make the command known to Mercurial: to servers and to clients."""
    wireprotov1server.commands[tunnel.COMMAND] = wireprototypes.commandentry(
        answer,
        args=tunnel.ARGUMENT,
        transports={wireprototypes.SSHV1},
        permission=b'pull',
    )


def serves(ui: Any) -> bool:
    """Return whether a repository with this configuration answers over ssh."""
    return wsgi.serves(ui) and tunnel.API in ui.configlist(
        b'wireprotov2', b'apis'
    )


def _user(ui: Any) -> bytes | None:
    """Return the user whose access ``[narrowacl]`` limits.

    Mercurial's narrow extension takes the same name over ssh.
    """
    if not ui.configitems(b'narrowacl'):
        return None
    user: bytes = ui.environ.get(b'REMOTE_USER') or ui.username(
        acceptempty=True
    )
    return user


def answer(repo: Any, proto: Any, request: bytes) -> Any:
    """Answer the command of version 1 that carries a request of version 2."""
    ui = repo.ui

    def identify(command: bytes) -> requester.Requester:
        return requester.for_command(repo, command, _user(ui), False)

    warn = log(ui)

    def report(line: bytes, with_traceback: bool) -> None:
        warn(line)
        if with_traceback:
            warn(traceback.format_exc().encode('utf-8', 'backslashreplace'))

    api = apis.APIS[tunnel.API]
    permit = load.Permit(repo, warn)
    served = exchange.ServedExchange(ui, api, identify, permit, report)
    try:
        if not serves(ui):
            raise HTTPError(404, b'version 2 is not enabled\n')
        if len(request) > ui.configbytes(b'wireprotov2', b'limit.request-size'):
            raise HTTPError(413, b'request is too large\n')
        offered = {
            name: api.commands[name] for name in tunnel.COMMANDS[tunnel.PARTIAL]
        }
        served.receive([request], exchange.MULTIREQUEST, True, offered)
        frames = served.respond()
    except load.Refused:
        return _response([tunnel.busy(load.RETRY_AFTER)])
    except HTTPError as e:
        return _response([tunnel.refusal(e.body.strip())])
    return _response(tunnel.answer(frames))


def _response(chunks: Any) -> Any:
    return wireprototypes.streamreslegacy(gen=chunks)
