# SPDX-License-Identifier: GPL-2.0-or-later
"""Requests for the data of file revisions that the repository already knows.

There are two kinds. ``by_changeset`` asks with one command for many files of
some changesets, in the same words as any other repository that needs them, so
that a cache can answer. ``by_node`` names revisions of single files. Both work
with all servers of version 2, and add what arrives to the late texts of the
repository.
"""

from __future__ import annotations

import collections
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from mercurial.i18n import _

from ..client import failures
from ..client.exchange import CommandCall, Exchange
from ..client.transport import Transport
from ..proto.errors import ProtocolError
from . import records
from .arriving import Arrival
from .wanted import DATA_FIELDS

#: The most commands in a request, and revisions of a file in a command.
MOST_COMMANDS = 200
MOST_NODES = 5000

#: A revision specifier of the protocol.
Specifier = Mapping[bytes, Any]


def by_changeset(
    repo: Any,
    client: Transport,
    specifier: Specifier,
    paths: Collection[bytes] | None,
    arrival: Arrival,
) -> None:
    """Fetch files of changesets, all of them if ``paths`` is None.

    Raises ``failures.RemoteFailure``.
    """
    args: dict[bytes, Any] = {b'revisions': [specifier], b'fields': DATA_FIELDS}
    include, exclude = repo.narrowpats
    if paths is not None:
        include = {b'path:%s' % path for path in paths}
    if include or exclude:
        args[b'pathfilter'] = {
            b'include': sorted(include),
            b'exclude': sorted(exclude),
        }
    exchange = Exchange(client, CommandCall(b'filesdata', args))
    values = exchange.values(0)
    try:
        total = records.header(values, b'totalpaths')
        with repo.ui.makeprogress(
            _(b'fetching files'), unit=_(b'files'), total=total
        ) as bar:
            for path, revisions in records.files(values, total):
                bar.increment(item=path)
                arrival.take(path, revisions)
        records.end(values)
        exchange.finish()
    except ProtocolError as exc:
        raise failures.RemoteFailure(client.url, exc.message) from exc
    finally:
        exchange.close()


def by_node(
    repo: Any,
    client: Transport,
    files: Mapping[bytes, Sequence[bytes]],
    arrival: Arrival,
) -> None:
    """Fetch revisions of files, whose nodes ``files`` has by path.

    Those that the server refuses are left out. Raises
    ``failures.RemoteFailure`` for other failures.
    """
    waiting = collections.deque(
        (path, nodes[start : start + MOST_NODES])
        for path, nodes in sorted(files.items())
        for start in range(0, len(nodes), MOST_NODES)
    )
    total = sum(len(nodes) for nodes in files.values())
    with repo.ui.makeprogress(
        _(b'fetching files'), unit=_(b'revisions'), total=total
    ) as bar:
        while waiting:
            batch = [
                waiting.popleft()
                for _index in range(min(MOST_COMMANDS, len(waiting)))
            ]
            done = 0
            try:
                for path, nodes in _answered(client, batch, arrival):
                    done += 1
                    bar.increment(len(nodes), item=path)
            except failures.CommandRefused as exc:
                # It may be for one of several nodes.
                path, nodes = batch[done]
                waiting.extendleft(reversed(batch[done + 1 :]))
                middle = len(nodes) // 2
                if middle:
                    waiting.appendleft((path, nodes[middle:]))
                    waiting.appendleft((path, nodes[:middle]))
                else:
                    arrival.refusals.setdefault((path, nodes[0]), exc.reason)


def _answered(
    client: Transport,
    batch: Sequence[tuple[bytes, Sequence[bytes]]],
    arrival: Arrival,
) -> Iterator[tuple[bytes, Sequence[bytes]]]:
    """Send a request; yield those of ``batch`` that have been answered."""
    exchange = Exchange(
        client,
        *(
            CommandCall(
                b'filedata',
                {b'path': path, b'nodes': list(nodes), b'fields': DATA_FIELDS},
            )
            for path, nodes in batch
        ),
    )
    try:
        for index, (path, nodes) in enumerate(batch):
            values = exchange.values(index)
            total = records.header(values)
            arrival.take(path, records.revisions(values, total))
            records.end(values)
            yield path, nodes
        exchange.finish()
    except ProtocolError as exc:
        raise failures.RemoteFailure(client.url, exc.message) from exc
    finally:
        exchange.close()
