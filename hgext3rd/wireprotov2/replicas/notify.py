# SPDX-License-Identifier: GPL-2.0-or-later
"""When replicas are told of a push, again and again until they have it.

A transaction that changed something starts one process for each replica. A push
may wait for what these find; it succeeds in any case. Nothing here speaks to a
replica.
"""

from __future__ import annotations

import time
from typing import Any

from mercurial import error
from mercurial.i18n import _

from ...amalgam.serving import background
from . import attempt, state
from .state import ReplicaState

#: Seconds for which a process tries again; after that, the next push or a timer
#: does. Many repositories may have replicas that are down.
PATIENCE = 3600

#: Seconds between two looks at the states of replicas.
POLL = 0.05


def after_transaction(ui: Any, repo: Any, **_kwargs: Any) -> None:
    """Start what tells the replicas of a change; wait for them if configured.

    A hook ``txnclose``. Prints a warning if something fails.
    """
    try:
        offered = state.offer(repo)
        replicas = {
            name: url
            for name, url in state.configured(repo).items()
            if not state.load(repo, name, url).has_confirmed(offered)
        }
        began = time.time()
        for name in replicas:
            # A process for each, which brings it up to date.
            background.start(
                repo,
                b'admin::replicas',
                b'--sync',
                b'--retry',
                b'--quiet',
                name,
            )
        seconds = ui.configwith(float, b'replicas', b'wait')
        if replicas and seconds > 0:
            _wait(repo, replicas, began, seconds)
    except (error.Error, OSError) as e:
        ui.warn(_(b'warning: replicas are not told: %s\n') % _text(e))


def _text(failure: BaseException) -> bytes:
    from . import follow

    return follow.reason(failure)


def _wait(
    repo: Any, replicas: dict[bytes, bytes], began: float, seconds: float
) -> None:
    """Wait until replicas have confirmed what the repository has now.

    Ends when the time is over, and earlier if no attempt is left in it.
    """
    deadline = time.monotonic() + seconds
    ends = time.time() + seconds
    late = dict(replicas)
    while True:
        for name, url in list(late.items()):
            found = state.load(repo, name, url)
            if found.failures:
                if found.attempt >= began and found.next > ends:
                    _warn(repo.ui, name, found)
                    del late[name]
            elif found.success >= began:
                del late[name]
        if not late:
            return
        if time.monotonic() > deadline:
            break
        time.sleep(POLL)
    for name, url in late.items():
        _warn(repo.ui, name, state.load(repo, name, url))


def _warn(ui: Any, name: bytes, found: ReplicaState) -> None:
    reason = found.error.encode() or _(b'no answer yet')
    ui.warn(
        _(b'warning: replica %s does not have this yet: %s\n') % (name, reason)
    )


def keep_trying(repo: Any, name: bytes, url: bytes) -> ReplicaState | None:
    """Bring a replica up to date; try again until that works, or for an hour.

    Returns its state, or None if another process does the work.
    """
    found = attempt.in_turn(repo, name, url, always=False)
    while found is not None and found.failures:
        with state.locked(repo, name, b'retry', wait=False) as got:
            if not got:
                return None
            deadline = time.monotonic() + PATIENCE
            while found.failures:
                if time.monotonic() > deadline:
                    return found
                time.sleep(
                    min(max(found.next - time.time(), 0), state.LAST_DELAY)
                )
                found = _again(repo, name, url)
        # Another process may have failed, and left the rest to this one.
        found = state.load(repo, name, url)
    return found


def _again(repo: Any, name: bytes, url: bytes) -> ReplicaState:
    current = state.load(repo, name, url)
    if not current.failures or current.next > time.time():
        # Another process has succeeded, or failed, meanwhile.
        return current
    found = attempt.in_turn(repo, name, url, always=True)
    assert found is not None
    return found
