# SPDX-License-Identifier: GPL-2.0-or-later
"""In which order a repack goes through the files.

Files that resemble each other should share frames: those with the same
extension and name, wherever they lie, and the source of a copy with its copy.
Reads indexes and, of large files without a first parent, the first revision.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable
from typing import NamedTuple

from mercurial.node import nullrev
from mercurial.utils import storageutil

from .. import compat
from ..formats import schema, statements
from ..reading.fileindex import FileIndex
from ..reading.store import Store

# From this size on it pays to look for the source of a copy, and for the same
# content elsewhere, whatever their names are.
LARGE = 64 << 10

# Reading a text of this size only to see whether it is a copy costs too much.
TOO_LARGE = 256 << 20


class Plan(NamedTuple):
    """``files`` holds (path, path id) in order.

    ``twins`` are sizes of large texts that more than one file has.
    """

    files: list[tuple[bytes, int]]
    twins: frozenset[int]


def kinship(path: bytes) -> tuple[bytes, bytes, bytes]:
    """The key to sort paths by: extension, name, folder."""
    folder, _slash, name = path.rpartition(b'/')
    _stem, dot, extension = name.rpartition(b'.')
    return extension if dot else b'', name, folder


def make(store: Store, progress: Callable[[int], None]) -> Plan:
    """The plan for all files; ``progress`` gets the number of files seen."""
    ids = {
        bytes(path): path_id
        for path, path_id in store.db.rows(statements.SELECT_PATHS_AND_IDS)
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
    return Plan(
        [(path, ids[path]) for path in _adopt(order, sources)], frozenset(twins)
    )


def _source(store: Store, idx: FileIndex) -> bytes | None:
    """The path that a large file was copied from."""
    if not len(idx):
        return None
    _offset, _stored, size, _base, _link, p1 = idx.core[0][:6]
    if p1 != nullrev or not LARGE <= size <= TOO_LARGE:
        return None
    text = store.chain_text(idx, 0)
    if not text.startswith(compat.META_MARKER):
        return None
    try:
        meta = storageutil.parsemeta(text)[0] or {}
    except ValueError:
        # not a copy: content that only begins like one
        return None
    source: bytes | None = meta.get(b'copy')
    return source


def _adopt(order: Iterable[bytes], sources: dict[bytes, bytes]) -> list[bytes]:
    """``order`` with each copy right behind its source."""
    copies = collections.defaultdict(list)
    for path, source in sources.items():
        copies[source].append(path)
    result: list[bytes] = []
    seen = set()
    for path in order:
        # start at the origin of a row of copies; a circle starts anywhere
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


def unchanged(old: FileIndex, new: FileIndex) -> bool:
    """Whether all revisions of ``old`` are in ``new``, stored where they were."""
    n = len(old)
    return (
        len(new) >= n
        and new.frames[:n] == old.frames
        and new.places[:n] == old.places
        and all(new.revision(r) == old.revision(r) for r in range(n))
    )


def bounds(path_id: int, n: int = schema.REV_MASK) -> tuple[int, int]:
    """First global id of a file, and the one after its revision ``n`` - 1."""
    return schema.global_id(path_id, 0), schema.global_id(path_id, n)
