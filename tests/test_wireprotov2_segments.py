# SPDX-License-Identifier: GPL-2.0-or-later
"""How history is cut: stability, completeness, growth, the record of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgext3rd.wireprotov2.segments import cut, record, spans
from hgext3rd.wireprotov2.segments.record import ClosedSegments

#: Estimated bytes of changesets, by revision.
weights = st.lists(
    st.one_of(
        st.integers(100, 5000),
        st.integers(100_000, 10 * cut.LEAST_BYTES),
    ),
    max_size=60,
)


@given(
    weights, st.integers(0, 60), st.integers(0, 10**9), st.integers(0, 10**6)
)
def test_later_changesets_change_no_closed_segment(
    sizes: list[int], end: int, before_bytes: int, before_changesets: int
) -> None:
    everything = range(len(sizes))
    earlier, _rest = cut.cut(
        everything[:end], sizes.__getitem__, before_bytes, before_changesets
    )
    later, _rest = cut.cut(
        everything, sizes.__getitem__, before_bytes, before_changesets
    )
    assert later[: len(earlier)] == earlier


@given(weights, st.integers(0, 60))
def test_cutting_in_steps_is_cutting_at_once(
    sizes: list[int], end: int
) -> None:
    everything = range(len(sizes))
    first, rest = cut.cut(everything[:end], sizes.__getitem__, 0, 0)
    second, tail = cut.cut(
        [*rest, *everything[end:]],
        sizes.__getitem__,
        sum(sizes[rev] for revs in first for rev in revs),
        sum(map(len, first)),
    )
    assert (first + second, tail) == cut.cut(
        everything, sizes.__getitem__, 0, 0
    )


@given(weights)
def test_nothing_is_lost_or_moved(sizes: list[int]) -> None:
    closed, rest = cut.cut(range(len(sizes)), sizes.__getitem__, 0, 0)
    assert [rev for revs in (*closed, rest) for rev in revs] == list(
        range(len(sizes))
    )
    assert all(closed)


@given(weights)
def test_only_few_changesets_make_a_large_segment(sizes: list[int]) -> None:
    closed, _rest = cut.cut(range(len(sizes)), sizes.__getitem__, 0, 0)
    for revs in closed:
        size = sum(sizes[rev] for rev in revs)
        few = len(revs) <= cut.FEW_CHANGESETS
        most = cut.MOST_BYTES if few else cut.LEAST_BYTES
        assert size <= 2 * most or len(revs) == 1


def test_few_large_changesets_stay_together() -> None:
    size = cut.LEAST_BYTES
    closed, _rest = cut.cut(range(40), lambda _rev: size, 0, 0)
    assert [len(revs) for revs in closed] == [16, 16]
    size = cut.MOST_BYTES // 2
    closed, _rest = cut.cut(range(4), lambda _rev: size, 0, 0)
    assert [len(revs) for revs in closed] == [2, 2]


@pytest.mark.parametrize(
    'changesets, weight, least, most',
    [
        (1_000, 1_000, 0, 0),
        (10_000, 100, 5, 5),
        (10_000, 10_000, 40, 60),
        (1_000_000, 200, 200, 500),
        (1_000_000, 10_000, 2000, 3000),
    ],
)
def test_number_of_segments(
    changesets: int, weight: int, least: int, most: int
) -> None:
    closed, _rest = cut.cut(range(changesets), lambda _rev: weight, 0, 0)
    assert least <= len(closed) <= most


@pytest.mark.parametrize('before', [0, 10**9, 10**12])
def test_size_of_a_segment_does_not_grow_with_history(before: int) -> None:
    # The open segment is built anew after each push.
    closed, rest = cut.cut(
        range(10_000), lambda _rev: 1000, before, before // 1000
    )
    assert closed
    for revs in (*closed, rest):
        assert len(revs) * 1000 < cut.GROWN_BYTES + 1000


def segment(*ranges: cut.Range) -> cut.Segment:
    return cut.Segment(b'n' * 20, ranges, (b'h' * 20,), 3, 1000, b'l' * 20)


CLOSED = ClosedSegments(
    b'03',
    (segment((0, 4), (6, 9)), segment((5, 6), (9, 12)), segment((14, 20))),
    4,
)


def test_record_round_trip() -> None:
    assert record.decode(record.encode(CLOSED)) == CLOSED


@given(st.data())
def test_torn_record_is_none(data: st.DataObject) -> None:
    sound = record.encode(CLOSED)
    end = data.draw(st.integers(0, len(sound) - 1))
    assert record.decode(sound[:end]) is None
    damaged = bytearray(sound)
    damaged[end] ^= data.draw(st.integers(1, 255))
    assert record.decode(bytes(damaged)) is None


def test_record_of_another_version_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sound = record.encode(CLOSED)
    monkeypatch.setattr(cut, 'VERSION', cut.VERSION + 1)
    assert record.decode(sound) is None


def test_sums() -> None:
    assert CLOSED.upto == 20
    assert CLOSED.size == 3000
    assert CLOSED.changesets == 9
    assert CLOSED.last_name == b'n' * 20
    assert list(CLOSED.skipped()) == [4, 12, 13]
    assert CLOSED.segments[0].highest == 8
    assert list(CLOSED.segments[0].revs()) == [0, 1, 2, 3, 6, 7, 8]
    empty = ClosedSegments(b'02')
    assert (empty.upto, list(empty.skipped())) == (0, [])
    assert empty.last_name == b''


@pytest.mark.parametrize(
    'revs, kept',
    [
        ([], 3),
        ([4, 12, 13, 20, 99], 3),
        ([14], 2),
        ([19], 2),
        ([5, 17], 1),
        ([11], 1),
        ([8], 0),
        ([0], 0),
    ],
)
def test_segments_without_revisions(revs: list[int], kept: int) -> None:
    assert CLOSED.without(revs) == dataclasses.replace(
        CLOSED, segments=CLOSED.segments[:kept]
    )


def test_ranges() -> None:
    assert cut.as_ranges([]) == ()
    assert cut.as_ranges([0, 1, 2, 5, 7, 8]) == ((0, 3), (5, 6), (7, 9))


def test_names() -> None:
    nodes = [b'\x01' * 20, b'\x02' * 20]
    name = cut.segment_name(b'02', nodes)
    # Replicas and caches depend on the name. If it changes, change VERSION.
    assert name.hex() == '0916bf7d3ab24629a5caa455b32b6d623f1c37a5'
    assert name != cut.segment_name(b'03', nodes)
    assert name == cut.segment_name(b'02', reversed(nodes))
    assert name != cut.segment_name(b'02', nodes[:1])


class Counted(cut.Segment):
    """A segment whose revisions must not be looked at."""

    def revs(self) -> Iterator[int]:
        raise AssertionError('the revisions are listed')


def test_joining_segments_does_not_list_their_revisions() -> None:
    segments = [
        Counted(b'n' * 20, ranges, (b'h' * 20,), 3, 1000, b'l' * 20)
        for ranges in (((0, 4), (6, 9)), ((5, 6), (9, 12)), ((14, 20),))
    ]
    span = spans.join(segments)
    assert span.ranges == ((0, 4), (5, 12), (14, 20))
    assert (span.changesets, span.size) == (9, 3000)
    assert span.highest == 19
