# SPDX-License-Identifier: GPL-2.0-or-later
"""Which changesets, manifests and files a view of the repository shows.

Mercurial filters changesets. Manifests and files are not filtered: storage
keeps, for every revision, the first changeset that has it. If that changeset is
hidden or secret, a visible one may have the same revision. Only then is history
searched for it.

Nothing here knows commands, responses or keys.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mercurial import error, phases
from mercurial import match as matchmod


@dataclass(frozen=True, slots=True)
class References:
    """The revisions that a request names.

    A response shows these and their ancestors. ``changesets`` are nodes,
    ``manifests`` pairs of directory and node, ``files`` pairs of path and node.
    """

    changesets: tuple[bytes, ...] = ()
    manifests: tuple[tuple[bytes, bytes], ...] = ()
    files: tuple[tuple[bytes, bytes], ...] = ()


class Audience(enum.Enum):
    """For whom a response to a request is the same."""

    #: A changeset is not known. When it arrives, the response changes.
    UNKNOWN = 'unknown'
    #: Everything is public: for all readers of the repository, forever.
    EVERYBODY = 'everybody'
    #: For all whose view has the same fingerprint.
    VIEW = 'view'


def audience(repo: Any, references: References) -> Audience:
    """Return for whom a response about ``references`` is the same.

    Manifests and files that do not exist make no difference: a request for
    them is an error, and errors are never kept.
    """
    unfiltered = repo.unfiltered()
    cache = unfiltered._phasecache
    try:
        revs = [unfiltered.changelog.rev(n) for n in references.changesets]
    except error.LookupError:
        return Audience.UNKNOWN
    if not cache.hasnonpublicphases(unfiltered):
        return Audience.EVERYBODY
    try:
        revs += _introducing(unfiltered, references)
    except error.LookupError:
        return Audience.VIEW
    if all(cache.phase(unfiltered, rev) == phases.public for rev in revs):
        return Audience.EVERYBODY
    return Audience.VIEW


def _introducing(unfiltered: Any, references: References) -> list[int]:
    """Return the changesets that introduced manifests and files.

    Raises ``LookupError`` of Mercurial for a revision that does not exist.
    """
    revs: list[int] = []
    for tree, node in references.manifests:
        storage = unfiltered.manifestlog.getstorage(tree)
        revs.append(storage.linkrev(storage.rev(node)))
    for path, node in references.files:
        storage = unfiltered.file(path)
        revs.append(storage.linkrev(storage.rev(node)))
    return revs


def fingerprint(repo: Any) -> list[Any]:
    """Return values that are equal only for views that show the same.

    They say which changesets ``repo`` shows, and in which phases. The set of
    changesets is closed under ancestors, so its heads determine it. The roots
    of the phases determine the phase of each changeset.
    """
    unfiltered = repo.unfiltered()
    node = unfiltered.changelog.node
    roots = [
        [phase, sorted(node(rev) for rev in revs)]
        for phase, revs in sorted(unfiltered._phasecache._phaseroots.items())
        if phase != phases.public and revs
    ]
    return [repo.filtername, sorted(repo.heads()), roots]


def all_public(repo: Any) -> bool:
    """Return whether no changeset is a draft, secret or hidden."""
    unfiltered = repo.unfiltered()
    public: bool = not unfiltered._phasecache.hasnonpublicphases(unfiltered)
    return public


def not_for_everybody(repo: Any) -> frozenset[int]:
    """Return the revisions that are not, or not yet, for everybody.

    These are secret and hidden changesets, and in a repository that does not
    publish also drafts. A publishing repository makes drafts public where they
    arrive.
    """
    hidden: frozenset[int] = repo.filtered(b'served').changelog.filteredrevs
    if repo.publishing() or all_public(repo):
        return hidden
    unfiltered = repo.unfiltered()
    cache = unfiltered._phasecache
    return hidden | set(cache.getrevset(unfiltered, phases.mutablephases))


def manifest_changesets(
    repo: Any, tree: bytes, linkrevs: Mapping[bytes, int]
) -> dict[bytes, int]:
    """Return a visible changeset for each manifest node that has one.

    ``tree`` is a directory (``b''`` for the root manifest). ``linkrevs`` maps
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
    """Return a visible changeset for each node of a file that has one.

    ``linkrevs`` maps file nodes to the changeset revisions in storage.
    """
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


def _split(
    repo: Any, linkrevs: Mapping[bytes, int]
) -> tuple[dict[bytes, int], set[bytes], int]:
    """Return the visible nodes, the others, and where to search for these."""
    hidden = repo.changelog.filteredrevs
    visible = {n: rev for n, rev in linkrevs.items() if rev not in hidden}
    rest = set(linkrevs) - set(visible)
    # No changeset before the first one of a revision has that revision.
    return visible, rest, min((linkrevs[n] for n in rest), default=0) + 1
