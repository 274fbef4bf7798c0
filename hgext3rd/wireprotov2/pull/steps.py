# SPDX-License-Identifier: GPL-2.0-or-later
"""The steps of Mercurial's pull at which this extension acts.

Each function is wrapped around one function of Mercurial (``hooks`` says which
and why) and hands over to the session of the pull. The order within a pull:
``pull`` begins, then ``run_ahead``, ``find_common_incoming`` and
``prepare_getbundle`` follow.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from mercurial import error, policy, wireprototypes
from mercurial.i18n import _
from mercurial.node import nullid
from mercurial.utils import stringutil, urlutil

from ..client import failures
from ..client.endpoint import endpoint_of
from ..shallow import absence, extent
from ..shallow.demand import MissingFileData
from . import abilities, batches, catchup, deepen, ondemand, segments
from .parts import Parts
from .session import PullSession

# Exceptions of applying revisions that are well-formed but wrong.
BAD_DATA = (
    error.StorageError,
    policy.importmod('mpatch').mpatchError,
    struct.error,
)


def pull(orig: Any, repo: Any, remote: Any, *args: Any, **kwargs: Any) -> Any:
    """Run ``exchange.pull`` in a session; limit its depth if that is wanted."""
    session = PullSession.of(remote)
    if session is not None and session.in_batch:
        # This pull is a batch of the session.
        return orig(repo, remote, *args, **kwargs)
    depth = deepen.parse_depth(kwargs.get('depth'))
    if depth is not None and deepen.is_complete(repo):
        repo.ui.status(
            _(b'(this repository has the files of all its changesets)\n')
        )
        depth = kwargs['depth'] = None
    if depth is not None and not _has_ellipses(repo, remote, kwargs):
        deepen.prepare(repo, remote, depth)
        kwargs['depth'] = deepen.first_depth(repo, depth)
    elif depth is None and absence.is_shallow(repo) and extent.is_lazy(repo):
        kwargs['depth'] = 0
        endpoint = endpoint_of(remote)
        if endpoint is not None:
            endpoint.describe()
    with PullSession(
        repo, remote, depth, bool(kwargs.get('confirm'))
    ) as session:
        if session.endpoint is None:
            pullop = orig(repo, remote, *args, **kwargs)
        else:
            pullop = _pull_resumably(orig, session, *args, **kwargs)
        if absence.is_shallow(repo):
            deepen.finish(session, pullop)
            # An update mostly follows.
            ondemand.lend(repo, remote)
    return pullop


def _has_ellipses(repo: Any, remote: Any, kwargs: dict[str, Any]) -> bool:
    """Return whether Mercurial's narrow extension limits the depth itself."""
    narrow = repo.narrowpats != (set(), set()) or kwargs.get('includepats')
    return bool(narrow and remote.capable(wireprototypes.ELLIPSESCAP1))


def _pull_resumably(
    orig: Any, session: PullSession, *args: Any, **kwargs: Any
) -> Any:
    """Pull, and keep an interrupted clone so that it can be continued."""
    remote, endpoint = session.remote, session.endpoint
    assert endpoint is not None
    resumption = session.resumption
    # From here on, a clone whose process is killed has its default path.
    resumption.begin_clone()
    try:
        pullop = _pull_with_fallback(orig, session, *args, **kwargs)
    except BaseException as exc:
        if resumption.unfinished():
            resumption.interrupted()
        if isinstance(exc, MissingFileData):
            # A StorageError, but not the fault of the server.
            raise
        if endpoint.api is not None and isinstance(exc, BAD_DATA):
            raise failures.RemoteFailure(
                urlutil.hidepassword(remote.url()),
                _(b'sent data that cannot be applied: %s')
                % stringutil.forcebytestr(exc),
            ) from exc
        raise
    if session.applied:
        pullop.cgresult = _result(session)
    complete = resumption.new_clone or pullop.heads is None
    if complete and resumption.unfinished():
        resumption.end()
    return pullop


def _result(session: PullSession) -> int:
    """Return what a changegroup with everything pulled would have returned.

    That is 1 plus the number of additional heads, or -1 minus that of heads
    that have gone.
    """
    more = len(session.repo.heads()) - session.first_heads
    return more + 1 if more >= 0 else more - 1


