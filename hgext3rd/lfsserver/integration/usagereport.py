# SPDX-License-Identifier: GPL-2.0-or-later
"""``hg admin::lfs-usage``: how many bytes the blobs of a repository take.

This module reads the store and the history once, and prints sums.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from mercurial import util
from mercurial.i18n import _

from ..stores import configured, references
from ..stores.blobs import Blob

_DAY = 24 * 60 * 60

# The groups by age: names, and the seconds below which a blob belongs to them.
_AGES = (
    (b'up to a day old', _DAY),
    (b'up to a week old', 7 * _DAY),
    (b'up to a month old', 30 * _DAY),
    (b'up to a year old', 365 * _DAY),
    (b'older', float('inf')),
)

UNREFERENCED = b'(unreferenced)'


def run(ui: Any, repo: Any, fm: Any, depth: int) -> None:
    """Show the usage by ``depth`` levels of folders; raise LfsServerError."""
    roles = configured.blob_store(repo)
    blobs = {blob.oid: blob for blob in roles.maintenance.walk()}
    size = sum(blob.size for blob in blobs.values())
    uploads = max(roles.maintenance.usage().total(()) - size, 0)
    limit = ui.configbytes(b'lfsserver', b'quota')
    groups = _folders(repo, blobs, depth)
    with fm:
        fm.startitem()
        fm.data(group=b'total', quota=limit)
        fm.write(
            b'blobs bytes',
            b'%d blobs, %s',
            len(blobs),
            _shown(fm, size),
        )
        fm.write(
            b'uploads', _(b'; uploads in progress: %s'), _shown(fm, uploads)
        )
        if limit > 0:
            fm.plain(
                _(b'; %d%% of the quota of %s')
                % ((size + uploads) * 100 // limit, util.bytecount(limit))
            )
        fm.plain(b'\n')
        for name in sorted(groups):
            _row(fm, b'folder', name, groups[name])
        for name, group in _ages(blobs.values(), time.time()):
            _row(fm, b'age', name, group)


def _shown(fm: Any, size: int) -> Any:
    """Return a size as text for people, and as a number for programs."""
    return util.bytecount(size) if fm.isplain() else size


def _row(fm: Any, group: bytes, name: bytes, blobs: Iterable[Blob]) -> None:
    sizes = [blob.size for blob in blobs]
    fm.startitem()
    fm.data(group=group)
    fm.write(
        b'blobs bytes name',
        b'%8d %10s  %s\n' if fm.isplain() else b'%d %d %s\n',
        len(sizes),
        _shown(fm, sum(sizes)),
        name,
    )


def _folders(
    repo: Any, blobs: dict[str, Blob], depth: int
) -> dict[bytes, set[Blob]]:
    """Return the blobs by the folders of the files that refer to them."""
    groups: dict[bytes, set[Blob]] = defaultdict(set)
    left = set(blobs)
    for path, oid in references.by_path(repo):
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
