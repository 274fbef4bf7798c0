# SPDX-License-Identifier: GPL-2.0-or-later
"""changesetdata: changelog entries, parents, phases and bookmarks.

``revisions`` finds the changesets that arguments name; ``records`` knows the
form of a record.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from mercurial import encoding, phases

from . import records
from .registry import Request
from .revisions import resolve, resolve_0002


def changesetdata(
    request: Request, revisions: list, fields: Collection[bytes]
) -> Iterator[bytes]:
    """Send the changesets that revision specifiers name."""
    revs = resolve(request.repo, revisions)
    return records.batched(_records(request.repo, revs, fields))


def changesetdata_0002(
    request: Request,
    noderange: list | None,
    nodes: list | None,
    nodesdepth: int | None,
    fields: Collection[bytes],
) -> Iterator[bytes]:
    """Send the changesets that the arguments of API 0002 name."""
    revs = resolve_0002(request.repo, noderange, nodes, nodesdepth)
    return records.batched(_records(request.repo, revs, fields))


def bookmarks_by_node(repo: Any) -> dict[bytes, list[bytes]]:
    """Return the bookmarks on visible changesets by node, in UTF-8."""
    marks: dict[bytes, list[bytes]] = {}
    hasnode = repo.changelog.hasnode
    for mark, node in repo._bookmarks.items():
        if hasnode(node):
            marks.setdefault(node, []).append(encoding.fromlocal(mark))
    return marks


def _records(
    repo: Any, revs: list[int], fields: Collection[bytes]
) -> Iterator[bytes]:
    """Yield the records of a response."""
    yield records.total(len(revs))
    cl = repo.changelog
    node = cl.node
    parentrevs = cl.parentrevs
    rawdata = cl.revision
    want_parents = b'parents' in fields
    want_revision = b'revision' in fields
    want_phase = b'phase' in fields
    publishing = repo.publishing()
    phase_of = repo._phasecache.phase
    marks = bookmarks_by_node(repo) if b'bookmarks' in fields else {}
    make = records.changeset
    phase = b'public' if want_phase else None
    with cl.reading():
        for rev in revs:
            n = node(rev)
            parents = None
            if want_parents:
                p1, p2 = parentrevs(rev)
                parents = (node(p1), node(p2))
            if want_phase and not publishing:
                phase = phases.phasenames[phase_of(repo, rev)]
            yield make(
                n,
                parents,
                phase,
                marks.pop(n, ()),
                rawdata(rev) if want_revision else None,
            )
    # The other bookmarks are on changesets that the client has already.
    for n in sorted(marks):
        yield make(n, bookmarks=marks[n])
