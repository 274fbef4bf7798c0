# SPDX-License-Identifier: GPL-2.0-or-later
"""What a pull wants from a server, and what it has learned while reading.

Used by both sources of a pull, ``onerequest`` and ``stepwise``. Knows the
arguments of commands; sends nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..client.exchange import Exchange
from ..proto.errors import CBORError
from .records import FULLTEXT_HEADER, NODE_SIZE, NULL_ID, RevisionRecord

# The fields of a revision that is needed for its data alone.
DATA_FIELDS = {b'parents', b'revision'}

CHANGESET_FIELDS = {b'parents', b'revision'}
MANIFEST_FIELDS = {b'parents', b'revision'}
FILE_FIELDS = {b'linknode', b'parents', b'revision'}

# The fields of file revisions that are stored without data.
GRAPH_FIELDS = {b'linknode', b'parents'}


@dataclass
class Wanted:
    """What to pull: ancestors of ``heads`` that are no ancestors of ``common``.

    ``changesets`` is False if only ``namespaces``, the pushkey namespaces to
    list, are wanted. ``pathfilter`` limits the files (not the manifests). With
    ``depth``, only the files of that many generations come with their data; 0
    means none.
    """

    common: Sequence[bytes]
    heads: Sequence[bytes]
    changesets: bool = True
    namespaces: Sequence[bytes] = ()
    pathfilter: Mapping[bytes, list[bytes]] | None = None
    depth: int | None = None

    @property
    def roots(self) -> list[bytes]:
        """The nodes of ``common`` without the null revision."""
        return [node for node in self.common if node != NULL_ID]

    @property
    def filter_argument(self) -> dict[bytes, Any]:
        """The argument of ``filesdata`` that selects files, as a map."""
        if self.pathfilter is None:
            return {}
        return {b'pathfilter': dict(self.pathfilter)}

    @property
    def range(self) -> dict[bytes, Any]:
        """The revision specifier of all wanted changesets."""
        return {
            b'type': b'changesetdagrange',
            b'roots': self.roots,
            b'heads': list(self.heads),
        }

    @property
    def recent(self) -> dict[bytes, Any]:
        """The revision specifier of changesets whose file data is wanted."""
        return {
            b'type': b'changesetexplicitdepth',
            b'nodes': list(self.heads),
            b'depth': self.depth,
        }


@dataclass
class Seen:
    """What the changesets read so far say about manifests and files.

    ``nodes`` are the nodes of the changesets. ``manifests`` maps the nodes of
    manifests to the first changeset that has each. ``paths`` are the files that
    the changesets touch.
    """

    nodes: dict[bytes, None] = field(default_factory=dict)
    manifests: dict[bytes, bytes] = field(default_factory=dict)
    paths: set[bytes] = field(default_factory=set)

    def add(self, record: RevisionRecord) -> None:
        """Read a changeset; raise ``CBORError`` if it is malformed or repeated.

        The format of a changeset is that of ``mercurial.changelog``: manifest,
        user, date, paths, an empty line, description.
        """
        node = record.node
        if node in self.nodes:
            # A server could repeat changesets without end.
            raise CBORError(b'malformed response: a changeset comes twice')
        self.nodes[node] = None
        text = record.delta[FULLTEXT_HEADER:]
        try:
            manifest = bytes.fromhex(text[: 2 * NODE_SIZE].decode('ascii'))
        except ValueError:
            manifest = b''
        if len(manifest) != NODE_SIZE:
            raise CBORError(b'malformed response: a changeset has no manifest')
        if manifest != NULL_ID:
            self.manifests.setdefault(manifest, node)
        self.paths.update(text.partition(b'\n\n')[0].split(b'\n')[3:])


def read_keys(exchange: Exchange, index: int) -> dict[bytes, bytes]:
    """Read the response to ``listkeys``, the command at ``index``.

    Raises ``CBORError``.
    """
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
