# SPDX-License-Identifier: GPL-2.0-or-later
"""The index of a path with a long history, decoded where it is asked for.

The manifest has a revision for each changeset. Commands such as ``status`` and
``commit`` need a few of the newest, but decoding the whole index takes a second
and 200 MB for a million. A late index keeps the runs as they are stored, finds
nodes by searching their bytes, and decodes the runs of the revisions that are
asked for. The first question about anything else, such as the graph, decodes
all runs; from then on this is an ordinary index.

There is no SQL here: ``reading.indexes`` reads indexes from the database.
"""

from __future__ import annotations

import bisect
from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from mercurial.node import nullid, nullrev

from .. import compat
from ..formats import index
from ..formats.index import NODE_SIZE, Table
from .fileindex import FIXED_BYTES, FileIndex

#: Revisions from which on an index is late. Fewer are decoded in 4 ms.
LEAST_REVISIONS = 2 * index.RUN_SIZE

#: After 1/PATIENCE as many questions as there are revisions, all are decoded: by
#: then that would have cost less.
PATIENCE = 4

#: The same for searches of a part: after this many for each part, all are
#: decoded. A search takes about 1/100 of the time that decoding takes.
SEARCHES = 100

#: Bytes of memory that a revision takes before it is decoded, about.
STORED_BYTES = NODE_SIZE + 6


class Part:
    """``n`` consecutive revisions from number ``first`` on.

    ``nodes`` begins with their nodes. ``table`` returns them decoded; it may
    raise CorruptStore.
    """

    __slots__ = ('_decode', '_table', 'first', 'n', 'nodes')

    def __init__(
        self,
        first: int,
        n: int,
        nodes: bytes,
        decode: Callable[[], Table],
    ) -> None:
        self.first = first
        self.n = n
        self.nodes = nodes
        self._decode = decode
        self._table: Table | None = None

    @classmethod
    def of_table(cls, first: int, table: Table) -> Part:
        """Return a part that is decoded already."""
        return cls(first, len(table), table.nodes, lambda: table)

    def table(self) -> Table:
        """Return the revisions, decoded."""
        if self._table is None:
            self._table = self._decode()
        return self._table

    def find(self, node: bytes) -> int | None:
        """Return the number of the revision with a node, or None."""
        end = self.n * NODE_SIZE
        at = self.nodes.find(node, 0, end)
        while at >= 0 and at % NODE_SIZE:
            at = self.nodes.find(node, at + 1, end)
        return self.first + at // NODE_SIZE if at >= 0 else None


def joined(parts: Sequence[Part]) -> Table:
    """Return the revisions of consecutive parts, decoded."""
    if len(parts) == 1:
        return parts[0].table()
    table = Table()
    for part in parts:
        table.extend(part.table())
    return table


class LateIndex(FileIndex):
    """The index of a path: parts in order that have no gap between them."""

    __slots__ = (
        '_core',
        '_frames',
        '_left',
        '_parts',
        '_places',
        '_searches',
        '_starts',
        'whole',
    )

    def __init__(self, path_id: int, parts: Sequence[Part]) -> None:
        self._parts = parts
        self._starts = [part.first for part in parts]
        #: The ordinary index, once it was needed.
        self.whole: FileIndex | None = None
        super().__init__(path_id)
        count = parts[-1].first + parts[-1].n
        self._left = int(count / PATIENCE)
        self._searches = SEARCHES * len(parts)
        self._core = _LateCore(self, count)
        self._frames = _LateColumn(self, count, 'frames')
        self._places = _LateColumn(self, count, 'places')

    # The base class has these as attributes.

    @property
    def core(self) -> Any:
        """Core's index object, or one that stands in for it."""
        return self._core if self.whole is None else self.whole.core

    @core.setter
    def core(self, value: Any) -> None:
        if self.whole is not None:
            self.whole.core = value

    @property
    def frames(self) -> Any:
        """The frame of each revision."""
        return self._frames if self.whole is None else self.whole.frames

    @frames.setter
    def frames(self, value: Any) -> None:
        if self.whole is not None:
            self.whole.frames = value

    @property
    def places(self) -> Any:
        """The place of each revision."""
        return self._places if self.whole is None else self.whole.places

    @places.setter
    def places(self, value: Any) -> None:
        if self.whole is not None:
            self.whole.places = value

    @property
    def _entries(self) -> bytes | None:
        return None if self.whole is None else self.whole._entries

    @_entries.setter
    def _entries(self, value: bytes | None) -> None:
        if self.whole is not None:
            self.whole._entries = value

    @property
    def memory(self) -> int:
        """The approximate number of bytes of memory that this index takes."""
        if self.whole is not None:
            return super().memory
        return FIXED_BYTES + STORED_BYTES * len(self)

    def extend(self, table: Table) -> None:
        """Add the sealed revisions of a table."""
        self.decode_all()
        super().extend(table)

    def truncate(self, n: int) -> None:
        """Remove all revisions from number ``n`` on."""
        self.decode_all()
        super().truncate(n)

    def replace(self, fresh: FileIndex) -> None:
        """Copy all revisions from ``fresh``, an index that was read again."""
        self.decode_all()
        super().replace(fresh)

    def late(self) -> bool:
        """Return whether single revisions are decoded for a question."""
        if self._left < 0 and self.whole is None:
            self.decode_all()
        return self.whole is None

    def searched(self) -> bool:
        """Return whether nodes are still found by searching the parts."""
        return self.whole is None and self._searches > 0

    def place(self, rev: int) -> tuple[Table, int]:
        """Return the table that has a revision, and its number there.

        The revision is one of the parts.
        """
        self._left -= 1
        part = self._parts[bisect.bisect_right(self._starts, rev) - 1]
        return part.table(), rev - part.first

    def find(self, node: bytes) -> int | None:
        """Return the revision of the parts with a node, or None.

        The newest parts are searched first.
        """
        for part in reversed(self._parts):
            self._searches -= 1
            found = part.find(node)
            if found is not None:
                return found
        return None

    def decode_all(self) -> FileIndex:
        """Return the ordinary index, with the revisions added since."""
        if self.whole is None:
            whole = FileIndex(self.path_id, joined(self._parts))
            if self._core.added:
                whole._entries = None
            for entry in self._core.added:
                whole.core.append(entry)
            whole.frames.extend(self._frames.added)
            whole.places.extend(self._places.added)
            self.whole = whole
            # Free what was decoded; the two columns stay as fronts.
            self._parts = ()
        return self.whole


