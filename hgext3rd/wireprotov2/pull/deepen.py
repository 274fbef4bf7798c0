# SPDX-License-Identifier: GPL-2.0-or-later
"""Pulls into repositories of limited depth: the steps before and after them.

Before a pull, the repository becomes one whose file revisions may lack data.
After it, the missing data of changesets that must be complete is fetched.
``shallow.storage`` knows how missing data is stored; ``steps`` runs the pull
itself.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from mercurial import error
from mercurial import requirements as corerequirements
from mercurial.i18n import _

from ..client import failures
from ..client.endpoint import Endpoint, endpoint_of
from ..client.exchange import CommandCall, Exchange
from ..proto.errors import ProtocolError
from ..shallow import completion, extent, storage, texts
from ..shallow import repo as shallow_repo
from . import abilities, records
from .depth import fulltext
from .records import NULL_ID, RevisionRecord
from .session import PullSession
from .wanted import DATA_FIELDS


def parse_depth(value: Any) -> int | None:
    """Return the value of ``--depth``, or None if the option was not given.

    Raises ``InputError`` unless it is a positive number below 2**31.
    """
    if value is None or value == b'':
        return None
    try:
        depth = int(value)
    except ValueError:
        depth = 0
    if not 0 < depth < 2**31:
        raise error.InputError(_(b'depth must be a positive number'))
    return depth


def is_complete(repo: Any) -> bool:
    """Return whether ``repo`` has changesets, and lacks no data of files.

    It may have become complete by earlier pulls, so a depth is no error.
    """
    if (
        storage.is_shallow(repo)
        or corerequirements.NARROW_REQUIREMENT in repo.requirements
    ):
        return False
    return bool(len(repo.unfiltered()))


def prepare(repo: Any, remote: Any, depth: int) -> None:
    """Prepare ``repo`` for a pull with ``depth`` generations of files.

    Raises ``Abort`` if the server or the repository cannot do it.
    """
    endpoint = endpoint_of(remote)
    if (
        endpoint is None
        or endpoint.api is None
        or not abilities.has_commands(endpoint.api)
    ):
        raise error.Abort(
            _(b'the server cannot limit the depth of what it sends'),
            hint=_(b'this requires wire protocol version 2 over HTTP'),
        )
    if not storage.is_shallow(repo):
        shallow_repo.begin(repo)


def first_depth(repo: Any, depth: int | None) -> int | None:
    """Return the depth to request in the pull itself.

    Pulls after the first bring the files of all new changesets; ``finish``
    fetches further generations.
    """
    return None if len(repo.unfiltered()) else depth


def finish(session: PullSession, pullop: Any) -> None:
    """Fetch missing data after a pull, then record what is still missing."""
    repo = session.repo.unfiltered()
    depth, first = session.depth, session.first
    heads = list(pullop.heads or pullop.rheads or ())
    has_node = repo.changelog.index.has_node
    heads = [node for node in heads if node != NULL_ID and has_node(node)]
    with repo.lock():
        recent: set[int] = set()
        if depth and heads:
            recent = set(
                repo.revs(b'ancestors(%ln, %s)', heads, b'%d' % (depth - 1))
            )
        if not first:
            left_out = set(repo.changelog.revs()) - recent if depth else set()
            _record(repo, extent.Extent(left_out))
            return
        found = extent.read(repo)
        if found is None:
            found = extent.Extent(
                set(range(first)), set(range(first, len(repo)))
            )
        endpoint = session.endpoint
        if endpoint is not None and _has_files(endpoint):
            if any(rev in found for rev in recent):
                _fetch(
                    repo,
                    endpoint,
                    {
                        b'type': b'changesetexplicitdepth',
                        b'nodes': heads,
                        b'depth': depth,
                    },
                )
                found.complete(recent)
            _complete_pending(repo, session.remote, endpoint, found)
        _record(repo, found)


def _record(repo: Any, found: extent.Extent) -> None:
    """Record what is missing; if it is nothing, end the limited depth."""
    extent.write(repo, found)
    if not (found.left_out or found.pending) and len(repo):
        if repo.currenttransaction() is None:
            completion.complete(repo)


def _has_files(endpoint: Endpoint) -> bool:
    """Return whether the files of single changesets can be requested."""
    return endpoint.api is not None and b'filesdata' in endpoint.api.commands


def _complete_pending(
    repo: Any, remote: Any, endpoint: Endpoint, found: extent.Extent
) -> None:
    """Fetch missing data of changesets that were not left out on purpose."""
    parents = repo.changelog.parentrevs
    based = [
        rev
        for rev in sorted(found.pending)
        if rev in found.reused or any(p in found.left_out for p in parents(rev))
    ]
    if not based:
        return
    node = repo.changelog.node
    nodes = [node(rev) for rev in based]
    with remote.commandexecutor() as executor:
        # Some of them may exist in this repository only.
        known = executor.callcommand(b'known', {b'nodes': nodes}).result()
    nodes = list(itertools.compress(nodes, known))
    if nodes:
        _fetch(repo, endpoint, {b'type': b'changesetexplicit', b'nodes': nodes})
        found.complete(set(map(repo.changelog.rev, nodes)))
    for rev in sorted(found.pending):
        if rev not in found.reused and not any(
            p in found for p in parents(rev)
        ):
            found.complete({rev})


def _fetch(repo: Any, endpoint: Endpoint, spec: Mapping[bytes, Any]) -> None:
    """Fetch the files of changesets in ``repo``; keep data that was missing.

    ``spec`` is a revision specifier of the protocol.
    """
    client = endpoint.client(ask=True)
    args: dict[bytes, Any] = {b'revisions': [spec], b'fields': DATA_FIELDS}
    include, exclude = repo.narrowpats
    if include or exclude:
        args[b'pathfilter'] = {
            b'include': sorted(include),
            b'exclude': sorted(exclude),
        }
    exchange = Exchange(client, CommandCall(b'filesdata', args))
    values = exchange.values(0)
    count = 0
    try:
        paths = records.header(values, b'totalpaths')
        with repo.ui.makeprogress(
            _(b'fetching files'), unit=_(b'files'), total=paths
        ) as bar:
            for path, revisions in records.files(values, paths):
                bar.increment(item=path)
                count += _keep(repo, path, revisions)
        records.end(values)
        exchange.finish()
    except ProtocolError as exc:
        raise failures.RemoteFailure(client.url, exc.message) from exc
    finally:
        exchange.close()
    if count:
        repo.ui.status(_(b'fetched data of %d file revisions\n') % count)


def _keep(repo: Any, path: bytes, revisions: Iterator[RevisionRecord]) -> int:
    """Keep the data that the file lacks; return how many revisions got data."""
    content = {record.node: record for record in revisions}
    inner = storage.of_file(repo, path)
    count = 0
    for node, record in content.items():
        if inner.hasnode(node) and storage.is_missing(repo, inner, node):
            text = fulltext(record, content)
            texts.write_text(repo, inner, inner.rev(node), text)
            count += 1
    return count
