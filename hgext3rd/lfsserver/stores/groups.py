# SPDX-License-Identifier: GPL-2.0-or-later
"""How many bytes the blobs of a repository take, by folder and by age.

Reads the store and the history once. The command and the page for people show
the rows.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from . import configured, references
from .blobs import Blob

DAY = 24 * 60 * 60

# The groups by age: names, and the seconds below which a blob belongs to them.
_AGES = (
    (b'up to a day old', DAY),
    (b'up to a week old', 7 * DAY),
    (b'up to a month old', 30 * DAY),
    (b'up to a year old', 365 * DAY),
    (b'older', float('inf')),
)

UNREFERENCED = b'(unreferenced)'


def rows(
    repo: Any, depth: int, *, as_seen: bool = False
) -> Iterator[dict[str, Any]]:
    """Yield the usage in all, by ``depth`` levels of folders, and by age.

    The first row has the quota, and what uploads in progress take. With
    ``as_seen``, only files of changesets that ``repo`` shows name folders.
    Raises LfsServerError.
    """
    roles = configured.blob_store(repo)
    blobs = {blob.oid: blob for blob in roles.maintenance.walk()}
    size = sum(blob.size for blob in blobs.values())
    yield {
        'group': b'total',
        'quota': repo.ui.configbytes(b'lfsserver', b'quota'),
        'blobs': len(blobs),
        'bytes': size,
        'uploads': max(roles.maintenance.usage().total(()) - size, 0),
    }
    groups = _folders(repo, blobs, depth, as_seen)
    for name in sorted(groups):
        yield _row(b'folder', name, groups[name])
    for name, group in _ages(blobs.values(), time.time()):
        yield _row(b'age', name, group)


def _row(group: bytes, name: bytes, blobs: Iterable[Blob]) -> dict[str, Any]:
    sizes = [blob.size for blob in blobs]
    return {
        'group': group,
        'blobs': len(sizes),
        'bytes': sum(sizes),
        'name': name,
    }


def _folders(
    repo: Any, blobs: dict[str, Blob], depth: int, as_seen: bool
) -> dict[bytes, set[Blob]]:
    """Return the blobs by the folders of the files that refer to them."""
    groups: dict[bytes, set[Blob]] = defaultdict(set)
    left = set(blobs)
    for path, oid in references.by_path(repo, as_seen=as_seen):
        if oid in blobs:
            folders = path.split(b'/')[:-1][:depth]
            name = b'/'.join(folders) + b'/' if folders else b'./'
            groups[name].add(blobs[oid])
            left.discard(oid)
    if left:
        groups[UNREFERENCED] = {blobs[oid] for oid in left}
    return groups


def _ages(blobs: Iterable[Blob], now: float) -> list[tuple[bytes, list[Blob]]]:
    """Return the blobs by the time since their upload, youngest first."""
    groups: dict[bytes, list[Blob]] = {name: [] for name, _limit in _AGES}
    for blob in blobs:
        age = now - blob.modified
        name = next(name for name, limit in _AGES if age < limit)
        groups[name].append(blob)
    return [(name, group) for name, group in groups.items() if group]
