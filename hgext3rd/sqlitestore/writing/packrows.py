# SPDX-License-Identifier: GPL-2.0-or-later
"""Choose which entries of the frame of a pack become rows.

A frame of the database does not need others, so an entry that is a delta of an
older revision takes a copy of that revision with it. If that is large, the copy
takes many times the bytes of the deltas, for each pack anew. A row may be a
delta of any revision of its file, so a few deltas become rows instead, under
the rules for revisions of changegroups.

This module reads indexes, and writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from mercurial.revlogutils import constants

from ...amalgam.packs.contents import PackedFrame
from ..reading.fileindex import FileIndex
from ..reading.store import Store
from . import bases, filewriter

#: Bytes of the smallest text of which no copy is made if rows can be had
#: instead. Copies of smaller texts are cheap, and most frames without large
#: files are stored without decoding them.
LARGE_BASE = 1 << 20


class Target(NamedTuple):
    """Where a line goes: its index, and the number of each revision there.

    ``idx`` is None for a new path. ``known`` tells for each revision whether the
    database had it before.
    """

    idx: FileIndex | None
    path_id: int
    revs: Sequence[int]
    known: frozenset[int]


def choose(
    store: Store,
    frame: PackedFrame,
    base_revs: Sequence[int],
    targets: Mapping[int, Target],
) -> list[int]:
    """Return the entries of ``frame`` that should become rows, in order.

    ``base_revs`` are the outside bases of the frame, as revisions of their
    paths. Entries of revisions that are known need no row, but are returned
    with those that are deltas of them.
    """
    large = set()
    for (line, _node), rev in zip(frame.bases, base_revs, strict=True):
        idx = targets[line].idx
        assert idx is not None
        if idx.rawsize(rev) >= LARGE_BASE:
            large.add(line)
    if not large:
        return []
    chosen: list[int] = []
    saved = 0
    for line in large:
        target = targets[line]
        if _has_empty(target):
            # They get their content from the frame.
            continue
        places, older = _lacking(frame, base_revs, line, target)
        if not places:
            # A pack may name bases that no entry needs.
            continue
        new = [
            frame.lengths[place]
            for place in places
            if frame.revs[place] not in target.known
        ]
        assert target.idx is not None
        size = max(map(target.idx.rawsize, older))
        if _are_few(size, new) and all(
            _may_be_base(store, target.idx, rev) for rev in older
        ):
            chosen += places
            saved += size
    chosen.sort()
    # The rest is compressed again, which should not cost more than copies.
    rest = sum(frame.lengths) - sum(frame.lengths[place] for place in chosen)
    return chosen if rest <= saved else []


def is_empty(flags: int, size: int) -> bool:
    """Return whether a revision of a file is stored without its content."""
    return bool(flags & constants.REVIDX_EXTSTORED and not size)


def _has_empty(target: Target) -> bool:
    idx = target.idx
    assert idx is not None
    known = [target.revs[n] for n in target.known]
    return any(is_empty(idx.flags(rev), idx.rawsize(rev)) for rev in known)


def _lacking(
    frame: PackedFrame, base_revs: Sequence[int], line: int, target: Target
) -> tuple[list[int], set[int]]:
    """Return the entries of a line that rest on an outside base.

    The second value are the revisions in the database that they are deltas of.
    """
    places: list[int] = []
    found: set[int] = set()
    older: set[int] = set()
    for place, (owner, distance) in enumerate(
        zip(frame.lines, frame.distances, strict=True)
    ):
        if owner != line or not distance:
            continue
        if distance < 0:
            older.add(base_revs[-distance - 1])
        elif place - distance not in found:
            continue
        found.add(place)
        places.append(place)
        rev = frame.revs[place]
        if rev in target.known:
            older.add(target.revs[rev])
    return places, older


def _may_be_base(store: Store, idx: FileIndex, rev: int) -> bool:
    """Return whether rows may be deltas of a revision.

    One that was known before may be censored here.
    """
    return not idx.flags(rev) & constants.REVIDX_ISCENSORED and bases.is_short(
        store, idx, rev, idx.rawsize(rev)
    )


def _are_few(size: int, lengths: Sequence[int]) -> bool:
    """Return whether deltas may be rows, rather than entries behind a copy.

    ``size`` is that of the copy, ``lengths`` are those of the deltas.
    """
    return (
        len(lengths) <= max(filewriter.LOOSE_ROWS, size // bases.BYTES_PER_ROW)
        and sum(lengths) <= size // filewriter.LOOSE_PART
        and max(lengths, default=0) < filewriter.LARGE_CHUNK
    )
