# SPDX-License-Identifier: GPL-2.0-or-later
"""Turning a pack back into the revisions of a changegroup.

This is how a pack reaches a storage that cannot take it as it is.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

from mercurial import mdiff

from ...amalgam.packs import decoder, layout
from ...amalgam.packs.contents import Changesets, Index, Line, PackedFrame
from ...amalgam.packs.errors import PackError
from ...amalgam.packs.layout import NULL

#: An item is None for the end of a group or of a list of names, a name, or a
#: revision.
Item = bytes | layout.Revision | None


#: The version of changegroup that packs become: the first that has flags.
VERSION = b'03'

#: The header of a delta in a changegroup of that version.
_HEADER = struct.Struct('>20s20s20s20s20sH')


def chunks(found: Iterable[Item]) -> Iterator[bytes]:
    """Yield items as the chunks of a changegroup."""
    for item in found:
        if item is None:
            yield b'\0\0\0\0'
            continue
        if isinstance(item, layout.Revision):
            node, p1, p2, link, base, delta, flags = item
            item = _HEADER.pack(node, p1, p2, base, link, flags) + delta
        yield layout.LENGTH.pack(len(item) + layout.LENGTH.size) + item


def items(found: decoder.Decoder) -> Iterator[Item]:
    """Yield the revisions of a pack in the order of the groups.

    Raises ``PackError``.
    """
    changesets: list[bytes] = []
    contents = FrameContents()
    in_kind = layout.CHANGESETS
    wrote_root = False
    for event in found.events():
        if isinstance(event, Changesets):
            changesets.extend(event.nodes)
            for node, (p1, p2), flags, text in zip(
                event.nodes,
                event.parents,
                event.flags,
                event.texts,
                strict=True,
            ):
                yield layout.Revision(
                    node, p1, p2, node, NULL, _insertion(text), flags
                )
        elif isinstance(event, PackedFrame):
            contents.add(event)
        elif isinstance(event, Index):
            for line in event.lines:
                if in_kind == layout.CHANGESETS:
                    yield None
                    in_kind = layout.MANIFEST
                if not wrote_root and (line.kind == layout.FILE or line.name):
                    yield None
                    wrote_root = True
                if line.kind == layout.FILE and in_kind != layout.FILE:
                    yield None
                    in_kind = layout.FILE
                if line.kind == layout.FILE or line.name:
                    yield line.name
                else:
                    wrote_root = True
                yield from _revisions(line, contents, changesets)
                yield None
            contents.clear()
    # The ends of what did not come.
    if in_kind == layout.CHANGESETS:
        yield None
    if not wrote_root:
        yield None
    if in_kind != layout.FILE:
        yield None
    yield None


class FrameContents:
    """The content of the frames of a pack, one frame in memory at a time.

    Revisions are in frames in the order of the index, so each frame is
    decompressed once.
    """

    def __init__(self) -> None:
        self._frames: dict[int, PackedFrame] = {}
        self._number = -1
        self._content: tuple[PackedFrame, list[bytes]] | None = None

    def add(self, frame: PackedFrame) -> None:
        """Take a frame for the next index."""
        self._frames[frame.number] = frame

    def clear(self) -> None:
        """Forget all frames: the next index has others."""
        self._frames.clear()
        self._number, self._content = -1, None

    def get(self, number: int) -> tuple[PackedFrame, list[bytes]]:
        """Return a frame and its entries. Raises ``PackError``."""
        if number != self._number or self._content is None:
            frame = self._frames.get(number)
            if frame is None or number < self._number:
                raise PackError('a revision is in no frame of its index')
            self._number = number
            self._content = None
            self._content = (frame, frame.entries())
        return self._content

    def entries_of(
        self, line: Line
    ) -> Iterator[tuple[bytes, int | bytes | None]]:
        """Yield the entry of each revision of a line, and its base.

        The base is the number of an earlier revision of the line, the node of
        an outside revision, or None for a full text. The decoder has checked
        that these are of the same line.
        """
        current = -1
        for number, place in zip(line.frames, line.places, strict=True):
            if number != current:
                current = number
                frame, entries = self.get(number)
                distances, revs = frame.distances, frame.revs
            distance = distances[place]
            base: int | bytes | None = None
            if distance > 0:
                base = revs[place - distance]
            elif distance:
                base = frame.bases[-distance - 1][1]
            yield entries[place], base


def _revisions(
    line: Line, contents: FrameContents, changesets: list[bytes]
) -> Iterator[layout.Revision]:
    """Yield the revisions of a line."""
    nodes, links, flags = line.nodes, line.links, line.flags
    p1s, p2s = line.p1s, line.p2s
    for rev, (entry, base) in enumerate(contents.entries_of(line)):
        if base is None:
            base, entry = NULL, _insertion(entry)
        elif isinstance(base, int):
            base = nodes[base]
        yield layout.Revision(
            nodes[rev],
            line.parent(rev, p1s[rev]),
            line.parent(rev, p2s[rev]),
            changesets[links[rev]],
            base,
            entry,
            flags[rev],
        )


def _insertion(text: bytes) -> bytes:
    """Return the delta that makes ``text`` from nothing."""
    header: bytes = mdiff.trivialdiffheader(len(text))
    return header + text
