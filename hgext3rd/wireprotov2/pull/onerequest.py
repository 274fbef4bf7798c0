# SPDX-License-Identifier: GPL-2.0-or-later
"""A pull in one request, from servers that select manifests by changeset.

All commands are sent at once, and the responses are read while the server
computes: changesets, manifests, files, and at last the pushkey namespaces.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

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


class OneRequest:
    """The records of one request. Read them in the order of the methods.

    ``flags`` says that the server can send the flags of file revisions.
    """

    #: Files come for the paths that the changesets touch, and for no others.
    exact = True

    def __init__(self, client: Transport, wanted: Wanted, flags: bool) -> None:
        self._depth = wanted.depth
        self._keys: dict[bytes, dict[bytes, bytes]] = {}
        self.seen = Seen()
        #: the number of changesets
        self.total = 0
        commands = _history_commands(wanted, flags) if wanted.changesets else []
        self._indexes = {}
        for namespace in wanted.namespaces:
            self._indexes[namespace] = len(commands)
            commands.append(CommandCall(b'listkeys', {b'namespace': namespace}))
        self._exchange = Exchange(client, *commands)
        if wanted.changesets:
            self._values = self._exchange.values(0)
            self.total = records.header(self._values)

    def changesets(self) -> Iterator[RevisionRecord]:
        """Yield the changesets, parents first."""
        for record in records.changesets(self._values, self.total):
            self.seen.add(record)
            yield record

    def manifests(self) -> Iterator[RevisionRecord]:
        """Yield the manifests of the changesets."""
        values = self._exchange.values(1)
        yield from records.revisions(values, records.header(values))
        records.end(values)

    def files(self) -> Iterator[tuple[bytes, Iterator[RevisionRecord]]]:
        """Yield pairs of a path and its revisions.

        Read the revisions of a file before the next file is requested.
        """
        if not self._depth:
            yield from self._files(2, bare=self._depth == 0)
            return
        with contextlib.closing(RecordSpool(self._files(2))) as spool:
            yield from merge(self._files(3, bare=True), spool)

    def _files(
        self, index: int, bare: bool = False
    ) -> Iterator[tuple[bytes, Iterator[RevisionRecord]]]:
        values = self._exchange.values(index)
        paths = records.header(values, b'totalpaths')
        yield from records.files(values, paths, bare)
        records.end(values)

    def listkeys(self, namespace: bytes) -> dict[bytes, bytes]:
        """Return a pushkey namespace. Read them in the order requested."""
        if namespace not in self._keys:
            index = self._indexes[namespace]
            self._keys[namespace] = read_keys(self._exchange, index)
        return self._keys[namespace]

    def finish(self) -> None:
        """Check that the response ends; keep the connection for other uses."""
        self._exchange.finish()

    def close(self) -> None:
        """Abandon the response if it has not ended."""
        self._exchange.close()


def _history_commands(wanted: Wanted, flags: bool) -> list[CommandCall]:
    """Return the commands for changesets, manifests and files.

    With a depth, the files come twice: those with data first, then all files
    without data. With a depth of 0, only the latter come.
    """
    revisions = [wanted.range]
    fields = FILE_FIELDS | {b'flags'} if flags else FILE_FIELDS
    commands = [
        CommandCall(
            b'changesetdata',
            {b'revisions': revisions, b'fields': CHANGESET_FIELDS},
        ),
        CommandCall(
            b'manifestdata',
            {
                b'nodes': [],
                b'revisions': revisions,
                b'tree': b'',
                b'fields': MANIFEST_FIELDS,
                b'haveparents': True,
            },
        ),
    ]
    if wanted.depth:
        commands.append(
            CommandCall(
                b'filesdata',
                {
                    b'revisions': [wanted.recent],
                    b'fields': fields,
                    b'haveparents': False,
                    **wanted.filter_argument,
                },
            )
        )
    if wanted.depth is not None:
        fields = GRAPH_FIELDS
    commands.append(
        CommandCall(
            b'filesdata',
            {
                b'revisions': revisions,
                b'fields': fields,
                b'haveparents': True,
                **wanted.filter_argument,
            },
        )
    )
    return commands
