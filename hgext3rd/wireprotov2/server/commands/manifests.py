# SPDX-License-Identifier: GPL-2.0-or-later
"""manifestdata: revisions of the manifest, or of one directory's."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterator
from typing import Any

from mercurial.node import nullid, nullrev

from ...proto.errors import CommandError
from ..access import acl_matcher
from . import records, visibility
from .registry import Request
from .revisions import node_list, resolve
from .stores import revision_records, stored_rev

# Large enough that round trips do not count, small enough that the response
# is a cacheable piece of some tens of megabytes on the largest repositories.
RECOMMENDED_BATCH = 100000


def capabilities(repo: Any) -> dict[bytes, Any]:
    return {b'recommendedbatchsize': RECOMMENDED_BATCH}


def manifestdata_0002(
    request: Request,
    nodes: list,
    haveparents: bool,
    fields: Collection[bytes],
    tree: bytes,
) -> Iterator[bytes]:
    return manifestdata(request, nodes, haveparents, fields, tree, [])


def manifestdata(
    request: Request,
    nodes: list,
    haveparents: bool,
    fields: Collection[bytes],
    tree: bytes,
    revisions: list,
) -> Iterator[bytes]:
    """``revisions`` names changesets whose manifests are sent beside ``nodes``.

    With ``haveparents`` those their ancestors have are left out.
    """
    repo = request.repo
    if tree and not repo.manifestlog._treemanifests:
        raise CommandError(b'unknown tree: %s', (tree,))
    if tree:
        allowed = acl_matcher(request)
        if allowed is not None and not allowed.visitdir(tree.rstrip(b'/')):
            raise CommandError(b'unknown tree: %s', (tree,))
    store = repo.manifestlog.getstorage(tree)
    linkrevs = {}
    for node in node_list(nodes, b'nodes'):
        rev = stored_rev(store, node)
        if rev is None:
            raise CommandError(b'unknown node: %s', (node,))
        linkrevs[node] = store.linkrev(rev)
    seen = visibility.manifest_changesets(repo, tree, linkrevs)
    for node in linkrevs:
        if node not in seen:
            raise CommandError(b'unknown node: %s', (node,))
    if revisions:
        if tree:
            raise CommandError(b'revisions name root manifests only')
        revs = resolve(repo, revisions)
        for node, rev in _of_changesets(repo, store, revs, haveparents):
            seen.setdefault(node, rev)
    linknodes = None
    if b'linknode' in fields:
        clnode = repo.changelog.node
        linknodes = {node: clnode(rev) for node, rev in seen.items()}
    wanted = [*nodes, *(n for n in seen if n not in linkrevs)]
    return records.batched(
        _records(store, wanted, fields, haveparents, linknodes)
    )


def _of_changesets(
    repo: Any, store: Any, revs: list[int], haveparents: bool
) -> Iterator[tuple[bytes, int]]:
    """Yield manifest nodes of changesets with the first of these to have it."""
    cl = repo.changelog
    ancestors: Container[int] = ()
    if haveparents:
        wanted = set(revs)
        parents = {p for rev in revs for p in cl.parentrevs(rev)} - wanted
        ancestors = cl.ancestors(parents - {nullrev}, inclusive=True)
    for rev in revs:
        node = cl.changelogrevision(rev).manifest
        # the manifest of a changeset without any file
        if node == nullid:
            continue
        if store.linkrev(store.rev(node)) not in ancestors:
            yield node, rev


def _records(
    store: Any,
    nodes: list[bytes],
    fields: Collection[bytes],
    haveparents: bool,
    linknodes: dict[bytes, bytes] | None,
) -> Iterator[bytes]:
    yield records.total(len(nodes))
    yield from revision_records(store, nodes, fields, haveparents, linknodes)
