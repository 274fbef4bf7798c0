# SPDX-License-Identifier: GPL-2.0-or-later
"""branchmap, heads, known, lookup: which changesets there are."""

from __future__ import annotations

from collections.abc import Iterator

from mercurial import encoding, error

from ...proto import cbor
from ...proto.errors import CommandError
from .registry import Request
from .revisions import node_list


def branchmap(request: Request) -> Iterator[bytes]:
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
    repo = request.repo
    if publiconly:
        repo = repo.filtered(b'immutable')
    yield cbor.encode(list(repo.heads()))


def known(request: Request, nodes: list) -> Iterator[bytes]:
    hasnode = request.repo.changelog.hasnode
    yield cbor.encode(
        b''.join(
            b'1' if len(node) == 20 and hasnode(node) else b'0'
            for node in node_list(nodes, b'nodes')
        )
    )


def lookup(request: Request, key: bytes) -> Iterator[bytes]:
    try:
        node = request.repo.lookup(encoding.tolocal(key))
    except (error.RepoError, error.LookupError):
        raise CommandError(b"unknown revision '%s'", (key,)) from None
    yield cbor.encode(node)
