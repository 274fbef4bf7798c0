# SPDX-License-Identifier: GPL-2.0-or-later
"""Keeping account of the file data that a repository of limited depth lacks.

Nothing here knows the wire, and nothing asks for data.
"""

from __future__ import annotations

from typing import Any

from mercurial.i18n import _

from . import absence, extent


def note_reused(repo: Any, first: int) -> None:
    """Record which changesets reuse file revisions whose data is missing.

    Considers the changesets from the revision number ``first`` on. A changeset
    that restores an older revision of a file adds no revision of that file, so
    the data does not arrive with it. Its descendants lack the same data.
    """
    repo = repo.unfiltered()
    touched: dict[bytes, list[int]] = {}
    for rev in repo.changelog.revs(first):
        for path in repo[rev].files():
            touched.setdefault(path, []).append(rev)
    found = None
    for path, revs in touched.items():
        if not repo.narrowmatch()(path):
            continue
        inner = absence.of_file(repo, path)
        links = set(map(inner.linkrev, range(len(inner))))
        for rev in revs:
            # Most changesets without a file revision of their own have removed
            # the file.
            if rev in links or path not in repo[rev]:
                continue
            node = repo[rev].filenode(path)
            if absence.is_missing(repo, inner, node):
                found = found or extent.read(repo)
                if found is not None and rev not in found:
                    found.reused.add(rev)
                    found.pending.add(rev)
    if found is None:
        return
    parents = repo.changelog.parentrevs
    for rev in repo.changelog.revs(first):
        if any(p in found for p in parents(rev)):
            found.pending.add(rev)
    extent.write(repo, found)


def report_missing(ui: Any, repo: Any) -> None:
    """Print after ``hg verify`` how many file revisions have no data here."""
    repo = repo.unfiltered()
    count, repo.shallow_missing = repo.shallow_missing, 0
    if count:
        ui.status(
            _(b'data of %d file revisions is not here, as expected\n') % count
        )
