# SPDX-License-Identifier: GPL-2.0-or-later
"""Take the content of packs into the database as it is.

Frames are inserted without decoding them. Only their heads change, since these
hold path ids and revision numbers of this database. Index runs are put together
from the columns of the pack.

The exception are deltas of revisions that are outside of the pack: frames in
the database do not depend on each other. So the frame gets copies of these
revisions, or a full text in place of the delta, and is compressed again. Packs
of old history have none.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import compress, groupby, repeat
from typing import Any, NamedTuple

from mercurial import mdiff, policy
from mercurial.revlogutils import constants, flagutil

from ...amalgam.codecs import chunks
from ...amalgam.packs import layout
from ...amalgam.packs.contents import Index, Line, PackedFrame
from ...amalgam.packs.errors import PackError
from ..formats import frames, index, schema
from ..formats.index import Table
from ..formats.openframe import OpenFrame
from ..reading.fileindex import FileIndex
from ..reading.store import Store
from .writer import Writer, writer

mpatch = policy.importmod('mpatch')

# Bytes of frames that are put together here: those of frames in packs.
FRAME_BYTES = 1 << 20

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

    Those in ``ids`` were copied. Of others, ``moved`` has the new frame id and
    place of each entry.
    """

    ids: dict[int, int]
    moved: dict[int, list[tuple[int, int]]]

    def find(self, line: Line) -> tuple[Sequence[int], Sequence[int]]:
        """Return the frame ids and places of the revisions of a line."""
        ids, moved = self.ids, self.moved
        if moved.keys().isdisjoint(line.frames):
            return list(map(ids.__getitem__, line.frames)), line.places
        found = [
            moved[number][place] if number in moved else (ids[number], place)
            for number, place in zip(line.frames, line.places, strict=True)
        ]
        frame_ids, places = zip(*found, strict=True)
        return frame_ids, places


class _Part(NamedTuple):
    """Entries of one line: revisions, distances and content."""

    revs: list[int]
    distances: list[int]
    entries: list[bytes]

    def add(self, rev: int, base: int | None, entry: bytes) -> None:
        """Add an entry, a delta of that at the place ``base`` or a text."""
        place = len(self.revs)
        self.revs.append(rev)
        self.distances.append(0 if base is None else place - base)
        self.entries.append(entry)


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
            if frame.bases:
                placed.moved[frame.number] = self._completed(frame, targets)
            else:
                placed.ids[frame.number] = self._copied(frame, targets)
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

    def _copied(self, frame: PackedFrame, targets: dict[int, _Target]) -> int:
        """Store a frame as it is and return its id."""
        frame_id = self._writer.next_frame()
        head = frames.encode_head(
            [targets[line].path_id for line in frame.lines],
            [
                targets[line].revs[rev]
                for line, rev in zip(frame.lines, frame.revs, strict=True)
            ],
            frame.distances,
            frame.lengths,
            self._codec,
        )
        self._writer.add_frame(frame_id, head, iter(frame.pieces))
        return frame_id

    def _completed(
        self, frame: PackedFrame, targets: dict[int, _Target]
    ) -> list[tuple[int, int]]:
        """Store a frame whose entries have bases outside of the pack.

        Return the new frame id and place of each entry.
        """
        places: list[tuple[int, int]] = []
        entries = frame.entries()
        uses = Counter(frame.distances)
        made = OpenFrame(self._writer.next_frame())
        start = 0
        for line, group in groupby(frame.lines):
            stop = start + len(list(group))
            if made.is_full(FRAME_BYTES):
                self._store_frame(made)
                made = OpenFrame(self._writer.next_frame())
            target = targets[line]
            first = len(made.entries)
            part = _Part(
                [target.revs[rev] for rev in frame.revs[start:stop]],
                list(frame.distances[start:stop]),
                entries[start:stop],
            )
            moved: Sequence[int] = range(first, first + stop - start)
            if min(part.distances) < 0:
                part, found = self._rebased(frame, target, part, uses)
                moved = [first + place for place in found]
            made.extend(target.path_id, *part)
            places += zip(repeat(made.id), moved, strict=False)
            start = stop
        self._store_frame(made)
        return places

    def _rebased(
        self,
        frame: PackedFrame,
        target: _Target,
        part: _Part,
        uses: Mapping[int, int],
    ) -> tuple[_Part, list[int]]:
        """Return entries of a line that need no outside bases; their places.

        Several bases, and those of several entries, are put in front of the
        entries. No revision refers to these copies. In histories whose branches
        make the same changes, most revisions are small deltas of older ones,
        and a full text of each would be most of the database. ``uses`` says how
        many entries of the frame have a distance.
        """
        made = _Part([], [], [])
        bases = self._copied_bases(frame, target, part, uses, made)
        places: list[int] = []
        for rev, distance, entry in zip(*part, strict=True):
            base: int | None = None
            if distance > 0:
                base = places[-distance]
            elif distance < 0:
                base = bases.get(distance)
                if base is None:
                    node = frame.bases[-distance - 1][1]
                    entry = self._patched(target, node, entry)
            places.append(len(made.revs))
            made.add(rev, base, entry)
        return made, places

    def _copied_bases(
        self,
        frame: PackedFrame,
        target: _Target,
        part: _Part,
        uses: Mapping[int, int],
        made: _Part,
    ) -> dict[int, int]:
        """Add to ``made`` the outside bases of ``part`` that are worth it.

        Return the place of each, by its distance.
        """
        idx = target.idx
        # By frame of the database: the place, revision and distance of bases.
        groups: dict[int, list[tuple[int, int, int]]] = {}
        for distance in set(part.distances):
            if distance < 0:
                rev = _base(target, frame.bases[-distance - 1][1])
                groups.setdefault(idx.frames[rev], []).append(
                    (idx.places[rev], rev, distance)
                )
        found: dict[int, int] = {}
        for frame_id, members in sorted(groups.items()):
            members.sort()
            copied: dict[int, int] = {}
            if frame_id and len(members) > 1:
                sizes = {place: idx.rawsize(rev) for place, rev, _d in members}
                copied = _copy_chains(
                    self._store, frame_id, target.path_id, sizes, made
                )
            for place, rev, distance in members:
                if place in copied:
                    found[distance] = copied[place]
                elif uses[distance] > 1:
                    found[distance] = len(made.revs)
                    made.add(rev, None, self._store.chain_text(idx, rev))
        return found

    def _patched(self, target: _Target, node: bytes, delta: bytes) -> bytes:
        """Return the text that a delta makes of an older revision."""
        text = self._store.chain_text(target.idx, _base(target, node))
        if not delta:
            return text
        try:
            return bytes(mdiff.patches(text, [delta]))
        except mpatch.mpatchError as exc:
            raise PackError('a delta does not fit its base') from exc

    def _store_frame(self, made: OpenFrame) -> None:
        """Store a frame that was put together here."""
        codec = self._codec
        self._writer.add_frame(
            made.id,
            made.encode_head(codec),
            frames.encode_data(made.entries, codec),
        )

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


def _copy_chains(
    store: Store,
    frame_id: int,
    path_id: int,
    sizes: Mapping[int, int],
    made: _Part,
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
        copied[place] = len(made.revs)
        if place in tops:
            made.add(old.revs[place], None, store.sealed(frame_id, place))
        else:
            base = copied[old.base(place)]
            made.add(old.revs[place], base, entries[place])
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
