# SPDX-License-Identifier: GPL-2.0-or-later
"""Take the content of packs into the database as it is.

Frames are stored by ``packframes``. Index runs are put together from the columns
of the pack. Revisions that the database has without their content get that of
the pack.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import compress
from typing import Any

from mercurial.node import nullrev
from mercurial.revlogutils import constants, flagutil

from ...amalgam.codecs import chunks, columns
from ...amalgam.packs import layout
from ...amalgam.packs.contents import Index, Line, PackedFrame
from ...amalgam.packs.errors import PackError
from ..formats import index, schema
from ..formats.index import Revision
from ..reading.store import Store
from .filewriter import FileWriter
from .fill import seal
from .packframes import FrameStorer
from .packrows import Target, is_empty
from .writer import Writer, writer

#: Nodes up to which a long index is searched for each, rather than decoded.
FEW_NODES = 16

_KINDS = {layout.FILE: schema.FILE, layout.MANIFEST: schema.DIRECTORY}


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
        first_line = found.lines[0].number

        def add_row(number: int, rev: int, base: int, delta: bytes) -> None:
            line = found.lines[number - first_line]
            self._add_row(line, targets[number], rev, base, delta, linkrevs)

        stored = FrameStorer(
            self._store,
            self._writer,
            self._codec,
            targets,
            self._next_frame(),
            add_row,
        )
        for frame in self._frames:
            stored.add(frame)
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
                        line, target, stored, linkrevs, in_order
                    )
                else:
                    added += self._add_line(line, target, stored, linkrevs)
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

    def _targets(self, kind: int, lines: Sequence[Line]) -> dict[int, Target]:
        """Prepare the paths of lines for their revisions.

        The result has the target of each line, by its number.
        """
        store = self._store
        store.revalidate()
        # Loads no index of the paths that are new: in a clone, most are.
        new = [line for line in lines if store.path_id(line.name, kind) is None]
        ids = self._writer.add_paths([(kind, line.name) for line in new])
        targets = {
            line.number: Target(None, path_id, range(len(line)), frozenset())
            for line, path_id in zip(new, ids, strict=True)
        }
        for line in lines:
            if line.number not in targets:
                targets[line.number] = self._older(kind, line)
        return targets

    def _older(self, kind: int, line: Line) -> Target:
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
        return Target(idx, idx.path_id, revs, known)

    def _new_runs(
        self,
        line: Line,
        target: Target,
        stored: FrameStorer,
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
            places = stored.places(part)
            frame = stored.first + found.frames[start]
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
        target: Target,
        stored: FrameStorer,
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
            [stored.first + number for number in line.frames],
            stored.places(line),
        ]
        nodes = line.joined_nodes
        if known:
            self._fill(line, target, fields)
            new = [n not in known for n in range(len(line))]
            nodes = b''.join(compress(line.nodes, new))
            fields = [list(compress(column, new)) for column in fields]
        runs = []
        rows = [
            target.revs[rev] - first for rev in stored.rows.get(line.number, ())
        ]
        for start, stop in _between(rows, len(fields[0])):
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
        return len(fields[0])

    def _fill(
        self, line: Line, target: Target, fields: Sequence[Sequence[int]]
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
                is_empty(idx.flags(rev), idx.rawsize(rev))
                and not is_empty(flags[n], sizes[n])
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

    def _add_row(
        self,
        line: Line,
        target: Target,
        rev: int,
        base: int,
        delta: bytes,
        linkrevs: Sequence[int],
    ) -> None:
        """Store revision ``rev`` of a line as a row with a delta of ``base``."""
        idx = target.idx
        assert idx is not None
        number = target.revs[rev]
        at = line.start + rev
        p1, p2 = (
            _parent(target, rev, references[at], line.outside)
            for references in (line.columns.p1s, line.columns.p2s)
        )
        row = Revision(
            line.columns.nodes[
                at * index.NODE_SIZE : (at + 1) * index.NODE_SIZE
            ],
            p1,
            p2,
            linkrevs[line.columns.links[at]],
            line.columns.flags[at],
            line.columns.sizes[at],
            0,
            number - base,
        )
        self._writer.add_loose(
            schema.global_id(target.path_id, number),
            row,
            self._codec.encode(delta),
        )


def _between(rows: Sequence[int], count: int) -> Iterator[tuple[int, int]]:
    """Yield where runs of ``count`` revisions start and stop.

    ``rows`` are revisions that belong to none.
    """
    start = 0
    for end in [*sorted(rows), count]:
        for first in range(start, end, index.RUN_SIZE):
            yield first, min(first + index.RUN_SIZE, end)
        start = end + 1


def _parent(
    target: Target, rev: int, reference: int, outside: Sequence[bytes]
) -> int:
    """Return the revision that a reference means."""
    if not reference:
        return nullrev
    if reference <= rev:
        return target.revs[rev - reference]
    assert target.idx is not None
    found: int | None = target.idx.core.get_rev(outside[reference - rev - 1])
    if found is None:
        raise PackError('a parent is missing')
    return found


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
