# SPDX-License-Identifier: GPL-2.0-or-later
"""A late index answers like an ordinary one, and decodes what is asked for."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mercurial import error
from mercurial.node import nullid

from hgext3rd.amalgam.codecs import chunks
from hgext3rd.sqlitestore.formats import index
from hgext3rd.sqlitestore.formats.index import Revision, Table
from hgext3rd.sqlitestore.reading import lateindex
from hgext3rd.sqlitestore.reading.fileindex import FileIndex
from hgext3rd.sqlitestore.reading.lateindex import LateIndex, Part, RunPart

RUN = 4
COUNT = 3 * RUN + 2


def revision(rev: int) -> Revision:
    return Revision(
        hashlib.sha1(b'%d' % rev).digest(),
        rev - 1,
        rev - 3 if rev > 6 and rev % 5 == 0 else -1,
        rev + 100,
        rev % 2 << 15 | (rev % 4 << index.METADATA_SHIFT),
        1000 + rev,
        rev // 3 + 1 if rev < 3 * RUN else 0,
        rev % 3,
    )


REVISIONS = [revision(rev) for rev in range(COUNT)]


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep indexes late, as only those of long histories are."""
    monkeypatch.setattr(lateindex, 'PATIENCE', 0.001)
    monkeypatch.setattr(lateindex, 'LEAST_REVISIONS', 1)
    monkeypatch.setattr(lateindex, 'PICKS', 0)


def make(decoded: list[int]) -> LateIndex:
    """Return an index of three runs and a table of loose revisions.

    The first revision of each run that is decoded is added to ``decoded``.
    """
    codec = chunks.Codec('zstd')

    class Recorded(RunPart):
        __slots__ = ()

        def table(self) -> Table:
            if self._table is None:
                decoded.append(self.first)
            return super().table()

    def run(first: int) -> Part:
        data = index.encode_run(first, REVISIONS[first : first + RUN], codec)
        return Recorded(first, RUN, data, contextlib.nullcontext)

    runs = [run(first) for first in range(0, 3 * RUN, RUN)]
    return LateIndex(1, [*runs, Part(3 * RUN, Table(REVISIONS[3 * RUN :]))])


def ordinary(count: int = COUNT) -> FileIndex:
    return FileIndex(1, Table([revision(rev) for rev in range(count)]))


def same(found: FileIndex, wanted: FileIndex) -> None:
    assert len(found) == len(found.core) == len(wanted)
    for rev in range(-1, len(wanted)):
        assert found.core[rev] == wanted.core[rev]
        node = wanted.core[rev][7]
        assert found.core.get_rev(node) == found.core.rev(node) == rev
        assert found.core.has_node(node)
        assert found.metadata_size(rev) == wanted.metadata_size(rev)
    assert list(found.frames) == list(wanted.frames)
    assert list(found.places) == list(wanted.places)
    assert found.core.headrevs() == wanted.core.headrevs()


def test_single_revisions_decode_one_run() -> None:
    decoded: list[int] = []
    late = make(decoded)
    assert len(late) == COUNT
    assert late.core.get_rev(REVISIONS[1].node) == 1
    assert late.core.get_rev(b'\1' * 20) is None
    assert late.core.get_rev(nullid) == -1
    assert late.revision(COUNT - 1) == REVISIONS[-1]
    assert not decoded
    assert late.revision(6) == REVISIONS[6]
    assert (late.frames[5], late.places[5]) == (2, 2)
    assert decoded == [RUN]


def test_a_revision_is_added_without_decoding() -> None:
    decoded: list[int] = []
    late = make(decoded)
    new = revision(COUNT)
    assert late.append(new, 7) == COUNT
    assert late.revision(COUNT) == new
    assert late.core.get_rev(new.node) == COUNT
    assert late.stored == {COUNT: 7}
    assert not decoded
    same(late, ordinary(COUNT + 1))


def test_everything_else_decodes_all() -> None:
    decoded: list[int] = []
    late = make(decoded)
    core = late.core
    assert core.headrevs() == [COUNT - 1]
    assert decoded == [0, RUN, 2 * RUN]
    same(late, ordinary())
    # Who has the object from before gets the same answers.
    assert core.get_rev(REVISIONS[3].node) == 3
    assert len(core) == COUNT
    with pytest.raises(error.RevlogError):
        core.rev(b'\1' * 20)


def test_many_questions_decode_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lateindex, 'PATIENCE', 4)
    decoded: list[int] = []
    late = make(decoded)
    for rev in (0, 1, 0):
        # Several questions about a revision count as one.
        assert late.core[rev][7] == REVISIONS[rev].node
        assert late.core[rev][4] == rev + 100
    assert decoded == [0]
    assert late.core[1][7] == REVISIONS[1].node
    assert decoded == [0, RUN, 2 * RUN]
    assert type(late) is FileIndex


