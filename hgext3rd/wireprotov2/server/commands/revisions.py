# SPDX-License-Identifier: GPL-2.0-or-later
"""Arguments that name changesets, resolved in the view of the requester.

A hidden or secret changeset is as unknown here as one that does not exist. All
functions raise ``CommandError`` for invalid arguments.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mercurial import error
from mercurial.node import hex, nullid, nullrev

from ...proto.errors import CommandError


def node_list(value: object, name: bytes) -> list[bytes]:
    """Return ``value``, which must be a list of bytestrings."""
    if not isinstance(value, list) or not all(
        isinstance(v, bytes) for v in value
    ):
        raise CommandError(b'%s must be a list of bytestrings', (name,))
    return value


def rev_of(cl: Any, node: bytes) -> int:
    """Return the revision number of a changeset node."""
    try:
        rev: int = cl.rev(node)
    # The index raises ValueError for bytes that are no node.
    except (error.LookupError, ValueError):
        raise CommandError(b'unknown node: %s', (hex(node),)) from None
    return rev


def _rev_sent(cl: Any, node: bytes) -> int:
    """Return the revision number of a node, which must not be null."""
    rev = rev_of(cl, node)
    if rev == nullrev:
        raise CommandError(b'unknown node: %s', (hex(node),))
    return rev


def dag_range(repo: Any, roots: list[bytes], heads: list[bytes]) -> list[int]:
    """Return the ancestors of ``heads`` that are not ancestors of ``roots``.

    Unknown roots are ignored, since the client may have changesets that this
    repository does not have.
    """
    cl = repo.changelog
    common = [n for n in roots if len(n) == 20 and cl.hasnode(n)] or [nullid]
    revs = [rev_of(cl, n) for n in heads]
    return cl.findmissingrevs([cl.rev(n) for n in common], revs)


def with_depth(repo: Any, nodes: list[bytes], depth: int) -> list[int]:
    """Return ``nodes`` and their ancestors, ``depth`` generations in all."""
    cl = repo.changelog
    revs = [_rev_sent(cl, n) for n in nodes]
    # %d would make the number a revision, so it is given as text.
    generations = b'%d' % (depth - 1)
    return sorted(repo.revs(b'ancestors(%ld, %s)', revs, generations))


def _explicit(repo: Any, spec: dict) -> Iterable[int]:
    cl = repo.changelog
    return [_rev_sent(cl, n) for n in node_list(spec[b'nodes'], b'nodes')]


def _explicit_depth(repo: Any, spec: dict) -> Iterable[int]:
    depth = spec[b'depth']
    # Revsets do not take larger numbers.
    if type(depth) is not int or not 0 < depth < 2**31:
        raise CommandError(b'depth must be a positive integer')
    return with_depth(repo, node_list(spec[b'nodes'], b'nodes'), depth)


def _dag_range(repo: Any, spec: dict) -> Iterable[int]:
    heads = node_list(spec[b'heads'], b'heads')
    # Old clients send no heads for a repository that has no changesets.
    if not heads and len(repo.changelog):
        raise CommandError(b'heads key in changesetdagrange cannot be empty')
    return dag_range(repo, node_list(spec[b'roots'], b'roots'), heads)


# The types of revision specifiers: the keys each must have, and what resolves
# it.
_SPECIFIERS = {
    b'changesetexplicit': ((b'nodes',), _explicit),
    b'changesetexplicitdepth': ((b'nodes', b'depth'), _explicit_depth),
    b'changesetdagrange': ((b'roots', b'heads'), _dag_range),
}


def resolve(repo: Any, revisions: list) -> list[int]:
    """Return the revisions that the specifiers name, each once, in order."""
    found: dict[int, None] = {}
    for spec in revisions:
        if not isinstance(spec, dict):
            raise CommandError(b'revision specifier must be a map')
        if b'type' not in spec:
            raise CommandError(b'type key not present in revision specifier')
        kind = spec[b'type']
        if not isinstance(kind, bytes) or kind not in _SPECIFIERS:
            raise CommandError(
                b'unknown revision specifier type: %s',
                (kind if isinstance(kind, bytes) else b'(not a bytestring)',),
            )
        keys, resolver = _SPECIFIERS[kind]
        for key in keys:
            if key not in spec:
                raise CommandError(
                    b'%s key not present in %s revision specifier', (key, kind)
                )
        found.update(dict.fromkeys(resolver(repo, spec)))
    return list(found)


def resolve_0002(
    repo: Any,
    noderange: list | None,
    nodes: list | None,
    nodesdepth: int | None,
) -> list[int]:
    """Return the revisions that changesetdata of API 0002 is asked for."""
    if noderange is None and nodes is None:
        raise CommandError(b'noderange or nodes must be defined')
    if nodesdepth is not None:
        if nodes is None:
            raise CommandError(b'nodesdepth requires nodes')
        if not 0 <= nodesdepth < 2**31:
            raise CommandError(b'nodesdepth must be a positive integer')
    found: dict[int, None] = {}
    if nodes is not None:
        explicit = node_list(nodes, b'nodes')
        cl = repo.changelog
        revs = [_rev_sent(cl, n) for n in explicit]
        if nodesdepth:
            revs = with_depth(repo, explicit, nodesdepth)
        found.update(dict.fromkeys(revs))
    if noderange is not None:
        if len(noderange) != 2:
            raise CommandError(b'noderange must consist of 2 elements')
        roots = node_list(noderange[0], b'noderange')
        heads = node_list(noderange[1], b'noderange')
        if not heads:
            raise CommandError(b'heads in noderange request cannot be empty')
        found.update(dict.fromkeys(dag_range(repo, roots, heads)))
    return list(found)
