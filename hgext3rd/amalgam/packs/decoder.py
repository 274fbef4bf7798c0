# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading a pack: what its blocks say, in order, checked as it is read.

A pack comes from a server, whose digests say no more than that it arrived
undamaged. Everything that other code relies on is therefore checked here:
numbers are in range, sizes match, and no table is larger than it may be.
The nodes of changesets are computed from their texts. Nodes of other revisions
are taken as they are; they are compared with texts when these are read.

This module performs no I/O except that it reads from the file it is given. The
data of frames stays there until somebody asks for it.
"""

from __future__ import annotations

import binascii
import operator
import os
import struct
from array import array
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import IO

from mercurial.utils import storageutil

from ..codecs import chunks, columns
from . import contents, layout, tablereader
from .contents import Changesets, Event, Index, Line, Names, PackedFrame
from .derivation import Derivation
from .errors import PackError
from .layout import NODE_SIZE, NULL
from .names import are_right
from .pendingframes import PendingFrames, check_bases

_INDEX_COLUMNS = 7

# Bytes of an entry whose lines are counted before they are split.
_LARGE = 1 << 20


class Decoder:
    """Reads the pack in ``stream``, a file that is at its beginning.

    It must stay open while frames are used. ``trees`` says that it has tree
    manifests. ``events`` is to be called once.
    The constructor raises PackError if this is no pack of a known version.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._read = stream.read
        magic, version, flags = layout.HEAD.unpack(
            self._exactly(layout.HEAD.size)
        )
        if magic != layout.MAGIC or version != layout.VERSION:
            raise PackError('not a pack of a known version')
        if flags & ~layout.TREES:
            raise PackError('unknown flags')
        self.trees = bool(flags & layout.TREES)
        self._derivation = Derivation()
        self._nodes: list[bytes] = []
        self._outside: list[bytes] = []
        self._names: dict[bytes, list[bytes]] = {
            layout.MANIFEST: [],
            layout.FILE: [],
        }
        self._known_names: dict[bytes, set[bytes]] = {
            layout.MANIFEST: set(),
            layout.FILE: set(),
        }
        # How many lines of each kind an index has come for.
        self._indexed = {layout.MANIFEST: 0, layout.FILE: 0}
        self._frames = 0
        self._pending = PendingFrames()
        # Bytes of all names, and of the data of frames of manifests.
        self._name_bytes = 0
        self._manifest_bytes = 0
        self._kind = layout.MANIFEST
        self._revisions = 0

    def events(self) -> Iterator[Event]:
        """Yield what the blocks hold. Raises PackError if they are damaged."""
        try:
            yield from self._events()
        except (chunks.ChunkError, columns.ColumnError, struct.error) as exc:
            raise PackError(f'damaged pack: {exc}') from exc

    def _events(self) -> Iterator[Event]:
        kind, size = self._block()
        while kind != layout.END:
            following: tuple[bytes, int] | None = None
            content = self._exactly(size)
            if kind == layout.OUTSIDE:
                if len(content) % NODE_SIZE:
                    raise PackError('a list of nodes is cut short')
                self._outside.extend(tablereader.nodes(content))
            elif kind == layout.CHANGESETS:
                yield self._changesets(content)
            elif kind == layout.NAMES:
                yield self._new_names(content)
            elif kind == layout.FRAME:
                frame, links = self._frame(content)
                content = b''
                following = self._continuations(frame)
                if frame.kind == layout.MANIFEST:
                    self._learn(frame, links)
                yield frame
            elif kind == layout.INDEX:
                yield self._index(content)
            else:
                raise PackError('unknown kind of block')
            kind, size = following or self._block()
        content = self._exactly(size)
        counts = (len(self._nodes), self._revisions, self._frames)
        if tablereader.numbers(content, 3) != counts or self._read(1):
            raise PackError('the end does not match the content')
        if self._pending or any(
            self._indexed[kind] != len(names)
            for kind, names in self._names.items()
        ):
            raise PackError('an index is missing')

    def _exactly(self, size: int) -> bytes:
        data = self._read(size)
        if len(data) != size:
            raise PackError('the pack is cut short')
        return data

    def _block(self) -> tuple[bytes, int]:
        """Return the kind of the next block and the length of its content."""
        kind, size = layout.BLOCK.unpack(self._exactly(layout.BLOCK.size))
        if size > layout.MOST_BLOCK:
            raise PackError('a block is too large')
        return kind, size

    def _continuations(self, frame: PackedFrame) -> tuple[bytes, int]:
        """Add the blocks that continue a frame; return what follows them."""
        # Data that does not shrink becomes a little longer.
        most = sum(frame.lengths) * 65 // 64 + 4096
        kind, size = self._block()
        while kind == layout.CONTINUATION:
            frame.pieces.add(self._stream.tell(), size)
            if frame.pieces.size > most:
                raise PackError('the data of a frame is too large')
            # If the pack ends before, no block follows.
            self._stream.seek(size, os.SEEK_CUR)
            kind, size = self._block()
        return kind, size

    def _changesets(self, content: bytes) -> Changesets:
        if any(self._names.values()):
            raise PackError('changesets after files')
        head, table, packed = layout.cut(content, 3)
        (count,) = tablereader.numbers(head, 1)
        p1s, p2s, flags, lengths, middles = tablereader.table(table, 5, count)
        contents.check_range(flags, 0, 0xFFFF, 'the flags of a changeset')
        contents.check_range(
            lengths, 0, layout.MOST_TEXT, 'the length of a changeset'
        )
        size = sum(lengths)
        if size - max(lengths, default=0) > layout.MOST_TEXTS:
            raise PackError('a block of changesets is too large')
        texts = contents.joined_texts(
            chunks.decode_limited([packed], size), lengths, middles
        )
        first = len(self._nodes)
        parents = []
        known, outside = self._nodes, self._outside
        hashed = storageutil.hashrevisionsha1
        # A plain loop: it runs for each changeset of a clone.
        try:
            for position, p1_reference, p2_reference, text in zip(
                range(first, first + count), p1s, p2s, texts, strict=True
            ):
                p1 = p2 = NULL
                if p1_reference:
                    p1 = (
                        known[position - p1_reference]
                        if 0 < p1_reference <= position
                        else outside[_positive(p1_reference - position - 1)]
                    )
                if p2_reference:
                    p2 = (
                        known[position - p2_reference]
                        if 0 < p2_reference <= position
                        else outside[_positive(p2_reference - position - 1)]
                    )
                parents.append((p1, p2))
                known.append(hashed(text, p1, p2))
        except IndexError:
            raise PackError('a changeset has an unknown parent') from None
        self._derivation.add_changesets(texts)
        return Changesets(first, known[first:], parents, flags, texts)

    def _new_names(self, content: bytes) -> Names:
        kind, head, packed = layout.cut(content, 3)
        if kind not in self._names or (
            kind == layout.MANIFEST and self._names[layout.FILE]
        ):
            raise PackError('unknown kind of line')
        if kind != self._kind and self._pending:
            raise PackError('an index is missing')
        (count,) = tablereader.numbers(head, 1)
        joined = chunks.decode_limited([packed], layout.MOST_NAMES)
        self._name_bytes += len(joined)
        if joined.count(b'\0') + 1 != count:
            raise PackError('names are missing')
        first = len(self._names[kind])
        if (
            first + count - self._indexed[kind] > layout.MOST_ROWS
            or self._name_bytes > layout.MOST_ALL_NAMES
        ):
            raise PackError('there are too many names')
        names = joined.split(b'\0')
        known = self._known_names[kind]
        known.update(names)
        if len(known) != first + count:
            raise PackError('a line comes twice')
        if kind == layout.MANIFEST:
            directories = [name for name in names if name]
            if directories and not self.trees:
                raise PackError('a directory in a pack without trees')
            right = all(name.endswith(b'/') for name in directories)
            paths = [name[:-1] for name in directories]
        else:
            right, paths = True, names
        if not right or (paths and not are_right(paths)):
            raise PackError('a name that no file can have')
        if kind != self._kind:
            # No more manifests follow.
            self._derivation.end_directory()
        self._kind = kind
        self._names[kind].extend(names)
        return Names(kind, first, names)

    def _frame(self, content: bytes) -> tuple[PackedFrame, Sequence[int]]:
        """Return a frame with the first piece of its data, and its links."""
        head, base_table, base_nodes, table, first = layout.cut(content, 5)
        count, outside = tablereader.numbers(head, 2)
        kind = self._kind
        is_manifest = kind == layout.MANIFEST
        self._pending.reserve(count)
        lines, revs, distances, lengths, *links = tablereader.table(
            table, 5 if is_manifest else 4, count
        )
        lines, revs = columns.undiff(lines), columns.undiff(revs)
        (base_lines,) = tablereader.table(base_table, 1, outside)
        bases = columns.undiff(base_lines)
        if len(base_nodes) != outside * NODE_SIZE:
            raise PackError('a list of nodes is cut short')
        names = len(self._names[kind])
        contents.check_range(lines, 0, names - 1, 'the line of an entry')
        contents.check_range(bases, 0, names - 1, 'the line of a delta base')
        contents.check_range(revs, 0, layout.MOST_ROWS, 'a revision')
        contents.check_range(
            lengths, 0, layout.MOST_SIZE, 'the length of an entry'
        )
        contents.check_range(distances, -outside, count, 'the base of a delta')
        check_bases(distances, lines, bases)
        size = sum(lengths)
        if size > layout.MOST_FRAME + max(lengths, default=0):
            raise PackError('a frame is too large')
        # None is the size of other chunks than those of packs.
        if chunks.content_size(first) != size:
            raise PackError('a frame has another size than its head says')
        pieces = contents.Pieces(self._stream)
        pieces.add(self._stream.tell() - len(first), len(first))
        frame = PackedFrame(
            kind,
            self._frames,
            lines,
            revs,
            distances,
            lengths,
            list(zip(bases, tablereader.nodes(base_nodes), strict=True)),
            pieces,
        )
        self._frames += 1
        learned: Sequence[int] = []
        if is_manifest:
            learned = columns.undiff(links[0])
            contents.check_range(
                learned, 0, len(self._nodes) - 1, 'the link of a manifest'
            )
        self._pending.add(frame, learned)
        return frame, learned

    def _learn(self, frame: PackedFrame, links: Sequence[int]) -> None:
        """Learn the nodes that a frame of manifests names."""
        names = self._names[layout.MANIFEST]
        derivation = self._derivation
        size = frame.pieces.size
        self._manifest_bytes += size
        most = layout.FREE_LINES + self._manifest_bytes
        for line, link, distance, entry in zip(
            frame.lines, links, frame.distances, frame.entries(), strict=True
        ):
            if len(entry) > _LARGE and (
                entry.count(b'\n') > layout.FREE_LINES + size
            ):
                raise PackError('manifests have too many lines')
            if distance:
                derivation.add_delta(names[line], link, entry)
            elif self.trees and b'/' in entry:
                raise PackError('a manifest of files in other directories')
            else:
                derivation.add_text(names[line], link, entry)
            if derivation.lines > most:
                raise PackError('manifests have too many lines')

    def _index(self, content: bytes) -> Index:
        head, counts, table, outside, places, explicit = layout.cut(content, 6)
        count, outsiders, unknown = tablereader.numbers(head, 3)
        revisions, outsides = tablereader.table(counts, 2, count)
        # A line without revisions would be known by its name alone.
        contents.check_range(
            revisions, 1, layout.MOST_ROWS, 'the number of revisions of a line'
        )
        contents.check_range(
            outsides, 0, outsiders, 'the number of outside nodes of a line'
        )
        total = sum(revisions)
        if total != self._pending.entries:
            raise PackError('the index does not match the frames')
        link_diffs, p1s, p2s, flags, size_diffs, frame_diffs, place_diffs = (
            tablereader.table(table, _INDEX_COLUMNS, total)
        )
        if (
            len(outside) != outsiders * NODE_SIZE
            or sum(outsides) != outsiders
            or len(explicit) != unknown * NODE_SIZE
        ):
            raise PackError('a list of nodes is cut short')
        (numbers,) = tablereader.table(places, 1, unknown)
        numbers = columns.undiff(numbers)
        contents.check_range(
            numbers, 0, total - 1, 'the place of an explicit node'
        )
        given = dict(zip(numbers, tablereader.nodes(explicit), strict=True))
        kind = self._kind
        first = self._indexed[kind]
        self._indexed[kind] += count
        names = self._names[kind][first : self._indexed[kind]]
        if len(names) != count:
            raise PackError('an index of no line')
        self._revisions += total
        # Whole columns: an index has many lines of few revisions, or few lines
        # of many.
        links = columns.undiff_parts(link_diffs, revisions)
        sizes = columns.undiff_parts(size_diffs, revisions)
        frames = columns.undiff_parts(frame_diffs, revisions)
        entries = columns.undiff_parts(place_diffs, revisions)
        contents.check_range(
            links, 0, len(self._nodes) - 1, 'the link of a revision'
        )
        contents.check_range(sizes, 0, layout.MOST_SIZE, 'the size of a text')
        contents.check_range(flags, 0, 0xFFFF, 'the flags of a revision')
        for references in (p1s, p2s):
            # A revision may refer to those before it, and to outside nodes.
            limits = chain.from_iterable(
                map(range, outsides, map(operator.add, outsides, revisions))
            )
            contents.check_range(references, 0, 1 << 62, 'a parent')
            if any(map(operator.gt, references, limits)):
                raise PackError('a revision has an unknown parent')
        numbers_of_lines = range(first, first + count)
        self._pending.take(
            numbers_of_lines, revisions, links, frames, entries, sizes
        )
        nodes = self._derived(kind, names, revisions, links, given)
        each = tablereader.nodes(nodes)
        if NULL in each:
            raise PackError('a revision comes twice')
        outside_nodes = tablereader.nodes(outside)
        found = contents.Columns(
            nodes,
            links,
            link_diffs,
            p1s,
            p2s,
            flags,
            sizes,
            size_diffs,
            frames,
            frame_diffs,
            entries,
        )
        lines = []
        start = taken = 0
        for number, name, size, others in zip(
            numbers_of_lines, names, revisions, outsides, strict=True
        ):
            end = start + size
            if size > 1 and len(set(each[start:end])) != size:
                raise PackError('a revision comes twice')
            others += taken
            own = outside_nodes[taken:others]
            lines.append(Line(kind, name, number, own, found, start, end))
            start, taken = end, others
        return Index(kind, lines)

    def _derived(
        self,
        kind: bytes,
        names: list[bytes],
        revisions: Sequence[int],
        links: array[int],
        given: dict[int, bytes],
    ) -> bytes:
        """Return the nodes of lines, those of one after those of another.

        ``given`` has the nodes of some rows.
        """
        derivation = self._derivation
        found: list[bytes] = []
        start = 0
        for name, size in zip(names, revisions, strict=True):
            own = links[start : start + size]
            if kind == layout.MANIFEST and not name:
                digits = derivation.roots(own)
            elif given:
                digits = derivation.take(name, own)
            else:
                digits = [derivation.take_joined(name, own)]
            found += digits
            start += size
        if given:
            for row, node in given.items():
                found[row] = node.hex().encode()
        joined = b''.join(found)
        if len(joined) != 2 * NODE_SIZE * len(links):
            raise PackError('a node is missing')
        try:
            # Unlike bytes.fromhex, this does not skip white space.
            return binascii.unhexlify(joined)
        except ValueError:
            raise PackError('a node is damaged') from None


def _positive(index: int) -> int:
    if index < 0:
        raise IndexError
    return index
