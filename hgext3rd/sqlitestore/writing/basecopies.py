# SPDX-License-Identifier: GPL-2.0-or-later
"""Copies of older revisions that entries of the frame of a pack are deltas of.

No revision refers to these copies. In histories whose branches make the same
changes, most revisions are small deltas of older ones, and a full text of each
would be most of the database. So bases are copied as deltas where these are
small.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import NamedTuple

from ...amalgam.packs import layout
from ...amalgam.packs.contents import PackedFrame
from ...amalgam.packs.errors import PackError
from ..reading.store import Store
from .packrows import Target

#: The most bytes of the texts, without the largest, that a frame may lack. An
#: encoder counts them as entries.
MOST_LACKING = layout.MOST_FRAME


class Copies(NamedTuple):
    """Entries that are copies of revisions in the database.

    Lists have an item for each: path id, revision, distance and content.
    """

    paths: list[int]
    revs: list[int]
    distances: list[int]
    entries: list[bytes]

    def add(self, path_id: int, rev: int, base: int, entry: bytes) -> int:
        """Add a delta of the entry ``base``, or a text if that is negative.

        Return its place.
        """
        place = len(self.entries)
        self.paths.append(path_id)
        self.revs.append(rev)
        self.distances.append(place - base if base >= 0 else 0)
        self.entries.append(entry)
        return place

    def extend(self, others: Copies) -> None:
        """Add copies that are deltas of each other only."""
        self.paths.extend(others.paths)
        self.revs.extend(others.revs)
        self.distances.extend(others.distances)
        self.entries.extend(others.entries)


def copy(
    store: Store,
    frame: PackedFrame,
    base_revs: Sequence[int],
    targets: Mapping[int, Target],
) -> tuple[Copies, list[int]]:
    """Return copies of the outside bases of a frame.

    ``base_revs`` are the bases as revisions of their paths. The second value is
    the place of the copy of each. Raises PackError if the frame lacks too much.
    """
    # By line and frame of the database: number of the base, and revision.
    groups: dict[tuple[int, int], list[tuple[int, int]]] = {}
    sizes = []
    for number, ((line, _node), rev) in enumerate(
        zip(frame.bases, base_revs, strict=True)
    ):
        idx = targets[line].idx
        assert idx is not None
        sizes.append(idx.rawsize(rev))
        groups.setdefault((line, idx.frames[rev]), []).append((number, rev))
    if sum(sizes) - max(sizes) > MOST_LACKING:
        raise PackError('a frame lacks too much')
    parts: dict[tuple[int, int], tuple[Copies, list[int]]] = {}
    # Few frames are kept while a transaction writes. Lines that alternate
    # between several frames would read each again.
    for line, frame_id in sorted(groups, key=itemgetter(1)):
        members = groups[line, frame_id]
        path_id, idx = targets[line].path_id, targets[line].idx
        assert idx is not None
        part = Copies([], [], [], [])
        copied: dict[int, int] = {}
        if frame_id and len(members) > 1:
            places = {idx.places[rev]: sizes[number] for number, rev in members}
            copied = _copy_chains(store, frame_id, path_id, places, part)
        of_members = []
        for _number, rev in members:
            place = copied.get(idx.places[rev])
            if place is None:
                text = store.chain_text(idx, rev)
                place = part.add(path_id, rev, -1, text)
            of_members.append(place)
        parts[line, frame_id] = part, of_members
    made = Copies([], [], [], [])
    found = [0] * len(frame.bases)
    # Lines stay together, which compresses better.
    for key, members in groups.items():
        part, of_members = parts.pop(key)
        before = len(made.entries)
        made.extend(part)
        for (number, _rev), place in zip(members, of_members, strict=True):
            found[number] = before + place
    return made, found


def _copy_chains(
    store: Store,
    frame_id: int,
    path_id: int,
    sizes: Mapping[int, int],
    made: Copies,
) -> dict[int, int]:
    """Copy entries of one path, and the deltas between them, to ``made``.

    ``sizes`` are the bytes of the texts of these entries of the frame. Nothing
    is copied if full texts of them would not take more. Return where each
    copied entry is.
    """
    old = store.frame(frame_id)
    # The entries from which there is a chain of deltas to one of ``sizes``. For
    # each base, the entry that rests on it, or -1 if there are several.
    needed: set[int] = set()
    above: dict[int, int] = {}
    roots = []
    for place in sizes:
        while place not in needed:
            needed.add(place)
            base = old.base(place)
            if base < 0:
                roots.append(place)
                break
            above[base] = -1 if base in above else place
            place = base
    for place in roots:
        # All chains begin with the same deltas: start from what they make.
        while place not in sizes and above[place] >= 0:
            needed.discard(place)
            place = above[place]
    tops = {place for place in needed if old.base(place) not in needed}
    order = sorted(needed)
    entries = {place: old.entry(place) for place in order if place not in tops}
    if (
        sum(map(len, entries.values())) > sum(sizes.values()) // 2
        or len(tops) >= len(sizes)
        or any(old.paths[place] != path_id for place in order)
    ):
        return {}
    copied: dict[int, int] = {}
    for place in order:
        top = place in tops
        copied[place] = made.add(
            path_id,
            old.revs[place],
            -1 if top else copied[old.base(place)],
            store.sealed(frame_id, place) if top else entries[place],
        )
    return copied
