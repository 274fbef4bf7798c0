# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a pull's records come from: which commands to send to which server.

``OneRequest`` asks a server that can select manifests by changeset for
everything at once. ``Stepwise`` serves Mercurial 4.8 to 6.0: it needs the
changesets to know which manifests to ask for, and works around what those
servers cannot answer. Both are read in the order changesets, manifests, files.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..client import failures
from ..client.http import Command, Exchange, HTTPClient
from ..proto.errors import CBORError
from . import records
from .depth import Spool, merge
from .records import NODE_SIZE, NULL_ID, Record

CHANGESET_FIELDS = {b'parents', b'revision'}
MANIFEST_FIELDS = {b'parents', b'revision'}
FILE_FIELDS = {b'linknode', b'parents', b'revision'}
GRAPH_FIELDS = {b'linknode', b'parents'}

# Revisions asked for at once of servers that recommend nothing; what 6.0
# recommends.
MANIFEST_BATCH = 100_000
FILES_BATCH = 50_000

# Paths named in one request. Beyond, matching them costs the server more than
# sending what the others hold.
MAX_PATHS = 5000


@dataclass
class Wanted:
    """What to pull: the changesets of ``heads`` that are not in ``common``.

    ``namespaces`` are pushkey namespaces to list besides. ``pathfilter``
    limits the files (not the manifests) that come along; with ``depth``, data
    comes for the files of so many generations only.
    """

    common: Sequence[bytes]
    heads: Sequence[bytes]
    changesets: bool = True
    namespaces: Sequence[bytes] = ()
    pathfilter: Mapping[bytes, list[bytes]] | None = None
    depth: int | None = None

    @property
    def roots(self) -> list[bytes]:
        return [node for node in self.common if node != NULL_ID]

    @property
    def filter_argument(self) -> dict[bytes, Any]:
        """The argument of filesdata that says which files."""
        if self.pathfilter is None:
            return {}
        return {b'pathfilter': dict(self.pathfilter)}

    @property
    def range(self) -> dict[bytes, Any]:
        """The revision specifier of the changesets."""
        return {
            b'type': b'changesetdagrange',
            b'roots': self.roots,
            b'heads': list(self.heads),
        }

    @property
    def recent(self) -> dict[bytes, Any]:
        """The revision specifier of changesets whose files are wanted."""
        return {
            b'type': b'changesetexplicitdepth',
            b'nodes': list(self.heads),
            b'depth': self.depth,
        }


@dataclass
class Seen:
    """What the changesets read so far say about the rest.

    ``manifests`` maps manifest nodes to the first changeset that has them,
    ``paths`` are those the changesets say they touch.
    """

    nodes: dict[bytes, None] = field(default_factory=dict)
    manifests: dict[bytes, bytes] = field(default_factory=dict)
    paths: set[bytes] = field(default_factory=set)

    def add(self, record: Record) -> None:
        node = record.node
        if node in self.nodes:
            # or they might never end
            raise CBORError(b'malformed response: a changeset comes twice')
        self.nodes[node] = None
        text = record.delta[12:]
        try:
            manifest = bytes.fromhex(text[: 2 * NODE_SIZE].decode('ascii'))
        except ValueError:
            manifest = b''
        if len(manifest) != NODE_SIZE:
            raise CBORError(b'malformed response: a changeset has no manifest')
        if manifest != NULL_ID:
            self.manifests.setdefault(manifest, node)
        # user and date follow the manifest, an empty line the paths
        self.paths.update(text.partition(b'\n\n')[0].split(b'\n')[3:])


def _keys(exchange: Exchange, index: int) -> dict[bytes, bytes]:
    values = list(itertools.islice(exchange.values(index), 2))
    if (
        len(values) != 1
        or type(values[0]) is not dict
        or not all(
            type(k) is bytes and type(v) is bytes for k, v in values[0].items()
        )
    ):
        raise CBORError(b'malformed response: listkeys')
    return values[0]


