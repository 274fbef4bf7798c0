# SPDX-License-Identifier: GPL-2.0-or-later
"""How manifests are stored, and how their deltas are used again."""

from __future__ import annotations

import hashlib
import os
import pathlib
import struct
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip('mercurial')

from mercurial import mdiff, revlogutils, transaction
from mercurial import ui as uimod
from mercurial import vfs as vfsmod
from mercurial.node import nullid

from hgext3rd.sqlitestore.formats import frames, openframe, schema, statements
from hgext3rd.sqlitestore.reading import storeddeltas
from hgext3rd.sqlitestore.reading.store import Store
from hgext3rd.sqlitestore.revlogs.sqliterevlog import SQLiteRevlog
from hgext3rd.sqlitestore.writing import bases, narrowing


class Session:
    """An empty store, and transactions on it."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.vfs = vfsmod.vfs(os.fsencode(folder))
        self.vfs.options = {}
        self.store = Store(
            self.vfs.join(schema.FILENAME), 'zstd', b'off', lambda: 1 << 20
        )
        self.store.db.create()

    def log(self, path: bytes, kind: int) -> Any:
        """Return the history of a path, opened for writing."""
        return SQLiteRevlog(self.store, self.vfs, path, True, kind)

    def transaction(self) -> Any:
        """Return a new transaction of Mercurial."""
        vfsmap = {b'plain': self.vfs, b'store': self.vfs}
        warn = uimod.ui().warn
        return transaction.transaction(
            warn, self.vfs, vfsmap, b'journal', b'undo'
        )

    def frame_kinds(self) -> list[set[int]]:
        """Return the kinds of the paths in each frame."""
        rows = self.store.db.rows(statements.SELECT_ALL_PATHS)
        kinds = {path_id: kind for kind, _path, path_id in rows}
        heads = self.store.db.rows(statements.SELECT_HEADS)
        return [
            {kinds[path_id] for path_id in frames.decode_head(head).paths}
            for _frame, head in heads
        ]


@pytest.fixture
def session(tmp_path: pathlib.Path) -> Iterator[Session]:
    """Return a session in a folder of its own."""
    made = Session(tmp_path)
    yield made
    made.store.db.close()


def line(number: int, version: int = 0) -> bytes:
    """Return the line of a file in a manifest."""
    digest = hashlib.sha1(b'%d %d' % (number, version)).hexdigest()
    return b'dir/file%04d\0%s\n' % (number, digest.encode())


def text(*changed: int, files: int = 200) -> bytes:
    """Return a manifest; the files ``changed`` have another version."""
    return b''.join(line(i, changed.count(i)) for i in range(files))


def received(log: Any, texts: list[bytes]) -> list[Any]:
    """Return the revisions of a changegroup, each a delta of the one before."""
    from hgext3rd.sqlitestore.converting.sources import Arriving

    found = []
    base, old = nullid, b''
    for new in texts:
        node = log.hash(new, base, nullid)
        delta = mdiff.textdiff(old, new)
        found.append(Arriving(node, base, nullid, 0, base, delta, None))
        base, old = node, new
    return found


def test_names() -> None:
    assert schema.display_name(schema.FILE, b'a/b') == b'a/b'
    assert schema.display_name(schema.DIRECTORY, b'') == b'00manifest'
    name = schema.display_name(schema.DIRECTORY, b'a/b/')
    assert name == b'meta/a/b/00manifest'


def test_one_kind_in_a_frame(session: Session) -> None:
    """A transaction fills the frames of both kinds side by side."""
    texts = [text(*range(n)) for n in range(30)]
    with session.transaction() as tr:
        for path in (b'', b'dir/'):
            directory = session.log(path, schema.DIRECTORY)
            directory.addgroup(received(directory, texts), lambda node: 0, tr)
            file = session.log(b'f' + path, schema.FILE)
            file.addgroup(received(file, texts), lambda node: 0, tr)
    assert sorted(map(sorted, session.frame_kinds())) == [[0], [1]]
    assert session.store.paths(schema.FILE) == [b'f', b'fdir/']
    assert session.store.paths(schema.DIRECTORY) == [b'', b'dir/']
    log = session.log(b'dir/', schema.DIRECTORY)
    assert [log.revision(rev) for rev in log] == texts


def test_delta_of_the_caller_is_used(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = session.log(b'', schema.DIRECTORY)
    with session.transaction() as tr:
        log.addrevision(text(), tr, 0, nullid, nullid)
        start = 5 * len(line(0))
        new = line(5, 1)
        delta = struct.pack('>lll', start, start + len(new), len(new)) + new

        def fail(*args: Any) -> bytes:
            raise AssertionError('a diff was computed')

        monkeypatch.setattr(mdiff, 'textdiff', fail)
        cached = revlogutils.CachedDelta(0, delta)
        # Mercurial passes a view of an array.
        view = memoryview(bytearray(text(5)))
        log.addrevision(view, tr, 1, log.node(0), nullid, cached)
    assert log.deltaparent(1) == 0
    assert log.revdiff(0, 1) == delta
    assert session.log(b'', schema.DIRECTORY).revision(1) == text(5)


def test_long_chains_of_large_texts(session: Session) -> None:
    log = session.log(b'', schema.DIRECTORY)
    with session.transaction() as tr:
        parent = nullid
        for n in range(bases.MAX_ROWS + 2):
            log.addrevision(text(n % 200, files=200), tr, n, parent, nullid)
            parent = log.node(n)
        # The next one became a full text.
        last = bases.MAX_ROWS - 1
        assert not bases.is_short(session.store, log.idx, last, 1)
        large = (last + 2) * bases.BYTES_PER_ROW
        assert bases.is_short(session.store, log.idx, last, large)


def test_deltas_in_both_directions(session: Session) -> None:
    """Of two revisions in a frame, either may be the delta."""
    texts = [text(), text(1), text(1, 2)]
    log = session.log(b'', schema.DIRECTORY)
    with session.transaction() as tr:
        log.addgroup(received(log, texts), lambda node: 0, tr)
    log = session.log(b'', schema.DIRECTORY)
    store, idx = session.store, log.idx
    assert [storeddeltas.parent_of(store, idx, r) for r in log] == [-1, 0, 1]
    for base, rev in ((0, 1), (1, 0), (1, 2), (2, 1)):
        inverses = storeddeltas.Inverses()
        delta = storeddeltas.between(store, idx, base, rev, inverses.take)
        assert delta is not None
        assert mdiff.patches(texts[base], [delta]) == texts[rev]
        # It replaces whole lines.
        start, end, size = struct.unpack('>lll', delta[:12])
        assert start % len(line(0)) == end % len(line(0)) == 0
        assert size % len(line(0)) == 0
    assert storeddeltas.between(store, idx, 0, 2, inverses.take) is None


def test_frames_of_large_texts_are_bounded() -> None:
    frame = openframe.OpenFrame(1)
    large = bytes(openframe.LARGE)
    frame.add(1 << 32, large, None)
    most = openframe.LARGE // openframe.BYTES_PER_ENTRY
    for rev in range(1, most):
        assert not frame.is_full(1 << 18)
        frame.add(1 << 32 | rev, b'', rev - 1)
    assert frame.is_full(1 << 18)


def test_remove_files(session: Session) -> None:
    """A stream may have only the manifests."""
    texts = [text(*range(n)) for n in range(10)]
    with session.transaction() as tr:
        directory = session.log(b'', schema.DIRECTORY)
        directory.addgroup(received(directory, texts), lambda node: 0, tr)
        file = session.log(b'f', schema.FILE)
        file.addgroup(received(file, texts), lambda node: 0, tr)
    with session.transaction() as tr:
        file.addrevision(text(7), tr, 11, nullid, nullid)
        directory.addrevision(text(7), tr, 11, nullid, nullid)
    session.store.db.close()
    narrowing.remove_files(session.store.db.path)
    assert session.store.paths(schema.FILE) == []
    assert session.frame_kinds() == [{schema.DIRECTORY}]
    log = session.log(b'', schema.DIRECTORY)
    assert [log.revision(rev) for rev in log] == [*texts, text(7)]
    for statement in ('SELECT count(*) FROM rev', 'SELECT count(*) FROM idx'):
        assert session.store.db.row(statement) == (1,)
