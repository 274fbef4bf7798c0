# SPDX-License-Identifier: GPL-2.0-or-later
"""Deltas turned around and cut down, single rows, frames in threads, order."""

from __future__ import annotations

import pytest

pytest.importorskip('mercurial')

from hypothesis import given
from hypothesis import strategies as st
from mercurial import mdiff

from hgext3rd.sqlitestore import (
    chunks,
    columns,
    deltas,
    frames,
    index,
    packer,
    repackplan,
    schema,
)

# few distinct lines, so that texts have much in common
LINES = st.lists(
    st.sampled_from([b'', b'a', b'b', b'abc', b'abd', b'xabcx']), max_size=12
).map(b'\n'.join)


@given(LINES, LINES)
def test_invert(old: bytes, new: bytes) -> None:
    delta = mdiff.textdiff(old, new)
    back = deltas.invert(delta, old)
    assert mdiff.patches(new, [back]) == old
    assert deltas.invert(back, new) == delta


@given(LINES, LINES)
def test_trim(old: bytes, new: bytes) -> None:
    delta = mdiff.textdiff(old, new)
    trimmed = deltas.trim(delta, old)
    assert mdiff.patches(old, [trimmed]) == new
    assert len(trimmed) <= len(delta)
    assert mdiff.patches(new, [deltas.invert(trimmed, old)]) == old


def test_trim_within_a_line() -> None:
    old, new = b'one\nspeed = 10\ntwo\n', b'one\nspeed = 20\ntwo\n'
    trimmed = deltas.trim(mdiff.textdiff(old, new), old)
    assert trimmed == b'\0\0\0\x0c\0\0\0\x0d\0\0\0\x012'


NUMBERS = st.integers(-(1 << 62), 1 << 62)


@given(st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS), min_size=1), st.data())
def test_pick(rows: list[tuple[int, int, int]], data: st.DataObject) -> None:
    plain, skipped, steady = (
        list(column) for column in zip(*rows, strict=True)
    )
    table = columns.pack(
        (plain, skipped, columns.diff(sorted(steady)[:1] * len(rows)))
    )
    number = data.draw(st.integers(0, len(rows) - 1))
    assert columns.pick(table, len(rows), number, (1, 0, 2)) == [
        plain[number],
        min(steady),
    ]


def test_decode_entry_agrees_with_decode_segment() -> None:
    revs = [
        index.Revision(bytes([n]) * 20, n - 1, -1, 5 * n, 0, 100 + n, 7, 9 - n)
        for n in range(9)
    ]
    data = index.encode_segment(0, revs, chunks.Codec('zstd'))
    for n, rev in enumerate(index.decode_segment(0, 9, data)):
        entry = index.decode_entry(9, data, n)
        assert entry == (
            n - rev.p1 if rev.p1 >= 0 else 0,
            0,
            rev.flags,
            rev.rawsize,
            rev.frame,
            rev.place,
        )


@pytest.mark.parametrize('name', chunks.NAMES)
def test_packer(name: str) -> None:
    ids = iter(range(1, 100))
    box = packer.Packer(name, 3, 1000, lambda: next(ids))
    texts = {schema.global_id(1, n): b'%d ' % n * 300 for n in range(10)}
    places = {}
    for gid, text in texts.items():
        places[gid] = box.add(gid, text, None)
        if box.full:
            box.cut()
    box.cut()
    packed = {item.frame_id: item for item in box.take()}
    assert len(packed) > 1
    assert not list(box.take())
    for gid, (frame_id, place) in places.items():
        item = packed[frame_id]
        frame = frames.Frame(item.head, chunks.decode(b''.join(item.pieces)))
        assert frame.text(place) == texts[gid]
        assert (frame.paths[place], frame.revs[place]) == schema.split_id(gid)
    box.close()


def test_packer_stores_large_texts_alone() -> None:
    box = packer.Packer('none', 3, 1000, lambda: 5)
    assert box.add_alone(1 << 32, b'text') == (5, 0)
    (item,) = box.take()
    assert chunks.decode(item.pieces[0]) == b'text'
    box.close()


def test_order_of_paths() -> None:
    paths = [b'b/x.c', b'a/y.c', b'a/x.c', b'README', b'x.h', b'z/README']
    assert sorted(paths, key=repackplan.kinship) == [
        b'README',
        b'z/README',
        b'a/x.c',
        b'b/x.c',
        b'a/y.c',
        b'x.h',
    ]


def test_copies_follow_their_source() -> None:
    order = [b'a', b'b', b'c', b'd']
    adopted = repackplan._adopt(order, {b'b': b'd', b'c': b'b'})
    assert adopted == [b'a', b'd', b'b', b'c']
    circle = repackplan._adopt(order, {b'a': b'b', b'b': b'a'})
    assert sorted(circle) == order


def test_texts_of_a_long_chain_are_kept() -> None:
    """Reading a reversed chain upwards applies each delta about once."""
    n = 200
    texts = [b'line\n' * 50 + b'%d\n' % rev for rev in range(n)]
    entries = [texts[-1]]
    for rev in range(n - 2, -1, -1):
        entries.append(mdiff.textdiff(texts[rev + 1], texts[rev]))
    head = frames.encode_head(
        [1] * n,
        list(range(n - 1, -1, -1)),
        [0, *[1] * (n - 1)],
        list(map(len, entries)),
        chunks.Codec('none'),
    )
    cache = frames.TextCache()
    frame = frames.Frame(head, b''.join(entries), 3, cache)
    assert [frame.text(n - 1 - rev) for rev in range(n)] == texts
    small = frames.TextCache(limit=600)
    frame = frames.Frame(head, b''.join(entries), 3, small)
    assert [frame.text(n - 1 - rev) for rev in range(n)] == texts
    assert small._size <= 600
