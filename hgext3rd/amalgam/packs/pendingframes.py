# SPDX-License-Identifier: GPL-2.0-or-later
"""The frames of a pack that were read before the index of their lines.

Frame and index say the same of some things. Whole columns are compared here,
since a clone has many revisions.
"""

from __future__ import annotations

import operator
from array import array
from collections.abc import Sequence
from itertools import chain, compress, repeat

from . import layout
from .contents import PackedFrame
from .errors import PackError


class PendingFrames:
    """The frames since the last index; ``entries`` is the number of entries."""

    def __init__(self) -> None:
        self.entries = 0
        self._frames: list[PackedFrame] = []
        # The links of the entries of manifests.
        self._links: list[Sequence[int]] = []

    def __bool__(self) -> bool:
        return bool(self._frames)

    def reserve(self, count: int) -> None:
        """Count the entries of the next frame. Raises ``PackError``."""
        self.entries += count
        if self.entries > layout.MOST_ROWS:
            raise PackError('an index is missing')

    def add(self, frame: PackedFrame, links: Sequence[int]) -> None:
        """Add a frame, and the links of its entries if it is of manifests."""
        self._frames.append(frame)
        if frame.kind == layout.MANIFEST:
            self._links.append(links)

    def take(
        self,
        lines: range,
        revisions: Sequence[int],
        links: Sequence[int],
        frames: array[int],
        entries: array[int],
        sizes: Sequence[int],
    ) -> None:
        """Take all frames, after checking that they are those of ``lines``.

        Their entries are the revisions of the lines, in the same order. So no
        revision is without content, no content without a revision, and a delta
        always has a base that comes before it. ``revisions`` are the numbers of
        revisions of the lines; the columns that follow are those of the index.
        Raises ``PackError``.
        """
        recent, self._frames = self._frames, []
        stated, self._links = self._links, []
        self.entries = 0
        counts = [len(frame.lines) for frame in recent]
        join = chain.from_iterable
        if (
            list(join(frame.lines for frame in recent))
            != list(join(map(repeat, lines, revisions)))
            or list(join(frame.revs for frame in recent))
            != list(join(map(range, revisions)))
            or list(frames)
            != list(join(map(repeat, (f.number for f in recent), counts)))
            or list(entries) != list(join(map(range, counts)))
            # Of manifests: nodes were learned with these links.
            or (stated and list(links) != list(join(stated)))
        ):
            raise PackError('the index does not match the frames')
        full = list(map(operator.not_, join(f.distances for f in recent)))
        lengths = join(frame.lengths for frame in recent)
        if list(compress(sizes, full)) != list(compress(lengths, full)):
            raise PackError('a text has another size than the index says')


def check_bases(
    distances: Sequence[int], lines: Sequence[int], bases: Sequence[int]
) -> None:
    """Raise PackError unless each delta of a frame is of its own line.

    ``lines`` are the lines of entries, ``bases`` those of outside bases.
    """
    inside = [distance > 0 for distance in distances]
    found = list(
        map(
            operator.sub,
            compress(range(len(distances)), inside),
            compress(distances, inside),
        )
    )
    if found and (
        min(found) < 0
        or [lines[place] for place in found] != list(compress(lines, inside))
    ):
        raise PackError('a delta without its base')
    if bases and any(
        distance < 0 and bases[-distance - 1] != line
        for distance, line in zip(distances, lines, strict=True)
    ):
        raise PackError('a delta of another line')
