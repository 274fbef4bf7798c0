# SPDX-License-Identifier: GPL-2.0-or-later
"""Store the frames of a pack.

Frames are inserted without decoding them. Only their heads change, since these
hold path ids and revision numbers of this database.

The exception are deltas of revisions that are outside of the pack: frames in
the database do not depend on each other. So the frame gets copies of these
revisions in front, in a chunk of their own (see ``basecopies``). A few deltas of
a large revision become rows instead (see ``packrows``). Packs of old history
have neither.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from mercurial.revlogutils import constants

from ...amalgam.codecs import chunks
from ...amalgam.packs.contents import Line, PackedFrame
from ...amalgam.packs.errors import PackError
from ..formats import frames, schema
from ..reading.fileindex import FileIndex
from ..reading.store import Store
from . import basecopies, packrows
from .packrows import Target
from .writer import Writer

# Stores a row: line, number of the revision in it, revision that the delta
# applies to, and delta.
AddRow = Callable[[int, int, int, bytes], None]


class FrameStorer:
    """Stores the frames that belong to one index, and knows where they are.

    ``targets`` has the target of each line. ``first`` is the id of the frame
    number 0 of the pack, which others follow. ``rows`` has the revisions in the
    line that became rows, for each line that has such. ``add_row`` stores them.
    """

    def __init__(
        self,
        store: Store,
        writer: Writer,
        codec: chunks.Codec,
        targets: Mapping[int, Target],
        first: int,
        add_row: AddRow,
    ) -> None:
        self.first = first
        self.rows: dict[int, set[int]] = {}
        self._store = store
        self._writer = writer
        self._codec = codec
        self._targets = targets
        self._add_row = add_row
        # The places of the entries of frames that changed, by their numbers.
        self._moved: dict[int, Sequence[int]] = {}

    def places(self, line: Line) -> Sequence[int]:
        """Return the places of the revisions of a line in their frames.

        Those of rows mean nothing.
        """
        moved, numbers, places = self._moved, line.frames, line.places
        if moved.keys().isdisjoint(numbers):
            return places
        return [
            moved[number][place] if number in moved else place
            for number, place in zip(numbers, places, strict=True)
        ]

    def add(self, frame: PackedFrame) -> None:
        """Store a frame."""
        frame_id = self._writer.next_frame()
        assert frame_id == self.first + frame.number
        pieces: Iterable[bytes] = frame.pieces
        if frame.bases:
            targets = self._targets
            base_revs = [
                _base(targets[line].idx, node) for line, node in frame.bases
            ]
            chosen = packrows.choose(self._store, frame, base_revs, targets)
            if chosen:
                frame, base_revs, entries = self._take_rows(
                    frame, base_revs, chosen
                )
                if not entries:
                    return
                pieces = frames.encode_data(entries, self._codec)
            if frame.bases:
                self._insert_behind_copies(frame_id, frame, base_revs, pieces)
                return
        self._insert(
            frame_id,
            *self._columns(frame),
            frame.distances,
            frame.lengths,
            pieces,
        )

    def _columns(self, frame: PackedFrame) -> tuple[list[int], list[int]]:
        """Return the path ids and revisions of the entries of a frame."""
        targets = self._targets
        lines = set(frame.lines)
        ids = {line: targets[line].path_id for line in lines}
        paths = list(map(ids.__getitem__, frame.lines))
        if any(targets[line].idx is not None for line in lines):
            return paths, [
                targets[line].revs[rev]
                for line, rev in zip(frame.lines, frame.revs, strict=True)
            ]
        return paths, list(frame.revs)

    def _take_rows(
        self,
        frame: PackedFrame,
        base_revs: Sequence[int],
        chosen: Sequence[int],
    ) -> tuple[PackedFrame, list[int], list[bytes]]:
        """Store the ``chosen`` entries of a frame as rows, unless known before.

        Return the frame without them, the revisions that it still lacks, and
        its entries.
        """
        entries = frame.entries()
        for place in chosen:
            line, rev = frame.lines[place], frame.revs[place]
            target, distance = self._targets[line], frame.distances[place]
            if rev in target.known:
                continue
            base = (
                base_revs[-distance - 1]
                if distance < 0
                else target.revs[frame.revs[place - distance]]
            )
            self._add_row(line, rev, base, entries[place])
            self.rows.setdefault(line, set()).add(rev)
        without = set(chosen)
        rest = [n for n in range(len(entries)) if n not in without]
        moved = [-1] * len(entries)
        for n, place in enumerate(rest):
            moved[place] = n
        self._moved[frame.number] = moved
        used = sorted(
            {-frame.distances[n] for n in rest if frame.distances[n] < 0}
        )
        numbers = {base: n for n, base in enumerate(used, 1)}
        kept = frame._replace(
            lines=[frame.lines[n] for n in rest],
            revs=[frame.revs[n] for n in rest],
            distances=[
                -numbers[-distance]
                if distance < 0
                else distance and moved[n] - moved[n - distance]
                for n, distance in ((n, frame.distances[n]) for n in rest)
            ],
            lengths=[frame.lengths[n] for n in rest],
            bases=[frame.bases[base - 1] for base in used],
        )
        return (
            kept,
            [base_revs[base - 1] for base in used],
            [entries[n] for n in rest],
        )

    def _insert_behind_copies(
        self,
        frame_id: int,
        frame: PackedFrame,
        base_revs: Sequence[int],
        pieces: Iterable[bytes],
    ) -> None:
        """Insert a frame behind copies of revisions that it lacks."""
        copies, places = basecopies.copy(
            self._store, frame, base_revs, self._targets
        )
        count = len(copies.entries)
        moved = self._moved.get(frame.number, range(len(frame.lines)))
        self._moved[frame.number] = [count + place for place in moved]
        paths, revs = self._columns(frame)
        distances = [
            distance if distance >= 0 else count + n - places[-distance - 1]
            for n, distance in enumerate(frame.distances)
        ]
        front = list(frames.encode_data(copies.entries, self._codec))
        self._insert(
            frame_id,
            copies.paths + paths,
            copies.revs + revs,
            copies.distances + distances,
            [*map(len, copies.entries), *frame.lengths],
            _behind(front, iter(pieces)),
            sum(map(len, front)),
        )

    def _insert(
        self,
        frame_id: int,
        paths: Sequence[int],
        revs: Sequence[int],
        distances: Sequence[int],
        lengths: Sequence[int],
        pieces: Iterable[bytes],
        front: int = 0,
    ) -> None:
        head = frames.encode_head(
            paths, revs, distances, lengths, self._codec, front
        )
        self._writer.add_frame(frame_id, head, pieces)


def _base(idx: FileIndex | None, node: bytes) -> int:
    """Return the older revision of a line that others are deltas of."""
    rev: int | None = None if idx is None else idx.core.get_rev(node)
    if idx is None or rev is None:
        raise PackError('a delta base is missing')
    if idx.flags(rev) & constants.REVIDX_ISCENSORED:
        # The delta belongs to the text that was there before.
        raise PackError('a delta base is censored')
    if packrows.is_empty(idx.flags(rev), idx.rawsize(rev)):
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
