# SPDX-License-Identifier: GPL-2.0-or-later
"""The index of one file in memory.

It consists of core's own index object, which answers all questions about the
graph in C, and of arrays that say where the content of each revision is.
``formats.index`` explains the values in these arrays.

There is no SQL here: ``reading.indexes`` reads indexes from the database.
"""

from __future__ import annotations

import sys
from array import array
from typing import Any

from mercurial.node import nullrev

from .. import compat
from ..formats import index, schema
from ..formats.index import Revision, Table

# An entry of a revlog version 1 index is 16 integers of 4 bytes, big-endian:
# offset (its high part, then its low part and the flags), stored and full
# length, delta base, linkrev, parents, node (8 to 12), padding. See ``hg help
# internals.revlogs``. Core's index object answers only questions about the graph
# here; offset and stored length are not used.
_ENTRY = 16
_FLAGS, _SIZE, _BASE, _LINKREV, _P1, _P2, _NODE = 1, 3, 4, 5, 6, 7, 8
_NODE_WORDS = index.NODE_SIZE // 4

# Bytes of memory that a revision takes: its entry, frame and place, and core's
# tree of nodes. Each index takes FIXED bytes besides. Core's object reserves
# GROWN bytes when revisions are added.
REVISION_BYTES = 128
FIXED_BYTES = 2 << 10
GROWN_BYTES = 256 << 10


class FileIndex:
    """The index of one file, shared by all objects that open that file.

    ``path_id`` is None until the file has a revision. ``core`` is core's index
    object. ``frames`` and ``places`` have one value per revision. ``stored``
    maps each loose revision to the number of bytes in its row. ``grown`` is
    true when revisions were added one by one since the index was read.
    ``metadata`` has the flags of revisions whose metadata is known, shifted.
    """

    __slots__ = (
        '_entries',
        '_late',
        'core',
        'frames',
        'grown',
        'metadata',
        'path_id',
        'places',
        'stored',
    )

    def __init__(self, path_id: int | None, table: Table | None = None) -> None:
        table = Table() if table is None else table
        self.path_id = path_id
        # What a late index has before it becomes this (see ``lateindex``).
        self._late: Any = None
        self.grown = False
        self.frames = table.frames
        self.places = table.places
        self.stored: dict[int, int] = {}
        self.metadata = _metadata_of(table)
        # What ``core`` was made of, unless that was changed. It refers to these
        # bytes, so they take no more memory.
        entries = _core_entries(table)
        self._entries: bytes | None = entries
        self.core: Any = compat.make_index(entries)

    @property
    def memory(self) -> int:
        """The approximate number of bytes of memory that this index takes."""
        size = FIXED_BYTES + REVISION_BYTES * (len(self) + len(self.stored))
        return size + GROWN_BYTES if self.grown else size

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def is_late(self) -> bool:
        """Whether this is a ``LateIndex`` that is not decoded yet."""
        return self._late is not None

    def single(self, rev: int) -> Revision | None:
        """Return a revision if that takes no decoding of others."""
        return None

    def decode_all(self) -> FileIndex:
        """Return this index, with all revisions decoded."""
        return self

    def gid(self, rev: int) -> int:
        """Return the global id of a revision; the file must have a path id."""
        assert self.path_id is not None
        return schema.global_id(self.path_id, rev)

    def revision(self, rev: int) -> Revision:
        """Return all fields of a revision."""
        flags, _clen, size, _base, link, p1, p2, node = self.core[rev][:8]
        return Revision(
            node,
            p1,
            p2,
            link,
            flags & index.CORE_FLAGS
            | self.metadata.get(rev, 0) << index.METADATA_SHIFT,
            size,
            self.frames[rev],
            self.places[rev],
        )

    def flags(self, rev: int) -> int:
        """Return Mercurial's flags of a revision."""
        entry: int = self.core[rev][0]
        return entry & index.CORE_FLAGS

    def metadata_size(self, rev: int) -> int | None:
        """Return the bytes of metadata in the text of a revision, if known."""
        metadata = self.metadata.get(rev)
        return metadata - 1 if metadata else None

    def rawsize(self, rev: int) -> int:
        """Return the size in bytes of a raw text, before flag processors."""
        size: int = self.core[rev][2]
        return size

    def node(self, rev: int) -> bytes:
        """Return the node of a revision."""
        node: bytes = self.core[rev][7]
        return node

    def append(self, r: Revision, stored: int | None = None) -> int:
        """Add a revision and return its number.

        ``stored`` is the number of bytes in its row if it is loose.
        """
        rev = len(self.frames)
        self.grown = True
        self._entries = None
        self.core.append(
            compat.index_entry(
                r.flags & index.CORE_FLAGS,
                r.rawsize,
                rev,
                r.linkrev,
                r.p1,
                r.p2,
                r.node,
            )
        )
        if r.flags > index.CORE_FLAGS:
            self.metadata[rev] = r.flags >> index.METADATA_SHIFT
        self.frames.append(r.frame)
        self.places.append(r.place)
        if stored is not None:
            self.stored[rev] = stored
        return rev

    def extend(self, table: Table) -> None:
        """Add the sealed revisions of a table."""
        if self._entries is None:
            for revision in table:
                self.append(revision)
            return
        # Core's object takes much more memory once revisions are added to it.
        self._entries += _core_entries(table, len(self))
        self.metadata.update(_metadata_of(table, len(self)))
        self.core = compat.make_index(self._entries)
        self.frames = self.frames + table.frames
        self.places = self.places + table.places

    def compact(self) -> None:
        """Free the memory that is reserved for more revisions.

        Call this after the last of several revisions was added. Indexes that
        fill most of that memory stay as they are, so that the time this takes
        is bounded.
        """
        n = len(self)
        if not self.grown or not n or n > GROWN_BYTES // (8 * _ENTRY):
            return
        # Core leaves out the header of a revlog, which is in the first entry.
        parts = [b'\0\0\0\0', *map(self.core.entry_binary, range(n))]
        self._entries = b''.join(parts)
        self.core = compat.make_index(self._entries)
        self.grown = False

    def truncate(self, n: int) -> None:
        """Remove all revisions from number ``n`` on."""
        if n < len(self.frames):
            self._entries = None
            del self.core[n:-1]
            del self.frames[n:]
            del self.places[n:]
            self.stored = {r: s for r, s in self.stored.items() if r < n}
            self.metadata = {r: m for r, m in self.metadata.items() if r < n}

    def replace(self, fresh: FileIndex) -> None:
        """Copy all revisions from ``fresh``, an index that was read again."""
        fresh = fresh.decode_all()
        self.core = fresh.core
        self._entries = fresh._entries
        self.frames = fresh.frames
        self.places = fresh.places
        self.stored = fresh.stored
        self.metadata = fresh.metadata

    def move_content(self, fresh: FileIndex) -> None:
        """Copy the places of content from an index that was read again.

        Revisions that only this index has, such as those of a bundle, stay.
        """
        fresh = fresh.decode_all()
        n = min(len(self), len(fresh))
        self.frames[:n] = fresh.frames[:n]
        self.places[:n] = fresh.places[:n]
        self.stored = fresh.stored

    def loose_chain(
        self, rev: int, stop: int = nullrev
    ) -> tuple[list[int], int | None]:
        """Return the loose rows to read for ``rev``, and the base of the last.

        Rows are revision numbers, the newest first. The base is a global id: a
        sealed revision of this file, a revision of another file, or ``stop``,
        whose text the caller has. It is None if the last row is a full text.
        """
        revs: list[int] = []
        while True:
            if rev == stop or self.frames[rev]:
                return revs, self.gid(rev)
            revs.append(rev)
            place = self.places[rev]
            if not place:
                return revs, None
            if place < 0:
                return revs, -place
            rev -= place


