# SPDX-License-Identifier: GPL-2.0-or-later
"""What ``hg admin::replicas`` does and shows. It reads states, and sends nothing."""

from __future__ import annotations

from typing import Any

from mercurial import error
from mercurial.i18n import _
from mercurial.utils import dateutil

from . import attempt, notify, state
from .state import ReplicaState


def chosen(repo: Any, names: tuple[bytes, ...]) -> dict[bytes, bytes]:
    """Return the URLs of the replicas with these names, or of all."""
    replicas = state.configured(repo)
    for name in names:
        if name not in replicas:
            raise error.InputError(_(b"there is no replica '%s'") % name)
    return {name: replicas[name] for name in names or sorted(replicas)}


def synchronize(repo: Any, replicas: dict[bytes, bytes], retry: bool) -> None:
    """Bring replicas up to date now, one after the other."""
    for name, url in replicas.items():
        if retry:
            notify.keep_trying(repo, name, url)
        else:
            attempt.in_turn(repo, name, url, always=True)


def show(repo: Any, replicas: dict[bytes, bytes], fm: Any) -> bool:
    """Print the state of replicas; return whether all of them are up to date."""
    offered = state.offer(repo)
    good = True
    for name, url in replicas.items():
        found = state.load(repo, name, url)
        current = found.has_confirmed(offered)
        good = good and current
        lacks = 0 if current else len(state.missing(repo, found))
        fm.startitem()
        if not repo.ui.quiet:
            fm.plain(b'%s: %s\n' % (name, _sentence(found, current, lacks)))
        fm.data(
            name=name,
            url=found.url.encode(),
            current=current,
            missing=lacks,
            success=_date(found.success),
            attempt=_date(found.attempt),
            behind=_date(found.behind),
            next=_date(found.next),
            failures=found.failures,
            error=found.error.encode(),
        )
    return good


def _date(moment: float) -> Any:
    return dateutil.makedate(moment) if moment else None


def _sentence(found: ReplicaState, current: bool, lacks: int) -> bytes:
    """Return a line for people."""
    if current:
        return _(b'up to date, confirmed %s') % _moment(found.success)
    if lacks:
        what = _(b'lacks %d changesets') % lacks
    elif found.failures and found.offered:
        what = _(b'not reached')
    else:
        what = _(b'lacks phases or bookmarks')
    if not found.attempt:
        return _(b'%s, not asked yet') % what
    last = _moment(found.success) if found.success else _(b'never')
    text = _(b'%s, last success: %s') % (what, last)
    if found.failures:
        text += _(b'; failed %d times since %s: %s') % (
            found.failures,
            _moment(found.behind),
            found.error.encode(),
        )
    return text


def _moment(moment: float) -> bytes:
    shown: bytes = dateutil.datestr(
        dateutil.makedate(moment), b'%Y-%m-%d %H:%M:%S %1%2'
    )
    return shown
