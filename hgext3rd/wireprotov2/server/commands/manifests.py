# SPDX-License-Identifier: GPL-2.0-or-later
"""manifestdata: revisions of the root manifest, or of that of a directory.

``stores`` and ``records`` know the form of a record.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterator
from typing import Any

from mercurial.node import nullid, nullrev

from ...access import visibility
from ...proto.errors import CommandError
from . import records
from .registry import Request
from .revisions import node_list, resolve
from .stores import revision_records, stored_rev

# How many manifests clients should ask for at once. That is enough to make
# round trips negligible. On the largest repositories, the response has some
# tens of megabytes, which a cache can keep.
RECOMMENDED_BATCH = 100000


def capabilities(repo: Any) -> dict[bytes, Any]:
    """Return what capabilities say about manifestdata."""
    return {b'recommendedbatchsize': RECOMMENDED_BATCH}


def manifestdata_0002(
    request: Request,
    nodes: list,
    haveparents: bool,
    fields: Collection[bytes],
    tree: bytes,
) -> Iterator[bytes]:
    """Send manifests in the form of API 0002, which has no ``revisions``."""
    return manifestdata(request, nodes, haveparents, fields, tree, [])


def manifestdata(
    request: Request,
    nodes: list,
    haveparents: bool,
    fields: Collection[bytes],
    tree: bytes,
    revisions: list,
) -> Iterator[bytes]:
    """Send the manifests ``nodes``, and those of the named changesets.

    ``tree`` is a directory, ``b''`` for the root manifest. With ``haveparents``
    the client has the manifests of the ancestors of ``revisions``, which are
    left out.
    """
    repo = request.repo
    if tree and not repo.manifestlog._treemanifests:
        raise CommandError(b'unknown tree: %s', (tree,))
    if tree:
        allowed = request.requester.narrow_matcher()
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
    """Yield the manifest node of each changeset, with the changeset.

    With ``haveparents``, nodes that an ancestor outside of ``revs`` has are
    left out.
    """
    cl = repo.changelog
    ancestors: Container[int] = ()
    if haveparents:
        wanted = set(revs)
        parents = {p for rev in revs for p in cl.parentrevs(rev)} - wanted
        ancestors = cl.ancestors(parents - {nullrev}, inclusive=True)
    for rev in revs:
        node = cl.changelogrevision(rev).manifest
        # A changeset without any file has the null manifest.
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
    """Yield the records of a response."""
    yield records.total(len(nodes))
    yield from revision_records(store, nodes, fields, haveparents, linknodes)
