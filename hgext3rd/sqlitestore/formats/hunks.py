# SPDX-License-Identifier: GPL-2.0-or-later
"""Where deltas insert, apart from what they insert.

A delta is hunks: start, end and size as three numbers of 4 bytes, then the
bytes that take the place of what is between start and end. These numbers
disturb the compression of the text around them. In a *table of hunks* they are
by themselves, one row per hunk: how far it starts behind the end of the one
before in its delta, how many bytes it removes, and how many it inserts. Each of
the three columns is stored as four planes: the lowest bytes of all numbers, then
the next, and so on.

Knows neither SQLite nor Mercurial.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterable, Sequence
from itertools import accumulate

from . import columns

# A hunk of a delta: start, end, number of bytes that follow it.
_HUNK = struct.Struct('>lll')

_COLUMNS = 3
_NUMBER = 4

# Bytes of a row.
ROW = _COLUMNS * _NUMBER

# Bytes of deltas kept: who reads one text after the other down a long chain
# needs each delta some 16 times (see ``frames.STRIDE``).
_KEPT = 1 << 20

_SWAP = sys.byteorder != 'little'


class Table:
    """A table being filled; its length is that of its columns."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._removed: list[int] = []
        self._inserted: list[int] = []

    def __len__(self) -> int:
        return len(self._starts)

    def add(self, delta: bytes) -> list[bytes]:
        """Add the hunks of a delta; returns what they insert."""
        content = []
        offset = behind = 0
        while offset < len(delta):
            start, end, size = _HUNK.unpack_from(delta, offset)
            offset += _HUNK.size + size
            self._starts.append(start - behind)
            self._removed.append(end - start)
            self._inserted.append(size)
            content.append(delta[offset - size : offset])
            behind = end
        return content

    def planes(self) -> list[bytes]:
        """The columns as they are stored."""
        return list(map(_planes, (self._starts, self._removed, self._inserted)))


class Hunks:
    """The deltas of a stored table, put together when they are asked for.

    ``counts`` has the number of hunks of each delta; ``table`` must be of
    ``ROW`` bytes for each of them.
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
        """Delta ``n``, which inserts ``data[offset:end]``.

        Raises ColumnError if its hunks insert something else.
        """
        delta = self._kept.get(n)
        if delta is None:
            delta = self._put_together(n, data, offset, end)
            self._held += len(delta)
            if self._held > _KEPT:
                self._kept.clear()
                self._held = len(delta)
            self._kept[n] = delta
        return delta

    def _put_together(
        self, n: int, data: bytes, offset: int, end: int
    ) -> bytes:
        # Reading a file's history comes here for each revision: plain style.
        first, last = self._ends[n - 1] if n else 0, self._ends[n]
        pack = _HUNK.pack
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
    numbers = array('I', values)
    if _SWAP:
        numbers.byteswap()
    data = numbers.tobytes()
    return b''.join(data[i::_NUMBER] for i in range(_NUMBER))


def _numbers(planes: bytes) -> array[int]:
    """The inverse of ``_planes``."""
    count = len(planes) // _NUMBER
    data = bytearray(len(planes))
    for i in range(_NUMBER):
        data[i::_NUMBER] = planes[i * count : (i + 1) * count]
    numbers = array('I')
    numbers.frombytes(data)
    if _SWAP:
        numbers.byteswap()
    return numbers
