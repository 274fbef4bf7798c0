# SPDX-License-Identifier: GPL-2.0-or-later
"""Fill frames with revisions in the order in which they arrive.

A transaction has one sealer. It stores a frame when the frame is large enough,
with revisions of any files. The caller decides which delta to store. The base
must be one that ``place`` finds in the frame being filled.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from ..formats import chunks, frames, schema

# Uncompressed bytes in a frame. Decompressing them takes about 0.3 ms, the
# most that reading one revision costs; larger frames compress better.
FRAME_SIZE = 256 << 10

# A frame begins with a full text. Frames of large files must hold several times
# as much, or full texts would be most of what is stored.
TEXTS_PER_FRAME = 4


class FrameSink(Protocol):
    """The part of a Writer that stores finished frames."""

    def next_frame(self) -> int:
        """Return a frame id that was never used."""

    def add_frame(
        self, frame_id: int, head: bytes, pieces: Iterable[bytes]
    ) -> None:
        """Store a frame."""


class Sealer:
    """The frame being filled. It can be read like a ``frames.Frame``.

    ``compression`` names the engine, and ``level`` is that of ``chunks.Codec``.
    """

    def __init__(
        self, sink: FrameSink, compression: str, level: int = chunks.FRAME_LEVEL
    ) -> None:
        self._sink = sink
        self._codec = chunks.Codec(compression, level)
        self._reset()

    def _reset(self) -> None:
        self._id = 0
        self._paths: list[int] = []
        self._revs: list[int] = []
        self._distances: list[int] = []
        self._entries: list[bytes] = []
        self._places: dict[int, int] = {}
        self._size = 0
        self._largest = 0

    def place(self, gid: int) -> int | None:
        """Return the entry of a revision in the frame being filled, or None."""
        return self._places.get(gid)

    def current(self, frame_id: int) -> Sealer | None:
        """Return this object if it is filling the frame with that id."""
        return self if self._id and self._id == frame_id else None

    def add(self, gid: int, data: bytes, base: int | None) -> tuple[int, int]:
        """Add a revision, and return (frame id, place).

        ``data`` is a delta of the entry at place ``base``, or a full text if
        ``base`` is None.
        """
        if not self._id:
            self._id = self._sink.next_frame()
        place = len(self._entries)
        path_id, rev = schema.split_id(gid)
        self._paths.append(path_id)
        self._revs.append(rev)
        self._distances.append(0 if base is None else place - base)
        self._entries.append(data)
        self._places[gid] = place
        self._size += len(data)
        if base is None and len(data) > self._largest:
            self._largest = len(data)
        frame_id = self._id
        if self._size >= max(FRAME_SIZE, TEXTS_PER_FRAME * self._largest):
            self.flush()
        return frame_id, place

    def flush(self) -> None:
        """Store the frame being filled, if there is one."""
        if not self._id:
            return
        head = frames.encode_head(
            self._paths,
            self._revs,
            self._distances,
            [len(entry) for entry in self._entries],
            self._codec,
        )
        pieces = frames.encode_data(self._entries, self._codec)
        self._sink.add_frame(self._id, head, pieces)
        self._reset()

    # reading, as from a frames.Frame

    def base(self, n: int) -> int:
        """Return the base of entry ``n``, or -1 for a full text."""
        distance = self._distances[n]
        return n - distance if distance else -1

    def entry(self, n: int) -> bytes:
        """Return entry ``n`` as stored."""
        return self._entries[n]

    def text(self, n: int) -> bytes:
        """Return the full text of entry ``n``."""
        return frames.resolve(self, n)

    @property
    def paths(self) -> list[int]:
        """The path id of each entry."""
        return self._paths

    @property
    def revs(self) -> list[int]:
        """The revision number of each entry."""
        return self._revs
