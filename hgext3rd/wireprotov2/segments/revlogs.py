# SPDX-License-Identifier: GPL-2.0-or-later
"""Appending the content of packs to revlogs, many revisions at a time.

Mercurial adds one revision at a time. It looks for the best delta, builds each
text, and writes each entry by itself, which is most of the CPU of a clone. A
pack says what each revision is a delta of, so a line becomes a list of entries
and one write. Texts are compared with their nodes when they are read, as
always.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from mercurial import revlogutils
from mercurial.node import nullrev
from mercurial.revlogutils import flagutil

from ...amalgam.packs import layout
from ...amalgam.packs.contents import Index, Line, PackedFrame
from ...amalgam.packs.errors import PackError
from ...amalgam.packs.layout import NULL
from . import unpacking

#: A revision to append: node, p1, p2, linkrev, flags, bytes of the full text,
#: delta base or None, and the delta or full text.
Entry = tuple[bytes, int, int, int, int, int, int | None, bytes]

#: The fields of an entry of an index that all revisions here have in common.
#: ``revlogutils.entry`` takes a third of the time of appending a revision.
_REST = revlogutils.entry(
    data_offset=0,
    data_compressed_length=0,
    data_delta_base=0,
    link_rev=0,
    parent_rev_1=0,
    parent_rev_2=0,
    node_id=NULL,
    data_uncompressed_length=0,
)[8:]

#: Bytes of entries that are written at once.
BATCH_BYTES = 1 << 20


class Appender:
    """Appends revisions to one revlog in the transaction ``tr``."""

    def __init__(self, revlog: Any, tr: Any) -> None:
        self._revlog = revlog
        self._tr = tr
        self._entries: list[bytes] = []
        self._data: list[bytes] = []
        # What one revision takes is computed from the last one.
        index = revlog.index
        last = len(index) - 1
        self._offset = 0
        if last >= 0:
            self._offset = (index[last][0] >> 16) + index[last][1]
        self._first = last + 1
        self._start = self._offset

    def extend(self, entries: Iterable[Entry]) -> None:
        """Append revisions; each is in the index when the next is asked for.

        A plain loop, since it runs for each revision of a clone.
        """
        revlog = self._revlog
        index = revlog.index
        add, binary = index.append, index.entry_binary
        compress = revlog._inner.compress
        packed, contents = self._entries, self._data
        rev = len(index)
        for node, p1, p2, link, flags, size, base, content in entries:
            header, data = compress(content)
            if header:
                data = header + data
            length = len(data)
            add(
                (
                    self._offset << 16 | flags,
                    length,
                    size,
                    rev if base is None else base,
                    link,
                    p1,
                    p2,
                    node,
                    *_REST,
                )
            )
            entry = binary(rev)
            if not rev:
                form = revlog._format_flags | revlog._format_version
                entry = index.pack_header(form) + entry
            packed.append(entry)
            contents.append(data)
            self._offset += length
            rev += 1
            if self._offset - self._start >= BATCH_BYTES:
                self.flush()

    def flush(self) -> None:
        """Write what was appended."""
        if not self._entries:
            return
        revlog, tr = self._revlog, self._tr
        inner = revlog._inner
        entry_size = revlog.index.entry_size
        if inner.inline:
            # One write of entries and data in turn.
            at = self._start + self._first * entry_size
            tr.add(inner.canonical_index_file, at)
            parts = [b''] * (2 * len(self._entries))
            parts[::2] = self._entries
            parts[1::2] = self._data
            entry, data = b'', (b'', b''.join(parts))
        else:
            # The first position counts; Mercurial adds later ones.
            tr.add(inner.data_file, self._start)
            tr.add(inner.canonical_index_file, self._first * entry_size)
            entry, data = b''.join(self._entries), (b'', b''.join(self._data))
        revlog._writeentry(tr, entry, data, 0, self._start, b'', 0)
        self._entries.clear()
        self._data.clear()
        self._first = len(revlog.index)
        self._start = self._offset


class RevlogSink:
    """Takes the manifests and files of packs into the revlogs of ``repo``.

    ``open_file`` returns the filelog of a path.
    """

    def __init__(
        self, repo: Any, tr: Any, open_file: Callable[[bytes], Any]
    ) -> None:
        self._repo = repo
        self._tr = tr
        self._open_file = open_file
        self._contents = unpacking.FrameContents()

    def add_frame(self, frame: PackedFrame) -> None:
        """Take a frame."""
        self._contents.add(frame)

    def add_index(self, index: Index, linkrevs: Sequence[int]) -> int:
        """Append the lines of an index; return how many revisions are new."""
        added = 0
        for line in index.lines:
            if line.kind == layout.FILE:
                storage = self._open_file(line.name)
            else:
                storage = self._repo.manifestlog.getstorage(line.name)
            revlog = storage._revlog
            with revlog._writing(self._tr):
                appender = Appender(revlog, self._tr)
                added += _append_line(
                    revlog, appender, line, self._contents, linkrevs
                )
                appender.flush()
        self._contents.clear()
        return added

    def finish(self) -> None:
        """Do nothing: nothing is kept between indexes."""


def _append_line(
    revlog: Any,
    appender: Appender,
    line: Line,
    contents: unpacking.FrameContents,
    linkrevs: Sequence[int],
) -> int:
    """Append the revisions of a line that the revlog does not have."""
    if any(flags & ~flagutil.REVIDX_KNOWN_FLAGS for flags in line.flags):
        raise PackError('unknown flags')
    first = len(revlog.index)
    appender.extend(_entries(revlog, line, contents, linkrevs))
    added: int = len(revlog.index) - first
    return added


def _entries(
    revlog: Any,
    line: Line,
    contents: unpacking.FrameContents,
    linkrevs: Sequence[int],
) -> Iterator[Entry]:
    """Yield the revisions of a line that the revlog does not have."""
    get_rev = revlog.index.get_rev

    def local(node: bytes) -> int:
        found: int | None = get_rev(node)
        if found is None:
            raise PackError('a revision of %r is missing' % line.name)
        return found

    first = following = len(revlog.index)
    outside = list(map(local, line.outside))
    # The numbers that revisions of the pack have in the revlog.
    revs: list[int] = []
    for rev, (node, p1, p2, link, flags, size, (entry, base)) in enumerate(
        zip(
            line.nodes,
            line.p1s,
            line.p2s,
            line.links,
            line.flags,
            line.sizes,
            contents.entries_of(line),
            strict=True,
        )
    ):
        known = get_rev(node)
        if known is not None:
            # Two branches made the same change.
            revs.append(known)
            continue
        base_rev: int | None = None
        if base is not None:
            base_rev = revs[base] if isinstance(base, int) else local(base)
            if base_rev < first and revlog.iscensored(base_rev):
                # The delta belongs to the text that was there before.
                raise PackError('a delta base is censored')
        revs.append(following)
        following += 1
        yield (
            node,
            nullrev
            if not p1
            else revs[rev - p1]
            if p1 <= rev
            else outside[p1 - rev - 1],
            nullrev
            if not p2
            else revs[rev - p2]
            if p2 <= rev
            else outside[p2 - rev - 1],
            linkrevs[link],
            flags,
            size,
            base_rev,
            entry,
        )
