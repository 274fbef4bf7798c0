# SPDX-License-Identifier: GPL-2.0-or-later
"""Removing the history of files that left a narrow clone."""

from __future__ import annotations

from typing import Any

from mercurial.i18n import _

from . import writer as transaction


def remove_unmatched(repo: Any) -> int:
    """Remove all files outside the narrowspec; returns how many there were."""
    repo = repo.unfiltered()
    store = repo.sqlitestore
    match = repo._storenarrowmatch
    paths = [path for path in store.paths() if not match(path)]
    if not paths:
        return 0
    with repo.lock(), repo.transaction(b'narrowing') as tr:
        writer = transaction.writer(store, tr)
        progress = repo.ui.makeprogress(
            _(b'removing'), unit=_(b'files'), total=len(paths)
        )
        with progress:
            for path in paths:
                writer.truncate(path, store.index(path), 0)
                progress.increment()
    return len(paths)