def _metadata_of(table: Table, first: int = 0) -> dict[int, int]:
    """Return the flags above those of Mercurial, shifted, by revision.

    ``first`` is the number of the first revision.
    """
    flags = table.flags
    if not any(flags):
        return {}
    shift = index.METADATA_SHIFT
    return {
        n: flag >> shift for n, flag in enumerate(flags, first) if flag >> shift
    }


def _core_flags(flags: array[int]) -> array[int]:
    """Return Mercurial's flags of the revisions with these flags."""
    if not any(flags):
        return flags
    return array('i', [flag & index.CORE_FLAGS for flag in flags])


def _core_entries(table: Table, first: int = 0) -> bytes:
    """Return the entries of Mercurial's index object for the revisions.

    ``first`` is the number of the first.
    Whole columns are copied at once: most of the time of commands on a range of
    changesets was spent on one entry after the other.
    """
    n = len(table)
    if not n:
        return b''
    entries = array('i', bytes(4 * _ENTRY)) * n
    entries[_FLAGS::_ENTRY] = _core_flags(table.flags)
    entries[_SIZE::_ENTRY] = table.sizes
    entries[_BASE::_ENTRY] = array('i', range(first, first + n))
    entries[_LINKREV::_ENTRY] = table.linkrevs
    entries[_P1::_ENTRY] = table.p1
    entries[_P2::_ENTRY] = table.p2
    if sys.byteorder == 'little':
        entries.byteswap()
    nodes = array('i')
    nodes.frombytes(table.nodes)
    for word in range(_NODE_WORDS):
        entries[_NODE + word :: _ENTRY] = nodes[word::_NODE_WORDS]
    return entries.tobytes()
