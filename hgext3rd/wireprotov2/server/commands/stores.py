# SPDX-License-Identifier: GPL-2.0-or-later
"""The revisions of a file or manifest storage as records of a response.

Works on anything with the interface of Mercurial's file and manifest storage.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from mercurial import error

from ...proto.errors import CommandError
from . import records


def stored_rev(store: Any, node: bytes) -> int | None:
    """Return the revision number of ``node``, None if it is unknown."""
    try:
        rev: int = store.rev(node)
    # The index raises ValueError for bytes that are no node.
    except (error.LookupError, ValueError):
        return None
    return rev if rev >= 0 else None


class FileStores:
    """The storages of files, kept from their first use to their second.

    The indexes of files tell which revisions to send, and these are then sent
    from the same files. Reading every index twice would take a tenth of the
    time of a response.
    """

    # The most storages kept, since each holds an index in memory. The others
    # are read again.
    LIMIT = 2000

    def __init__(self, repo: Any) -> None:
        self._repo = repo
        self._kept: dict[bytes, Any] = {}

    def get(self, path: bytes) -> Any:
        """Return the storage of ``path`` and keep it for ``take``."""
        store = self._kept.get(path)
        if store is None:
            store = self._repo.file(path)
            if len(self._kept) < self.LIMIT:
                self._kept[path] = store
        return store

    def take(self, path: bytes) -> Any:
        """Return the storage of ``path`` and forget it.

        Raises ``CommandError`` if there is no such file.
        """
        store = self._kept.pop(path, None)
        if store is None:
            store = self._repo.file(path)
        if not len(store):
            raise CommandError(b'unknown file: %s', (path,))
        return store


def revision_records(
    store: Any,
    nodes: Collection[bytes],
    fields: Collection[bytes],
    haveparents: bool,
    linknodes: Mapping[bytes, bytes] | None = None,
    plain_text: Callable[[Any], bytes | None] | None = None,
) -> Iterator[bytes]:
    """Yield the records of ``nodes``, in the order that makes deltas smallest.

    Deltas are against revisions sent before, or with ``haveparents`` against
    parents. ``plain_text`` takes a revision as the storage emits it. For
    clients that did not ask for ``flags``, its result is sent instead of the
    data.
    """
    if not nodes:
        # The storage does not expect an empty list.
        return
    want_parents = b'parents' in fields
    want_flags = b'flags' in fields
    revisiondata = b'revision' in fields
    make = records.stored
    for found in store.emitrevisions(
        nodes,
        revisiondata=revisiondata,
        assumehaveparentrevisions=haveparents,
    ):
        node = found.node
        revision = delta = base = None
        flags = 0
        if revisiondata:
            if plain_text is not None and not want_flags:
                revision = plain_text(found)
            if revision is None:
                revision = found.revision
                if revision is None:
                    delta = found.delta
                    base = found.basenode
                if want_flags:
                    flags = found.flags
        yield make(
            node,
            (found.p1node, found.p2node) if want_parents else None,
            linknodes[node] if linknodes is not None else None,
            revision,
            delta,
            base,
            flags,
        )
