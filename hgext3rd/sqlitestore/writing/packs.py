# SPDX-License-Identifier: GPL-2.0-or-later
"""Take the content of packs into the database as it is.

Frames are inserted without decoding them. Only their heads change, since these
hold path ids and revision numbers of this database. Index runs are put together
from the columns of the pack.

The exception are deltas of revisions that are outside of the pack: frames in
the database do not depend on each other. So the frame gets copies of these
revisions in front, in a chunk of their own. Packs of old history have none.

Revisions that the database has without their content get that of the pack.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import compress
from typing import Any, NamedTuple

from mercurial.revlogutils import constants, flagutil

from ...amalgam.codecs import chunks, columns
from ...amalgam.packs import layout
from ...amalgam.packs.contents import Index, Line, PackedFrame
from ...amalgam.packs.errors import PackError
from ..formats import frames, index, schema
from ..reading.fileindex import FileIndex
from ..reading.store import Store
from .filewriter import FileWriter
from .fill import seal
from .writer import Writer, writer

#: The most bytes of the texts, without the largest, that a frame may lack. An
#: encoder counts them as entries.
MOST_LACKING = layout.MOST_FRAME

#: Nodes up to which a long index is searched for each, rather than decoded.
FEW_NODES = 16

_KINDS = {layout.FILE: schema.FILE, layout.MANIFEST: schema.DIRECTORY}


class _Target(NamedTuple):
    """Where a line goes: its index, and the number of each revision there.

    ``idx`` is None for a new path. ``known`` tells for each revision whether the
    database had it before.
    """

    idx: FileIndex | None
    path_id: int
    revs: Sequence[int]
    known: frozenset[int]


class _Placed(NamedTuple):
    """Where the frames of a pack are in the database, by their numbers.

    ``first`` is the id of the frame number 0, which others follow. ``fronts`` has
    the number of entries that were put in front of those of the pack, if there
    are any.
    """

    first: int
    fronts: dict[int, int]

    def places(self, line: Line) -> Sequence[int]:
        """Return the places of the revisions of a line in their frames."""
        fronts, numbers, places = self.fronts, line.frames, line.places
        if fronts.keys().isdisjoint(numbers):
            return places
        return [
            fronts.get(number, 0) + place
            for number, place in zip(numbers, places, strict=True)
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

    The interface is ``amalgam.packs.sinks.PackSink``. At the end, ``changed`` is
    called: whoever has an index of a path must ask for it again.
    """

    def __init__(
        self, store: Store, tr: Any, changed: Callable[[], None]
    ) -> None:
        self._store = store
        self._changed = changed
        self._writer: Writer = writer(store, tr)
        self._frames: list[PackedFrame] = []
        self._codec = chunks.Codec(store.compression, chunks.LOOSE_LEVEL)

    def add_frame(self, frame: PackedFrame) -> None:
        """Take a frame. It is stored when the index comes."""
        self._frames.append(frame)

    def add_index(self, found: Index, linkrevs: Sequence[int]) -> int:
        """Store lines and their frames; return how many revisions are new."""
        if not found.lines:
            return 0
        for flags in set(found.lines[0].columns.flags):
            if flags & ~flagutil.REVIDX_KNOWN_FLAGS:
                raise PackError('unknown flags')
        targets = self._targets(_KINDS[found.kind], found.lines)
        placed = _Placed(self._next_frame(), {})
        for frame in self._frames:
            self._add_frame(frame, targets, placed)
        self._frames = []
        first = linkrevs[0] if linkrevs else 0
        in_order = linkrevs == list(range(first, first + len(linkrevs)))
        added = 0
        runs: list[tuple[int, int, bytes]] = []
        try:
            for line in found.lines:
                target = targets[line.number]
                if target.idx is None:
                    added += len(line)
                    runs += self._new_runs(
                        line, target, placed, linkrevs, in_order
                    )
                else:
                    added += self._add_line(line, target, placed, linkrevs)
        except OverflowError as exc:
            raise PackError('a number is out of range') from exc
        self._writer.add_runs(runs)
        return added

    def _next_frame(self) -> int:
        """Return the id of frame 0 of the pack, if its frames followed it."""
        if not self._frames:
            return 0
        return self._writer.following_frame() - self._frames[0].number

    def finish(self) -> None:
        """Forget indexes and content, which little of a clone reads again."""
        self._writer.flush()
        self._store.forget()
        self._changed()

    def _targets(self, kind: int, lines: Sequence[Line]) -> dict[int, _Target]:
        """Prepare the paths of lines for their revisions.

        The result has the target of each line, by its number.
        """
        store = self._store
        store.revalidate()
        # Loads no index of the paths that are new: in a clone, most are.
        new = [line for line in lines if store.path_id(line.name, kind) is None]
        ids = self._writer.add_paths([(kind, line.name) for line in new])
        targets = {
            line.number: _Target(None, path_id, range(len(line)), frozenset())
            for line, path_id in zip(new, ids, strict=True)
        }
        for line in lines:
            if line.number not in targets:
                targets[line.number] = self._older(kind, line)
        return targets

    def _older(self, kind: int, line: Line) -> _Target:
        """Prepare a path that has revisions for those of a line."""
        idx = self._store.index(line.name, kind)
        count = len(line)
        if count > FEW_NODES:
            idx = idx.decode_all()
        first = len(idx)
        revs: Sequence[int] = range(first, first + count)
        known: frozenset[int] = frozenset()
        found = list(map(idx.core.get_rev, line.nodes))
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
        lines = set(frame.lines)
        ids = {line: targets[line].path_id for line in lines}
        paths = list(map(ids.__getitem__, frame.lines))
        if any(targets[line].idx is not None for line in lines):
            revs = [
                targets[line].revs[rev]
                for line, rev in zip(frame.lines, frame.revs, strict=True)
            ]
        else:
            revs = list(frame.revs)
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
        frame_id = self._writer.next_frame()
        assert frame_id == placed.first + frame.number
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
            idx = targets[line].idx
            rev = _base(idx, node)
            assert idx is not None
            sizes.append(idx.rawsize(rev))
            groups.setdefault((line, idx.frames[rev]), []).append((number, rev))
        if sum(sizes) - max(sizes) > MOST_LACKING:
            raise PackError('a frame lacks too much')
        made = _Copies([], [], [], [])
        found = [0] * len(frame.bases)
        for (line, frame_id), members in groups.items():
            path_id, idx = targets[line].path_id, targets[line].idx
            assert idx is not None
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

    def _new_runs(
        self,
        line: Line,
        target: _Target,
        placed: _Placed,
        linkrevs: Sequence[int],
        in_order: bool,
    ) -> Iterator[tuple[int, int, bytes]]:
        """Yield the index runs of a line whose path is new.

        Most columns are those of the pack. ``in_order`` says that ``linkrevs``
        follow one another.
        """
        if line.outside:
            raise PackError('a parent of %r is missing' % line.name)
        found = line.columns
        for start in range(line.start, line.stop, index.RUN_SIZE):
            stop = min(start + index.RUN_SIZE, line.stop)
            rest = slice(start + 1, stop)
            part = Line(
                line.kind, line.name, line.number, [], found, start, stop
            )
            places = placed.places(part)
            frame = placed.first + found.frames[start]
            fields = (
                [linkrevs[found.links[start]], *found.link_diffs[rest]]
                if in_order
                else columns.diff([linkrevs[link] for link in part.links]),
                part.p1s,
                part.p2s,
                part.flags,
                [found.sizes[start], *found.size_diffs[rest]],
                [frame, *found.frame_diffs[rest]],
                columns.diff(places),
            )
            yield (
                schema.global_id(target.path_id, start - line.start),
                stop - start,
                index.encode_differences(
                    part.joined_nodes, fields, self._codec
                ),
            )

    def _add_line(
        self,
        line: Line,
        target: _Target,
        placed: _Placed,
        linkrevs: Sequence[int],
    ) -> int:
        """Add to the index of an older path; return how many revisions are new.

        Whole columns, since this runs for many revisions of a clone.
        """
        idx, known = target.idx, target.known
        assert idx is not None
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
        fields: list[Sequence[int]] = [
            [linkrevs[link] for link in line.links],
            d1,
            d2,
            line.flags,
            line.sizes,
            [placed.first + number for number in line.frames],
            placed.places(line),
        ]
        nodes = line.joined_nodes
        if known:
            self._fill(line, target, fields)
            new = [n not in known for n in range(len(line))]
            nodes = b''.join(compress(line.nodes, new))
            fields = [list(compress(column, new)) for column in fields]
        count = len(fields[0])
        runs = []
        for start in range(0, count, index.RUN_SIZE):
            stop = min(start + index.RUN_SIZE, count)
            part = nodes[start * index.NODE_SIZE : stop * index.NODE_SIZE]
            runs.append(
                (
                    schema.global_id(target.path_id, first + start),
                    stop - start,
                    index.encode_fields(
                        part,
                        [column[start:stop] for column in fields],
                        self._codec,
                    ),
                )
            )
        self._writer.add_runs(runs)
        # It is read again if another pack has revisions of this path.
        self._store.drop_index(target.path_id)
        return count

    def _fill(
        self, line: Line, target: _Target, fields: Sequence[Sequence[int]]
    ) -> None:
        """Give their content to revisions that are stored without it.

        What is censored in the pack stays without content.
        """
        idx = target.idx
        assert idx is not None
        _links, _d1, _d2, flags, sizes, numbers, places = fields
        rows = {}
        for n in target.known:
            rev = target.revs[n]
            if (
                _is_empty(idx.flags(rev), idx.rawsize(rev))
                and not _is_empty(flags[n], sizes[n])
                and not flags[n] & constants.REVIDX_ISCENSORED
            ):
                rows[rev] = idx.revision(rev)._replace(
                    flags=flags[n],
                    rawsize=sizes[n],
                    frame=numbers[n],
                    place=places[n],
                )
        if rows:
            seal(FileWriter(idx, self._store, self._writer, line.name), rows)


def _is_empty(flags: int, size: int) -> bool:
    """Return whether a revision of a file is stored without its content."""
    return bool(flags & constants.REVIDX_EXTSTORED and not size)


def _base(idx: FileIndex | None, node: bytes) -> int:
    """Return the older revision of a line that others are deltas of."""
    rev: int | None = None if idx is None else idx.core.get_rev(node)
    if idx is None or rev is None:
        raise PackError('a delta base is missing')
    if idx.flags(rev) & constants.REVIDX_ISCENSORED:
        # The delta belongs to the text that was there before.
        raise PackError('a delta base is censored')
    if _is_empty(idx.flags(rev), idx.rawsize(rev)):
        raise PackError('a delta base has no content')
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
