# SPDX-License-Identifier: GPL-2.0-or-later
"""What a changegroup has of a path: revisions, and what they are deltas of.

This is Mercurial's choice (``revlog._emit_revisions``) for the case of clones
and pulls, where most of the time went into questions that do not arise here. All
other cases are left to Mercurial's function.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from mercurial import error, revlog
from mercurial.interfaces import repository
from mercurial.node import nullrev
from mercurial.revlogutils import constants

#: The class of what is emitted; hg <= 7.1 has another one.
OUTBOUND: Any = getattr(revlog, 'OutboundRevision', None)

_FLAGS, _SIZE, _P1, _P2, _NODE = 0, 2, 5, 6, 7


def emitrevisions(
    log: Any,
    nodes: Iterable[bytes],
    nodesorder: bytes | None = None,
    revisiondata: bool = False,
    assumehaveparentrevisions: bool = False,
    deltamode: Any = repository.CG_DELTAMODE_STD,
    sidedata_helpers: Any = None,
    debug_info: Any = None,
    **kwargs: Any,
) -> Iterator[Any]:
    """Return an iterator of what a changegroup has of some revisions.

    This is the method of ``log`` in Mercurial's interface ``ifiledata``.
    """
    nodes = list(nodes)
    if (
        OUTBOUND is not None
        and nodes
        and nodesorder in (None, b'storage')
        and revisiondata
        and deltamode == repository.CG_DELTAMODE_STD
        and sidedata_helpers is None
        and debug_info is None
    ):
        return emit(log, nodes, assumehaveparentrevisions)
    found: Iterator[Any] = revlog.revlog.emitrevisions(
        log,
        nodes,
        nodesorder=nodesorder,
        revisiondata=revisiondata,
        assumehaveparentrevisions=assumehaveparentrevisions,
        deltamode=deltamode,
        sidedata_helpers=sidedata_helpers,
        debug_info=debug_info,
        **kwargs,
    )
    return found


def emit(log: Any, nodes: Iterable[bytes], have_parents: bool) -> Iterator[Any]:
    """Yield revisions of ``log`` in the order of storage.

    ``have_parents`` says that the receiver has all parents.
    """
    revs = sorted(map(log.rev, nodes))
    core = log.index
    deltaparent, revdiff = log.deltaparent, log.revdiff
    emitted = set()
    available: Any = None
    before: int | None = None
    if have_parents:
        before = core[revs[0]][_P1]

    def usable(rev: int) -> bool:
        nonlocal available
        if rev == nullrev or rev in emitted:
            return rev != nullrev
        if not have_parents:
            return False
        if available is None:
            heads = {p for r in revs for p in core[r][_P1 : _P2 + 1]}
            heads.difference_update(revs)
            available = log.ancestors(heads, inclusive=True)
        return rev in available

    for rev in revs:
        if rev == nullrev:
            continue
        entry = core[rev]
        stored = base = deltaparent(rev)
        if base not in emitted and base != nullrev and not usable(base):
            if usable(entry[_P1]):
                base = entry[_P1]
            elif usable(entry[_P2]):
                base = entry[_P2]
            else:
                base = nullrev if before is None else before
        flags = entry[_FLAGS] & 0xFFFF
        changing = constants.REVIDX_RAWTEXT_CHANGING_FLAGS
        if base != nullrev and (flags | core[base][_FLAGS]) & changing:
            base = nullrev
        text = delta = None
        if base == nullrev:
            text = _text(log, rev, flags)
        else:
            delta = revdiff(base, rev)
        emitted.add(rev)
        before = rev
        level = 0 if stored == nullrev else -1
        yield OUTBOUND(
            node=entry[_NODE],
            p1node=core[entry[_P1]][_NODE],
            p2node=core[entry[_P2]][_NODE],
            basenode=core[base][_NODE],
            flags=flags & ~constants.REVIDX_DELTA_INFO_FLAGS,
            baserevisionsize=None,
            raw_revision_size=entry[_SIZE],
            revision=text,
            delta=delta,
            sidedata=None,
            protocol_flags=0,
            snapshot_level=level if base == stored else -1,
            stored_delta_base=core[stored][_NODE],
            stored_snapshot_level=level,
        )


def _text(log: Any, rev: int, flags: int) -> bytes:
    """Return the raw text of a revision, also if it was censored."""
    try:
        text: bytes = log.rawdata(rev)
    except error.CensoredNodeError as exc:
        if not flags & constants.REVIDX_ISCENSORED:
            raise
        return bytes(exc.tombstone)
    return text
