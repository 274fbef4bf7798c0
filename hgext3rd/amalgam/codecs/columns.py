# SPDX-License-Identifier: GPL-2.0-or-later
"""Columns of integers as bytes: the building block of stored indexes.

A column is a list of signed integers. All integers of a column take the same
number of bytes, little-endian: the smallest of 1, 2, 4 or 8 that fits, or 0 if
all are zero. A table of columns is::

    one width byte per column, then the columns' bytes, in order

and is stored as a chunk (see ``chunks``). Columns whose values grow steadily
are stored as differences (``diff`` and ``undiff``), which are narrow and
compress well. All loops run in C (``array``, ``accumulate``): the index of a
file with 20,000 revisions decodes in about a millisecond.

This module knows nothing of SQLite or Mercurial.
"""

from __future__ import annotations

import operator
import sys
from array import array
from collections.abc import Iterable, Sequence
from itertools import accumulate, chain, islice, repeat
from typing import Any

_TYPES = {1: 'b', 2: 'h', 4: 'i', 8: 'q'}
_SWAP = sys.byteorder != 'little'


class ColumnError(ValueError):
    """A table of columns cannot be decoded."""


def _width(values: Sequence[int]) -> int:
    low, high = min(values), max(values)
    if not low and not high:
        return 0
    for width in (1, 2, 4):
        limit = 1 << (8 * width - 1)
        if -limit <= low and high < limit:
            return width
    return 8


def pack(columns: Sequence[Sequence[int]]) -> bytes:
    """Return the bytes of a table.

    All columns must have the same length, which must not be zero.
    """
    widths = bytearray()
    body = []
    for values in columns:
        width = _width(values)
        widths.append(width)
        if width:
            data = array(_TYPES[width], values)
            if _SWAP:
                data.byteswap()
            body.append(data.tobytes())
    return bytes(widths) + b''.join(body)


def unpack(data: bytes, count: int, length: int) -> list[array[int]]:
    """Return the ``count`` columns of a table, of ``length`` values each.

    The columns are arrays: a list would have an object for each value.

    Raises ColumnError if ``data`` is not such a table.
    """
    widths = data[:count]
    offset = count
    columns = []
    for width in widths:
        if not width:
            columns.append(array('b', bytes(length)))
            continue
        code = _TYPES.get(width)
        end = offset + width * length
        if code is None or end > len(data):
            raise ColumnError('bad column width %d' % width)
        values = array(code)
        values.frombytes(data[offset:end])
        if _SWAP:
            values.byteswap()
        columns.append(values)
        offset = end
    if len(columns) != count or offset != len(data):
        raise ColumnError(
            'table has %d bytes, expected %d' % (len(data), offset)
        )
    return columns


def pick(
    data: bytes, length: int, number: int, kinds: Sequence[int]
) -> list[int]:
    """Return row ``number`` of a table, without decoding the other rows.

    The columns have ``length`` values each. ``kinds`` has one item per column:
    0 to leave the column out, 1 for plain values, 2 for differences. Raises
    ColumnError if the table is damaged.
    """
    if _SWAP:
        whole = unpack(data, len(kinds), length)
        return [
            sum(values[: number + 1]) if kind == 2 else values[number]
            for kind, values in zip(kinds, whole, strict=True)
            if kind
        ]
    offset = len(kinds)
    view = memoryview(data)
    row = []
    for width, kind in zip(data, kinds, strict=False):
        end = offset + width * length
        if width and kind:
            code: Any = _TYPES.get(width)
            if code is None or end > len(data):
                raise ColumnError('bad column width %d' % width)
            if kind == 1:
                start = offset + width * number
                values: Any = view[start : start + width].cast(code)
                row.append(values[0])
            else:
                stop = offset + width * (number + 1)
                values = view[offset:stop].cast(code)
                row.append(sum(values))
        elif kind:
            row.append(0)
        offset = end
    return row


def diff(values: Sequence[int]) -> list[int]:
    """Return each value minus the previous one; the first stays as it is."""
    return [*values[:1], *map(operator.sub, values[1:], values)]


def undiff(values: Iterable[int]) -> array[int]:
    """Return the values of a sequence of differences: the inverse of ``diff``.

    Raises ColumnError for values of more than 64 bits.
    """
    try:
        return array('q', accumulate(values))
    except OverflowError as exc:
        raise ColumnError(str(exc)) from exc


def undiff_parts(values: Iterable[int], lengths: Sequence[int]) -> array[int]:
    """Return what ``undiff`` makes of each part of ``values``, joined.

    ``lengths`` are the lengths of the parts. Raises ColumnError for values of
    more than 64 bits.
    """
    sums = list(accumulate(values, initial=0))
    starts = accumulate(lengths, initial=0)
    before = chain.from_iterable(
        map(repeat, map(sums.__getitem__, starts), lengths)
    )
    try:
        return array('q', map(operator.sub, islice(sums, 1, None), before))
    except OverflowError as exc:
        raise ColumnError(str(exc)) from exc
