# SPDX-License-Identifier: GPL-2.0-or-later
"""In which form a FileWriter stores revisions."""

from __future__ import annotations

import hashlib
import os
import pathlib
import random
from collections.abc import Callable, Iterator

import pytest

pytest.importorskip('mercurial')

from mercurial import transaction
from mercurial import ui as uimod
from mercurial import vfs as vfsmod
from mercurial.node import nullrev

from hgext3rd.sqlitestore.formats import schema
from hgext3rd.sqlitestore.formats.index import Revision
from hgext3rd.sqlitestore.reading.store import Store
from hgext3rd.sqlitestore.writing import filewriter, relatives
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
    assert file.index.frames == [0, 0]
    assert file.index.places == [0, 1], 'a full text and a delta of it'
    assert session.texts(b'f') == [first, second]


def test_a_copy_becomes_a_delta_of_its_source(session: Session) -> None:
    source = session.file(b'source')
    commit(source, LINES)
    meta = b'\x01\ncopy: source\ncopyrev: %s\n\x01\n' % (
        source.index.node(0).hex().encode()
    )
    copy = session.file(b'copy')
    commit(copy, meta + LINES)
    assert copy.index.places == [-source.index.gid(0)]
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
    assert two.index.places == [-one.index.gid(0)]
    assert two.index.stored == {0: 0}
    assert session.texts(b'two') == [noise]


def test_a_new_file_is_sealed(session: Session) -> None:
    file = session.file(b'f')
    receive(file, versions(3))
    assert len(set(file.index.frames)) == 1
    assert file.index.frames[0] > 0
    assert file.index.places == [0, 1, 2]
    assert session.texts(b'f') == versions(3)


def test_many_additions_to_a_known_file_are_sealed(session: Session) -> None:
    commit(session.file(b'f'), LINES)
    count = filewriter.LOOSE_ROWS + 3
    file = session.file(b'f')
    receive(file, versions(count))
    sealed = [frame > 0 for frame in file.index.frames]
    assert sealed == [False] * (1 + filewriter.LOOSE_ROWS) + [True] * 3
    assert session.texts(b'f') == [LINES, *versions(count)]


def test_a_huge_chunk_gets_a_frame(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filewriter, 'LARGE_CHUNK', 1000)
    noise = random.Random(2).randbytes(3000)
    file = session.file(b'f')
    commit(file, noise)
    assert file.index.frames[0] > 0
    assert file.index.stored == {0: 0}
    assert session.texts(b'f') == [noise]


def test_strip_removes_the_newest_revisions(session: Session) -> None:
    file = session.file(b'f')
    for text in versions(3):
        commit(file, text, len(file.index) - 1)
    file.strip(0, 1)
    assert session.texts(b'f') == versions(1)
    file.strip(0, 0)
    assert file.index.path_id is None
    assert session.store.paths() == []
