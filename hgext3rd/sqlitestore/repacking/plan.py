# SPDX-License-Identifier: GPL-2.0-or-later
"""The order in which a repack goes through the files.

Files that resemble each other should share frames: files with the same
extension and name in any folder, and a copy and its source. Planning reads all
indexes, and the first revision of each large file that may be a copy. It writes
nothing.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable
from typing import NamedTuple

from mercurial.node import nullrev

from ..formats import schema, statements
from ..reading.fileindex import FileIndex
from ..reading.store import Store
from ..writing import relatives

# Bytes of the smallest text for which it pays to look for the source of a copy,
# and for the same content in a file with another name.
LARGE = 64 << 10

# Bytes of the largest text that is read only to see whether it is a copy.
TOO_LARGE = 256 << 20


class Plan(NamedTuple):
    """The order in which a repack goes through the files.

    ``files`` are (path, path id) in that order, and ``directories`` are those
    of manifests. ``twins`` are sizes of large texts that more than one file
    has.
    """

    files: list[tuple[bytes, int]]
    directories: list[tuple[bytes, int]]
    twins: frozenset[int]


def kinship(path: bytes) -> tuple[bytes, bytes, bytes]:
    """Return the key to sort paths by: extension, name, folder."""
    folder, _slash, name = path.rpartition(b'/')
    _stem, dot, extension = name.rpartition(b'.')
    return extension if dot else b'', name, folder


def make(store: Store, progress: Callable[[int], None]) -> Plan:
    """Return the plan for all files.

    ``progress`` is called with the number of files seen.
    """
    ids = {
        bytes(path): path_id
        for path, path_id in store.db.rows(
            statements.SELECT_PATHS_AND_IDS, (schema.FILE,)
        )
    }
    order = sorted(ids, key=kinship)
    sources: dict[bytes, bytes] = {}
    owners: dict[int, int] = {}
    twins = set()
    for done, path in enumerate(order):
        path_id = ids[path]
        idx = store.read_index(path_id)
        for size in {idx.core[rev][2] for rev in range(len(idx))}:
            if size >= LARGE and owners.setdefault(size, path_id) != path_id:
                twins.add(size)
        source = _source(store, idx)
        if source is not None and source in ids and source != path:
            sources[path] = source
        progress(done)
    directories = store.db.rows(
        statements.SELECT_PATHS_AND_IDS, (schema.DIRECTORY,)
    )
    return Plan(
        [(path, ids[path]) for path in _adopt(order, sources)],
        sorted((bytes(path), path_id) for path, path_id in directories),
        frozenset(twins),
    )


def _source(store: Store, idx: FileIndex) -> bytes | None:
    """Return the path that a large file was copied from, or None."""
    if not len(idx):
        return None
    _offset, _stored, size, _base, _link, p1 = idx.core[0][:6]
    if p1 != nullrev or not LARGE <= size <= TOO_LARGE:
        return None
    return relatives.metadata(store.chain_text(idx, 0)).get(b'copy')


def _adopt(order: Iterable[bytes], sources: dict[bytes, bytes]) -> list[bytes]:
    """Return ``order`` with each copy directly after its source.

    ``sources`` maps the path of a copy to that of its source.
    """
    copies = collections.defaultdict(list)
    for path, source in sources.items():
        copies[source].append(path)
    result: list[bytes] = []
    seen = set()
    for path in order:
        # Start with the first of a series of copies; a circle starts anywhere.
        first, passed = path, {path}
        while first in sources and sources[first] not in passed:
            first = sources[first]
            passed.add(first)
        todo = [first]
        while todo:
            current = todo.pop()
            if current not in seen:
                seen.add(current)
                result.append(current)
                todo.extend(reversed(copies.get(current, ())))
    return result
