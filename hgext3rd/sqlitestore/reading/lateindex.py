# SPDX-License-Identifier: GPL-2.0-or-later
"""The index of a path, decoded where it is asked for.

Commands such as ``cat``, ``diff`` and ``files`` need one or two revisions of a
file, and ``status`` one of the manifest, which has a revision for each
changeset: decoding the whole index takes a second and 200 MB for a million. A
late index keeps the runs as they are stored, finds nodes by searching their
bytes, and takes single revisions out of the runs. The first question about
anything else, such as the graph, decodes all runs, and so do many questions.
From then on the object is an ordinary index.

There is no SQL here: ``reading.indexes`` reads indexes from the database.
"""

from __future__ import annotations

import bisect
import functools
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

from mercurial.node import nullid, nullrev

from .. import compat
from ..formats import index
from ..formats.index import NODE_SIZE, Revision, Table
from .fileindex import FIXED_BYTES, FileIndex

#: The revisions that are taken out of a run one by one. Each takes about a tenth
#: of the time that decoding the run takes.
PICKS = 6

#: Revisions from which on an index stays late after that: runs are decoded one by
#: one. Fewer revisions are decoded in 4 ms.
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
    """Consecutive revisions from number ``first`` on, decoded.

    ``nodes`` begins with the nodes of the ``n`` revisions.
    """

    __slots__ = ('_table', 'first', 'n', 'nodes')

    _table: Table | None

    def __init__(self, first: int, table: Table) -> None:
        self.first = first
        self.n = len(table)
        self.nodes = table.nodes
        self._table = table

    @property
    def has_picks(self) -> bool:
        """Whether a single revision is cheaper than the whole table."""
        return True

    def table(self) -> Table:
        """Return the revisions."""
        assert self._table is not None
        return self._table

    def revision(self, number: int) -> Revision:
        """Return a revision of the part, numbered from 0."""
        return self.table().revision(number)

    def find(self, node: bytes) -> int | None:
        """Return the number of the revision with a node, or None."""
        end = self.n * NODE_SIZE
        at = self.nodes.find(node, 0, end)
        while at >= 0 and at % NODE_SIZE:
            at = self.nodes.find(node, at + 1, end)
        return self.first + at // NODE_SIZE if at >= 0 else None


