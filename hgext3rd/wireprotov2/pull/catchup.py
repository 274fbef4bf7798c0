# SPDX-License-Identifier: GPL-2.0-or-later
"""Pulls of repositories that lack whole segments of the history.

They fetch these as a clone does, and an ordinary pull gets the rest. Everything
is found out in one request, which takes the place of the first of Mercurial's
discovery. ``segments`` applies what is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mercurial import changegroup, phases

from ..client import failures
from ..proto.errors import ProtocolError
from ..shallow import absence, extent
from . import batches, listing, segments
from .session import PullSession, public_heads

#: The most nodes of a repository that are sent to the server.
MOST_NODES = 200


#: The least estimated bytes of an open segment that is fetched for its own sake.
#: The ordinary pull that follows takes one more request.
LEAST_OPEN = 256 * 1024


def suitable(session: PullSession, pullop: Any) -> bool:
    """Return whether a pull should look for segments that are missing."""
    repo, endpoint = session.repo, session.endpoint
    if endpoint is None or endpoint.api is None:
        return False
    if not len(repo.unfiltered()) or session.resumption.unfinished():
        return False
    if session.confirm or repo.ui.configbool(b'pull', b'confirm'):
        return False
    if pullop.depth or pullop.force:
        return False
    if absence.is_shallow(repo) and not extent.is_lazy(repo):
        return False
    if repo.narrowpats != (set(), set()):
        return False
    if not segments.suitable(session, pullop):
        return False
    if not endpoint.api.has_argument(b'segments', b'known'):
        return False
    if pullop.heads and all(map(repo.changelog.hasnode, pullop.heads)):
        return False
    return bool(_own_nodes(repo))


def _own_nodes(repo: Any) -> list[bytes]:
    """Return what decides what the repository and a server have in common.

    These are the public heads and all drafts; none if there are too many. A
    server that has the public heads is related to the repository. It may have
    any of the drafts. Secret changesets are nobody's business.
    """
    nodes = public_heads(repo)
    for rev in repo.revs(b'draft()'):
        if len(nodes) >= MOST_NODES:
            return []
        nodes.append(repo.changelog.node(rev))
    return nodes if len(nodes) <= MOST_NODES else []


def pull(session: PullSession, pullop: Any) -> int:
    """Fetch and apply all segments that are missing; return how many.

    Those of which only a part is wanted are left to the pull proper, and
    everything is if no large segment is missing for the most part. Raises
    ``failures.RemoteFailure``.
    """
    repo, endpoint = session.repo, session.endpoint
    assert endpoint is not None
    client = endpoint.client()
    nodes = _own_nodes(repo)
    listed, session.heads, there = listing.request(client, nodes)
    drafts = {n for n in nodes if repo[n].phase() != phases.public}
    if not there or not there.issuperset(set(nodes) - drafts):
        # The server is unrelated, or lacks something public. Mercurial finds
        # out which.
        return 0
    session.common_drafts = sorted(drafts & there)
    if (
        listed is None
        or listed.cgversion not in changegroup.supportedincomingversions(repo)
    ):
        return 0
    missing = segments.missing_in(repo, listed.segments)
    if not _worthwhile(missing):
        return 0
    try:
        if pullop.heads:
            wanted = _within(session, missing, pullop.heads)
            unwanted = {s.name for s in missing} - {s.name for s in wanted}
            listed, missing = listed.without(unwanted), wanted
            if not _worthwhile(missing):
                return 0
        return segments.Application(session, listed.plan(missing)).run()
    except ProtocolError as exc:
        raise failures.RemoteFailure(client.url, exc.message) from exc
    except (failures.CommandRefused, segments.BadSegment) as exc:
        # The history of the server has changed meanwhile, for example.
        segments.give_up(repo, exc)
        return 0


def _worthwhile(missing: Sequence[listing.ListedSegment]) -> bool:
    return any(
        s.mostly_missing and (s.final or s.estimate >= LEAST_OPEN)
        for s in missing
    )


def _within(
    session: PullSession,
    missing: Sequence[listing.ListedSegment],
    heads: Sequence[bytes],
) -> list[listing.ListedSegment]:
    """Return the segments that consist of ancestors of ``heads`` alone.

    Every changeset of a segment is an ancestor of one of its heads, or such a
    head.
    """
    repo, endpoint = session.repo, session.endpoint
    assert endpoint is not None
    roots = session.common()
    graph = batches.graph(endpoint.client(), list(heads), roots)
    wanted = {node for node, _p1, _p2 in graph}
    has_node = repo.unfiltered().changelog.index.has_node
    return [
        segment
        for segment in missing
        if all(node in wanted or has_node(node) for node in segment.heads)
    ]
