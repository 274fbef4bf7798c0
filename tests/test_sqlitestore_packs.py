# SPDX-License-Identifier: GPL-2.0-or-later
"""Packs whose revisions are deltas of older ones, in a database.

Frames of the database do not depend on each other, so what comes after the
first pack of a file needs copies of older revisions.
"""

from __future__ import annotations

import io
import pathlib
import random

import pytest

pytest.importorskip('mercurial')

from helpers.sqlitestore_packs import (
    NAME,
    History,
    again,
    apply,
    check,
    make_repo,
    open_repo,
    similar_texts,
    stored_entries,
)

from hgext3rd.amalgam.codecs import chunks
from hgext3rd.amalgam.packs import decoder, framewriter
from hgext3rd.amalgam.packs.contents import PackedFrame
from hgext3rd.amalgam.packs.errors import PackError
from hgext3rd.amalgam.packs.layout import NULL
from hgext3rd.sqlitestore.formats import frames, schema
from hgext3rd.sqlitestore.writing import basecopies

#: Revisions in the first pack.
OLD = 30


@pytest.fixture
def path(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    return make_repo(tmp_path, monkeypatch)


def test_bases_are_copied_with_the_deltas_between_them(path: bytes) -> None:
    history = History()
    apply(open_repo(path), history.old(similar_texts(OLD)))
    numbers = list(range(3, OLD, 2))
    apply(open_repo(path), history.pack(again(history, numbers)))
    repo = check(path, history)
    entries = stored_entries(repo)
    # One full text in each frame.
    assert sum(full for full, _data in entries) == 2
    # The copies are the bases and what is between them, nothing before.
    copies = numbers[-1] - numbers[0] + 1
    assert len(entries) == OLD + copies + len(numbers)


def test_a_base_of_several_revisions_is_copied_once(path: bytes) -> None:
    history = History()
    apply(open_repo(path), history.old(similar_texts(OLD)))
    base = history.order[7][0]
    made = [
        history.revision(history.texts[base] + b'%d\n' % n, NULL, base)
        for n in range(20)
    ]
    apply(open_repo(path), history.pack(made))
    entries = stored_entries(check(path, history))
    assert sum(full for full, _data in entries) == 2
    assert len(entries) == OLD + 1 + 20


def test_a_single_base_is_copied(path: bytes) -> None:
    history = History()
    apply(open_repo(path), history.old(similar_texts(OLD)))
    first = again(history, [7])
    text = history.texts[first[0].node] + b'more\n'
    made = [*first, history.revision(text, first[0].node, first[0].node)]
    apply(open_repo(path), history.pack(made))
    entries = stored_entries(check(path, history))
    assert sum(full for full, _data in entries) == 2
    assert len(entries) == OLD + 1 + 2


def test_copies_of_bases_far_apart_are_full_texts(path: bytes) -> None:
    history = History()
    noise = random.Random(2)
    texts = [
        b''.join(b'%032x\n' % noise.getrandbits(128) for _line in range(50))
        for _number in range(OLD)
    ]
    apply(open_repo(path), history.old(texts))
    before = len(stored_entries(open_repo(path)))
    apply(open_repo(path), history.pack(again(history, [3, 20])))
    entries = stored_entries(check(path, history))
    # The deltas between them would take as much as their texts.
    assert [full for full, _data in entries[before:]] == [True] * 2 + [
        False
    ] * 2


def test_bases_on_branches_are_copied_from_where_they_meet(
    path: bytes,
) -> None:
    history = History()
    texts = similar_texts(6)
    made = []
    for number, base in enumerate([None, 0, 1, 2, 1, 4]):
        node = NULL if base is None else history.order[base][0]
        made.append(history.revision(texts[number], node, node))
    apply(open_repo(path), history.pack(made))
    apply(open_repo(path), history.pack(again(history, [3, 5])))
    entries = stored_entries(check(path, history))
    # 1, from which 2, 3 and 4, 5 are deltas; not 0.
    assert len(entries) == 6 + 5 + 2
    assert sum(full for full, _data in entries) == 2


def test_censoring_a_base_removes_its_copies(path: bytes) -> None:
    history = History()
    texts = similar_texts(OLD)
    secret = b'the secret line\n'
    texts[9] += secret
    apply(open_repo(path), history.old(texts))
    base = history.order[9][0]
    made = [
        history.revision(texts[8] + b'%d\n' % n, NULL, base) for n in range(4)
    ]
    apply(open_repo(path), history.pack(made))
    repo = check(path, history)
    assert any(secret in data for _full, data in stored_entries(repo))
    with repo.lock(), repo.transaction(b'censor') as tr:
        repo.file(NAME).censorrevision(tr, base, b'gone')
    repo = open_repo(path)
    assert not any(secret in data for _full, data in stored_entries(repo))
    file = repo.file(NAME)
    assert file.iscensored(9)
    for node, _parent in history.order:
        if node != base:
            assert file.read(node) == history.texts[node]


def test_a_base_that_was_copied_serves_as_a_base_again(path: bytes) -> None:
    history = History()
    apply(open_repo(path), history.old(similar_texts(OLD)))
    for _time in range(3):
        numbers = list(range(len(history.order) - 12, len(history.order)))
        apply(open_repo(path), history.pack(again(history, numbers)))
    assert len(history.order) == OLD + 36
    check(path, history)


def test_large_copies_take_several_pieces(
    path: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, 'PIECE_SIZE', 1000)
    monkeypatch.setattr(schema, 'MAX_VALUE', 3000)
    history = History()
    noise = random.Random(3)
    texts = [noise.randbytes(size) for size in (500, 7000, 20, 4000)]
    apply(open_repo(path), history.old(texts))
    for numbers in ([1, 2], [3, 1, 2, 0], [2], [0]):
        apply(open_repo(path), history.pack(again(history, numbers)))
        check(path, history)
    store = open_repo(path).unfiltered().sqlitestore
    assert store.db.rows('SELECT 1 FROM piece')


def test_copies_are_limited(
    path: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(basecopies, 'MOST_LACKING', 15_000)
    history = History()
    apply(open_repo(path), history.old(similar_texts(OLD)))
    apply(open_repo(path), history.pack(again(history, [3, 9])))
    check(path, history)
    with pytest.raises(PackError, match='lacks too much'):
        apply(open_repo(path), history.pack(again(history, [4, 9, 20])))


@pytest.mark.parametrize(
    ('name', 'value', 'expected'),
    [
        ('MOST_OUTSIDE', 25_000, 4),
        # The first of a frame, and a half of each other.
        ('FURTHER_COPY', 2, 2),
        ('FURTHER_COPY', 100, 1),
    ],
)
def test_outside_bases_end_a_frame(
    path: bytes,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: int,
    expected: int,
) -> None:
    monkeypatch.setattr(framewriter, name, value)
    history = History(frame_bytes=45_000)
    apply(open_repo(path), history.old(similar_texts(OLD)))
    pack = history.pack(again(history, list(range(3, 15))))
    counts = [
        len(event.bases)
        for event in decoder.Decoder(io.BytesIO(pack)).events()
        if isinstance(event, PackedFrame)
    ]
    assert sum(counts) == 12
    assert len(counts) == expected
    apply(open_repo(path), pack)
    check(path, history)


@pytest.mark.parametrize('size', [1, 7, 1000])
def test_data_behind_a_chunk_in_front(size: int) -> None:
    codec = chunks.Codec('zstd')
    front = codec.encode(b'in front ' * 10)
    whole = front + codec.encode(b'behind it ' * 10)
    pieces = [whole[n : n + size] for n in range(0, len(whole), size)]
    found = frames.decode_data(iter(pieces), len(front))
    assert found == b'in front ' * 10 + b'behind it ' * 10
    head = frames.encode_head([1], [0], [0], [190], codec, len(front))
    assert frames.front_size(head) == len(front)
    assert frames.Frame(head, found).entry(0) == found
    with pytest.raises(chunks.ChunkError):
        frames.decode_data(iter(pieces), len(whole) + 1)
