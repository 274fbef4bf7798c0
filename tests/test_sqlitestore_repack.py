# SPDX-License-Identifier: GPL-2.0-or-later
"""What a repack works with: deltas, entries of indexes, frames, file order."""

from __future__ import annotations

import struct

import pytest

pytest.importorskip('mercurial')

from hypothesis import given
from hypothesis import strategies as st
from mercurial import mdiff

from hgext3rd.amalgam.codecs import chunks, columns, deltas
from hgext3rd.sqlitestore.compat import mpatch
from hgext3rd.sqlitestore.formats import frames, index, schema
from hgext3rd.sqlitestore.repacking import packer, plan

# Few distinct lines, so that texts have much in common.
LINES = st.lists(
    st.sampled_from([b'', b'a', b'b', b'abc', b'abd', b'xabcx']), max_size=12
).map(b'\n'.join)


@given(LINES, LINES)
def test_an_inverted_delta_leads_back(old: bytes, new: bytes) -> None:
    delta = mdiff.textdiff(old, new)
    back = deltas.invert(delta, old)
    assert mdiff.patches(new, [back]) == old
    assert deltas.invert(back, new) == delta


@given(LINES, LINES)
def test_a_trimmed_delta_gives_the_same_text(old: bytes, new: bytes) -> None:
    delta = mdiff.textdiff(old, new)
    trimmed = deltas.trim(delta, old)
    assert mdiff.patches(old, [trimmed]) == new
    assert len(trimmed) <= len(delta)
    assert mdiff.patches(new, [deltas.invert(trimmed, old)]) == old


def test_trimming_removes_equal_parts_of_a_line() -> None:
    old, new = b'one\nspeed = 10\ntwo\n', b'one\nspeed = 20\ntwo\n'
    trimmed = deltas.trim(mdiff.textdiff(old, new), old)
    assert trimmed == b'\0\0\0\x0c\0\0\0\x0d\0\0\0\x012'


NUMBERS = st.integers(-(1 << 62), 1 << 62)


@given(st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS), min_size=1), st.data())
def test_picking_a_row_of_columns(
    rows: list[tuple[int, int, int]], data: st.DataObject
) -> None:
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


def test_decode_revision_agrees_with_decode_run() -> None:
    revs = [
        index.Revision(
            bytes([n]) * 20,
            n + 2 if n else -1,
            n - 1,
            5 * n,
            n << index.METADATA_SHIFT,
            100 + n,
            7,
            9 - n,
        )
        for n in range(9)
    ]
    data = index.encode_run(3, revs, chunks.Codec('zstd'))
    assert index.decode_run(3, 9, data) == revs
    for n, rev in enumerate(revs):
        assert index.decode_revision(3, 9, data, n) == rev
    # A parent before the first revision of the file.
    revs[1] = revs[1]._replace(p1=-3)
    data = index.encode_run(3, revs, chunks.Codec('zstd'))
    with pytest.raises(ValueError, match='out of range'):
        index.decode_revision(3, 9, data, 1)


@st.composite
def runs(draw: st.DrawFn) -> tuple[int, list[index.Revision]]:
    """Draw the number of the first revision of a run, and its revisions."""
    first = draw(st.integers(0, 1000))
    size = st.integers(0, (1 << 31) - 1)
    found = []
    for n in range(draw(st.integers(1, 20))):
        parent = st.integers(-1, first + n - 1)
        found.append(
            index.Revision(
                draw(st.binary(min_size=20, max_size=20)),
                draw(parent),
                draw(parent),
                draw(size),
                draw(st.integers(0, 0xFFFF)),
                draw(size),
                draw(st.integers(1, 1 << 40)),
                draw(size),
            )
        )
    return first, found


@given(runs(), st.sampled_from(chunks.NAMES))
def test_a_run_is_decoded_as_it_was_encoded(
    run: tuple[int, list[index.Revision]], name: str
) -> None:
    first, revs = run
    data = index.encode_run(first, revs, chunks.Codec(name))
    assert index.decode_run(first, len(revs), data) == revs
    table = index.Table(revs)
    assert list(table) == revs
    table.extend(index.decode_table(first, len(revs), data))
    assert list(table) == revs + revs


@pytest.mark.parametrize(
    'rev',
    [
        index.Revision(b'n' * 20, -2, -1, 0, 0, 1, 1, 0),
        index.Revision(b'n' * 20, 7, -1, 0, 0, 1, 1, 0),
        index.Revision(b'n' * 20, -1, -3, 0, 0, 1, 1, 0),
        index.Revision(b'n' * 20, -1, -1, 1 << 31, 0, 1, 1, 0),
        index.Revision(b'n' * 20, -1, -1, 0, 0, 1 << 31, 1, 0),
    ],
)
def test_a_damaged_run_is_refused(rev: index.Revision) -> None:
    data = index.encode_run(0, [rev], chunks.Codec('none'))
    with pytest.raises(columns.ColumnError):
        index.decode_table(0, 1, data)


