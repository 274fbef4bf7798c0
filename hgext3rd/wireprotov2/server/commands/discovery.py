# SPDX-License-Identifier: GPL-2.0-or-later
"""branchmap, heads, known, lookup: which changesets there are.

All of them answer for the view of the requester.
"""

from __future__ import annotations

from collections.abc import Iterator

from mercurial import encoding, error

from ...proto import cbor
from ...proto.errors import CommandError
from .registry import Request
from .revisions import node_list


def branchmap(request: Request) -> Iterator[bytes]:
    """Send the heads of every branch, closed ones included."""
    found = request.repo.branchmap()
    yield cbor.encode(
        {
            encoding.fromlocal(branch): list(
                found.branchheads(branch, closed=True)
            )
            for branch in found
        }
    )


def heads(request: Request, publiconly: bool) -> Iterator[bytes]:
    """Send the heads of the repository, or those of its public changesets."""
    repo = request.repo
    if publiconly:
        repo = repo.filtered(b'immutable')
    yield cbor.encode(list(repo.heads()))


def known(request: Request, nodes: list) -> Iterator[bytes]:
    """Send one digit for each node: ``1`` if it is a changeset, else ``0``."""
    hasnode = request.repo.changelog.hasnode
    yield cbor.encode(
        b''.join(
            b'1' if len(node) == 20 and hasnode(node) else b'0'
            for node in node_list(nodes, b'nodes')
        )
    )


def lookup(request: Request, key: bytes) -> Iterator[bytes]:
    """Send the node of the changeset that ``key`` names."""
    try:
        node = request.repo.lookup(encoding.tolocal(key))
    except (error.RepoError, error.LookupError):
        raise CommandError(b"unknown revision '%s'", (key,)) from None
    yield cbor.encode(node)
