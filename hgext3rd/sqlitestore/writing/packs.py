# SPDX-License-Identifier: GPL-2.0-or-later
"""Take the content of packs into the database as it is.

Frames are inserted without decoding them. Only their heads change, since these
hold path ids and revision numbers of this database. Index runs are put together
from the columns of the pack.

The exception are deltas of revisions that are outside of the pack: frames in
the database do not depend on each other, so such an entry becomes a full text
and its frame is compressed again. Packs of old history have none.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any, NamedTuple

from mercurial import mdiff, policy
from mercurial.node import nullrev
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
from .sealer import FRAME_SIZE
from .writer import Writer, writer

mpatch = policy.importmod('mpatch')

_KINDS = {layout.FILE: schema.FILE, layout.MANIFEST: schema.DIRECTORY}


# Bases come in the order of their frames, and each is read once. So the caches
# of the store are emptied after this many; they would double the memory of a
# clone.
BASES_KEPT = 96


class _Target(NamedTuple):
    """Where a line goes: its index, and the number of each revision there.

    ``known`` tells for each revision whether the database had it before.
    """

    idx: FileIndex
    path_id: int
    revs: Sequence[int]
    known: frozenset[int]


class DatabaseSink:
    """Takes the manifests and files of packs in the transaction ``tr``.

    The interface is ``amalgam.packs.sinks.PackSink``.
    """

    def __init__(self, store: Store, tr: Any) -> None:
        self._store = store
        self._writer: Writer = writer(store, tr)
        self._frames: list[PackedFrame] = []
        self._bases_read = 0
        self._codec = chunks.Codec(store.compression, chunks.LOOSE_LEVEL)
        self._frame_codec = chunks.Codec(store.compression, chunks.LOOSE_LEVEL)

    def add_frame(self, frame: PackedFrame) -> None:
        """Take a frame. It is stored when the index comes."""
        self._frames.append(frame)

    def add_index(self, found: Index, linkrevs: Sequence[int]) -> int:
        """Store lines and their frames; return how many revisions are new."""
        kind = _KINDS[found.kind]
        targets = {
            line.number: self._target(kind, line) for line in found.lines
        }
        # By number of the frame: its id and None, or the new id and place of
        # each of its entries.
        stored: dict[int, tuple[int, list[tuple[int, int]] | None]] = {}
        for frame in self._frames:
            if any(number not in targets for number in frame.lines):
                raise PackError('a frame of lines that are in no index')
            if frame.bases:
                stored[frame.number] = 0, self._completed(frame, targets)
            else:
                stored[frame.number] = self._copied(frame, targets), None
        self._frames = []
        added = 0
        for line in found.lines:
            added += self._add_line(
                line, targets[line.number], stored, linkrevs
            )
        return added

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
        made = OpenFrame(self._writer.next_frame())
        previous = None
        for place, (line, rev, distance, entry) in enumerate(
            zip(
                frame.lines,
                frame.revs,
                frame.distances,
                frame.entries(),
                strict=True,
            )
        ):
            target = targets[line]
            if line != previous and made.is_full(FRAME_SIZE):
                self._store_frame(made)
                made = OpenFrame(self._writer.next_frame())
            previous = line
            base: int | None = None
            if distance < 0:
                number, node = frame.bases[-distance - 1]
                if number != line:
                    raise PackError('a delta of another line')
                entry = self._full_text(target, node, entry)
            elif distance:
                if frame.lines[place - distance] != line:
                    raise PackError('a delta of another line')
                frame_id, base = places[place - distance]
                if frame_id != made.id:
                    raise PackError('a line is in a frame in several places')
            gid = schema.global_id(target.path_id, target.revs[rev])
            places.append((made.id, made.add(gid, entry, base)))
        self._store_frame(made)
        return places

    def _full_text(self, target: _Target, node: bytes, delta: bytes) -> bytes:
        """Return the text that a delta makes of an older revision."""
        idx = target.idx
        rev = idx.core.get_rev(node)
        if rev is None:
            raise PackError('a delta base is missing')
        if idx.flags(rev) & constants.REVIDX_ISCENSORED:
            # The delta belongs to the text that was there before.
            raise PackError('a delta base is censored')
        text = self._store.chain_text(idx, rev)
        self._bases_read += 1
        if not self._bases_read % BASES_KEPT:
            self._store.forget_content()
        if not delta:
            return text
        try:
            return bytes(mdiff.patches(text, [delta]))
        except mpatch.mpatchError as exc:
            raise PackError('a delta does not fit its base') from exc

    def _store_frame(self, made: OpenFrame) -> None:
        """Store a frame that was put together here."""
        codec = self._frame_codec
        self._writer.add_frame(
            made.id,
            made.encode_head(codec),
            frames.encode_data(made.entries, codec),
        )

    def _add_line(
        self,
        line: Line,
        target: _Target,
        stored: dict[int, tuple[int, list[tuple[int, int]] | None]],
        linkrevs: Sequence[int],
    ) -> int:
        """Add the index of a line; return how many revisions are new."""
        idx, revs, known = target.idx, target.revs, target.known
        get_rev = idx.core.get_rev
        outside = list(map(get_rev, line.outside))
        if None in outside:
            raise PackError('a parent of %r is missing' % line.name)
        try:
            places = [stored[number] for number in line.frames]
        except KeyError:
            raise PackError('a revision is in no frame') from None
        # Whole columns, since this runs for each revision of a clone.
        frame_ids: Sequence[int] = [frame_id for frame_id, _moved in places]
        numbers: Sequence[int] = line.places
        if not all(frame_ids):
            found = [
                (frame_id, place) if moved is None else moved[place]
                for (frame_id, moved), place in zip(
                    places, line.places, strict=True
                )
            ]
            frame_ids, numbers = zip(*found, strict=True)
        table = Table()
        table.nodes = b''.join(line.nodes)
        table.p1 = _parents(line.p1s, revs, outside)
        table.p2 = _parents(line.p2s, revs, outside)
        table.linkrevs = array('i', [linkrevs[link] for link in line.links])
        table.flags = array('i', line.flags)
        table.sizes = array('i', line.sizes)
        table.frames = array('q', frame_ids)
        table.places = array('q', numbers)
        if known:
            table = Table([r for n, r in enumerate(table) if n not in known])
        first, count = len(idx), len(table)
        for start in range(0, count, index.RUN_SIZE):
            stop = min(start + index.RUN_SIZE, count)
            self._writer.add_run(
                schema.global_id(target.path_id, first + start),
                index.encode_table(
                    first + start, table.part(start, stop), self._codec
                ),
                stop - start,
            )
        if count:
            idx.extend(table)
        self._store.keep_index(idx)
        return count


def _parents(
    references: Sequence[int], revs: Sequence[int], outside: Sequence[int]
) -> array[int]:
    """Return the revisions that references to parents mean."""
    if not any(references):
        return array('i', [nullrev]) * len(references)
    return array(
        'i',
        [
            nullrev
            if not reference
            else revs[rev - reference]
            if reference <= rev
            else outside[reference - rev - 1]
            for rev, reference in enumerate(references)
        ],
    )