@pytest.mark.parametrize('least', [1, COUNT + 1])
def test_single_revisions_are_picked(
    least: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After some, a run is decoded in a long index and all in a short one."""
    monkeypatch.setattr(lateindex, 'PICKS', 3)
    monkeypatch.setattr(lateindex, 'LEAST_REVISIONS', least)
    decoded: list[int] = []
    late = make(decoded)
    for rev in (1, 3, 0):
        assert late.revision(rev) == REVISIONS[rev]
        assert late.metadata_size(rev) == (rev - 1 if rev else None)
        assert late.core[rev] == ordinary().core[rev]
        assert late.places[rev] == REVISIONS[rev].place
    assert not decoded
    assert late.revision(2) == REVISIONS[2]
    assert decoded == ([0] if least == 1 else [0, RUN, 2 * RUN])
    same(late, ordinary())


def test_damage_is_reported_by_the_guard() -> None:
    @contextlib.contextmanager
    def guard() -> Iterator[None]:
        try:
            yield
        except ValueError as exc:
            raise KeyError('damaged') from exc

    data = index.encode_run(0, REVISIONS[:RUN], chunks.Codec('zstd'))
    for damaged in (data[:-1], data[: RUN * 20] + b'x' * 9):
        late = LateIndex(1, [RunPart(0, RUN, damaged, guard)])
        with pytest.raises(KeyError):
            late.core[1]


def test_many_searches_decode_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lateindex, 'SEARCHES', 2)
    decoded: list[int] = []
    found = make(decoded)
    # All four parts are searched for the oldest.
    for _time in range(2):
        assert found.core.get_rev(REVISIONS[0].node) == 0
        assert not decoded
    assert found.core.get_rev(REVISIONS[0].node) == 0
    assert found.core.get_rev(nullid) == -1
    assert decoded == [0, RUN, 2 * RUN]
    same(found, ordinary())


def test_unknown_node_is_an_error() -> None:
    with pytest.raises(error.RevlogError):
        make([]).core.rev(b'\1' * 20)


def test_node_across_two_nodes_is_not_found() -> None:
    part = make([])._late.parts[0]
    assert part.find(part.nodes[10:30]) is None
    # A match at a wrong place does not hide the right one.
    nodes = b'a' * 19 + b'b' + b'a' * 20
    part = RunPart(5, 2, nodes, contextlib.nullcontext)
    assert part.find(b'a' * 20) == 6


def _truncate(idx: FileIndex) -> None:
    idx.truncate(5)


def _append(idx: FileIndex) -> None:
    idx.append(revision(len(idx)), 3)


def _extend(idx: FileIndex) -> None:
    idx.extend(Table([revision(len(idx)), revision(len(idx) + 1)]))


def _replace(idx: FileIndex) -> None:
    idx.replace(make([]))


def _move(idx: FileIndex) -> None:
    fresh = ordinary()
    fresh.frames[0] = 77
    idx.move_content(fresh)


def _detach(idx: FileIndex) -> None:
    if len(idx) > 2:
        idx.frames[2] = idx.places[2] = 0


def _heads(idx: FileIndex) -> None:
    assert idx.core.headrevs() == [len(idx) - 1]


def _all(idx: FileIndex) -> None:
    same(idx, idx)


STEPS: list[Callable[[Any], None]] = [
    *(_truncate, _append, _extend, _replace, _move, _detach, _heads, _all)
]


@given(st.lists(st.sampled_from(STEPS), max_size=5))
def test_any_changes(steps: list[Callable[[Any], None]]) -> None:
    late: FileIndex = make([])
    wanted = ordinary()
    for step in steps:
        step(late)
        step(wanted)
        assert len(late) == len(wanted)
        assert late.stored == wanted.stored
    same(late, wanted)


@pytest.mark.parametrize('before', ['nothing', 'asked', 'decoded', 'changed'])
def test_extending(before: str) -> None:
    """Packs add whole tables, after whatever was done with the index."""
    late = make([])
    expected = ordinary()
    if before == 'asked':
        assert late.core.get_rev(REVISIONS[1].node) == 1
    elif before == 'decoded':
        late.decode_all()
    elif before == 'changed':
        for idx in (late, expected):
            idx.truncate(COUNT - 1)
            idx.append(REVISIONS[0]._replace(node=b'x' * 20))
    more = [revision(rev)._replace(p1=rev - 1) for rev in range(50, 54)]
    for tables in (more[:2], more[2:]):
        late.extend(Table(tables))
        expected.extend(Table(tables))
        assert len(late) == len(expected)
        assert [late.revision(r) for r in range(len(late))] == [
            expected.revision(r) for r in range(len(expected))
        ]
        assert late.core.get_rev(tables[-1].node) == len(late) - 1