class _LateCore:
    """Stands in for core's index object until that is needed."""

    def __init__(self, owner: LateIndex, count: int) -> None:
        self._owner = owner
        self._count = count
        self._numbers: dict[bytes, int] = {}
        self._null: tuple[Any, ...] = compat.make_index(b'')[nullrev]
        #: Entries that were appended.
        self.added: list[tuple[Any, ...]] = []

    def _decoded(self) -> Any:
        return self._owner.decode_all().core

    def __getattr__(self, name: str) -> Any:
        return getattr(self._decoded(), name)

    def __len__(self) -> int:
        if self._owner.whole is not None:
            return len(self._owner.whole.core)
        return self._count + len(self.added)

    def __getitem__(self, rev: int) -> tuple[Any, ...]:
        if self._owner.late() and rev >= nullrev:
            if rev == nullrev:
                return self._null
            if rev < self._count:
                table, i = self._owner.place(rev)
                # Mercurial's function refuses flags that it does not know.
                entry = compat.index_entry(
                    0,
                    table.sizes[i],
                    rev,
                    table.linkrevs[i],
                    table.p1[i],
                    table.p2[i],
                    table.nodes[i * NODE_SIZE : (i + 1) * NODE_SIZE],
                )
                return table.flags[i], *entry[1:]
            if rev - self._count < len(self.added):
                return self.added[rev - self._count]
        found: tuple[Any, ...] = self._decoded()[rev]
        return found

    def __delitem__(self, revs: slice) -> None:
        del self._decoded()[revs]

    def __contains__(self, node: object) -> bool:
        return node in self._decoded()

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self._decoded())

    def append(self, entry: tuple[Any, ...]) -> None:
        """Add an entry at the end."""
        if self._owner.whole is not None:
            self._owner.whole.core.append(entry)
            return
        self._numbers.setdefault(entry[7], len(self))
        self.added.append(entry)

    def get_rev(self, node: bytes) -> int | None:
        """Return the number of the revision with a node, or None."""
        found: int | None
        if self._owner.searched() and len(node) == NODE_SIZE:
            if node == nullid:
                return nullrev
            found = self._numbers.get(node)
            return self._owner.find(node) if found is None else found
        found = self._decoded().get_rev(node)
        return found

    def has_node(self, node: bytes) -> bool:
        """Return whether there is a revision with a node."""
        return self.get_rev(node) is not None

    def rev(self, node: bytes) -> int:
        """Return the number of the revision with a node.

        Raises Mercurial's error if there is none.
        """
        found = self.get_rev(node)
        if found is None:
            found = self._decoded().rev(node)
        return found


class _LateColumn:
    """Stands in for the array of frames or places until that is needed."""

    def __init__(self, owner: LateIndex, count: int, name: str) -> None:
        self._owner = owner
        self._count = count
        self._name = name
        #: Values that were appended.
        self.added: list[int] = []

    def _decoded(self) -> array[int]:
        found: array[int] = getattr(self._owner.decode_all(), self._name)
        return found

    def __len__(self) -> int:
        if self._owner.whole is not None:
            return len(self._decoded())
        return self._count + len(self.added)

    def __getitem__(self, rev: int | slice) -> Any:
        if self._owner.late() and isinstance(rev, int) and rev >= 0:
            if rev < self._count:
                table, i = self._owner.place(rev)
                return getattr(table, self._name)[i]
            if rev - self._count < len(self.added):
                return self.added[rev - self._count]
        return self._decoded()[rev]

    def __setitem__(self, rev: Any, value: Any) -> None:
        self._decoded()[rev] = value

    def __delitem__(self, rev: int | slice) -> None:
        del self._decoded()[rev]

    def __iter__(self) -> Iterator[int]:
        return iter(self._decoded())

    def __eq__(self, other: object) -> bool:
        return self._decoded() == other

    def append(self, value: int) -> None:
        """Add a value at the end."""
        if self._owner.whole is not None:
            self._decoded().append(value)
        else:
            self.added.append(value)
