# SPDX-License-Identifier: GPL-2.0-or-later
"""The hook by which Mercurial announces the files it is about to read.

It decides whether they are worth reading ahead. How that is done is in
``reading.prefetch``.

Every command imports this module, so it imports other modules of this package
only when they are needed.
"""

from __future__ import annotations

from typing import Any

from .. import requirements

# Fewer files than this are faster to read one by one, without another module.
MIN_FILES = 16

# The most revisions to read ahead. Commands on many changesets announce all of
# them, and then again each one together with its parent.
MOST_REVISIONS = 2


def prefetch_files(repo: Any, revmatches: Any) -> None:
    """Read many files of a repository at once, if they are in SQLite.

    ``revmatches`` are pairs of a revision and a matcher, or None.
    """
    if not requirements.uses_sqlite(repo):
        return
    repo = repo.unfiltered()
    store = repo.sqlitestore
    store.ready.clear()
    announced = list(revmatches)
    if len(announced) > MOST_REVISIONS:
        return
    wanted: set[tuple[bytes, bytes]] = set()
    for rev, match in announced:
        if rev is None or match is None:
            continue
        manifest = repo[rev].manifest()
        names = match.files() if match.isexact() else manifest.walk(match)
        for name in names:
            node = manifest.get(name)
            if node is not None:
                wanted.add((name, node))
    if len(wanted) >= MIN_FILES and store.exists:
        from ..reading import prefetch

        prefetch.prefetch(store, wanted)
