# SPDX-License-Identifier: GPL-2.0-or-later
"""The hook by which Mercurial announces the files it is about to read.

Every command imports this module, so it imports other modules of this package
only when they are needed.
"""

from __future__ import annotations

from typing import Any

from .. import requirements


def prefetch_files(repo: Any, revmatches: Any) -> None:
    """Read many files of a repository at once, if they are in SQLite.

    ``revmatches`` are pairs of a revision and a matcher, or None.
    """
    if requirements.uses_sqlite(repo):
        from ..reading import prefetch

        repo = repo.unfiltered()
        prefetch.prefetch(repo, repo.sqlitestore, revmatches)
