# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading bytes and numbers from an iterator of chunks.

Nothing here knows what they mean.
"""

from __future__ import annotations

from collections.abc import Iterable

from ...amalgam.packs.errors import PackError


class ChunkReader:
    """Reads any number of bytes from chunks of any size.

    Unlike the readers of ``proto`` this one pulls: its source is a file, which
    has data whenever it is asked.
    """

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._buffer = b''
        self._position = 0

    def read(self, size: int) -> bytes:
        """Return exactly ``size`` bytes, or raise ``PackError``."""
        end = self._position + size
        if end > len(self._buffer):
            self._fill(size)
            end = size
        data = self._buffer[self._position : end]
        self._position = end
        return data

    def _fill(self, size: int) -> None:
        """Make the buffer hold at least ``size`` bytes from the position."""
        parts = [self._buffer[self._position :]]
        have = len(parts[0])
        while have < size:
            chunk = next(self._chunks, None)
            if chunk is None:
                raise PackError('changegroup is cut short')
            parts.append(chunk)
            have += len(chunk)
        self._buffer = b''.join(parts)
        self._position = 0

    def more(self) -> bool:
        """Return whether any bytes are left."""
        if self._position < len(self._buffer):
            return True
        return any(self._chunks)
