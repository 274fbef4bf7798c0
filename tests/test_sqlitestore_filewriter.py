# SPDX-License-Identifier: GPL-2.0-or-later
"""In which form a FileWriter stores revisions."""

from __future__ import annotations

import hashlib
import os
import pathlib
import random
import tracemalloc
from collections.abc import Callable, Iterator

import pytest

pytest.importorskip('mercurial')

from mercurial import transaction
from mercurial import ui as uimod
from mercurial import vfs as vfsmod
from mercurial.node import nullrev

from hgext3rd.amalgam.codecs import chunks
from hgext3rd.sqlitestore.formats import schema
from hgext3rd.sqlitestore.formats.index import Revision
from hgext3rd.sqlitestore.reading.store import Store
from hgext3rd.sqlitestore.writing import bases, filewriter, relatives
from hgext3rd.sqlitestore.writing.filewriter import FileWriter
from hgext3rd.sqlitestore.writing.writer import writer as writer_of

LINES = b''.join(b'line %d\n' % number for number in range(400))


class Session:
    """A store, and a transaction that is open during the test."""

    def __init__(self, store: Store, tr: object) -> None:
        self.store = store
        self.tr = tr

    def file(self, path: bytes) -> FileWriter:
        """Return a new FileWriter of a file."""
        writer = writer_of(self.store, self.tr)
        return FileWriter(self.store.index(path), self.store, writer, path)

    def texts(self, path: bytes) -> list[bytes]:
        """Return the texts of all revisions of a file."""
        index = self.store.index(path)
        return [self.store.chain_text(index, r) for r in range(len(index))]


@pytest.fixture
def session(tmp_path: pathlib.Path) -> Iterator[Session]:
    vfs = vfsmod.vfs(os.fsencode(tmp_path))
    store = Store(vfs.join(schema.FILENAME), 'zstd', b'off', lambda: 1 << 20)
    store.db.create()
    with transaction.transaction(
        uimod.ui().warn, vfs, {b'plain': vfs, b'store': vfs}, b'journal'
    ) as tr:
        yield Session(store, tr)
    store.db.close()


def commit(file: FileWriter, text: bytes, p1: int = nullrev) -> int:
    """Add a revision as a commit does."""
    node = hashlib.sha1(text + b'%d' % len(file.index)).digest()
    return file.add(text, 0, p1, nullrev, node, 0)


def receive(file: FileWriter, texts: list[bytes]) -> None:
    """Add revisions as a changegroup of full texts does."""
    for text in texts:
        node = hashlib.sha1(text + b'%d' % len(file.index)).digest()
        draft = Revision(node, nullrev, nullrev, 0, 0, len(text), 0, 0)
        file.add_received(draft, text, nullrev, b'')
    file.finish()


def versions(count: int) -> list[bytes]:
    """Return texts that differ in one line."""
    return [LINES + b'version %d\n' % number for number in range(count)]


def test_a_commit_becomes_a_row(session: Session) -> None:
    first, second = versions(2)
    file = session.file(b'f')
    assert commit(file, first) == 0
    assert commit(file, second, 0) == 1
    assert list(file.index.frames) == [0, 0]
    assert list(file.index.places) == [0, 1], 'a full text and a delta of it'
    assert session.texts(b'f') == [first, second]


def test_a_copy_becomes_a_delta_of_its_source(session: Session) -> None:
    source = session.file(b'source')
    commit(source, LINES)
    meta = b'\x01\ncopy: source\ncopyrev: %s\n\x01\n' % (
        source.index.node(0).hex().encode()
    )
    copy = session.file(b'copy')
    commit(copy, meta + LINES)
    assert list(copy.index.places) == [-source.index.gid(0)]
    assert session.texts(b'copy') == [meta + LINES]


@pytest.mark.parametrize(
    ('text', 'metadata'),
    [
        (b'text', {}),
        (b'\x01\ncopy: a\n\x01\ntext', {b'copy': b'a'}),
        (b'\x01\nno colon\n\x01\ntext', {}),
        (b'\x01\nno end', {}),
    ],
)
def test_content_that_begins_like_metadata_has_none(
    text: bytes, metadata: dict[bytes, bytes]
) -> None:
    assert relatives.metadata(text) == metadata


