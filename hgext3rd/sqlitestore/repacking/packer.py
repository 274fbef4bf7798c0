# SPDX-License-Identifier: GPL-2.0-or-later
"""Make the frames of a repack, in memory.

Unlike ``writing.sealer``, a Packer compresses in threads and at high levels. It
knows neither Mercurial transactions nor the database: its caller takes the
finished frames and stores them.
"""

from __future__ import annotations

import collections
import concurrent.futures
import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ..formats import chunks, frames, schema
from ..writing import sealer

# More threads would find no work, because frames are filled one at a time.
MAX_THREADS = 4

# Bytes of the smallest text that gets a frame of its own. The next repack
# leaves that frame as it is.
ALONE = 16 << 20


class Packed(NamedTuple):
    """A frame in stored form. ``pieces`` are the values of its rows."""

    frame_id: int
    head: bytes
    pieces: list[bytes]

    @property
    def size(self) -> int:
        """The number of bytes of content."""
        return sum(map(len, self.pieces))


class Packer:
    """Collects entries into frames of about ``frame_size`` bytes of entries.

    ``compression`` is one of ``chunks.NAMES`` and ``level`` its level.
    ``next_id`` returns a new frame id. With ``split``, frames keep the numbers
    of hunks in columns of their own (see ``formats.frames``).
    """

    def __init__(
        self,
        compression: str,
        level: int,
        frame_size: int,
        next_id: Callable[[], int],
        split: bool = False,
    ) -> None:
        self._compression = compression
        self._split = split
        self._level = level
        self._frame_size = frame_size
        self._next_id = next_id
        self._pool = concurrent.futures.ThreadPoolExecutor(
            min(MAX_THREADS, os.cpu_count() or 1)
        )
        self._pending: collections.deque[concurrent.futures.Future[Packed]] = (
            collections.deque()
        )
        self._done: list[Packed] = []
        self._reset()

    def _reset(self) -> None:
        self._id = 0
        self._gids: list[int] = []
        self._distances: list[int] = []
        self._entries: list[bytes] = []
        self._places: dict[int, int] = {}
        self._size = 0
        self._largest = 0

    def close(self) -> None:
        """Stop the threads. Frames that were not taken are lost."""
        self._pool.shutdown(cancel_futures=True)

    @property
    def full(self) -> bool:
        """Whether the frame that is being filled is large enough."""
        limit = max(self._frame_size, sealer.TEXTS_PER_FRAME * self._largest)
        return self._size >= limit

    @property
    def finished(self) -> int:
        """The number of frames that are ready or being compressed."""
        return len(self._pending) + len(self._done)

    @property
    def held(self) -> int:
        """The number of bytes of the frames that are ready."""
        return sum(packed.size for packed in self._done)

    def place(self, gid: int) -> int | None:
        """Return where a revision is in the frame that is being filled.

        Return None if it is in no frame or in another one.
        """
        return self._places.get(gid)

    def add(self, gid: int, data: bytes, base: int | None) -> tuple[int, int]:
        """Add an entry, and return (frame id, place in the frame).

        ``data`` is a delta of the entry at place ``base`` of the same frame, or
        a full text if ``base`` is None.
        """
        if not self._id:
            self._id = self._next_id()
        place = len(self._entries)
        self._gids.append(gid)
        self._distances.append(0 if base is None else place - base)
        self._entries.append(data)
        self._places[gid] = place
        self._size += len(data)
        if base is None:
            self._largest = max(self._largest, len(data))
        return self._id, place

    def add_alone(self, gid: int, text: bytes) -> tuple[int, int]:
        """Add a large text in a frame of its own; return (frame id, 0)."""
        frame_id = self._next_id()
        # Not in a thread: the caller would read the next text meanwhile, and
        # memory would have to hold both.
        self._done.append(self._compress(frame_id, [gid], [0], [text]))
        return frame_id, 0

    def cut(self) -> None:
        """End the frame that is being filled, if there is one."""
        if self._id:
            self._pending.append(
                self._pool.submit(
                    self._compress,
                    self._id,
                    self._gids,
                    self._distances,
                    self._entries,
                )
            )
            self._reset()
        while len(self._pending) > 2 * MAX_THREADS:
            self._done.append(self._pending.popleft().result())

    def take(self) -> Iterator[Packed]:
        """Yield all finished frames, and forget them."""
        while self._pending:
            self._done.append(self._pending.popleft().result())
        while self._done:
            yield self._done.pop()

    def _compress(
        self,
        frame_id: int,
        gids: list[int],
        distances: list[int],
        entries: list[bytes],
    ) -> Packed:
        codec = chunks.Codec(self._compression, self._level)
        head, parts = self._layout(gids, distances, entries, codec)
        return Packed(frame_id, head, list(frames.encode_data(parts, codec)))

    def _layout(
        self,
        gids: list[int],
        distances: list[int],
        entries: list[bytes],
        codec: chunks.Codec,
    ) -> tuple[bytes, list[bytes]]:
        paths, revs = zip(*map(schema.split_id, gids), strict=True)
        if self._split:
            try:
                return frames.split(paths, revs, distances, entries, codec)
            except OverflowError:
                # The hunks are out of order. No diff algorithm produces such
                # deltas, but they may arrive from another repository.
                pass
        lengths = list(map(len, entries))
        head = frames.encode_head(paths, revs, distances, lengths, codec)
        return head, entries
