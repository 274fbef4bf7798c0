# SPDX-License-Identifier: GPL-2.0-or-later
"""Take the content of packs into the database as it is.

Frames are inserted without decoding them. Only their heads change, since these
hold path ids and revision numbers of this database. Index runs are put together
from the columns of the pack.

The exception are deltas of revisions that are outside of the pack: frames in
the database do not depend on each other. So the frame gets copies of these
revisions in front, in a chunk of their own. Packs of old history have none.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from itertools import compress
from typing import Any, NamedTuple

from mercurial.revlogutils import constants, flagutil

from ...amalgam.codecs import chunks
from ...amalgam.packs import layout
from ...amalgam.packs.contents import Index, Line, PackedFrame
from ...amalgam.packs.errors import PackError
from ..formats import frames, index, schema
from ..formats.index import Table
from ..reading.fileindex import FileIndex
from ..reading.store import Store
from .writer import Writer, writer

#: The most bytes of the texts, without the largest, that a frame may lack. An
#: encoder counts them as entries.
MOST_LACKING = layout.MOST_FRAME

_KINDS = {layout.FILE: schema.FILE, layout.MANIFEST: schema.DIRECTORY}


class _Target(NamedTuple):
    """Where a line goes: its index, and the number of each revision there.

    ``known`` tells for each revision whether the database had it before.
    """

    idx: FileIndex
    path_id: int
    revs: Sequence[int]
    known: frozenset[int]


class _Placed(NamedTuple):
    """Where the frames of a pack are in the database, by their numbers.

    ``ids`` has the id of each. ``fronts`` has the number of entries that were
    put in front of those of the pack, if there are any.
    """

    ids: dict[int, int]
    fronts: dict[int, int]

    def find(self, line: Line) -> tuple[Sequence[int], Sequence[int]]:
        """Return the frame ids and places of the revisions of a line."""
        ids, fronts = self.ids, self.fronts
        frame_ids = list(map(ids.__getitem__, line.frames))
        if fronts.keys().isdisjoint(line.frames):
            return frame_ids, line.places
        return frame_ids, [
            fronts.get(number, 0) + place
            for number, place in zip(line.frames, line.places, strict=True)
        ]


class _Copies(NamedTuple):
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


class DatabaseSink:
    """Takes the manifests and files of packs in the transaction ``tr``.

    The interface is ``amalgam.packs.sinks.PackSink``.
    """

    def __init__(self, store: Store, tr: Any) -> None:
        self._store = store
        self._writer: Writer = writer(store, tr)
        self._frames: list[PackedFrame] = []
        self._codec = chunks.Codec(store.compression, chunks.LOOSE_LEVEL)

    def add_frame(self, frame: PackedFrame) -> None:
        """Take a frame. It is stored when the index comes."""
        self._frames.append(frame)

    def add_index(self, found: Index, linkrevs: Sequence[int]) -> int:
        """Store lines and their frames; return how many revisions are new."""
        kind = _KINDS[found.kind]
        targets = {
            line.number: self._target(kind, line) for line in found.lines
        }
        placed = _Placed({}, {})
        for frame in self._frames:
            self._add_frame(frame, targets, placed)
        self._frames = []
        try:
            return sum(
                self._add_line(line, targets[line.number], placed, linkrevs)
                for line in found.lines
            )
        except OverflowError as exc:
            raise PackError('a number is out of range') from exc

    def finish(self) -> None:
        """Forget indexes and content, which little of a clone reads again."""
        self._writer.flush()
        self._store.forget()

    def _target(self, kind: int, line: Line) -> _Target:
        """Prepare the path of a line for its revisions."""
        if any(flags & ~flagutil.REVIDX_KNOWN_FLAGS for flags in line.flags):
            raise PackError('unknown flags')
        idx = self._store.index(line.name, kind)
        first = len(idx)
        count = len(line.nodes)
        revs: Sequence[int] = range(first, first + count)
        known: frozenset[int] = frozenset()
        if first:
            get_rev = idx.core.get_rev
            found = list(map(get_rev, line.nodes))
            if found.count(None) != count:
                # Two branches made the same change.
                numbers = []
                for rev in found:
                    numbers.append(first if rev is None else rev)
                    first += rev is None
                revs = numbers
                known = frozenset(
                    n for n, rev in enumerate(found) if rev is not None
                )
        self._writer.touch((kind, line.name), idx)
        assert idx.path_id is not None
        return _Target(idx, idx.path_id, revs, known)

    def _add_frame(
        self, frame: PackedFrame, targets: dict[int, _Target], placed: _Placed
    ) -> None:
        """Store a frame as it is, behind copies of revisions that it lacks."""
        paths = [targets[line].path_id for line in frame.lines]
        revs = [
            targets[line].revs[rev]
            for line, rev in zip(frame.lines, frame.revs, strict=True)
        ]
        distances, lengths = frame.distances, frame.lengths
        pieces = iter(frame.pieces)
        size = 0
        if frame.bases:
            copies, bases = self._copies(frame, targets)
            count = len(copies.entries)
            placed.fronts[frame.number] = count
            paths[:0], revs[:0] = copies.paths, copies.revs
            distances = [
                *copies.distances,
                *(
                    distance
                    if distance >= 0
                    else count + place - bases[-distance - 1]
                    for place, distance in enumerate(distances)
                ),
            ]
            lengths = [*map(len, copies.entries), *lengths]
            front = list(frames.encode_data(copies.entries, self._codec))
            size = sum(map(len, front))
            pieces = _behind(front, pieces)
        frame_id = placed.ids[frame.number] = self._writer.next_frame()
        head = frames.encode_head(
            paths, revs, distances, lengths, self._codec, size
        )
        self._writer.add_frame(frame_id, head, pieces)

    def _copies(
        self, frame: PackedFrame, targets: dict[int, _Target]
    ) -> tuple[_Copies, list[int]]:
        """Return copies of the outside bases of a frame.

        No revision refers to these copies. The second value is the place of the
        copy of each base. In histories whose branches make the same changes,
        most revisions are small deltas of older ones, and a full text of each
        would be most of the database. So bases are copied as deltas where these
        are small.
        """
        # By line and frame of the database: number of the base, and revision.
        groups: dict[tuple[int, int], list[tuple[int, int]]] = {}
        sizes = []
        for number, (line, node) in enumerate(frame.bases):
            target = targets[line]
            rev = _base(target, node)
            sizes.append(target.idx.rawsize(rev))
            groups.setdefault((line, target.idx.frames[rev]), []).append(
                (number, rev)
            )
        if sum(sizes) - max(sizes) > MOST_LACKING:
            raise PackError('a frame lacks too much')
        made = _Copies([], [], [], [])
        found = [0] * len(frame.bases)
        for (line, frame_id), members in groups.items():
            path_id, idx = targets[line].path_id, targets[line].idx
            copied: dict[int, int] = {}
            if frame_id and len(members) > 1:
                places = {
                    idx.places[rev]: sizes[number] for number, rev in members
                }
                copied = _copy_chains(
                    self._store, frame_id, path_id, places, made
                )
            for number, rev in members:
                place = copied.get(idx.places[rev])
                if place is None:
                    text = self._store.chain_text(idx, rev)
                    place = made.add(path_id, rev, -1, text)
                found[number] = place
        return made, found

    def _add_line(
        self,
        line: Line,
        target: _Target,
        placed: _Placed,
        linkrevs: Sequence[int],
    ) -> int:
        """Add the index of a line; return how many revisions are new.

        Whole columns, since this runs for each revision of a clone.
        """
        idx, known = target.idx, target.known
        outside = list(map(idx.core.get_rev, line.outside))
        if None in outside:
            raise PackError('a parent of %r is missing' % line.name)
        first = len(idx)
        d1, d2 = (
            # A reference to a revision of the line is the distance to it.
            references
            if not (outside or known)
            else _distances(references, target.revs, outside)
            for references in (line.p1s, line.p2s)
        )
        frame_ids, numbers = placed.find(line)
        fields: list[Sequence[int]] = [
            d1,
            d2,
            list(map(linkrevs.__getitem__, line.links)),
            line.flags,
            line.sizes,
            frame_ids,
            numbers,
        ]
        nodes = line.nodes
        if known:
            new = [n not in known for n in range(len(nodes))]
            nodes = list(compress(nodes, new))
            fields = [list(compress(column, new)) for column in fields]
            d1, d2 = fields[:2]
        count = len(nodes)
        if not count:
            return 0
        table = Table()
        table.nodes = b''.join(nodes)
        table.p1 = index.parents_of(first, d1)
        table.p2 = index.parents_of(first, d2)
        table.linkrevs, table.flags, table.sizes = (
            array('i', column) for column in fields[2:5]
        )
        table.frames, table.places = (
            array('q', column) for column in fields[5:]
        )
        for start in range(0, count, index.RUN_SIZE):
            stop = min(start + index.RUN_SIZE, count)
            part = table if stop - start == count else table.part(start, stop)
            self._writer.add_run(
                schema.global_id(target.path_id, first + start),
                index.encode_table(
                    part, d1[start:stop], d2[start:stop], self._codec
                ),
                stop - start,
            )
        idx.extend(table)
        self._store.keep_index(idx)
        return count


def _base(target: _Target, node: bytes) -> int:
    """Return the older revision of a line that others are deltas of."""
    rev: int | None = target.idx.core.get_rev(node)
    if rev is None:
        raise PackError('a delta base is missing')
    if target.idx.flags(rev) & constants.REVIDX_ISCENSORED:
        # The delta belongs to the text that was there before.
        raise PackError('a delta base is censored')
    return rev


def _behind(front: list[bytes], pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the pieces of a chunk in front, then those of a frame.

    No more pieces than it takes: a reader looks for continuations only if the
    first piece is large.
    """
    *before, last = front
    yield from before
    first = next(pieces, b'')
    room = schema.MAX_VALUE - len(last)
    yield last + first[:room]
    if len(first) > room:
        yield first[room:]
    yield from pieces


def _copy_chains(
    store: Store,
    frame_id: int,
    path_id: int,
    sizes: Mapping[int, int],
    made: _Copies,
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


def _distances(
    references: Sequence[int], revs: Sequence[int], outside: Sequence[int]
) -> list[int]:
    """Return the distances to the parents that references mean, 0 for null."""
    return [
        0
        if not reference
        else revs[rev] - revs[rev - reference]
        if reference <= rev
        else revs[rev] - outside[reference - rev - 1]
        for rev, reference in enumerate(references)
    ]
