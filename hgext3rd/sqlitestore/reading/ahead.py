# SPDX-License-Identifier: GPL-2.0-or-later
"""How many indexes to read at once when files are asked for in order.

Commands such as ``hg files -T {size}`` open one file after the other, in the
order of their names, without announcing them. Four queries for each file would
take most of the time. Knows nothing of the database or of indexes.
"""

from __future__ import annotations

#: How many files are asked for in order before more are read than was asked for.
LEAST = 8

#: The most files to read at once.
MOST = 128

#: Bytes to read at once, about. The indexes must fit into the smallest cache.
AHEAD_BYTES = 128 << 10


class Ahead:
    """Watches in which order files are asked for."""

    def __init__(self) -> None:
        self._last = b''
        self._in_order = 0
        self._most = LEAST

    def ask(self, path: bytes) -> None:
        """Note that a file is asked for."""
        self._in_order = self._in_order + 1 if path > self._last else 0
        self._last = path

    @property
    def count(self) -> int:
        """How many files to read from the last one on: one if not in order.

        No more than were asked for: so less than half is read in vain.
        """
        if self._in_order < LEAST:
            return 1
        return min(self._in_order, self._most)

    def learn(self, files: int, size: int) -> None:
        """Note that the indexes of so many files took ``size`` bytes."""
        fitting = AHEAD_BYTES * files // max(size, 1)
        self._most = min(max(fitting, 1), 2 * max(files, LEAST), MOST)
