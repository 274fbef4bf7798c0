# SPDX-License-Identifier: GPL-2.0-or-later
"""Read the tables, numbers and nodes in the blocks of packs."""

from __future__ import annotations

from collections.abc import Sequence

from ..codecs import chunks, columns
from . import layout
from .errors import PackError
from .layout import NODE_SIZE


def nodes(joined: bytes) -> list[bytes]:
    """Return nodes that follow one another."""
    return [joined[i : i + NODE_SIZE] for i in range(0, len(joined), NODE_SIZE)]


def numbers(content: bytes, count: int) -> tuple[int, ...]:
    """Return ``count`` numbers that are written as digits.

    Raises ``PackError`` if there are others.
    """
    parts = content.split(b' ')
    if len(parts) != count or not all(
        part.isdigit() and len(part) < 12 for part in parts
    ):
        raise PackError('a head is damaged')
    return tuple(map(int, parts))


def table(chunk: bytes, width: int, count: int) -> list[Sequence[int]]:
    """Return the columns of a table of ``count`` rows.

    ``width`` is the number of columns. Raises ``PackError``, ``ChunkError`` or
    ``ColumnError`` if there is no such table in ``chunk``.
    """
    if not count:
        if chunk:
            raise PackError('a table of no rows has content')
        return [[] for _column in range(width)]
    if count > layout.MOST_ROWS:
        raise PackError('a table is too large')
    most = width * (8 * count + 1)
    return [*columns.unpack(chunks.decode_limited([chunk], most), width, count)]
