# SPDX-License-Identifier: GPL-2.0-or-later
"""Packs whose revisions are deltas of older ones, in a database.

Frames of the database do not depend on each other, so what comes after the
first pack of a file needs copies of older revisions.
"""

from __future__ import annotations

import io
import os
import pathlib
import random
from typing import Any

import pytest

pytest.importorskip('mercurial')

from helpers import sqlitestore_crashes as crashes
from mercurial import hg, mdiff
from mercurial import ui as uimod
from mercurial.utils import storageutil

from hgext3rd.amalgam.codecs import chunks
from hgext3rd.amalgam.packs import decoder, encoder, framewriter
from hgext3rd.amalgam.packs.contents import Changesets, Index, PackedFrame
from hgext3rd.amalgam.packs.errors import PackError
from hgext3rd.amalgam.packs.layout import FILE, MANIFEST, NULL, Revision
from hgext3rd.sqlitestore.formats import frames, schema, statements
from hgext3rd.sqlitestore.writing import packs

NAME = b'f'
#: Revisions in the first pack.
OLD = 30


def insertion(text: bytes) -> bytes:
    return bytes(mdiff.trivialdiffheader(len(text))) + text


class History:
    """Revisions of one file, and the packs that bring them."""

    def __init__(self, frame_bytes: int = 1 << 20) -> None:
        self.effort = encoder.Effort(
            3, {MANIFEST: frame_bytes, FILE: frame_bytes}
        )
        self.texts: dict[bytes, bytes] = {}
        #: By revision: its node and parent.
        self.order: list[tuple[bytes, bytes]] = []

    def full_text(self, kind: bytes, name: bytes, node: bytes) -> bytes:
        return self.texts[node]

    def raw_size(self, kind: bytes, name: bytes, node: bytes) -> int:
        return len(self.texts[node])

    def is_base(self, kind: bytes, name: bytes, node: bytes) -> bool:
        return True

    def revision(self, text: bytes, parent: bytes, base: bytes) -> Revision:
        """Return a new revision as a delta of ``base``."""
        node = storageutil.hashrevisionsha1(text, parent, NULL)
        delta = insertion(text)
        if base != NULL:
            delta = bytes(mdiff.textdiff(self.texts[base], text))
        self.texts[node] = text
        self.order.append((node, parent))
        return Revision(node, parent, NULL, NULL, base, delta, 0)

    def pack(self, revisions: list[Revision]) -> bytes:
        """Return a pack with a changeset for each of these revisions."""
        made = encoder.Encoder(self, self.effort)
        links = []
        for revision in revisions:
            text = b'%s\nme\n0 0\nf\n\nc' % revision.node.hex().encode()
            link = storageutil.hashrevisionsha1(text, NULL, NULL)
            made.changeset(
                Revision(link, NULL, NULL, link, NULL, insertion(text), 0)
            )
            links.append(link)
        made.begin(FILE, NAME)
        for revision, link in zip(revisions, links, strict=True):
            made.revision(revision._replace(link=link))
        made.finish()
        return b''.join(made.take())

    def old(self, texts: list[bytes]) -> bytes:
        """Return a pack of these texts, each a delta of the one before."""
        found = []
        parent = NULL
        for text in texts:
            found.append(self.revision(text, parent, parent))
            parent = found[-1].node
        return self.pack(found)


def apply(repo: Any, pack: bytes) -> None:
    """Store the files of a pack."""
    with repo.lock(), repo.transaction(b'test') as tr:
        sink = repo.pack_sink(tr)
        count = 0
        for event in decoder.Decoder(io.BytesIO(pack)).events():
            if isinstance(event, Changesets):
                count += len(event.texts)
            elif isinstance(event, PackedFrame):
                sink.add_frame(event)
            elif isinstance(event, Index):
                sink.add_index(event, range(count))


def stored_entries(repo: Any) -> list[tuple[bool, bytes]]:
    """Return the entries of all frames: whether it is a text, and the bytes."""
    found = []
    store = repo.unfiltered().sqlitestore
    for (frame_id,) in store.db.rows(statements.SELECT_FRAME_IDS):
        frame: frames.Frame = store.read_frame(frame_id)
        found += [
            (frame.base(n) < 0, frame.entry(n)) for n in range(len(frame))
        ]
    return found


def check(path: bytes, history: History) -> Any:
    """Compare the revisions in the repository with ``history``."""
    repo = hg.repository(uimod.ui.load(), path)
    file = repo.file(NAME)
    nodes = [file.node(rev) for rev in range(len(file))]
    assert nodes == [node for node, _parent in history.order]
    for node, parent in history.order:
        # This compares the text with its node.
        assert file.read(node) == history.texts[node]
        assert file.parents(node) == (parent, NULL)
        assert file.size(file.rev(node)) == len(history.texts[node])
    return repo


@pytest.fixture
def path(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    crashes.configure(
        tmp_path,
        monkeypatch,
        b'[storage]\nnew-repo-backend = sqlite\n',
    )
    found = os.fsencode(tmp_path / 'repo')
    code, out = crashes.hg_command(b'init', found)
    assert not code, out
    return found


def open_repo(path: bytes) -> Any:
    return hg.repository(uimod.ui.load(), path)


def similar_texts(count: int) -> list[bytes]:
    """Return texts of 10 KB that differ in a line each."""
    noise = random.Random(1)
    lines = [b'%032x\n' % noise.getrandbits(128) for _line in range(300)]
    found = []
    for _number in range(count):
        lines[noise.randrange(300)] = b'%032x\n' % noise.getrandbits(128)
        found.append(b''.join(lines))
    return found


def again(history: History, numbers: list[int]) -> list[Revision]:
    """Return revisions of another branch: the same texts with one more line.

    Each is a delta of the older revision, not of the one before.
    """
    found = []
    parent = NULL
    for number in numbers:
        base = history.order[number][0]
        text = history.texts[base] + b'branch\n'
        found.append(history.revision(text, parent, base))
        parent = found[-1].node
    return found


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
    monkeypatch.setattr(packs, 'MOST_LACKING', 15_000)
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
