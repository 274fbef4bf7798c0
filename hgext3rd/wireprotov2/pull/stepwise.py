# SPDX-License-Identifier: GPL-2.0-or-later
"""A pull with one request after the other, from Mercurial 4.8 to 6.0.

These servers do not select manifests by changeset, so the changesets must be
read before the manifests can be requested. This module also works around
requests that these servers cannot answer.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from ..client import failures
from ..client.exchange import CommandCall, Exchange
from ..client.transport import Transport
from . import records
from .depth import RecordSpool, merge
from .records import RevisionRecord
from .wanted import (
    CHANGESET_FIELDS,
    FILE_FIELDS,
    GRAPH_FIELDS,
    MANIFEST_FIELDS,
    Seen,
    Wanted,
    read_keys,
)

# How many revisions to request at once from servers that recommend no number.
# These are what Mercurial 6.0 recommends.
MANIFEST_BATCH = 100_000
FILES_BATCH = 50_000

# The most paths named in one request. With more, matching them costs the server
# more than sending the files of all other paths as well.
MAX_PATHS = 5000


class Stepwise:
    """The records of several requests. Read them in the order of the methods.

    ``manifest_batch`` and ``files_batch`` are the numbers of revisions that the
    server recommends for one request, None if it does not.
    """

    #: Whether files come only for paths that the changesets touch.
    exact = True

    def __init__(
        self,
        client: Transport,
        wanted: Wanted,
        manifest_batch: int | None,
        files_batch: int | None,
    ) -> None:
        self._client = client
        self._wanted = wanted
        self._manifest_batch = manifest_batch or MANIFEST_BATCH
        self._files_batch = files_batch or FILES_BATCH
        commands = []
        if wanted.changesets:
            commands.append(
                CommandCall(
                    b'changesetdata',
                    {b'revisions': [wanted.range], b'fields': CHANGESET_FIELDS},
                )
            )
        for namespace in wanted.namespaces:
            commands.append(CommandCall(b'listkeys', {b'namespace': namespace}))
        self.seen = Seen()
        #: the number of changesets
        self.total = 0
        self._keys: dict[bytes, dict[bytes, bytes]] | None = None
        self._exchange = Exchange(client, *commands)
        if wanted.changesets:
            self._values = self._exchange.values(0)
            self.total = records.header(self._values)

    def changesets(self) -> Iterator[RevisionRecord]:
        """Yield the changesets, parents first."""
        for record in records.changesets(self._values, self.total):
            self.seen.add(record)
            yield record
        # The rest of this response must be read before the connection can be
        # used for the next request.
        self._read_keys()

    def _read_keys(self) -> None:
        first = 1 if self._wanted.changesets else 0
        self._keys = {
            namespace: read_keys(self._exchange, index)
            for index, namespace in enumerate(self._wanted.namespaces, first)
        }
        self._exchange.finish()

    def listkeys(self, namespace: bytes) -> dict[bytes, bytes]:
        """Return a pushkey namespace. Call it after ``changesets``."""
        if self._keys is None:
            self._read_keys()
        assert self._keys is not None
        return self._keys[namespace]

    def manifests(self) -> Iterator[RevisionRecord]:
        """Yield the manifests of the changesets."""
        for nodes in _batches(list(self.seen.manifests), self._manifest_batch):
            values = self._run(
                b'manifestdata',
                {
                    b'nodes': nodes,
                    b'tree': b'',
                    b'fields': MANIFEST_FIELDS,
                    # In this order, the parents are in the repository or were
                    # requested before.
                    b'haveparents': True,
                },
            )
            yield from records.revisions(values, records.header(values))
            records.end(values)
            self._exchange.finish()

    def files(self) -> Iterator[tuple[bytes, Iterator[RevisionRecord]]]:
        """Yield pairs of a path and its revisions.

        Read the revisions of a file before the next file is requested.
        """
        if not self.seen.paths:
            return
        if not self._wanted.depth:
            lazy = self._wanted.depth == 0
            yield from self._files(GRAPH_FIELDS if lazy else FILE_FIELDS)
            return
        with contextlib.closing(RecordSpool(self._recent())) as spool:
            yield from merge(self._files(GRAPH_FIELDS), spool)

    def _recent(self) -> Iterator[tuple[bytes, Iterator[RevisionRecord]]]:
        """Yield the files whose data is wanted in spite of the depth."""
        values = self._run(
            b'filesdata',
            {
                b'revisions': [self._wanted.recent],
                b'fields': FILE_FIELDS,
                **self._wanted.filter_argument,
            },
        )
        paths = records.header(values, b'totalpaths')
        yield from records.files(values, paths)
        records.end(values)
        self._exchange.finish()

    def _files(
        self, fields: set[bytes]
    ) -> Iterator[tuple[bytes, Iterator[RevisionRecord]]]:
        bare = b'revision' not in fields
        whole = len(self.seen.nodes) <= self._files_batch
        first = not self._wanted.roots
        for nodes in _batches(list(self.seen.nodes), self._files_batch):
            if whole:
                spec = self._wanted.range
            else:
                spec = {b'type': b'changesetexplicit', b'nodes': nodes}
            values, paths = self._files_of(spec, first, fields)
            first = False
            yield from records.files(values, paths, bare)
            records.end(values)
            self._exchange.finish()

    def _files_of(
        self, spec: dict[bytes, Any], first: bool, fields: set[bytes]
    ) -> tuple[Iterator[Any], int]:
        """Request the files of changesets; return values and number of paths.

        ``first`` says that this repository has no files yet. With
        ``haveparents``, these servers fail for changesets that remove files.
        Without it, they send all files in the manifests of the changesets. That
        is what a clone needs; a pull can name the paths that changed.
        """
        args: dict[bytes, Any] = {
            b'revisions': [spec],
            b'fields': fields,
            **self._wanted.filter_argument,
        }
        if not first:
            try:
                values = self._run(b'filesdata', {**args, b'haveparents': True})
                return values, records.header(values, b'totalpaths')
            except failures.CommandRefused as exc:
                self._client.ui.debug(b'%s\n' % exc.message)
            paths = sorted(self.seen.paths)
            # Without a filter come files that only older changesets touched.
            self.exact = len(paths) <= MAX_PATHS
            if self.exact and b'pathfilter' not in args:
                args[b'pathfilter'] = {
                    b'include': [b'path:%s' % path for path in paths]
                }
        values = self._run(b'filesdata', args)
        return values, records.header(values, b'totalpaths')

    def _run(self, name: bytes, args: dict[bytes, Any]) -> Iterator[Any]:
        """Run one command; return the values of its response."""
        self._exchange = Exchange(self._client, CommandCall(name, args))
        return self._exchange.values(0)

    def finish(self) -> None:
        """Check that the response ends; keep the connection for other uses."""
        self._exchange.finish()

    def close(self) -> None:
        """Abandon the response if it has not ended."""
        self._exchange.close()


def _batches(items: list[bytes], size: int) -> Iterator[list[bytes]]:
    """Yield ``items`` in lists of up to ``size``."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
