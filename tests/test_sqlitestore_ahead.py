# SPDX-License-Identifier: GPL-2.0-or-later
"""Files that are opened in order: few queries, and few texts."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip('mercurial')

from mercurial import commands, extensions, hg, localrepo
from mercurial import ui as uimod

from hgext3rd.sqlitestore.formats import statements
from hgext3rd.sqlitestore.reading import ahead
from hgext3rd.sqlitestore.reading.ahead import Ahead
from hgext3rd.sqlitestore.reading.store import Store
from hgext3rd.sqlitestore.repacking import run
from hgext3rd.sqlitestore.revlogs.filelog import SQLiteFilelog

COUNT = 100
NAMES = [b'f%03d' % n for n in range(COUNT)]
#: A text that begins like metadata; Mercurial stores it with some.
MARKED = b'\1\nnot metadata'


def test_files_in_order_are_read_ahead() -> None:
    found = Ahead()
    counts = []
    for number in range(4 * ahead.LEAST):
        found.ask(b'%03d' % number)
        counts.append(found.count)
        found.learn(found.count, 1)
    assert counts[: ahead.LEAST - 1] == [1] * (ahead.LEAST - 1)
    assert counts[-1] > ahead.LEAST
    # No more than were asked for.
    assert all(count <= asked for asked, count in enumerate(counts, 1))
    found.ask(b'000')
    assert found.count == 1


def test_large_indexes_are_read_in_small_groups() -> None:
    found = Ahead()
    for number in range(200):
        found.ask(b'%03d' % number)
    found.learn(ahead.LEAST, ahead.AHEAD_BYTES * ahead.LEAST)
    assert found.count == 1
    found.learn(1, 1)
    assert found.count == 2 * ahead.LEAST
    for _time in range(20):
        found.learn(found.count, 1)
    assert found.count == ahead.MOST


@pytest.fixture
def repo(tmp_path: pathlib.Path) -> Iterator[Any]:
    """A repository with many files: some changed, one copied, one marked."""
    ui = uimod.ui.load()
    for section, name, value in (
        (b'extensions', b'sqlitestore', b''),
        (b'storage', b'new-repo-backend', b'sqlite'),
        (b'storage', b'sqlite.synchronous', b'off'),
        (b'ui', b'username', b'test'),
    ):
        ui.setconfig(section, name, value)
    extensions.loadall(ui, [b'sqlitestore'])
    extensions.populateui(ui)
    path = os.fsencode(tmp_path / 'repo')
    repo = hg.repository(ui, path, create=True)
    for name in NAMES:
        repo.wvfs.write(name, name * 3)
    repo.wvfs.write(NAMES[7], MARKED)
    commands.commit(ui, repo, addremove=True, message=b'0')
    source, copy = map(repo.wjoin, (NAMES[50], b'f050a'))
    commands.copy(ui, repo, source, copy)
    for name in NAMES[::2]:
        repo.wvfs.write(name, name * 5)
    commands.commit(ui, repo, message=b'1')
    yield repo
    repo.close()


def reopened(repo: Any) -> Any:
    repo.close()
    return localrepo.instance(repo.ui, repo.root, create=False)


def repack(repo: Any) -> None:
    effort = run.Effort(1 << 20, 1 << 20, 3, False)
    assert run.repack(repo, repo.sqlitestore, effort, lambda *_args: None)


def sizes(repo: Any) -> dict[bytes, int]:
    ctx = repo[b'tip']
    return {name: ctx[name].size() for name in ctx}


def expected() -> dict[bytes, int]:
    found = {name: len(name) * 5 for name in NAMES[::2]}
    found.update((name, len(name) * 3) for name in NAMES[1::2])
    found[NAMES[7]] = len(MARKED)
    found[b'f050a'] = len(NAMES[50]) * 3
    return found


@pytest.mark.parametrize('packed', [False, True])
def test_sizes_take_few_queries_and_texts(
    repo: Any, packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if packed:
        repack(repo)
    repo = reopened(repo)
    queries: list[str] = []
    rows = type(repo.sqlitestore.db).rows

    def counted(self: Any, sql: str, *args: Any) -> Any:
        queries.append(sql)
        return rows(self, sql, *args)

    monkeypatch.setattr(type(repo.sqlitestore.db), 'rows', counted)
    texts: list[bytes] = []
    revision = SQLiteFilelog.revision

    def read(self: Any, node: bytes) -> Any:
        texts.append(self._revlog.filename)
        return revision(self, node)

    monkeypatch.setattr(SQLiteFilelog, 'revision', read)
    assert sizes(repo) == expected()
    one_by_one = queries.count(statements.SELECT_INDEX)
    assert one_by_one <= ahead.LEAST + 3
    assert 0 < queries.count(statements.SELECT_INDEXES_OF_NEXT) < COUNT // 8
    assert not texts
    repo.close()


def test_copies_are_seen(repo: Any) -> None:
    for packed in (False, True):
        if packed:
            repack(repo)
        repo = reopened(repo)
        ctx = repo[b'tip']
        copies = {
            name: ctx[name].filelog().renamed(ctx.filenode(name))
            for name in ctx
        }
        source = repo[0].filenode(NAMES[50])
        assert copies.pop(b'f050a') == (NAMES[50], source)
        assert set(copies.values()) == {None}
        log = repo.file(NAMES[0])
        assert not log.renamed(log.nullid)
    repo.close()


def test_new_revisions_are_seen_by_a_reader_in_order(repo: Any) -> None:
    """What another process adds after reading ahead is read again."""
    other = reopened(repo)
    store: Store = other.sqlitestore
    for name in NAMES[: ahead.LEAST + 2]:
        assert len(store.index(name))
    last = NAMES[-1]
    before = len(store.index(last))
    repo.wvfs.write(last, b'new')
    commands.commit(repo.ui, repo, message=b'2')
    assert len(store.index(last)) == before + 1
    other.close()


def test_verify_finds_a_wrong_mark(repo: Any) -> None:
    """A revision that has metadata, and whose index says that it has none."""
    state = {b'erroroncensored': True}
    for name in repo[b'tip']:
        assert not list(repo.file(name).verifyintegrity(state))
    store = repo.sqlitestore
    path_id = store.path_id(b'f050a')
    flags = 'UPDATE rev SET flags = 1 << 16 WHERE id >> 32 = ?'
    store.db.execute(flags, (path_id,))
    repo = reopened(repo)
    log = repo.file(b'f050a')
    assert log._revlog.idx.metadata_size(0) == 0
    (problem,) = log.verifyintegrity(state)
    assert b'wrong size of metadata' in problem.error
    repo.close()
