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

from ...amalgam.codecs import chunks
from ..formats import frames
from ..formats.openframe import OpenFrame

# More threads would find no work, because frames are filled one at a time.
MAX_THREADS = 4

# Bytes of the smallest text that begins a frame of its own: only deltas follow
# in that frame. The next repack leaves it as it is if it can.
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
        self._frame: OpenFrame | None = None

    def close(self) -> None:
        """Stop the threads. Frames that were not taken are lost."""
        self._pool.shutdown(cancel_futures=True)

    @property
    def full(self) -> bool:
        """Whether the frame that is being filled is large enough."""
        return self._frame is not None and self._frame.is_full(self._frame_size)

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
        return None if self._frame is None else self._frame.place(gid)

    def add(self, gid: int, data: bytes, base: int | None) -> tuple[int, int]:
        """Add an entry, and return (frame id, place in the frame).

        ``data`` is a delta of the entry at place ``base`` of the same frame, or
        a full text if ``base`` is None.
        """
        frame = self._frame
        if frame is not None and base is None:
            if max(len(data), frame.largest) >= ALONE:
                self.cut()
                frame = None
        if frame is None:
            frame = self._frame = OpenFrame(self._next_id())
        return frame.id, frame.add(gid, data, base)

    def cut(self) -> None:
        """End the frame that is being filled, if there is one."""
        frame, self._frame = self._frame, None
        if frame is not None and frame.size >= ALONE:
            # Not in a thread: the caller would read the next text meanwhile,
            # and memory would have to hold both.
            self._done.append(self._compress(frame))
        elif frame is not None:
            self._pending.append(self._pool.submit(self._compress, frame))
        while len(self._pending) > 2 * MAX_THREADS:
            self._done.append(self._pending.popleft().result())

    def take(self) -> Iterator[Packed]:
        """Yield all finished frames, and forget them."""
        while self._pending:
            self._done.append(self._pending.popleft().result())
        while self._done:
            yield self._done.pop()

    def _compress(self, frame: OpenFrame) -> Packed:
        codec = chunks.Codec(self._compression, self._level)
        head, parts = self._layout(frame, codec)
        return Packed(frame.id, head, list(frames.encode_data(parts, codec)))

    def _layout(
        self, frame: OpenFrame, codec: chunks.Codec
    ) -> tuple[bytes, list[bytes]]:
        """Return the head of a frame, and its data as a list of byte strings."""
        if self._split:
            try:
                return frames.split(
                    frame.paths,
                    frame.revs,
                    frame.distances,
                    frame.entries,
                    codec,
                )
            except OverflowError:
                # The hunks are out of order. No diff algorithm produces such
                # deltas, but they may arrive from another repository.
                pass
        return frame.encode_head(codec), frame.entries