@pytest.mark.parametrize('order', ['down', 'up', 'random'])
@pytest.mark.parametrize('jumps', [False, True])
def test_texts_of_a_long_chain(jumps: bool, order: str) -> None:
    count, step = 300, frames.STRIDE
    texts = [b'start\n' + b'%d\n' % n * 20 for n in range(count)]
    distances = [
        0 if not n else step if jumps and n % step == 0 else 1
        for n in range(count)
    ]
    entries = [texts[0]] + [
        mdiff.textdiff(texts[n - distances[n]], texts[n])
        for n in range(1, count)
    ]
    codec = chunks.Codec('zstd')
    head = frames.encode_head(
        [1] * count,
        list(range(count)),
        distances,
        [len(entry) for entry in entries],
        codec,
    )
    data = chunks.decode(b''.join(frames.encode_data(entries, codec)))
    # Two chunks of texts fit into the small cache.
    for limit in (1 << 20, 64 * len(texts[-1]), 1):
        frame = frames.Frame(head, data, 1, frames.TextCache(limit))
        wanted = {
            'down': list(range(count)),
            'up': list(range(count - 1, -1, -1)),
            'random': [n * 97 % count for n in range(count)],
        }[order]
        for n in wanted:
            assert frame.text(n) == texts[n]


def test_large_texts_of_a_chain_are_made_few_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They are not dropped from the cache before they are read."""
    count = 128
    texts = [b'%4d\n' % n + b'same\n' * 100 for n in range(count)]
    entries = [texts[0]] + [
        mdiff.textdiff(old, new)
        for old, new in zip(texts, texts[1:], strict=False)
    ]
    head = frames.encode_head(
        [1] * count,
        list(range(count)),
        [0] + [1] * (count - 1),
        [len(entry) for entry in entries],
        chunks.Codec('zstd'),
    )
    cache = frames.TextCache(16 * len(texts[0]))
    frame = frames.Frame(head, b''.join(entries), 1, cache)
    made = []
    patches = mdiff.patches

    def counted(text: bytes, deltas: list[bytes]) -> bytes:
        made.append(len(deltas))
        return bytes(patches(text, deltas))

    monkeypatch.setattr(mdiff, 'patches', counted)
    for n in range(count - 1, -1, -1):
        assert frame.text(n) == texts[n]
    assert len(made) < 2 * count


def test_reading_towards_the_base_applies_each_delta_few_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    count = 256
    texts = [b'%d\n' % n * 20 for n in range(count)]
    entries = [texts[0]] + [
        mdiff.textdiff(old, new)
        for old, new in zip(texts, texts[1:], strict=False)
    ]
    codec = chunks.Codec('zstd')
    head = frames.encode_head(
        [1] * count,
        list(range(count)),
        [0] + [1] * (count - 1),
        [len(entry) for entry in entries],
        codec,
    )
    frame = frames.Frame(head, b''.join(entries))
    read = []
    entry = frames.Frame.entry

    def counted(self: frames.Frame, n: int) -> bytes:
        read.append(n)
        return entry(self, n)

    monkeypatch.setattr(frames.Frame, 'entry', counted)
    for n in range(count - 1, -1, -1):
        assert frame.text(n) == texts[n]
    assert len(read) <= 3 * count


@pytest.mark.parametrize('split', [False, True])
@pytest.mark.parametrize('name', chunks.NAMES)
def test_packed_frames_contain_the_entries(name: str, split: bool) -> None:
    ids = iter(range(1, 100))
    box = packer.Packer(name, 3, 1000, lambda: next(ids), split)
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


def test_hunks_out_of_order_are_not_split() -> None:
    delta = struct.pack('>lll', 9, 9, 1) + b'b' + struct.pack('>lll', 0, 0, 0)
    box = packer.Packer('none', 3, 1000, lambda: 1, split=True)
    _frame, base = box.add(schema.global_id(1, 0), b'0123456789', None)
    _frame, place = box.add(schema.global_id(1, 1), delta, base)
    box.cut()
    (item,) = box.take()
    frame = frames.Frame(item.head, chunks.decode(b''.join(item.pieces)))
    assert frame.entry(place) == delta
    box.close()


def test_a_large_text_begins_a_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only deltas follow it, so that the next repack can leave the frame."""
    monkeypatch.setattr(packer, 'ALONE', 100)
    numbers = iter(range(1, 9))
    box = packer.Packer('none', 3, 1 << 20, lambda: next(numbers))
    gids = [schema.global_id(1, rev) for rev in range(5)]
    small = box.add(gids[0], b'small', None)
    large = box.add(gids[1], b'large' * 50, None)
    delta = box.add(gids[2], b'delta', large[1])
    other = box.add(gids[3], b'other' * 50, None)
    after = box.add(gids[4], b'small', None)
    assert [small, large, delta, other, after] == [
        (1, 0),
        (2, 0),
        (2, 1),
        (3, 0),
        (4, 0),
    ]
    box.cut()
    assert sorted(item.frame_id for item in box.take()) == [1, 2, 3, 4]
    box.close()


