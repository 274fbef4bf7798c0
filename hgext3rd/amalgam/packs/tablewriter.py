# SPDX-License-Identifier: GPL-2.0-or-later
"""Write the tables of packs: columns of integers, as chunks."""

from __future__ import annotations

from collections.abc import Iterable

from ..codecs import chunks, columns


def encode(codec: chunks.Codec, values: Iterable[list[int]]) -> bytes:
    """Return a table of these columns. Without rows it is empty."""
    table = list(values)
    return codec.encode(columns.pack(table)) if table[0] else b''
