# SPDX-License-Identifier: GPL-2.0-or-later
"""The part of a replica: a command of version 1 that makes it pull.

Who may push to the replica may send the command. It has no arguments: a replica
pulls from where its own configuration says, and from nowhere else.
"""

from __future__ import annotations

from http.client import HTTPException
from typing import Any

from mercurial import error, exchange, wireprototypes, wireprotov1server
from mercurial.i18n import _
from mercurial.utils import stringutil, urlutil

from .. import compat

#: The command, and the capability of repositories that obey it.
COMMAND = b'amalgam-follow'

#: The answer if the pull succeeded. Anything else is the reason of a failure.
DONE = b'done'

#: Seconds of silence after which a source counts as gone. The replica is locked
#: as long.
SILENCE = 120

#: The most bytes of a reason that are sent or stored.
MOST_REASON = 400

#: What opening a peer, a pull or another request may raise.
FAILURES = (error.Error, OSError, HTTPException)


def register() -> None:
    """Make the command known to Mercurial: to servers and to clients."""
    wireprotov1server.commands[COMMAND] = wireprototypes.commandentry(
        answer,
        transports={
            name
            for name, kind in wireprototypes.TRANSPORTS.items()
            if kind[b'version'] == 1
        },
        permission=b'push',
    )


def follows(ui: Any) -> bool:
    """Return whether a repository with this configuration is a replica."""
    return bool(ui.config(b'replicas', b'source'))


def answer(repo: Any, proto: Any) -> Any:
    """Answer the command: pull, and say how that ended."""
    with proto.mayberedirectstdio():
        try:
            pull(repo.filtered(b'visible'))
        except FAILURES as e:
            reply = reason(e)
            repo.ui.log(b'wireprotov2', b'replica cannot pull: %s\n', reply)
        else:
            reply = DONE
    return wireprototypes.bytesresponse(reply)


def pull(repo: Any) -> None:
    """Pull from the source of this replica; its bookmarks become the same.

    Pulls at the same time wait for each other's lock, and the later ones find
    little to do. Raises one of ``FAILURES``.
    """
    source = repo.ui.config(b'replicas', b'source')
    if not source:
        raise error.ConfigError(_(b'replicas.source is not set on the replica'))
    path = urlutil.get_unique_pull_path_obj(b'replicas', repo.ui, source)
    path.bookmarks_mode = b'mirror'
    overrides = {
        (b'ui', b'quiet'): True,
        # A server has nobody to ask for a password.
        (b'ui', b'interactive'): False,
    }
    with repo.ui.configoverride(overrides, b'replicas'):
        remote = peer(repo, path, SILENCE)
        try:
            exchange.pull(repo, remote, path=path)
        finally:
            remote.close()


def peer(repo: Any, path: Any, silence: int) -> Any:
    """Return a peer that does not wait forever. Raises one of ``FAILURES``.

    ``silence`` is how many seconds nothing may arrive over HTTP, unless
    ``http.timeout`` is set.
    """
    if path.url.islocal():
        return compat.peer(repo, path)
    ui = repo.ui.copy()
    if ui.config(b'http', b'timeout') is None:
        ui.setconfig(b'http', b'timeout', silence, b'replicas')
    return compat.peer(ui, path)


def reason(failure: BaseException) -> bytes:
    """Return one line that says why something failed."""
    text = getattr(failure, 'message', None) or stringutil.forcebytestr(failure)
    if isinstance(failure, error.ResponseError) and failure.args:
        text = b' '.join(
            arg if isinstance(arg, bytes) else stringutil.forcebytestr(arg)
            for arg in failure.args
        )
    line = b' '.join(text.split())[:MOST_REASON]
    return line or type(failure).__name__.encode()
