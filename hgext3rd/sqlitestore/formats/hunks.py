# SPDX-License-Identifier: GPL-2.0-or-later
"""Tables of hunks: the numbers of deltas, without the bytes they insert.

The three numbers of a hunk (see ``deltas``) disturb the compression of the text
around them. A *table of hunks* holds only the numbers of many deltas, one row
per hunk, with three columns: the distance from the end of the previous hunk of
the same delta to the start of this one, the number of bytes it removes, and
the number of bytes it inserts. Each column is stored as four planes: the lowest
bytes of all numbers first, then the next higher ones, and so on.

This module knows nothing of SQLite or Mercurial.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterable, Sequence
from itertools import accumulate

from ...amalgam.codecs import columns, deltas

_COLUMNS = 3
_NUMBER = 4

# Bytes of a row.
ROW = _COLUMNS * _NUMBER

# Bytes of assembled deltas to keep. Reading the texts of a long chain one after
# the other needs each delta about 16 times (see ``frames.STRIDE``).
_KEPT = 1 << 20

_SWAP = sys.byteorder != 'little'


class HunkTable:
    """A table of hunks being filled; its length is the number of hunks."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._removed: list[int] = []
        self._inserted: list[int] = []

    def __len__(self) -> int:
        return len(self._starts)

    def add(self, delta: bytes) -> list[bytes]:
        """Add the hunks of a delta, and return the bytes that each inserts."""
        content = []
        offset = behind = 0
        while offset < len(delta):
            start, end, size = deltas.HUNK.unpack_from(delta, offset)
            offset += deltas.HUNK.size + size
            self._starts.append(start - behind)
            self._removed.append(end - start)
            self._inserted.append(size)
            content.append(delta[offset - size : offset])
            behind = end
        return content

    def planes(self) -> list[bytes]:
        """Return the planes of all columns, in the order of storage."""
        return list(map(_planes, (self._starts, self._removed, self._inserted)))


class Hunks:
    """Assembles deltas from a stored table and the bytes that they insert.

    ``counts`` holds the number of hunks of each delta. ``table`` must have
    ``ROW`` bytes for each hunk.
    """

    __slots__ = ('_ends', '_held', '_inserted', '_kept', '_removed', '_starts')

    def __init__(self, counts: Sequence[int], table: bytes) -> None:
        self._ends = list(accumulate(counts))
        self._kept: dict[int, bytes] = {}
        self._held = 0
        size = len(table) // _COLUMNS
        self._starts = _numbers(table[:size])
        self._removed = _numbers(table[size : 2 * size])
        self._inserted = _numbers(table[2 * size :])

    def delta(self, n: int, data: bytes, offset: int, end: int) -> bytes:
        """Return delta ``n``, whose hunks insert ``data[offset:end]``.

        Raises ColumnError if the hunks insert another number of bytes.
        """
        delta = self._kept.get(n)
        if delta is None:
            delta = self._assemble(n, data, offset, end)
            self._held += len(delta)
            if self._held > _KEPT:
                self._kept.clear()
                self._held = len(delta)
            self._kept[n] = delta
        return delta

    def _assemble(self, n: int, data: bytes, offset: int, end: int) -> bytes:
        # This runs for each revision when the history of a file is read, so
        # it avoids calls and attribute lookups inside the loop.
        first, last = self._ends[n - 1] if n else 0, self._ends[n]
        pack = deltas.HUNK.pack
        parts = []
        position = 0
        try:
            for gap, removed, size in zip(
                self._starts[first:last],
                self._removed[first:last],
                self._inserted[first:last],
                strict=True,
            ):
                start = position + gap
                position = start + removed
                parts.append(pack(start, position, size))
                parts.append(data[offset : offset + size])
                offset += size
        except struct.error as exc:
            raise columns.ColumnError(str(exc)) from exc
        if offset != end:
            raise columns.ColumnError(
                'delta %d ends at %d, expected %d' % (n, offset, end)
            )
        return b''.join(parts)


def _planes(values: Iterable[int]) -> bytes:
    """Return the planes of a column, one after the other."""
    numbers = array('I', values)
    if _SWAP:
        numbers.byteswap()
    data = numbers.tobytes()
    return b''.join(data[i::_NUMBER] for i in range(_NUMBER))


def _numbers(planes: bytes) -> array[int]:
    """Return the numbers of a column: the inverse of ``_planes``."""
    count = len(planes) // _NUMBER
    data = bytearray(len(planes))
    for i in range(_NUMBER):
        data[i::_NUMBER] = planes[i * count : (i + 1) * count]
    numbers = array('I')
    numbers.frombytes(data)
    if _SWAP:
        numbers.byteswap()
    return numbers
