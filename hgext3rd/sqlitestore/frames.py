# SPDX-License-Identifier: GPL-2.0-or-later
"""Frames: several revisions compressed together.

A frame holds entries, numbered from 0. An entry is a full text, or a delta
(in Mercurial's mpatch format) against an *earlier entry of the same frame*.
So a frame is self-contained: any revision in it is read by decompressing one
frame, whatever the history looks like. That is what bounds the work of a
read, instead of a limit on delta chains.

Stored as two values:

head
    a chunk holding a table (see ``columns``) of four columns with one value
    per entry: path id (as difference), revision (as difference), distance to
    the base entry (0: full text), length of the entry in bytes.
data
    a chunk holding the entries' bytes one after the other.

Knows neither SQLite nor the rest of Mercurial than its delta codec.
"""

from __future__ import annotations

import collections
from collections.abc import Sequence
from itertools import accumulate
from typing import Protocol

from mercurial import mdiff

from . import chunks, columns

_HEAD_COLUMNS = 4

# Bytes of texts kept, so that reading the revisions of a file one after the
# other applies each delta about once; and how far apart on a long chain the
# kept ones are: the newest is at the bottom of a chain, the oldest at its top,
# and whoever reads upwards would start anew each time.
TEXT_CACHE = 16 << 20
STRIDE = 32


class TextCache:
    """The texts used last, by (frame id, entry)."""

    def __init__(self, limit: int = TEXT_CACHE) -> None:
        self._texts: collections.OrderedDict[tuple[int, int], bytes] = (
            collections.OrderedDict()
        )
        self._limit = limit
        self._size = 0

    def get(self, key: tuple[int, int]) -> bytes | None:
        """The text of an entry, or None."""
        text = self._texts.get(key)
        if text is not None:
            self._texts.move_to_end(key)
        return text

    def keep(self, key: tuple[int, int], text: bytes) -> None:
        """Add a text that ``get`` did not find."""
        self._texts[key] = text
        self._size += len(text)
        while self._size > self._limit:
            self._size -= len(self._texts.popitem(last=False)[1])

    def clear(self) -> None:
        """Forget all texts."""
        self._texts.clear()
        self._size = 0


def encode_head(
    paths: Sequence[int],
    revs: Sequence[int],
    distances: Sequence[int],
    lengths: Sequence[int],
    codec: chunks.Codec,
) -> bytes:
    """The stored head of a frame; all sequences have one item per entry."""
    table = columns.pack(
        (columns.diff(paths), columns.diff(revs), distances, lengths)
    )
    return b'%d:' % len(paths) + codec.encode(table)


def decode_head(
    head: bytes,
) -> tuple[list[int], list[int], list[int], list[int]]:
    """The four columns of a head. Raises ValueError if it is damaged."""
    count, sep, chunk = head.partition(b':')
    if not sep:
        raise columns.ColumnError('frame head has no entry count')
    paths, revs, distances, lengths = columns.unpack(
        chunks.decode(chunk), _HEAD_COLUMNS, int(count)
    )
    return columns.undiff(paths), columns.undiff(revs), distances, lengths


class Frame:
    """A decoded frame.

    ``paths``, ``revs``, ``distances`` describe its entries; ``entry(n)`` is
    entry n as stored, ``text(n)`` its full text. Texts are kept in ``texts``
    under the frame's id.
    """

    __slots__ = (
        '_data',
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
        self.paths, self.revs, self.distances, lengths = decode_head(head)
        self._offsets = [0, *accumulate(lengths)]
        if self._offsets[-1] != len(data):
            raise columns.ColumnError(
                'frame has %d bytes, expected %d'
                % (len(data), self._offsets[-1])
            )
        self._data = data
        self._id = frame_id
        self._texts = TextCache() if texts is None else texts

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def size(self) -> int:
        """Bytes of memory this frame holds, roughly."""
        return len(self._data) + 64 * len(self.paths)

    def base(self, n: int) -> int:
        """The entry that entry ``n`` is a delta of, or -1 for a full text."""
        distance = self.distances[n]
        if distance < 0:
            raise columns.ColumnError('entry %d rests on a later one' % n)
        return n - distance if distance else -1

    def entry(self, n: int) -> bytes:
        """Entry ``n`` as stored: a full text or a delta."""
        if not 0 <= n < len(self.paths):
            raise columns.ColumnError('frame has no entry %d' % n)
        start, end = self._offsets[n], self._offsets[n + 1]
        if start == 0 and end == len(self._data):
            return self._data
        return self._data[start:end]

    def text(self, n: int) -> bytes:
        """The full text of entry ``n``."""
        known = self._texts.get((self._id, n))
        if known is not None:
            return known
        texts, frame_id = self._texts, self._id
        chain = []
        base, text = n, None
        while text is None:
            chain.append(base)
            base = self.base(base)
            if base < 0:
                text = self.entry(chain.pop())
            else:
                text = texts.get((frame_id, base))
        while chain:
            part = chain[-STRIDE:]
            del chain[-STRIDE:]
            deltas = [d for d in map(self.entry, reversed(part)) if d]
            if deltas:
                text = bytes(mdiff.patches(text, deltas))
            texts.keep((frame_id, part[0]), text)
        return text


class Entries(Protocol):
    """Numbered entries, each a full text or a delta of another."""

    def base(self, n: int) -> int: ...

    def entry(self, n: int) -> bytes: ...


def resolve(frame: Entries, n: int) -> bytes:
    """The full text of entry ``n``."""
    deltas = []
    while True:
        base = frame.base(n)
        data = frame.entry(n)
        if base < 0:
            break
        # an empty delta changes nothing: a copy of the same content
        if data:
            deltas.append(data)
        n = base
    if not deltas:
        return data
    deltas.reverse()
    return bytes(mdiff.patches(data, deltas))
