# SPDX-License-Identifier: GPL-2.0-or-later
"""Filling frames with revisions as they arrive.

One sealer belongs to one transaction. Revisions are added in the order in which
they come; a frame is closed when it is large enough, whatever files it then
holds. Which delta to store is decided by the caller, who may only use a base
that ``place`` finds in the frame being filled.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from ..formats import chunks, frames, schema

# Uncompressed bytes in a frame: what a read of one revision costs at most,
# about 0.3 ms, against what compression gains from more context.
FRAME_SIZE = 256 << 10

# A frame starts with a full text, so frames of large files must be larger or
# full texts would be most of what is stored.
TEXTS_PER_FRAME = 4


class Sink(Protocol):
    """Where frames go: a Writer."""

    def next_frame(self) -> int:
        """A frame id never used before."""

    def add_frame(
        self, frame_id: int, head: bytes, pieces: Iterable[bytes]
    ) -> None:
        """Store a frame."""


class Sealer:
    """The frame being filled; itself readable like a ``frames.Frame``.

    ``compression`` names the engine (see ``chunks``).
    """

    def __init__(
        self, sink: Sink, compression: str, level: int = chunks.FRAME_LEVEL
    ) -> None:
        self._writer = sink
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
        """Where a revision is in the frame being filled, or None."""
        return self._places.get(gid)

    def current(self, frame_id: int) -> Sealer | None:
        """This object, if it is filling the frame with that id."""
        return self if self._id and self._id == frame_id else None

    def add(self, gid: int, data: bytes, base: int | None) -> tuple[int, int]:
        """Add a revision; returns (frame id, place).

        ``data`` is a delta of the entry at place ``base``, or a full text if
        that is None.
        """
        if not self._id:
            self._id = self._writer.next_frame()
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
        if self._size < schema.PIECE_SIZE:
            pieces = iter((self._codec.encode(b''.join(self._entries)),))
        else:
            pieces = self._codec.encode_stream(
                self._entries, self._size, schema.PIECE_SIZE
            )
        self._writer.add_frame(self._id, head, pieces)
        self._reset()

    # read access, as in frames.Frame

    def base(self, n: int) -> int:
        """The entry that entry ``n`` is a delta of, or -1 for a full text."""
        distance = self._distances[n]
        return n - distance if distance else -1

    def entry(self, n: int) -> bytes:
        """Entry ``n`` as stored."""
        return self._entries[n]

    def text(self, n: int) -> bytes:
        """The full text of entry ``n``."""
        return frames.resolve(self, n)

    @property
    def paths(self) -> list[int]:
        """Path id of each entry."""
        return self._paths

    @property
    def revs(self) -> list[int]:
        """Revision of each entry."""
        return self._revs
