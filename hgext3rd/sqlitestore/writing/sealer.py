# SPDX-License-Identifier: GPL-2.0-or-later
"""Fill frames with revisions in the order in which they arrive.

A transaction has one sealer. It stores a frame when the frame is large enough,
with revisions of any files. The caller decides which delta to store. The base
must be one that ``place`` finds in the frame being filled.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from ...amalgam.codecs import chunks
from ..formats import frames, schema
from ..formats.openframe import OpenFrame

# Uncompressed bytes in a frame. Decompressing them takes about 0.3 ms, the
# most that reading one revision costs; larger frames compress better.
FRAME_SIZE = 256 << 10

# A frame that is larger holds revisions of one file, and copies of them.
# Otherwise reading a small file could take as much memory as a large one that
# happened to arrive before it.
SHARED_SIZE = 4 * FRAME_SIZE

# The data of larger frames is compressed faster. It takes a repack to compress
# it well, as with rows.
FAST_SIZE = schema.PIECE_SIZE


class FrameSink(Protocol):
    """The part of a Writer that stores finished frames."""

    def next_frame(self) -> int:
        """Return a frame id that was never used."""

    def add_frame(
        self, frame_id: int, head: bytes, pieces: Iterable[bytes]
    ) -> None:
        """Store a frame."""


class Sealer:
    """Fills one frame after another and stores them in ``sink``.

    ``codec`` compresses them.
    """

    def __init__(self, sink: FrameSink, codec: chunks.Codec) -> None:
        self._sink = sink
        self._codec = codec
        self._frame: OpenFrame | None = None

    def place(self, gid: int) -> int | None:
        """Return the entry of a revision in the frame being filled, or None."""
        return None if self._frame is None else self._frame.place(gid)

    def text(self, place: int) -> bytes:
        """Return the full text of an entry of the frame being filled."""
        assert self._frame is not None
        return self._frame.text(place)

    def current(self, frame_id: int) -> OpenFrame | None:
        """Return the frame being filled if it has this id, or None."""
        frame = self._frame
        return frame if frame is not None and frame.id == frame_id else None

    def add(self, gid: int, data: bytes, base: int | None) -> tuple[int, int]:
        """Add a revision, and return (frame id, place).

        ``data`` is a delta of the entry at place ``base``, or a full text if
        ``base`` is None.
        """
        frame = self._frame
        if (
            frame is not None
            and base is None
            and frame.size + len(data) > SHARED_SIZE
            and schema.split_id(gid)[0] != frame.paths[-1]
        ):
            self.flush()
            frame = None
        if frame is None:
            frame = self._frame = OpenFrame(self._sink.next_frame())
        place = frame.add(gid, data, base)
        if frame.is_full(FRAME_SIZE):
            self.flush()
        return frame.id, place

    def flush(self) -> None:
        """Store the frame being filled, if there is one."""
        frame = self._frame
        if frame is None:
            return
        codec = self._codec
        if frame.size >= FAST_SIZE and codec.level > chunks.LOOSE_LEVEL:
            codec = chunks.Codec(codec.name, chunks.LOOSE_LEVEL)
        pieces = frames.encode_data(frame.entries, codec)
        self._sink.add_frame(frame.id, frame.encode_head(codec), pieces)
        self._frame = None
