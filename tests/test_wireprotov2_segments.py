# SPDX-License-Identifier: GPL-2.0-or-later
"""How history is cut: stability, completeness, growth, records."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgext3rd.wireprotov2.segments import cut

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
def test_what_follows_changes_nothing(
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
def test_only_few_changesets_make_a_piece_large(sizes: list[int]) -> None:
    closed, _rest = cut.cut(range(len(sizes)), sizes.__getitem__, 0, 0)
    for revs in closed:
        size = sum(sizes[rev] for rev in revs)
        few = len(revs) <= cut.FEW_CHANGESETS
        most = cut.MOST_BYTES if few else cut.LEAST_BYTES
        assert size <= 2 * most or len(revs) == 1


def test_releases_stay_together() -> None:
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
        (1_000_000, 10_000, 400, 1000),
    ],
)
def test_number_of_pieces(
    changesets: int, weight: int, least: int, most: int
) -> None:
    closed, _rest = cut.cut(range(changesets), lambda _rev: weight, 0, 0)
    assert least <= len(closed) <= most


def piece(*ranges: cut.Range) -> cut.Piece:
    return cut.Piece(b'n' * 20, ranges, (b'h' * 20,), 3, 1000, b'l' * 20)


RECORD = cut.Record(
    b'03', (piece((0, 4), (6, 9)), piece((5, 6), (9, 12)), piece((14, 20))), 4
)


def test_record_round_trip() -> None:
    assert cut.decode_record(cut.encode_record(RECORD)) == RECORD


@given(st.data())
def test_torn_record_is_none(data: st.DataObject) -> None:
    sound = cut.encode_record(RECORD)
    end = data.draw(st.integers(0, len(sound) - 1))
    assert cut.decode_record(sound[:end]) is None
    damaged = bytearray(sound)
    damaged[end] ^= data.draw(st.integers(1, 255))
    assert cut.decode_record(bytes(damaged)) is None


def test_record_of_another_version_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sound = cut.encode_record(RECORD)
    monkeypatch.setattr(cut, 'VERSION', cut.VERSION + 1)
    assert cut.decode_record(sound) is None


def test_sums() -> None:
    assert RECORD.upto == 20
    assert RECORD.size == 3000
    assert RECORD.changesets == 9
    assert list(RECORD.skipped()) == [4, 12, 13]
    assert RECORD.pieces[0].highest == 8
    assert list(RECORD.pieces[0].revs()) == [0, 1, 2, 3, 6, 7, 8]
    empty = cut.Record(b'02')
    assert (empty.upto, list(empty.skipped())) == (0, [])


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
def test_intact(revs: list[int], kept: int) -> None:
    assert cut.intact(RECORD, revs) == dataclasses.replace(
        RECORD, pieces=RECORD.pieces[:kept]
    )


def test_ranges() -> None:
    assert cut.as_ranges([]) == ()
    assert cut.as_ranges([0, 1, 2, 5, 7, 8]) == ((0, 3), (5, 6), (7, 9))


def test_names() -> None:
    nodes = [b'\x01' * 20, b'\x02' * 20]
    name = cut.piece_name(b'02', nodes)
    # replicas and caches depend on it; change VERSION with it
    assert name.hex() == '0916bf7d3ab24629a5caa455b32b6d623f1c37a5'
    assert name != cut.piece_name(b'03', nodes)
    assert name == cut.piece_name(b'02', reversed(nodes))
    assert name != cut.piece_name(b'02', nodes[:1])
