# SPDX-License-Identifier: GPL-2.0-or-later
"""Remove the history of files that are no longer part of a narrow clone.

Removes whole files. The narrowspec of the repository decides which.
"""

from __future__ import annotations

from typing import Any

from mercurial.i18n import _

from .writer import writer as writer_of


def remove_unmatched(repo: Any) -> int:
    """Remove all files outside the narrowspec, and return how many."""
    repo = repo.unfiltered()
    store = repo.sqlitestore
    match = repo._storenarrowmatch
    paths = [path for path in store.paths() if not match(path)]
    if not paths:
        return 0
    with repo.lock(), repo.transaction(b'narrowing') as tr:
        writer = writer_of(store, tr)
        progress = repo.ui.makeprogress(
            _(b'removing'), unit=_(b'files'), total=len(paths)
        )
        with progress:
            for path in paths:
                writer.truncate(path, store.index(path), 0)
                progress.increment()
    return len(paths)
