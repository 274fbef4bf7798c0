# SPDX-License-Identifier: GPL-2.0-or-later
"""Frames: several revisions compressed together.

A frame holds entries, numbered from 0. An entry is a full text, or a delta
against an *earlier entry of the same frame*. So a frame is self-contained: one
frame must be decompressed to read any revision in it, whatever the history
looks like. This bounds the work of a read, as limits on delta chains do in
revlogs.

A frame is stored as two values:

head
    a chunk holding a table (see ``columns``) of four columns with one value
    per entry: path id (as difference), revision (as difference), distance to
    the base entry (0: full text), length of the entry in bytes.
data
    a chunk holding the bytes of the entries, one after the other.

The entries in *front* of a frame may be a chunk of their own, which precedes the
chunk of the others. A frame of a pack is stored so, with the entries that it
lacks in front, without compressing it again.

A frame may be *split*: the numbers of its hunks are then stored apart from the
bytes that they insert, which compresses better and takes a little longer to
read (see ``split``).

This module knows nothing of SQLite, and uses only the delta codec of Mercurial.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from itertools import accumulate, chain

from mercurial import mdiff

from ...amalgam.codecs import chunks, columns
from ...amalgam.lru import LRU
from . import hunks, schema

_HEAD_COLUMNS = 4
_SPLIT_COLUMNS = 5

# Bytes of texts to keep, so that reading the revisions of a file one after the
# other applies each delta about once. More texts than FEW_TEXTS are kept while
# they take no more than USUAL_TEXTS bytes, and no more than TEXT_CACHE bytes are
# kept of texts of any size.
TEXT_CACHE = 8 << 20
USUAL_TEXTS = 1 << 20
FEW_TEXTS = 32

# Bytes of memory that an entry takes beside its data.
ENTRY_BYTES = 32

# Every STRIDE-th text of a long chain is kept. The newest revision is at the
# bottom of a chain and the oldest at its top, so reading from the oldest to the
# newest would otherwise apply the whole chain for each revision.
STRIDE = 32

# The texts of one chain take at most one in SHARE bytes of the cache. If they
# took all of it, each text would be dropped before it is read. Making a large
# text takes longer than applying many deltas.
SHARE = 2


class TextCache:
    """The texts that were used last, by (frame id, entry).

    ``limit`` is the number of bytes that they may take if they are large.
    """

    def __init__(self, limit: int = TEXT_CACHE) -> None:
        self._texts: LRU[tuple[int, int], bytes] = LRU(limit)
        self.limit = limit
        # Bound here because each text that is read calls it at least once.
        self.get = self._texts.get
        self.clear = self._texts.clear

    @property
    def size(self) -> int:
        """The bytes of all texts in the cache."""
        return self._texts.used

    def resize(self, limit: int) -> None:
        """Change the limit, and drop the texts that exceed it."""
        self.limit = self._texts.limit = limit
        while self._texts.used > limit:
            self._texts.drop_oldest()

    def keep(self, key: tuple[int, int], text: bytes) -> None:
        """Add a text, unless it is larger than the whole cache."""
        texts, size = self._texts, len(text)
        if size <= self.limit:
            texts.put(key, text, size)
            while texts.used > USUAL_TEXTS and len(texts) > FEW_TEXTS:
                texts.drop_oldest()

    def room(self, size: int) -> int:
        """Return how many texts of ``size`` bytes the cache has room for."""
        size = size or 1
        usual = max(USUAL_TEXTS // size, FEW_TEXTS)
        return min(usual, self.limit // size)


def encode_head(
    paths: Sequence[int],
    revs: Sequence[int],
    distances: Sequence[int],
    lengths: Sequence[int],
    codec: chunks.Codec,
    front: int = 0,
) -> bytes:
    """Return the stored head of a frame.

    All sequences have one item per entry. ``front`` is the number of bytes of
    the chunk in front, 0 if there is none.
    """
    table = columns.pack(
        (columns.diff(paths), columns.diff(revs), distances, lengths)
    )
    counts = b'%d+%d' % (len(paths), front) if front else b'%d' % len(paths)
    return counts + b':' + codec.encode(table)


def front_size(head: bytes) -> int:
    """Return the number of bytes of the chunk in front of a frame, mostly 0.

    Raises ValueError if the head is damaged.
    """
    counts = head.partition(b':')[0]
    _count, _plus, front = counts.partition(b'+')
    return int(front or 0)


def decode_data(pieces: Iterator[bytes], front: int) -> bytes:
    """Return the decoded data of a frame.

    ``pieces`` together are the stored data. ``front`` bytes of it are the chunk
    in front. Raises ChunkError if it is damaged.
    """
    if not front:
        return chunks.decode_stream(pieces)
    first = []
    piece = b''
    while front:
        piece = next(pieces, b'')
        if not piece:
            raise chunks.ChunkError('a frame is cut short')
        first.append(piece[:front])
        piece = piece[len(first[-1]) :]
        front -= len(first[-1])
    return chunks.decode_stream(iter(first)) + chunks.decode_stream(
        chain((piece,) if piece else (), pieces)
    )


def encode_data(parts: Sequence[bytes], codec: chunks.Codec) -> Iterator[bytes]:
    """Yield the stored data of a frame, in pieces that fit into a row each.

    ``parts`` are the entries, or the parts that ``split`` returns.
    """
    size = sum(map(len, parts))
    if size < schema.PIECE_SIZE:
        yield codec.encode(b''.join(parts))
    else:
        yield from codec.encode_stream(parts, size, schema.PIECE_SIZE)


class Head:
    """The columns of a head, one value per entry.

    ``lengths`` are numbers of bytes: of full texts and deltas, or in a split
    frame, of full texts and of the bytes that hunks insert. ``counts`` are
    numbers of hunks, or None if the frame is not split.

    Not a named tuple, which every command that reads would take time to make.
    """

    __slots__ = ('counts', 'distances', 'lengths', 'paths', 'revs')

    def __init__(
        self,
        paths: Sequence[int],
        revs: Sequence[int],
        distances: Sequence[int],
        lengths: Sequence[int],
        counts: Sequence[int] | None,
    ) -> None:
        self.paths = paths
        self.revs = revs
        self.distances = distances
        self.lengths = lengths
        self.counts = counts

    @property
    def sizes(self) -> Sequence[int]:
        """The number of bytes that each entry takes in the data."""
        if self.counts is None:
            return self.lengths
        return [
            length + hunks.ROW * count
            for length, count in zip(self.lengths, self.counts, strict=True)
        ]


def decode_head(head: bytes) -> Head:
    """Return the columns of a head. Raises ValueError if it is damaged."""
    counts, sep, chunk = head.partition(b':')
    if not sep:
        raise columns.ColumnError('frame head has no entry count')
    count, is_split, total = counts.partition(b'+')[0].partition(b'/')
    width = _SPLIT_COLUMNS if is_split else _HEAD_COLUMNS
    paths, revs, distances, lengths, *rest = columns.unpack(
        chunks.decode(chunk), width, int(count)
    )
    numbers = rest[0] if rest else None
    if numbers is not None and (min(numbers) < 0 or sum(numbers) != int(total)):
        raise columns.ColumnError('frame head has another number of hunks')
    return Head(
        columns.undiff(paths), columns.undiff(revs), distances, lengths, numbers
    )


def split(
    paths: Sequence[int],
    revs: Sequence[int],
    distances: Sequence[int],
    entries: Sequence[bytes],
    codec: chunks.Codec,
) -> tuple[bytes, list[bytes]]:
    """Return the head of a split frame, and its data as a list of byte strings.

    The head has a fifth column, the number of hunks of each entry, and names
    the sum of these beside the number of entries. The data is the content of
    all entries (full texts, and the bytes that hunks insert), then the table of
    hunks.
    Raises OverflowError for hunks that are not in order.
    """
    table = hunks.HunkTable()
    parts: list[bytes] = []
    lengths: list[int] = []
    counts: list[int] = []
    for distance, entry in zip(distances, entries, strict=True):
        before = len(table)
        content = table.add(entry) if distance else [entry]
        parts.extend(content)
        lengths.append(sum(map(len, content)))
        counts.append(len(table) - before)
    packed = columns.pack(
        (columns.diff(paths), columns.diff(revs), distances, lengths, counts)
    )
    head = b'%d/%d:' % (len(entries), len(table)) + codec.encode(packed)
    return head, [*parts, *table.planes()]


class _Above:
    """The entries that are deltas of each entry of a frame.

    Two arrays: lists would be thousands of objects for the garbage collector to
    visit.
    """

    __slots__ = ('_first', '_next')

    def __init__(self, distances: Sequence[int]) -> None:
        self._first = first = array('i', [-1]) * len(distances)
        self._next = following = array('i', [-1]) * len(distances)
        for n, distance in enumerate(distances):
            if 0 < distance <= n:
                following[n] = first[n - distance]
                first[n - distance] = n

    def of(self, n: int) -> list[int]:
        """Return the entries that are deltas of entry ``n``."""
        found = []
        n = self._first[n]
        while n >= 0:
            found.append(n)
            n = self._next[n]
        return found


class Frame:
    """A decoded frame.

    ``paths``, ``revs`` and ``distances`` are columns of its head, with one
    value per entry. Full texts are kept in ``texts`` under ``frame_id``. The
    constructor raises ValueError if ``head`` and ``data`` do not match.
    """

    __slots__ = (
        '_above',
        '_children',
        '_data',
        '_hunks',
        '_id',
        '_offsets',
        '_texts',
        'distances',
        'paths',
        'revs',
    )

    def __init__(
        self,
        head: bytes,
        data: bytes,
        frame_id: int = 0,
        texts: TextCache | None = None,
    ) -> None:
        fields = decode_head(head)
        self.paths = fields.paths
        self.revs = fields.revs
        self.distances = fields.distances
        counts = fields.counts
        self._offsets = array('q', accumulate(fields.lengths, initial=0))
        content = self._offsets[-1]
        expected = content + hunks.ROW * sum(counts or ())
        if expected != len(data):
            raise columns.ColumnError(
                'frame has %d bytes, expected %d' % (len(data), expected)
            )
        self._hunks = None
        if counts is not None:
            self._hunks = hunks.Hunks(counts, data[content:])
        self._children: _Above | None = None
        self._data = data
        self._id = frame_id
        # The entry that was read last.
        self._above = -1
        self._texts = TextCache() if texts is None else texts

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def size(self) -> int:
        """The approximate number of bytes of memory that this frame takes."""
        return len(self._data) + ENTRY_BYTES * len(self.paths)

    def base(self, n: int) -> int:
        """Return the base of entry ``n``, or -1 for a full text."""
        distance = self.distances[n]
        if distance < 0:
            raise columns.ColumnError('entry %d rests on a later one' % n)
        return n - distance if distance else -1

    def above(self, n: int) -> Sequence[int]:
        """Return the entries that are deltas of entry ``n``."""
        if self._children is None:
            self._children = _Above(self.distances)
        return self._children.of(n)

    def entry(self, n: int) -> bytes:
        """Return entry ``n`` as stored: a full text or a delta."""
        if not 0 <= n < len(self.paths):
            raise columns.ColumnError('frame has no entry %d' % n)
        start, end = self._offsets[n], self._offsets[n + 1]
        if self._hunks is not None and self.distances[n]:
            return self._hunks.delta(n, self._data, start, end)
        if start == 0 and end == len(self._data):
            return self._data
        return self._data[start:end]

    def text(self, n: int) -> bytes:
        """Return the full text of entry ``n``."""
        texts, frame_id = self._texts, self._id
        above, self._above = self._above, n
        known = texts.get((frame_id, n))
        if known is not None:
            return known
        chain = []
        base, text = n, None
        while text is None:
            chain.append(base)
            base = self.base(base)
            if base < 0:
                text = self.entry(chain.pop())
            else:
                text = texts.get((frame_id, base))
        # How many texts of this size may be kept.
        most = texts.room(len(text)) // SHARE
        # A reader that goes from an entry to its base, and on to the base of
        # that, as a reader of the history from its beginning does, will want
        # the next texts as well.
        single = 0
        if above >= 0 and self.base(above) == n:
            single = min(len(chain), most)
        step = STRIDE if len(chain) // STRIDE <= most else len(chain)
        wanted = chain[:single]
        del chain[:single]
        while chain:
            part = chain[-step:]
            del chain[-step:]
            text = self._applied(part, text)
        for m in reversed(wanted):
            delta = self.entry(m)
            if delta:
                text = bytes(mdiff.patches(text, [delta]))
            texts.keep((frame_id, m), text)
        return text

    def _applied(self, chain: list[int], text: bytes) -> bytes:
        """Return the text of ``chain[0]``, and keep it.

        ``text`` is that of the base of the last entry of the chain.
        """
        deltas = [delta for delta in map(self.entry, reversed(chain)) if delta]
        if deltas:
            text = bytes(mdiff.patches(text, deltas))
        self._texts.keep((self._id, chain[0]), text)
        return text
