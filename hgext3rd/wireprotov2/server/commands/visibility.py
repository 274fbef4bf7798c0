# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether a file or manifest revision belongs to a changeset one may see.

Storage keeps, for every revision, the first changeset that had it. Where that
one is hidden or secret, a visible changeset may have the same revision all the
same: then and only then history is searched for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mercurial import match as matchmod


def _split(
    repo: Any, linkrevs: Mapping[bytes, int]
) -> tuple[dict[bytes, int], set[bytes], int]:
    """Return the visible ones, the other nodes, and where to look for those."""
    hidden = repo.changelog.filteredrevs
    visible = {n: rev for n, rev in linkrevs.items() if rev not in hidden}
    rest = set(linkrevs) - set(visible)
    # no changeset before the first one of a revision has it
    return visible, rest, min((linkrevs[n] for n in rest), default=0) + 1


def manifest_changesets(
    repo: Any, tree: bytes, linkrevs: Mapping[bytes, int]
) -> dict[bytes, int]:
    """Return a visible changeset for each manifest node that has one.

    ``tree`` is a directory (``b''`` for the root manifest); ``linkrevs`` maps
    manifest nodes to the changeset revisions in storage.
    """
    found, rest, start = _split(repo, linkrevs)
    if not rest:
        return found
    cl = repo.changelog
    matcher = matchmod.match(
        repo.root, b'', include=[b'path:' + tree.rstrip(b'/')] if tree else []
    )
    for rev in cl.revs(start=start):
        if tree:
            subtrees = repo[rev].manifest().walksubtrees(matcher)
            nodes = [s.node() for s in subtrees if s.dir() == tree]
        else:
            nodes = [cl.changelogrevision(rev).manifest]
        for node in nodes:
            if node in rest:
                rest.discard(node)
                found[node] = rev
        if not rest:
            break
    return found


def file_changesets(
    repo: Any, path: bytes, linkrevs: Mapping[bytes, int]
) -> dict[bytes, int]:
    """Return a visible changeset for each node of a file that has one."""
    found, rest, start = _split(repo, linkrevs)
    if not rest:
        return found
    cl = repo.changelog
    for rev in cl.revs(start=start):
        if path in cl.readfiles(rev):
            node = repo[rev].manifest().get(path)
            if node in rest:
                rest.discard(node)
                found[node] = rev
                if not rest:
                    break
    return found
