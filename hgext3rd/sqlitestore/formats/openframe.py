# SPDX-License-Identifier: GPL-2.0-or-later
"""A frame that is being filled, before it is encoded and stored.

The sealer fills frames as revisions arrive, a repack when it rewrites them.
Nothing here knows the database.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from mercurial import mdiff

from ...amalgam.codecs import chunks
from . import frames, schema

# A frame begins with a full text. Frames of large files must hold several times
# as much, or full texts would be most of what is stored.
TEXTS_PER_FRAME = 4

# A frame that begins with a text of LARGE bytes or more has at most one entry
# for each BYTES_PER_ENTRY bytes of it. Otherwise applying many small deltas
# would take longer than reading the text.
LARGE = 2 << 20
BYTES_PER_ENTRY = 512


class OpenFrame:
    """The entries of the future frame ``id``. It can be read like a Frame.

    ``paths``, ``revs`` and ``distances`` have one item per entry, as in a
    ``frames.Head``; ``entries`` are full texts and deltas. ``size`` is the
    number of bytes of all entries, ``largest`` that of the largest full text.
    """

    __slots__ = (
        '_places',
        'distances',
        'entries',
        'id',
        'largest',
        'paths',
        'revs',
        'size',
    )

    def __init__(self, frame_id: int) -> None:
        self.id = frame_id
        self.paths: list[int] = []
        self.revs: list[int] = []
        self.distances: list[int] = []
        self.entries: list[bytes] = []
        self.size = 0
        # The entry of each global id.
        self._places: dict[int, int] = {}
        self.largest = 0

    def place(self, gid: int) -> int | None:
        """Return the number of a revision's entry, or None."""
        return self._places.get(gid)

    def add(self, gid: int, data: bytes, base: int | None) -> int:
        """Add a revision, and return the number of its entry.

        ``data`` is a delta of entry ``base``, or a full text if that is None.
        """
        place = len(self.entries)
        path_id, rev = schema.split_id(gid)
        self.paths.append(path_id)
        self.revs.append(rev)
        self.distances.append(0 if base is None else place - base)
        self.entries.append(data)
        self._places[gid] = place
        self.size += len(data)
        if base is None and len(data) > self.largest:
            self.largest = len(data)
        return place

    def extend(
        self,
        path_id: int,
        revs: Sequence[int],
        distances: Sequence[int],
        entries: Sequence[bytes],
    ) -> None:
        """Add revisions of one path at once.

        All lists have an item for each; a distance is 0 for a full text.
        """
        first = len(self.entries)
        self.paths += [path_id] * len(entries)
        self.revs += revs
        self.distances += distances
        self.entries += entries
        gid = schema.global_id(path_id, 0)
        self._places.update(
            zip([gid + rev for rev in revs], count(first), strict=False)
        )
        self.size += sum(map(len, entries))
        for distance, entry in zip(distances, entries, strict=True):
            if not distance and len(entry) > self.largest:
                self.largest = len(entry)

    def is_full(self, size: int) -> bool:
        """Return whether the frame should end, if frames have ``size`` bytes."""
        if self.size >= max(size, TEXTS_PER_FRAME * self.largest):
            return True
        return (
            self.largest >= LARGE
            and len(self.entries) * BYTES_PER_ENTRY >= self.largest
        )

    def encode_head(self, codec: chunks.Codec) -> bytes:
        """Return the head of the frame as it is stored."""
        lengths = list(map(len, self.entries))
        return frames.encode_head(
            self.paths, self.revs, self.distances, lengths, codec
        )

    # reading, as from a frames.Frame

    def base(self, n: int) -> int:
        """Return the base of entry ``n``, or -1 for a full text."""
        distance = self.distances[n]
        return n - distance if distance else -1

    def above(self, n: int) -> list[int]:
        """Return the entries that are deltas of entry ``n``."""
        later = range(n + 1, len(self.distances))
        return [m for m in later if self.base(m) == n]

    def entry(self, n: int) -> bytes:
        """Return entry ``n`` as it will be stored."""
        return self.entries[n]

    def text(self, n: int) -> bytes:
        """Return the full text of entry ``n``."""
        deltas = []
        base = self.base(n)
        while base >= 0:
            # An empty delta changes nothing: a copy with the same content.
            if self.entries[n]:
                deltas.append(self.entries[n])
            n, base = base, self.base(base)
        text = self.entries[n]
        if not deltas:
            return text
        deltas.reverse()
        return bytes(mdiff.patches(text, deltas))
