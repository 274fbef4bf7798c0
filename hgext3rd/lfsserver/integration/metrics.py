# SPDX-License-Identifier: GPL-2.0-or-later
"""The state of the large files of a repository, for monitoring.

Every scrape asks, for each repository of a server: what takes longer than a
query is left out. Nothing here knows how samples are shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...amalgam.serving.metrics import GAUGE, Sample
from ..stores import configured, locks


def samples(repo: Any) -> Iterator[Sample]:
    """Yield the samples of a repository, none if it does not serve LFS.

    Raises LfsServerError.
    """
    ui = repo.ui
    if not ui.configbool(b'lfsserver', b'serve'):
        return
    if ui.configbool(b'lfsserver', b'locks'):
        yield Sample(
            'amalgam_lfs_locks',
            'Locks on files that users hold.',
            GAUGE,
            _count_locks(repo),
        )
    # Without a quota, nothing counts the bytes between two scrapes.
    quota = configured.quota(repo, configured.blob_store(repo))
    if quota is not None:
        yield Sample(
            'amalgam_lfs_stored_bytes',
            'Bytes of blobs and of uploads in progress.',
            GAUGE,
            quota.used(),
        )
        yield Sample(
            'amalgam_lfs_quota_bytes',
            'The most bytes that the blobs may take.',
            GAUGE,
            quota.limit,
        )


def _count_locks(repo: Any) -> int:
    if not repo.svfs.exists(b'lfs/locks.sqlite'):
        # Looking must not create it.
        return 0
    store = configured.lock_store(repo)
    count = 0
    cursor = None
    while True:
        page = store.page(cursor=cursor, limit=locks.MAX_LIMIT)
        count += len(page.locks)
        cursor = page.next_cursor
        if cursor is None:
            return count
