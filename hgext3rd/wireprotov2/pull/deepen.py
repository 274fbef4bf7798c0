# SPDX-License-Identifier: GPL-2.0-or-later
"""Pulls into repositories of limited depth: the steps before and after them.

Before a pull, the repository becomes one whose file revisions may lack data.
After it, the missing data of changesets that must be complete is fetched.
``shallow.storage`` knows how missing data is stored; ``steps`` runs the pull
itself.
"""

from __future__ import annotations

import itertools
from typing import Any

from mercurial import error
from mercurial import requirements as corerequirements
from mercurial.i18n import _

from ..client.endpoint import Endpoint, endpoint_of
from ..shallow import absence, completion, extent, texts
from ..shallow import repo as shallow_repo
from . import abilities, ondemand, textrequests
from .arriving import Arrival
from .records import NULL_ID
from .session import PullSession

#: The value that stands for ``--lazy`` where Mercurial passes on ``--depth``.
LAZY = b'lazy'


def parse_depth(value: Any) -> int | None:
    """Return the value of ``--depth``, or None if the option was not given.

    Returns 0 for ``LAZY``. Raises ``InputError`` for anything else than a
    positive number below 2**31.
    """
    if value is None or value == b'':
        return None
    if value == LAZY:
        return 0
    try:
        depth = int(value)
    except ValueError:
        depth = 0
    if not 0 < depth < 2**31:
        raise error.InputError(_(b'depth must be a positive number'))
    return depth


def is_complete(repo: Any) -> bool:
    """Return whether ``repo`` has changesets, and lacks no data of files.

    It may have become complete by earlier pulls, so a depth is no error.
    """
    if (
        absence.is_shallow(repo)
        or corerequirements.NARROW_REQUIREMENT in repo.requirements
    ):
        return False
    return bool(len(repo.unfiltered()))


def prepare(repo: Any, remote: Any, depth: int) -> None:
    """Prepare ``repo`` for a pull with ``depth`` generations of files.

    With 0, no data of files is wanted. Raises ``Abort`` if the server or the
    repository cannot do it.
    """
    endpoint = endpoint_of(remote)
    if endpoint is not None:
        endpoint.describe()
    if (
        endpoint is None
        or endpoint.api is None
        or not abilities.has_commands(endpoint.api)
    ):
        raise error.Abort(
            _(b'the server cannot limit the depth of what it sends')
            if depth
            else _(b'the server cannot leave out the data of files'),
            hint=_(b'this requires wire protocol version 2'),
        )
    if not absence.is_shallow(repo):
        shallow_repo.begin(repo)
        ondemand.register(repo)
    if not depth and not len(repo.unfiltered()):
        # From now on, so that an interrupted clone is continued like this.
        with repo.lock():
            extent.write_lazy(repo)


def first_depth(repo: Any, depth: int | None) -> int | None:
    """Return the depth to request in the pull itself.

    Pulls after the first bring the files of all new changesets, or none if the
    repository is lazy; ``finish`` fetches further generations.
    """
    if extent.is_lazy(repo):
        return 0
    return None if len(repo.unfiltered()) else depth


def finish(session: PullSession, pullop: Any) -> None:
    """Fetch missing data after a pull, then record what is still missing."""
    repo = session.repo.unfiltered()
    depth, first = session.depth, session.first
    heads = list(pullop.heads or pullop.rheads or ())
    has_node = repo.changelog.index.has_node
    heads = [node for node in heads if node != NULL_ID and has_node(node)]
    with repo.lock():
        if extent.is_lazy(repo):
            if depth and heads:
                _fetch_depth(repo, session.endpoint, heads, depth)
            return
        recent: set[int] = set()
        if depth and heads:
            recent = set(
                repo.revs(b'ancestors(%ln, %s)', heads, b'%d' % (depth - 1))
            )
        if not first:
            left_out = set(repo.changelog.revs()) - recent if depth else set()
            _record(repo, extent.Extent(left_out))
            return
        found = extent.read(repo)
        if found is None:
            found = extent.Extent(
                set(range(first)), set(range(first, len(repo)))
            )
        endpoint = session.endpoint
        if endpoint is not None and _has_files(endpoint):
            if any(rev in found for rev in recent):
                _fetch_depth(repo, endpoint, heads, depth)
                found.complete(recent)
            _complete_pending(repo, session.remote, endpoint, found)
        _record(repo, found)


def _record(repo: Any, found: extent.Extent) -> None:
    """Record what is missing; if it is nothing, end the limited depth."""
    extent.write(repo, found)
    if not (found.left_out or found.pending) and len(repo):
        if repo.currenttransaction() is None:
            completion.complete(repo)


def _has_files(endpoint: Endpoint) -> bool:
    """Return whether the files of single changesets can be requested."""
    return endpoint.api is not None and b'filesdata' in endpoint.api.commands


def _complete_pending(
    repo: Any, remote: Any, endpoint: Endpoint, found: extent.Extent
) -> None:
    """Fetch missing data of changesets that were not left out on purpose."""
    parents = repo.changelog.parentrevs
    based = [
        rev
        for rev in sorted(found.pending)
        if rev in found.reused or any(p in found.left_out for p in parents(rev))
    ]
    if not based:
        return
    node = repo.changelog.node
    nodes = [node(rev) for rev in based]
    with remote.commandexecutor() as executor:
        # Some of them may exist in this repository only.
        known = executor.callcommand(b'known', {b'nodes': nodes}).result()
    nodes = list(itertools.compress(nodes, known))
    if nodes:
        _fetch(repo, endpoint, {b'type': b'changesetexplicit', b'nodes': nodes})
        found.complete(set(map(repo.changelog.rev, nodes)))
    for rev in sorted(found.pending):
        if rev not in found.reused and not any(
            p in found for p in parents(rev)
        ):
            found.complete({rev})


def _fetch_depth(
    repo: Any, endpoint: Endpoint | None, heads: list[bytes], depth: int | None
) -> None:
    """Fetch the files of ``depth`` generations of ``heads``."""
    if endpoint is not None and _has_files(endpoint):
        _fetch(
            repo,
            endpoint,
            {
                b'type': b'changesetexplicitdepth',
                b'nodes': heads,
                b'depth': depth,
            },
        )


def _fetch(
    repo: Any, endpoint: Endpoint, specifier: textrequests.Specifier
) -> None:
    """Fetch the files of changesets in ``repo``; keep data that was missing."""
    arrival = Arrival(repo, {})
    try:
        textrequests.by_changeset(
            repo, endpoint.client(ask=True), specifier, None, arrival
        )
    finally:
        texts.of_repo(repo).flush()
    if arrival.count:
        repo.ui.status(
            _(b'fetched data of %d file revisions\n') % arrival.count
        )
