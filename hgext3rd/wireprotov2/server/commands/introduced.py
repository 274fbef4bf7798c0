# SPDX-License-Identifier: GPL-2.0-or-later
"""Which file revisions a set of changesets brings to a receiver.

File storage knows the first changeset of every revision. So almost everything
is answered from an index, without reading manifests. The manifest is read only
for a changeset that removed a file, or whose file revision another changeset
brought first; it is read as a delta if it is stored as one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from mercurial.node import nullrev

from .stores import FileStores

# The revisions of a file: node to the changeset revision it is sent with.
FileNodes = dict[bytes, int]


def file_nodes(
    repo: Any,
    stores: FileStores,
    revs: Iterable[int],
    matcher: Callable[[bytes], bool],
    haveparents: bool,
) -> dict[bytes, FileNodes]:
    """Return the file revisions that ``revs`` bring, by path.

    Each file node is mapped to the first of ``revs`` that has it. With
    ``haveparents`` the receiver has the files of all ancestors of ``revs``,
    else it has nothing.
    """
    cl = repo.changelog
    wanted = set(revs)
    touched, entries = _touched(cl, wanted, matcher)
    found: dict[bytes, FileNodes] = {}
    rest: dict[int, list[bytes]] = {}
    for path, changesets in touched.items():
        nodes = _introduced(stores.get(path), wanted, changesets)
        if nodes:
            found[path] = nodes
        for rev in changesets:
            rest.setdefault(rev, []).append(path)

    if haveparents:
        ancestors = cl.ancestors(entries, inclusive=True) if entries else ()
    else:
        ancestors = ()
        # The receiver has nothing below these, so they bring all their files.
        for rev in sorted(_roots(cl, wanted)):
            for path, node in repo[rev].manifest().items():
                if matcher(path):
                    found.setdefault(path, {}).setdefault(node, rev)

    for rev in sorted(rest):
        manifestnode = cl.changelogrevision(rev).manifest
        # A path that is not in here was removed, or is as in a parent.
        changed = repo.manifestlog[manifestnode].read_delta_parents(exact=False)
        for path in rest[rev]:
            node = changed.get(path)
            if node is None or node in found.get(path, ()):
                continue
            filelog = stores.get(path)
            if filelog.linkrev(filelog.rev(node)) not in ancestors:
                found.setdefault(path, {})[node] = rev
    return found


def _touched(
    cl: Any, wanted: set[int], matcher: Callable[[bytes], bool]
) -> tuple[dict[bytes, set[int]], set[int]]:
    """Return the changesets that touch each path, and parents outside."""
    touched: dict[bytes, set[int]] = {}
    entries = set()
    with cl.reading():
        for rev in sorted(wanted):
            for path in cl.readfiles(rev):
                try:
                    touched[path].add(rev)
                except KeyError:
                    touched[path] = {rev}
            for parent in cl.parentrevs(rev):
                if parent != nullrev and parent not in wanted:
                    entries.add(parent)
    for path in [path for path in touched if not matcher(path)]:
        del touched[path]
    return touched, entries


def _introduced(
    filelog: Any, wanted: set[int], changesets: set[int]
) -> FileNodes:
    """Return the file nodes whose first changeset is in ``wanted``.

    Removes these changesets from ``changesets``.
    """
    nodes: FileNodes = {}
    linkrev = filelog.linkrev
    for filerev in range(len(filelog)):
        link = linkrev(filerev)
        if link in wanted:
            nodes[filelog.node(filerev)] = link
            changesets.discard(link)
    return nodes


def _roots(cl: Any, wanted: set[int]) -> list[int]:
    """Return the changesets with a parent outside of ``wanted``."""
    return [
        rev
        for rev in wanted
        if any(p != nullrev and p not in wanted for p in cl.parentrevs(rev))
    ]
