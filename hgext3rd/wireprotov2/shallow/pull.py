# SPDX-License-Identifier: GPL-2.0-or-later
"""What a pull into a repository of limited depth does before and after.

Before: the repository is made one in which files may be missing. After: files
are fetched that changesets need which are to be complete. ``shallow`` says
how what is missing is stored.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from mercurial import error
from mercurial.i18n import _

from ..client import failures
from ..client.http import Command, HTTPClient
from ..proto.errors import CBORError, ProtocolError
from ..pull import records as pull_records
from ..pull.depth import fulltext
from ..pull.records import NULL_ID, Record, whole
from . import extent as shallow_extent
from . import repo as shallow_repo
from . import storage as shallow
from .extent import Extent

FIELDS = {b'parents', b'revision'}


def parse_depth(value: Any) -> int | None:
    """Return the value of ``--depth``; None if it was not given."""
    if value is None or value == b'':
        return None
    try:
        depth = int(value)
    except ValueError:
        depth = 0
    if not 0 < depth < 2**31:
        raise error.InputError(_(b'depth must be a positive number'))
    return depth


def prepare(repo: Any, peer: Any, depth: int) -> None:
    """Get ready for a pull with ``depth``. Raises ``Abort``."""
    if shallow.is_shallow(repo):
        return
    if len(repo.unfiltered()):
        raise error.InputError(
            _(b'this repository has the files of all its changesets'),
            hint=_(b"'hg clone --depth' makes one that has not"),
        )
    shallow_repo.begin(repo)


def first_depth(repo: Any, depth: int | None) -> int | None:
    """Return the depth for a pull's own request."""
    # later pulls bring whole changesets; more depth is fetched afterwards
    return None if len(repo.unfiltered()) else depth


def finish(pullop: Any, peer: Any, depth: int | None, first: int) -> None:
    """After a pull: fetch the files that are needed and note what is missing.

    ``first`` is the number of changesets there were before.
    """
    repo = pullop.repo.unfiltered()
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
            shallow_extent.write(repo, Extent(left_out))
            return
        extent = shallow_extent.read(repo)
        if extent is None:
            extent = Extent(set(range(first)), set(range(first, len(repo))))
        if peer_has_files(peer):
            if any(rev in extent for rev in recent):
                _fetch(
                    repo,
                    peer,
                    {
                        b'type': b'changesetexplicitdepth',
                        b'nodes': heads,
                        b'depth': depth,
                    },
                )
                extent.complete(recent)
            _complete_pending(repo, peer, extent)
        shallow_extent.write(repo, extent)


def peer_has_files(peer: Any) -> bool:
    """Return whether files of single changesets can be had from ``peer``."""
    api = getattr(peer, 'v2api', None)
    return api is not None and b'filesdata' in api.commands


def _complete_pending(repo: Any, peer: Any, extent: Extent) -> None:
    """Fetch what changesets lack that were not left out on purpose."""
    parents = repo.changelog.parentrevs
    based = [
        rev
        for rev in sorted(extent.pending)
        if rev in extent.reused
        or any(p in extent.left_out for p in parents(rev))
    ]
    if not based:
        return
    node = repo.changelog.node
    nodes = [node(rev) for rev in based]
    with peer.commandexecutor() as executor:
        # some may be of this repository alone
        known = executor.callcommand(b'known', {b'nodes': nodes}).result()
    nodes = list(itertools.compress(nodes, known))
    if nodes:
        _fetch(repo, peer, {b'type': b'changesetexplicit', b'nodes': nodes})
        extent.complete(set(map(repo.changelog.rev, nodes)))
    for rev in sorted(extent.pending):
        if rev not in extent.reused and not any(
            p in extent for p in parents(rev)
        ):
            extent.complete({rev})


def _fetch(repo: Any, peer: Any, spec: Mapping[bytes, Any]) -> None:
    """Fetch the files of changesets that are here, keep what was missing."""
    client = peer.v2client()
    args: dict[bytes, Any] = {b'revisions': [spec], b'fields': FIELDS}
    include, exclude = repo.narrowpats
    if include or exclude:
        args[b'pathfilter'] = {
            b'include': sorted(include),
            b'exclude': sorted(exclude),
        }
    exchange = client.start(Command(b'filesdata', args))
    values = exchange.values(0)
    count = 0
    try:
        paths = pull_records.header(values, b'totalpaths')
        with repo.ui.makeprogress(
            _(b'fetching files'), unit=_(b'files'), total=paths
        ) as bar:
            for path, records in pull_records.files(values, paths):
                bar.increment(item=path)
                count += _keep(repo, path, records)
        pull_records.end(values)
        exchange.finish()
    except ProtocolError as exc:
        raise failures.ServerFailure(client.url, exc.message) from exc
    finally:
        exchange.close()
    if count:
        repo.ui.status(_(b'fetched data of %d file revisions\n') % count)


def _keep(repo: Any, path: bytes, records: Iterator[Record]) -> int:
    content = {record.node: record for record in records}
    storage = repo.file(path)._revlog
    count = 0
    for node, record in content.items():
        if storage.hasnode(node) and shallow.is_missing(repo, storage, node):
            text = fulltext(record, content)
            shallow.write_text(repo, storage, storage.rev(node), text)
            count += 1
    return count


class Completer:
    """Replaces deltas that apply to what is not here by whole texts.

    Servers take a client to have the files of all ancestors. Asks ``peer``
    while its answer is being read.
    """

    def __init__(self, repo: Any, peer: Any) -> None:
        self._repo = repo.unfiltered()
        self._peer = peer
        self._client: HTTPClient | None = None
        self._path = b''
        self._storage: Any = None

    def __call__(self, path: bytes, record: Record) -> Record:
        if record.base == NULL_ID:
            return record
        if path != self._path:
            self._path = path
            self._storage = self._repo.file(path)._revlog
        storage = self._storage
        if not (
            storage.hasnode(record.base)
            and shallow.is_missing(self._repo, storage, record.base)
        ):
            return record
        if self._client is None:
            self._client = self._peer.v2_client_apart()
        values = iter(
            self._client.call(
                b'filedata',
                {
                    b'path': path,
                    b'nodes': [record.node],
                    b'fields': FIELDS,
                },
            )
        )
        found = list(
            pull_records.revisions(values, pull_records.header(values))
        )
        if len(found) != 1 or found[0][:3] != record[:3]:
            raise CBORError(b'malformed response: another revision')
        text = fulltext(found[0], {})
        # as a text that is whole, whatever stands for it on the server
        return record._replace(base=NULL_ID, delta=whole(text), flags=0)