def make_split(texts: list[bytes]) -> tuple[list[bytes], bytes, bytes]:
    """Return (entries, head, data) of a split frame.

    Each text but the first is a delta of the text before.
    """
    entries = texts[:1]
    for old, new in zip(texts, texts[1:], strict=False):
        delta = deltas.trim(mdiff.textdiff(old, new), old)
        entries.append(b'' if old == new else delta)
    n = len(texts)
    head, parts = frames.split(
        [1] * n,
        list(range(n)),
        [0, *[1] * (n - 1)],
        entries,
        chunks.Codec('none'),
    )
    return entries, head, b''.join(parts)


@given(st.lists(LINES, min_size=1, max_size=9))
def test_a_split_frame_returns_its_entries_and_texts(
    texts: list[bytes],
) -> None:
    entries, head, data = make_split(texts)
    frame = frames.Frame(head, data)
    assert [frame.entry(n) for n in range(len(frame))] == entries
    assert [frame.text(n) for n in range(len(frame))] == texts
    assert sum(frames.decode_head(head).sizes) == len(data)


def test_bytes_of_a_split_frame() -> None:
    """The bytes are those that docs/sqlite-format.rst specifies."""
    _entries, head, data = make_split([b'1\n2\n3\n4\n', b'A\n2\n3\nBC\n'])
    widths = b'\x01\x01\x01\x01\x01'
    assert head == b'2/2:u' + widths + (
        b'\x01\x00\x00\x01\x00\x01\x08\x03\x00\x02'
    )
    starts, removed, inserted = b'\0\5', b'\1\1', b'\1\2'
    assert data == b'1\n2\n3\n4\nABC' + b''.join(
        lowest + b'\0' * 6 for lowest in (starts, removed, inserted)
    )


@pytest.mark.parametrize(
    ('place', 'byte'),
    [
        pytest.param(-6, 0xFF, id='start is negative'),
        pytest.param(11 + 16, 2, id='inserts bytes of the next hunk'),
        pytest.param(11 + 22, 0x80, id='inserts two gigabytes'),
    ],
)
def test_damaged_hunks_raise_an_error(place: int, byte: int) -> None:
    _entries, head, data = make_split([b'1\n2\n3\n4\n', b'A\n2\n3\nBC\n'])
    damaged = bytearray(data)
    damaged[place] = byte
    frame = frames.Frame(head, bytes(damaged))
    with pytest.raises((columns.ColumnError, mpatch.mpatchError)):
        frame.text(1)


@pytest.mark.parametrize(
    'counts', [b'2/1', b'2/3', b'2/x', b'2', b'3/2', b'2/-2', b'/2']
)
def test_a_damaged_head_of_a_split_frame_raises_an_error(counts: bytes) -> None:
    _entries, head, data = make_split([b'1\n2\n3\n4\n', b'A\n2\n3\nBC\n'])
    with pytest.raises(ValueError):
        frames.Frame(counts + head[head.index(b':') :], data)


def test_files_are_ordered_by_extension_name_and_folder() -> None:
    paths = [b'b/x.c', b'a/y.c', b'a/x.c', b'README', b'x.h', b'z/README']
    assert sorted(paths, key=plan.kinship) == [
        b'README',
        b'z/README',
        b'a/x.c',
        b'b/x.c',
        b'a/y.c',
        b'x.h',
    ]


def test_copies_follow_their_sources() -> None:
    order = [b'a', b'b', b'c', b'd']
    adopted = plan._adopt(order, {b'b': b'd', b'c': b'b'})
    assert adopted == [b'a', b'd', b'b', b'c']
    circle = plan._adopt(order, {b'a': b'b', b'b': b'a'})
    assert sorted(circle) == order


def test_texts_of_a_long_chain_are_kept() -> None:
    """Texts are kept, so that a long chain can be read from its end."""
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
    assert small.size <= 600