class OneRequest:
    """All commands in one request, answered while the server computes.

    Namespaces are listed last, in the order wanted.
    """

    # files come for what the changesets touch, and for nothing else
    exact = True

    def __init__(self, client: HTTPClient, wanted: Wanted, flags: bool) -> None:
        commands = []
        fields = FILE_FIELDS | {b'flags'} if flags else FILE_FIELDS
        self._depth = wanted.depth
        if wanted.changesets:
            revisions = [wanted.range]
            commands += [
                Command(
                    b'changesetdata',
                    {b'revisions': revisions, b'fields': CHANGESET_FIELDS},
                ),
                Command(
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
                    Command(
                        b'filesdata',
                        {
                            b'revisions': [wanted.recent],
                            b'fields': fields,
                            b'haveparents': False,
                            **wanted.filter_argument,
                        },
                    )
                )
                fields = GRAPH_FIELDS
            commands.append(
                Command(
                    b'filesdata',
                    {
                        b'revisions': revisions,
                        b'fields': fields,
                        b'haveparents': True,
                        **wanted.filter_argument,
                    },
                )
            )
        self._indexes = {}
        self._keys: dict[bytes, dict[bytes, bytes]] = {}
        for namespace in wanted.namespaces:
            self._indexes[namespace] = len(commands)
            commands.append(Command(b'listkeys', {b'namespace': namespace}))
        self.seen = Seen()
        self.total = 0
        self._exchange = client.start(*commands)
        if wanted.changesets:
            self._values = self._exchange.values(0)
            self.total = records.header(self._values)

    def changesets(self) -> Iterator[Record]:
        for record in records.changesets(self._values, self.total):
            self.seen.add(record)
            yield record

    def manifests(self) -> Iterator[Record]:
        values = self._exchange.values(1)
        yield from records.revisions(values, records.header(values))
        records.end(values)

    def files(self) -> Iterator[tuple[bytes, Iterator[Record]]]:
        if not self._depth:
            yield from self._files(2)
            return
        with contextlib.closing(Spool(self._files(2))) as spool:
            yield from merge(self._files(3, bare=True), spool)

    def _files(
        self, index: int, bare: bool = False
    ) -> Iterator[tuple[bytes, Iterator[Record]]]:
        values = self._exchange.values(index)
        paths = records.header(values, b'totalpaths')
        yield from records.files(values, paths, bare)
        records.end(values)

    def listkeys(self, namespace: bytes) -> dict[bytes, bytes]:
        if namespace not in self._keys:
            index = self._indexes[namespace]
            self._keys[namespace] = _keys(self._exchange, index)
        return self._keys[namespace]

    def finish(self) -> None:
        self._exchange.finish()

    def close(self) -> None:
        self._exchange.close()


class Stepwise:
    """One command after the other, for Mercurial 4.8 to 6.0."""

    exact = True

    def __init__(
        self,
        client: HTTPClient,
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
                Command(
                    b'changesetdata',
                    {b'revisions': [wanted.range], b'fields': CHANGESET_FIELDS},
                )
            )
        for namespace in wanted.namespaces:
            commands.append(Command(b'listkeys', {b'namespace': namespace}))
        self.seen = Seen()
        self.total = 0
        self._keys: dict[bytes, dict[bytes, bytes]] | None = None
        self._exchange = client.start(*commands)
        if wanted.changesets:
            self._values = self._exchange.values(0)
            self.total = records.header(self._values)

    def changesets(self) -> Iterator[Record]:
        for record in records.changesets(self._values, self.total):
            self.seen.add(record)
            yield record
        # what follows in the same response must be read before the next
        # request can use the connection
        self._read_keys()

    def _read_keys(self) -> None:
        first = 1 if self._wanted.changesets else 0
        self._keys = {
            namespace: _keys(self._exchange, index)
            for index, namespace in enumerate(self._wanted.namespaces, first)
        }
        self._exchange.finish()

    def listkeys(self, namespace: bytes) -> dict[bytes, bytes]:
        if self._keys is None:
            self._read_keys()
        assert self._keys is not None
        return self._keys[namespace]

    def manifests(self) -> Iterator[Record]:
        for nodes in _batches(list(self.seen.manifests), self._manifest_batch):
            values = self._run(
                b'manifestdata',
                {
                    b'nodes': nodes,
                    b'tree': b'',
                    b'fields': MANIFEST_FIELDS,
                    # in this order all parents are here or on their way
                    b'haveparents': True,
                },
            )
            yield from records.revisions(values, records.header(values))
            records.end(values)
            self._exchange.finish()

    def files(self) -> Iterator[tuple[bytes, Iterator[Record]]]:
        if not self.seen.paths:
            return
        if not self._wanted.depth:
            yield from self._files(FILE_FIELDS)
            return
        with contextlib.closing(Spool(self._recent())) as spool:
            yield from merge(self._files(GRAPH_FIELDS), spool)

    def _recent(self) -> Iterator[tuple[bytes, Iterator[Record]]]:
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
    ) -> Iterator[tuple[bytes, Iterator[Record]]]:
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
        """Ask for the files of changesets; ``first`` if none are here yet.

        With haveparents these servers fail for changesets that remove files.
        Without, they send all files of the changesets' manifests: what a clone
        needs; a pull can at least name the paths that changed.
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
            # without a filter, files come that older changesets touched
            self.exact = len(paths) <= MAX_PATHS
            if self.exact and b'pathfilter' not in args:
                args[b'pathfilter'] = {
                    b'include': [b'path:%s' % path for path in paths]
                }
        values = self._run(b'filesdata', args)
        return values, records.header(values, b'totalpaths')

    def _run(self, name: bytes, args: dict[bytes, Any]) -> Iterator[Any]:
        self._exchange = self._client.start(Command(name, args))
        return self._exchange.values(0)

    def finish(self) -> None:
        self._exchange.finish()

    def close(self) -> None:
        self._exchange.close()


def _batches(items: list[bytes], size: int) -> Iterator[list[bytes]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
