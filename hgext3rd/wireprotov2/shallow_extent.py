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

from .shallow import FOLDER

# in the store
LIMITS = b'shallow/limits'


@dataclass
class Extent:
    """Revision numbers of changesets of which files may be missing.

    ``left_out`` on purpose, ``pending`` because of what they are based on.
    """

    left_out: set[int] = field(default_factory=set)
    pending: set[int] = field(default_factory=set)

    def __contains__(self, rev: int) -> bool:
        return rev in self.left_out or rev in self.pending

    def complete(self, revs: set[int]) -> None:
        """Note that nothing of ``revs`` is missing."""
        self.left_out -= revs
        self.pending -= revs


def read(repo: Any) -> Extent | None:
    """Return what is known; None if that is nothing.

    As in a copy that somebody made of some files, or after what was left out
    was stripped.
    """
    data = repo.svfs.tryread(LIMITS)
    if not data:
        return None
    changelog = repo.unfiltered().changelog
    get_rev = changelog.index.get_rev
    heads: list[int] = []
    complete: set[int] = set()
    for line in data.split():
        rev = get_rev(bin(line[1:]))
        if line.startswith(b'-'):
            if rev is None:
                return None
            heads.append(rev)
        elif rev is not None:
            complete.add(rev)
    if not heads:
        return Extent()
    found = Extent(set(changelog.ancestors(heads, inclusive=True)) - complete)
    parents = changelog.parentrevs
    for rev in range(
        min(found.left_out, default=len(changelog)), len(changelog)
    ):
        if rev not in found and rev not in complete:
            p1, p2 = parents(rev)
            if p1 in found or p2 in found:
                found.pending.add(rev)
    return found


def write(repo: Any, extent: Extent) -> None:
    """Note which changesets lack files.

    As heads of what was left out, and what is complete nevertheless: within,
    and where it begins above.
    """
    changelog = repo.unfiltered().changelog
    parents = changelog.parentrevs
    left_out = extent.left_out
    heads = left_out - {p for rev in left_out for p in parents(rev)}
    complete: set[int] = set()
    if heads:
        complete = set(changelog.ancestors(heads, inclusive=True)) - left_out
        for rev in range(min(left_out), len(changelog)):
            if rev not in extent and any(p in extent for p in parents(rev)):
                complete.add(rev)
    complete.discard(nullrev)
    lines = [b'-%s\n' % hex(changelog.node(rev)) for rev in sorted(heads)]
    lines += [b'+%s\n' % hex(changelog.node(rev)) for rev in sorted(complete)]
    repo.svfs.makedirs(FOLDER)
    with repo.svfs(LIMITS, b'wb', atomictemp=True) as stream:
        stream.write(b''.join(lines) or b'\n')
