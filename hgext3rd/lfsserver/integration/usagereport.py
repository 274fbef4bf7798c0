# SPDX-License-Identifier: GPL-2.0-or-later
"""``hg admin::lfs-usage``: how many bytes the blobs of a repository take.

This module prints what ``stores.groups`` measures.
"""

from __future__ import annotations

from typing import Any

from mercurial import util
from mercurial.i18n import _

from ..stores import groups


def run(ui: Any, repo: Any, fm: Any, depth: int) -> None:
    """Show the usage by ``depth`` levels of folders; raise LfsServerError."""
    total, *others = groups.rows(repo, depth)
    with fm:
        _total(fm, total)
        for row in others:
            _row(fm, row)


def _total(fm: Any, total: dict[str, Any]) -> None:
    limit, size, uploads = total['quota'], total['bytes'], total['uploads']
    fm.startitem()
    fm.data(group=total['group'], quota=limit)
    fm.write(
        b'blobs bytes',
        b'%d blobs, %s',
        total['blobs'],
        _shown(fm, size),
    )
    fm.write(b'uploads', _(b'; uploads in progress: %s'), _shown(fm, uploads))
    if limit > 0:
        fm.plain(
            _(b'; %d%% of the quota of %s')
            % ((size + uploads) * 100 // limit, util.bytecount(limit))
        )
    fm.plain(b'\n')


def _shown(fm: Any, size: int) -> Any:
    """Return a size as text for people, and as a number for programs."""
    return util.bytecount(size) if fm.isplain() else size


def _row(fm: Any, row: dict[str, Any]) -> None:
    fm.startitem()
    fm.data(group=row['group'])
    fm.write(
        b'blobs bytes name',
        b'%8d %10s  %s\n' if fm.isplain() else b'%d %d %s\n',
        row['blobs'],
        _shown(fm, row['bytes']),
        row['name'],
    )
