# SPDX-License-Identifier: GPL-2.0-or-later
"""Which changesets of a repository of limited depth lack data of their files.

There are two kinds: changesets whose files were left out on purpose, and their
descendants that came from elsewhere (bundles, pushes, version 1 servers,
interrupted pulls). The file that records them is specified in
``docs/wireprotov2-client.rst``. Code that adds changesets need not update it:
whether a changeset lacks data follows from its parents if the file does not
mention it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mercurial.node import bin, hex, nullrev

from .texts import FOLDER

#: The file, relative to the store.
LIMITS = b'shallow/limits'

#: Its content in a lazy repository: every changeset may lack data, also those
#: that come later.
EVERYTHING = b'*\n'


def is_lazy(repo: Any) -> bool:
    """Return whether ``repo`` gets the data of files only when it is read."""
    return bool(repo.svfs.tryread(LIMITS) == EVERYTHING)


def write_lazy(repo: Any) -> None:
    """Record that ``repo`` gets the data of files only when it is read."""
    repo.svfs.makedirs(FOLDER)
    with repo.svfs(LIMITS, b'wb', atomictemp=True) as stream:
        stream.write(EVERYTHING)


@dataclass
class Extent:
    """Revision numbers of changesets whose files may lack data.

    ``left_out``: the files were left out on purpose. ``pending``: files are
    missing because a parent lacks them, or because the changeset reuses file
    revisions that were left out. ``reused`` are the pending changesets of the
    latter kind.
    """

    left_out: set[int] = field(default_factory=set)
    pending: set[int] = field(default_factory=set)
    reused: set[int] = field(default_factory=set)

    def __contains__(self, rev: int) -> bool:
        return rev in self.left_out or rev in self.pending

    def complete(self, revs: set[int]) -> None:
        """Record that ``revs`` have the data of all their files."""
        self.left_out -= revs
        self.pending -= revs
        self.reused -= revs


def read(repo: Any) -> Extent | None:
    """Return what ``repo`` has recorded, or None if nothing is known.

    Nothing is known if the repository is lazy, if the file is damaged or
    missing (because only some files of the repository were copied), or if
    changesets it needs were stripped. Then every changeset may lack data.
    """
    data = repo.svfs.tryread(LIMITS)
    if not data or data == EVERYTHING:
        return None
    changelog = repo.unfiltered().changelog
    get_rev = changelog.index.get_rev
    heads: list[int] = []
    complete: set[int] = set()
    found = Extent()
    for line in data.split():
        try:
            rev = get_rev(bin(line[1:]))
        except ValueError:
            # The file is damaged.
            return None
        if line.startswith(b'-'):
            if rev is None:
                return None
            heads.append(rev)
        elif rev is not None:
            (found.reused if line.startswith(b'?') else complete).add(rev)
    if heads:
        found.left_out.update(changelog.ancestors(heads, inclusive=True))
        found.left_out -= complete
    found.pending |= found.reused
    parents = changelog.parentrevs
    start = min(found.left_out | found.pending, default=len(changelog))
    for rev in range(start, len(changelog)):
        if rev not in found and rev not in complete:
            p1, p2 = parents(rev)
            if p1 in found or p2 in found:
                found.pending.add(rev)
    return found


def write(repo: Any, extent: Extent) -> None:
    """Record ``extent`` in the store of ``repo``.

    Writes the heads of the changesets that were left out, the changesets that
    are complete although their position says otherwise (ancestors of these
    heads, and children of incomplete changesets), and those that reuse file
    revisions that were left out.
    """
    changelog = repo.unfiltered().changelog
    parents = changelog.parentrevs
    left_out = extent.left_out
    heads = left_out - {p for rev in left_out for p in parents(rev)}
    complete: set[int] = set()
    if heads:
        complete = set(changelog.ancestors(heads, inclusive=True)) - left_out
    start = min(left_out | extent.pending, default=len(changelog))
    for rev in range(start, len(changelog)):
        if rev not in extent and any(p in extent for p in parents(rev)):
            complete.add(rev)
    complete.discard(nullrev)
    lines = [
        b'%s%s\n' % (kind, hex(changelog.node(rev)))
        for kind, revs in (
            (b'-', heads),
            (b'+', complete),
            (b'?', extent.reused),
        )
        for rev in sorted(revs)
    ]
    repo.svfs.makedirs(FOLDER)
    with repo.svfs(LIMITS, b'wb', atomictemp=True) as stream:
        stream.write(b''.join(lines) or b'\n')