class RunPart(Part):
    """An index run of ``n`` revisions; ``data`` is stored with it.

    It is decoded within the context that ``guard`` returns, which may replace
    the exceptions for a damaged run.
    """

    __slots__ = ('_guard', '_picks')

    def __init__(
        self,
        first: int,
        n: int,
        data: bytes,
        guard: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self.first = first
        self.n = n
        self.nodes = data
        self._table = None
        self._guard = guard
        self._picks = PICKS

    @property
    def has_picks(self) -> bool:
        """Whether a single revision is cheaper than the whole table."""
        return self._picks > 0

    def table(self) -> Table:
        """Return the revisions, decoded."""
        if self._table is None:
            with self._guard():
                self._table = index.decode_table(self.first, self.n, self.nodes)
        return self._table

    def revision(self, number: int) -> Revision:
        """Return a revision of the part, numbered from 0."""
        if self._table is not None or not self.has_picks:
            return self.table().revision(number)
        self._picks -= 1
        with self._guard():
            return index.decode_revision(self.first, self.n, self.nodes, number)


def joined(parts: Sequence[Part]) -> Table:
    """Return the revisions of consecutive parts, decoded."""
    if len(parts) == 1:
        return parts[0].table()
    table = Table()
    for part in parts:
        table.extend(part.table())
    return table


class LateIndex(FileIndex):
    """The index of a path: parts in order that have no gap between them.

    Once all of it is decoded, the object becomes a FileIndex.
    """

    __slots__ = ()

    def __init__(self, path_id: int, parts: Sequence[Part]) -> None:
        self.path_id = path_id
        self.grown = False
        self.stored = {}
        self._late = _State(parts)

    # The base class has these as attributes. Objects that stand in for the
    # values are made when they are asked for: if they were kept, each index
    # would be part of a reference cycle.

    @property
    def core(self) -> Any:
        """An object that stands in for core's index object."""
        return _LateCore(self)

    @property
    def frames(self) -> Any:  # type: ignore[override]
        """The frame of each revision."""
        return _LateColumn(self, 'frames')

    @property
    def places(self) -> Any:  # type: ignore[override]
        """The place of each revision."""
        return _LateColumn(self, 'places')

    @property
    def _entries(self) -> bytes | None:
        return None

    @_entries.setter
    def _entries(self, value: bytes | None) -> None:
        """Do nothing: the bytes of core's index object are not made yet."""

    def __len__(self) -> int:
        state = self._late
        return state.count + len(state.added)

    @property
    def memory(self) -> int:
        """The approximate number of bytes of memory that this index takes.

        A short one counts as decoded: it may be at any time.
        """
        if len(self) < LEAST_REVISIONS:
            return super().memory
        return FIXED_BYTES + STORED_BYTES * len(self)

    def revision(self, rev: int) -> Revision:
        """Return all fields of a revision."""
        # The first call may turn this into a FileIndex.
        return self.single(rev) or FileIndex.revision(self, rev)

    def metadata_size(self, rev: int) -> int | None:
        """Return the bytes of metadata in the text of a revision, if known."""
        if rev < 0:
            return None
        found = self.single(rev)
        if found is None:
            return self.decode_all().metadata_size(rev)
        metadata = found.flags >> index.METADATA_SHIFT
        return metadata - 1 if metadata else None

    def append(self, r: Revision, stored: int | None = None) -> int:
        """Add a revision and return its number."""
        state, rev = self._late, len(self)
        state.numbers.setdefault(r.node, rev)
        state.added.append(r)
        if stored is not None:
            self.stored[rev] = stored
        return rev

    def extend(self, table: Table) -> None:
        """Add the sealed revisions of a table."""
        self.decode_all().extend(table)

    def compact(self) -> None:
        """Do nothing: no memory is reserved before all is decoded."""

    def truncate(self, n: int) -> None:
        """Remove all revisions from number ``n`` on."""
        self.decode_all().truncate(n)

    def replace(self, fresh: FileIndex) -> None:
        """Copy all revisions from ``fresh``, an index that was read again."""
        self.decode_all().replace(fresh)

    def move_content(self, fresh: FileIndex) -> None:
        """Copy the places of content from an index that was read again."""
        self.decode_all().move_content(fresh)

    def single(self, rev: int) -> Revision | None:
        """Return a revision, or None once all are decoded.

        Return None as well if there is no such revision.
        """
        state = self._late
        if state.number == rev:
            return state.revision
        if not 0 <= rev < state.count:
            added = rev - state.count
            return state.added[added] if 0 <= added < len(state.added) else None
        part = state.parts[bisect.bisect_right(state.starts, rev) - 1]
        if state.questions <= 0 or not (
            part.has_picks or state.count >= LEAST_REVISIONS
        ):
            self.decode_all()
            return None
        state.questions -= 1
        state.revision = part.revision(rev - part.first)
        state.number = rev
        return state.revision

    def find(self, node: bytes) -> int | None:
        """Return the number of the revision with a node, or None.

        The newest parts are searched first.
        """
        state = self._late
        found = state.numbers.get(node)
        if found is not None:
            return found
        for part in reversed(state.parts):
            state.searches -= 1
            found = part.find(node)
            if found is not None:
                return found
        return None

    def decode_all(self) -> FileIndex:
        """Become an ordinary index, with the revisions added since."""
        state = self._late
        whole = FileIndex(self.path_id, joined(state.parts))
        for revision in state.added:
            whole.append(revision)
        self._late = None
        whole.stored = self.stored
        # Whoever has this object gets the attributes of an ordinary one.
        self.__class__ = FileIndex  # type: ignore[assignment]
        self.replace(whole)
        self.grown = whole.grown
        return self


class _State:
    """What a late index consists of until all is decoded."""

    __slots__ = (
        'added',
        'count',
        'number',
        'numbers',
        'parts',
        'questions',
        'revision',
        'searches',
        'starts',
    )

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = parts
        self.starts = [part.first for part in parts]
        #: The number of revisions in the parts.
        self.count = parts[-1].first + parts[-1].n
        #: Revisions that were added to them, and the numbers of these by node.
        self.added: list[Revision] = []
        self.numbers: dict[bytes, int] = {}
        #: How many more questions are answered before all is decoded.
        self.questions = max(PICKS, int(self.count / PATIENCE))
        self.searches = SEARCHES * len(parts)
        #: The revision that was asked for last, and its number: Mercurial asks
        #: for one field after the other.
        self.number = -1
        self.revision: Revision | None = None


class _LateCore:
    """Stands in for core's index object until that is needed."""

    __slots__ = ('_owner',)

    def __init__(self, owner: LateIndex) -> None:
        # A FileIndex once all is decoded.
        self._owner = owner

    def _decoded(self) -> Any:
        return self._owner.decode_all().core

    def __getattr__(self, name: str) -> Any:
        return getattr(self._decoded(), name)

    def __len__(self) -> int:
        return len(self._owner)

    def __getitem__(self, rev: int) -> tuple[Any, ...]:
        owner = self._owner
        if owner.is_late and rev >= nullrev:
            if rev == nullrev:
                return _null_entry()
            found = owner.single(rev)
            if found is not None:
                node, p1, p2, linkrev, flags, size, _frame, _place = found
                # Mercurial's function refuses flags that it does not know.
                entry = compat.index_entry(0, size, rev, linkrev, p1, p2, node)
                return flags & index.CORE_FLAGS, *entry[1:]
        decoded: tuple[Any, ...] = self._decoded()[rev]
        return decoded

    def __delitem__(self, revs: slice) -> None:
        del self._decoded()[revs]

    def __contains__(self, node: object) -> bool:
        return node in self._decoded()

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self._decoded())

    def get_rev(self, node: bytes) -> int | None:
        """Return the number of the revision with a node, or None."""
        owner = self._owner
        if owner.is_late and len(node) == NODE_SIZE:
            if node == nullid:
                return nullrev
            if owner._late.searches > 0:
                return owner.find(node)
        found: int | None = self._decoded().get_rev(node)
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


@functools.cache
def _null_entry() -> tuple[Any, ...]:
    """Return the entry of the null revision."""
    found: tuple[Any, ...] = compat.make_index(b'')[nullrev]
    return found


class _LateColumn:
    """Stands in for the array of frames or places until that is needed."""

    __slots__ = ('_name', '_owner')

    def __init__(self, owner: LateIndex, name: str) -> None:
        self._owner = owner
        # That of a field of Revision without the last letter.
        self._name = name

    def _decoded(self) -> array[int]:
        decoded: array[int] = getattr(self._owner.decode_all(), self._name)
        return decoded

    def __len__(self) -> int:
        return len(self._owner)

    def __getitem__(self, rev: int | slice) -> Any:
        owner = self._owner
        if owner.is_late and isinstance(rev, int) and rev >= 0:
            found = owner.single(rev)
            if found is not None:
                return getattr(found, self._name[:-1])
        return self._decoded()[rev]

    def __setitem__(self, rev: Any, value: Any) -> None:
        self._decoded()[rev] = value

    def __delitem__(self, rev: int | slice) -> None:
        del self._decoded()[rev]

    def __iter__(self) -> Iterator[int]:
        return iter(self._decoded())

    def __eq__(self, other: object) -> bool:
        return self._decoded() == other
