# SPDX-License-Identifier: GPL-2.0-or-later
"""Which changesets of a repository of limited depth lack files.

Two kinds of them: those that were left out on purpose, and those that came
from elsewhere on top of them (bundles, pushes, servers of version 1, pulls
that were interrupted). The file that says so is in ``docs/wireprotov2-client``;
whoever adds changesets need not know of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mercurial.node import bin, hex, nullrev

from .storage import FOLDER

# in the store
LIMITS = b'shallow/limits'


@dataclass
class Extent:
    """Revision numbers of changesets of which files may be missing.

    ``left_out`` on purpose, ``pending`` because of what they are based on, or
    because they have ``reused`` files of what was left out.
    """

    left_out: set[int] = field(default_factory=set)
    pending: set[int] = field(default_factory=set)
    reused: set[int] = field(default_factory=set)

    def __contains__(self, rev: int) -> bool:
        return rev in self.left_out or rev in self.pending

    def complete(self, revs: set[int]) -> None:
        """Note that nothing of ``revs`` is missing."""
        self.left_out -= revs
        self.pending -= revs
        self.reused -= revs


def read(repo: Any) -> Extent | None:
    """Return what is known; None if that is nothing.

    As in a copy that somebody made of some files, after what was left out was
    stripped, or if the file is damaged.
    """
    data = repo.svfs.tryread(LIMITS)
    if not data:
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
            # damaged
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
    """Note which changesets lack files.

    As heads of what was left out, what is complete nevertheless (within, and
    where it begins above), and what lacks files for a reason of its own.
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