@pytest.mark.parametrize('add', [commit, receive])
def test_large_content_is_stored_once(
    session: Session, add: Callable[..., object]
) -> None:
    noise = random.Random(1).randbytes(relatives.CONTENT_SIZE)
    one, two = session.file(b'one'), session.file(b'two')
    commit(one, noise)
    if add is commit:
        commit(two, noise)
    else:
        receive(two, [noise])
    assert list(two.index.places) == [-one.index.gid(0)]
    assert two.index.stored == {0: 0}
    assert session.texts(b'two') == [noise]


def test_a_new_file_is_sealed(session: Session) -> None:
    file = session.file(b'f')
    receive(file, versions(3))
    assert len(set(file.index.frames)) == 1
    assert file.index.frames[0] > 0
    assert list(file.index.places) == [0, 1, 2]
    assert session.texts(b'f') == versions(3)


def test_many_additions_to_a_known_file_are_sealed(session: Session) -> None:
    commit(session.file(b'f'), LINES)
    count = filewriter.LOOSE_ROWS + 3
    file = session.file(b'f')
    receive(file, versions(count))
    sealed = [frame > 0 for frame in file.index.frames]
    assert sealed == [False] * (1 + filewriter.LOOSE_ROWS) + [True] * 3
    assert session.texts(b'f') == [LINES, *versions(count)]


def test_a_large_text_gets_a_frame(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bases, 'LARGE_TEXT', 1000)
    noise = random.Random(2).randbytes(3000)
    file = session.file(b'f')
    commit(file, noise)
    assert file.index.frames[0] > 0
    assert file.index.stored == {0: 0}
    assert session.texts(b'f') == [noise]


def test_a_large_text_may_be_a_delta(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bases, 'LARGE_TEXT', 1000)
    rand = random.Random(3)
    lines = [rand.randbytes(30).hex().encode() + b'\n' for _ in range(100)]
    first = b''.join(lines)
    lines[:40] = [rand.randbytes(30).hex().encode() + b'\n' for _ in range(40)]
    second = b''.join(lines)
    file = session.file(b'f')
    commit(file, first)
    commit(file, second, 0)
    assert [frame > 0 for frame in file.index.frames] == [True, False]
    assert list(file.index.places) == [0, 1]
    assert session.texts(b'f') == [first, second]


def test_a_large_text_takes_little_memory_to_store_and_read(
    session: Session,
) -> None:
    size = 6 * schema.PIECE_SIZE
    noise = random.Random(4).randbytes(size)
    file = session.file(b'f')
    tracemalloc.start()
    try:
        file.add(noise, 0, nullrev, nullrev, b'n' * 20, 0)
        _now, written = tracemalloc.get_traced_memory()
        session.store.forget_content()
        tracemalloc.reset_peak()
        text = session.store.chain_text(file.index, 0)
        _now, read = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert text == noise
    assert written < size, 'the encoded text is never in memory as a whole'
    assert read < 2 * size, 'the text is in memory once, beside a few pieces'


def test_a_small_file_does_not_share_a_frame_with_a_large_one(
    session: Session,
) -> None:
    large = random.Random(5).randbytes(2 << 20)
    for path, text in ((b'a', LINES), (b'b', large), (b'c', LINES + b'c')):
        receive(session.file(path), [text, text + b'2'])
    indexes = [session.store.index(path) for path in (b'a', b'b', b'c')]
    owners = [set(index.frames) for index in indexes]
    assert [len(frames) for frames in owners] == [1, 1, 1]
    assert len(set.union(*owners)) == 3
    assert session.texts(b'b') == [large, large + b'2']


def test_an_incompressible_chunk_is_copied_once() -> None:
    codec = chunks.Codec('zstd')
    noise = random.Random(6).randbytes(4 << 20)
    codec.encode(noise[:1000])
    tracemalloc.start()
    try:
        chunk = codec.encode(noise)
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert chunks.decode(chunk) == noise
    assert peak < 1.5 * len(noise)


def test_strip_removes_the_newest_revisions(session: Session) -> None:
    file = session.file(b'f')
    for text in versions(3):
        commit(file, text, len(file.index) - 1)
    file.strip(0, 1)
    assert session.texts(b'f') == versions(1)
    file.strip(0, 0)
    assert file.index.path_id is None
    assert session.store.paths() == []
