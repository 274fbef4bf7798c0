# SPDX-License-Identifier: GPL-2.0-or-later
"""Clones from servers without pieces: several pulls, each a transaction.

A list of nodes and parents tells how to cut history; each batch is then an
ordinary pull of its heads. So an interrupted clone keeps the batches it has,
and the memory a pull takes is that of a batch. An ordinary pull of everything
follows, which finds little left to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from mercurial import exchange
from mercurial.i18n import _
from mercurial.utils import urlutil

from ..client import failures
from ..client.http import Command, HTTPClient
from ..proto.errors import ProtocolError
from . import getbundle, records, resume
from .parents import trusted
from .report import Report

# A batch is this many changesets, or this share of all before it: old servers
# send whole working copies at the start of each, and a limit of changesets
# alone would make that the larger part of a long history.
LEAST = 2000
SHARE = 4


def suitable(pullop: Any, peer: Any) -> bool:
    """Return whether a pull should be made in batches."""
    repo = pullop.repo
    api = peer.v2api
    if (
        not peer.v2_allow_pieces
        or api is None
        or not getbundle.has_commands(api)
    ):
        return False
    if len(repo.unfiltered()) and not resume.unfinished(repo):
        return False
    if pullop.heads or pullop.depth or repo.ui.configbool(b'pull', b'confirm'):
        return False
    stream = pullop.streamclonerequested
    if stream is None:
        stream = bool(peer.capable(b'stream-preferred'))
    return not stream


def pull_all(pullop: Any, peer: Any) -> int:
    """Pull batch after batch; return how many. The last is left out.

    Raises ``failures.ServerFailure``.
    """
    repo = pullop.repo
    client = peer.v2client()
    size = peer.v2api.batch_size(b'filesdata')
    try:
        peer.v2_heads = _heads(client)
        nodes = _graph(client, peer.v2_heads)
        batches = list(cut(nodes, min(size or LEAST, LEAST)))
    except ProtocolError as exc:
        raise failures.ServerFailure(client.url, exc.message) from exc
    # an ordinary pull gets the last, and all if there is but one
    batches.pop()
    has_node = repo.unfiltered().changelog.index.has_node
    missing = [
        heads for _count, heads in batches if not all(map(has_node, heads))
    ]
    if not missing:
        return 0
    repo.ui.status(_(b'fetching history in %d parts\n') % (len(missing) + 1))
    resume.begin(repo)
    report = Report(repo)
    name = b'pull\n%s' % urlutil.hidepassword(peer.url())
    bar = repo.ui.makeprogress(
        _(b'cloning'), unit=_(b'changesets'), total=len(nodes)
    )
    peer.v2_in_batch = True
    try:
        for heads in missing:
            with report.transaction(peer.url(), name), trusted():
                exchange.pull(
                    repo,
                    peer,
                    heads=list(heads),
                    force=pullop.force,
                    includepats=pullop.includepats,
                    excludepats=pullop.excludepats,
                )
            bar.update(len(repo.unfiltered()))
    finally:
        peer.v2_in_batch = False
        bar.complete()
        report.write()
    return len(missing)


def _heads(client: HTTPClient) -> list[bytes]:
    exchange_ = client.start(Command(b'heads'))
    heads = records.heads(exchange_.values(0))
    exchange_.finish()
    return heads


def _graph(
    client: HTTPClient, heads: list[bytes]
) -> list[tuple[bytes, bytes, bytes]]:
    """Return node and parents of all changesets, parents first."""
    if not heads:
        return []
    exchange_ = client.start(
        Command(
            b'changesetdata',
            {
                b'revisions': [
                    {
                        b'type': b'changesetdagrange',
                        b'roots': [],
                        b'heads': heads,
                    }
                ],
                b'fields': {b'parents'},
            },
        )
    )
    values = exchange_.values(0)
    nodes = list(records.graph(values, records.header(values)))
    exchange_.finish()
    return nodes


def cut(
    nodes: Iterable[tuple[bytes, bytes, bytes]], least: int
) -> Iterator[tuple[int, frozenset[bytes]]]:
    """Yield how many changesets each batch has, and the heads of all so far.

    ``nodes`` are changesets with their parents, parents first. There is at
    least one batch.
    """
    heads: set[bytes] = set()
    before = size = 0
    for node, p1, p2 in nodes:
        if size >= max(least, before // SHARE):
            yield size, frozenset(heads)
            before += size
            size = 0
        size += 1
        heads.difference_update((p1, p2))
        heads.add(node)
    yield size, frozenset(heads)
