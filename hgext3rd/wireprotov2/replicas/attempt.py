# SPDX-License-Identifier: GPL-2.0-or-later
"""One attempt of the primary to bring one replica up to date.

It tells the replica to pull, and then asks it what it has, by the commands that
any client uses. Attempts for one replica run one after the other. Nothing here
decides when there is another attempt.
"""

from __future__ import annotations

import contextlib
import time
from typing import Any

from mercurial import bookmarks, error, phases
from mercurial.i18n import _
from mercurial.node import bin
from mercurial.utils import urlutil

from . import follow, state
from .state import ReplicaState

#: Seconds that the pull of a replica may take. If it takes longer, the attempt
#: fails, and the next one waits for the same pull.
SILENCE = 600

#: How many nodes a replica is asked about at a time: they are sent in header
#: fields of HTTP, which servers limit.
_NODES = 100


def in_turn(
    repo: Any, name: bytes, url: bytes, always: bool
) -> ReplicaState | None:
    """Bring a replica up to date when it is this process's turn.

    Returns its state. One process works and one waits for its turn: what others
    want sent is included in what the waiting one is going to send. Without
    ``always``, None is returned if another process waits already, and a replica
    that has confirmed everything is not asked again. Raises OSError if the state
    cannot be stored.
    """
    with contextlib.ExitStack() as turn:
        with state.locked(repo, name, b'next', wait=always) as got:
            if not got:
                return None
            turn.enter_context(state.locked(repo, name, b'turn', wait=True))
        # Changes until now are included.
        repo.invalidateall()
        before = state.load(repo, name, url)
        offered = state.offer(repo)
        if not always and before.has_confirmed(offered):
            return before
        after = _attempt(repo, url, before, offered)
        state.save(repo, name, after)
        return after


def _attempt(
    repo: Any, url: bytes, before: ReplicaState, offered: str
) -> ReplicaState:
    began = time.time()
    served = repo.filtered(b'served')
    heads = list(served.heads())
    marks = bookmarks.listbookmarks(served)
    found = None
    try:
        path = urlutil.path(repo.ui, None, rawloc=url, validate_path=False)
        remote = follow.peer(repo, path, SILENCE)
        try:
            failure = _tell(remote)
            found = _known_heads(served, remote, heads)
            failure = failure or _difference(
                served, remote, heads, found, marks
            )
        finally:
            remote.close()
        if failure:
            raise error.Abort(failure)
    except follow.FAILURES as e:
        return before.failed(began, time.time(), found, follow.reason(e))
    return before.confirmed(began, found, offered)


def _tell(remote: Any) -> bytes | None:
    """Let a replica pull. Return why it could not, or None."""
    local = remote.local()
    if local:
        try:
            follow.pull(local.filtered(b'visible'))
        except follow.FAILURES as e:
            return _(b'replica: %s') % follow.reason(e)
        return None
    if not remote.capable(follow.COMMAND):
        return _(
            b'not a replica: it lacks the extension wireprotov2 or the option'
            b' replicas.source'
        )
    # A peer over ssh looks up the arguments.
    follow.register()
    # With a body, even an empty one, the command is sent by POST.
    more = {} if remote.url().startswith(b'ssh:') else {'data': b''}
    reply = remote._call(follow.COMMAND, **more)
    if reply == follow.DONE:
        return None
    return _(b'replica: %s') % reply[: follow.MOST_REASON]


def _known_heads(served: Any, remote: Any, wanted: list[bytes]) -> list[bytes]:
    """Return heads of what a replica has of the changesets that ``served`` has."""
    with remote.commandexecutor() as executor:
        theirs = set(executor.callcommand(b'heads', {}).result())
    has_node = served.changelog.hasnode
    found = {node for node in theirs if has_node(node)}
    # A replica may have these below other heads.
    rest = [node for node in wanted if node not in found]
    for start in range(0, len(rest), _NODES):
        some = rest[start : start + _NODES]
        with remote.commandexecutor() as executor:
            known = executor.callcommand(b'known', {b'nodes': some}).result()
        found.update(node for node, has in zip(some, known, strict=True) if has)
    return sorted(found)


def _difference(
    served: Any,
    remote: Any,
    heads: list[bytes],
    found: list[bytes],
    marks: dict[bytes, bytes],
) -> bytes | None:
    """Return what a replica lacks after its pull, or None."""
    if not set(heads) <= set(found):
        return _(b'the replica has pulled, but does not have every changeset')
    if dict(remote.listkeys(b'bookmarks')) != marks:
        return _(b'the replica has pulled, but has other bookmarks')
    to_rev = served.changelog.rev
    for root, phase in remote.listkeys(b'phases').items():
        if root == b'publishing' or int(phase) == phases.public:
            continue
        node = bin(root)
        if served.changelog.hasnode(node) and (
            served._phasecache.phase(served, to_rev(node)) == phases.public
        ):
            return _(b'the replica has pulled, but has other phases')
    return None
