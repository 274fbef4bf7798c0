# SPDX-License-Identifier: GPL-2.0-or-later
"""Clones from servers without segments: several pulls, each a transaction.

The history is divided by the nodes and parents of all changesets. Each batch is
then an ordinary pull of its heads. So an interrupted clone keeps the batches it
has, and a pull takes the memory of one batch. An ordinary pull of everything
follows, which finds little left to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from mercurial import exchange
from mercurial.i18n import _

from ..client import failures
from ..client.exchange import CommandCall, Exchange
from ..client.transport import Transport
from ..proto.errors import ProtocolError
from . import abilities, records
from .report import Report
from .session import PullSession

# A batch has at least this many changesets.
LEAST = 2000

# A batch has at least 1/SHARE of the number of changesets before it. Old
# servers send a whole working copy at the start of each batch. With batches of
# a fixed size, these copies would be most of the transfer of a long history.
SHARE = 4


def suitable(session: PullSession) -> bool:
    """Return whether a pull that can run ahead should do so in batches."""
    assert session.endpoint is not None and session.endpoint.api is not None
    return abilities.has_commands(session.endpoint.api)


def pull(session: PullSession, pullop: Any) -> int:
    """Pull all batches but the last; return how many were pulled.

    Raises ``failures.RemoteFailure``.
    """
    repo, remote, endpoint = session.repo, session.remote, session.endpoint
    assert endpoint is not None and endpoint.api is not None
    narrow = bool(pullop.includepats or pullop.excludepats)
    # Version 1 of the server may not be able to make narrow clones.
    client = endpoint.client(ask=narrow and endpoint.filters_paths)
    size = endpoint.api.batch_size(b'filesdata')
    try:
        session.heads = _heads(client)
        nodes = graph(client, list(session.heads))
        batches = list(cut(nodes, min(size or LEAST, LEAST)))
    except ProtocolError as exc:
        raise failures.RemoteFailure(client.url, exc.message) from exc
    # The ordinary pull gets the last batch, or everything if there is but one.
    batches.pop()
    has_node = repo.unfiltered().changelog.index.has_node
    missing = [
        heads for _count, heads in batches if not all(map(has_node, heads))
    ]
    if not missing:
        return 0
    repo.ui.status(_(b'fetching history in %d batches\n') % (len(missing) + 1))
    session.resumption.begin()
    session.report = Report(repo)
    bar = repo.ui.makeprogress(
        _(b'cloning'), unit=_(b'changesets'), total=len(nodes)
    )
    session.in_batch = True
    try:
        for heads in missing:
            with session.transaction():
                exchange.pull(
                    repo,
                    remote,
                    heads=list(heads),
                    force=pullop.force,
                    depth=pullop.depth,
                    includepats=pullop.includepats,
                    excludepats=pullop.excludepats,
                )
            bar.update(len(repo.unfiltered()))
    finally:
        session.in_batch = False
        bar.complete()
        session.report.write()
    return len(missing)


def _heads(client: Transport) -> list[bytes]:
    """Return the heads of the server's history."""
    request = Exchange(client, CommandCall(b'heads'))
    heads = records.heads(request.values(0))
    request.finish()
    return heads


def graph(
    client: Transport, heads: list[bytes], roots: Sequence[bytes] = ()
) -> list[tuple[bytes, bytes, bytes]]:
    """Return node and parents of all ancestors of ``heads``, parents first.

    Those of ``roots`` and these themselves are left out.
    """
    if not heads:
        return []
    request = Exchange(
        client,
        CommandCall(
            b'changesetdata',
            {
                b'revisions': [
                    {
                        b'type': b'changesetdagrange',
                        b'roots': list(roots),
                        b'heads': heads,
                    }
                ],
                b'fields': {b'parents'},
            },
        ),
    )
    values = request.values(0)
    nodes = list(records.graph(values, records.header(values)))
    request.finish()
    return nodes


def cut(
    nodes: Iterable[tuple[bytes, bytes, bytes]], least: int
) -> Iterator[tuple[int, frozenset[bytes]]]:
    """Yield the number of changesets of each batch, and the heads up to it.

    ``nodes`` are changesets with their parents, parents first. The heads are
    those of this batch and all batches before. Yields at least one batch, which
    may be empty.
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