def _pull_with_fallback(
    orig: Any, session: PullSession, *args: Any, **kwargs: Any
) -> Any:
    """Pull; use version 1 if the server begins to refuse version 2 meanwhile.

    A refusal at the beginning of a transaction is handled there. A later one
    has rolled the transaction back, so the pull can begin again.
    """
    repo, endpoint = session.repo, session.endpoint
    assert endpoint is not None
    try:
        return orig(repo, session.remote, *args, **kwargs)
    except failures.Unavailable as exc:
        narrow = repo.narrowpats != (set(), set()) or kwargs.get('includepats')
        if session.depth is not None or (narrow and endpoint.filters_paths):
            # Version 1 of this server cannot do that.
            raise
        if repo.currenttransaction() is not None:
            raise
        endpoint.give_up(exc)
    return orig(repo, session.remote, *args, **kwargs)


def run_ahead(orig: Any, pullop: Any) -> None:
    """Apply history ahead, around ``exchange._maybeapplyclonebundle`` (``orig``).

    This comes before discovery, which then has less to discover. Segments are
    preferred to clone bundles, because an interrupted clone can continue with
    them; batches are not, because the server would have to compute them.
    """
    session = PullSession.of(pullop.remote)
    if session is None or session.endpoint is None or session.in_batch:
        orig(pullop)
        return
    if catchup.suitable(session, pullop):
        _run(session, lambda: catchup.pull(session, pullop))
    elif session.can_run_ahead(pullop) and segments.suitable(session, pullop):
        _run(session, lambda: segments.pull(session))
    if not len(session.repo.unfiltered()):
        orig(pullop)
    if (
        session.can_run_ahead(pullop)
        and not segments.suitable(session, pullop)
        and batches.suitable(session)
    ):
        _run(session, lambda: batches.pull(session, pullop))


def _run(session: PullSession, pull: Callable[[], int]) -> None:
    """Run ``pull``, which applies history ahead and returns how many parts.

    Falls back to version 1 if nothing was applied when the server failed, unless
    it is busy.
    """
    assert session.endpoint is not None
    start = len(session.repo.unfiltered())
    try:
        session.applied = pull()
    except failures.RemoteFailure as exc:
        if isinstance(exc, failures.Busy):
            raise
        if len(session.repo.unfiltered()) > start or (
            isinstance(exc, failures.ConnectionFailure)
            and Parts(session.repo.vfs).size()
        ):
            raise
        session.endpoint.give_up(exc)


def find_common_incoming(
    orig: Any,
    repo: Any,
    remote: Any,
    heads: Any = None,
    *args: Any,
    **kwargs: Any,
) -> Any:
    """Skip ``discovery.findcommonincoming`` if its result is known.

    An empty repository has nothing in common with the remote, so only the
    heads of the remote are needed, and the session may know them. It may also
    know what the repository and the remote have in common.
    """
    session = PullSession.of(remote)
    if session is not None and session.heads:
        wanted = heads or list(session.heads)
        if not len(repo.unfiltered()):
            return [nullid], True, wanted
        if session.common_drafts is not None:
            has_node = repo.changelog.hasnode
            all_here = all(map(has_node, wanted))
            if not (heads and all_here):
                # Mercurial says so even if it knows after the first request.
                repo.ui.status(_(b'searching for changes\n'))
            if all_here:
                return wanted, False, wanted
            return session.common(), True, wanted
    return orig(repo, remote, heads, *args, **kwargs)


def prepare_getbundle(orig: Any, pullop: Any, kwargs: dict[bytes, Any]) -> None:
    """Add arguments to a call of ``getbundle``.

    Wrapped around ``exchange._pullbundle2extraprepare``. Version 2 sends phases
    as a pushkey namespace. So they are requested and applied as from servers
    that cannot put phases into bundles.
    """
    orig(pullop, kwargs)
    remote = pullop.remote
    endpoint = endpoint_of(remote)
    if pullop.depth or (pullop.depth == 0 and endpoint is not None):
        kwargs[b'depth'] = pullop.depth
    args = {key: value for key, value in kwargs.items() if key != b'phases'}
    if (
        kwargs.get(b'phases')
        and endpoint is not None
        and abilities.can_pull(endpoint, remote, args)
    ):
        del kwargs[b'phases']
        kwargs.setdefault(b'listkeys', []).append(b'phases')
        pullop.stepsdone.discard(b'phases')
