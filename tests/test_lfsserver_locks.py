# SPDX-License-Identifier: GPL-2.0-or-later
"""The lock database: threads, forks, damage."""

from __future__ import annotations

import contextlib
import gc
import os
import pathlib
import sqlite3
import threading

import pytest

from hgext3rd.lfsserver import errors
from hgext3rd.lfsserver.stores import database, verdicts
from hgext3rd.lfsserver.stores.locks import (
    MAX_LIMIT,
    LockHeld,
    LockStore,
)


@pytest.fixture
def path(tmp_path: pathlib.Path) -> str:
    return str(tmp_path / 'store' / 'locks.sqlite')


def test_survives_restart(path: str) -> None:
    lock = LockStore(path).create('a', None, 'alice', 5.0)
    database.forget(path)
    assert LockStore(path).page().locks == (lock,)
    LockStore(path).delete(lock.id, 'alice', False)
    assert LockStore(path).page().locks == ()


def test_ids_are_not_reused(path: str) -> None:
    store = LockStore(path)
    first = store.create('a', None, 'alice', 1.0)
    store.delete(first.id, 'alice', False)
    second = store.create('a', None, 'alice', 1.0)
    assert second.id != first.id
    assert second.seq > first.seq


def test_concurrent_locks_exclude_each_other(path: str) -> None:
    store = LockStore(path)
    results: list[object] = []

    def lock(owner: str) -> None:
        try:
            results.append(store.create('a', None, owner, 1.0))
        except LockHeld as held:
            results.append(held.lock)

    threads = [
        threading.Thread(target=lock, args=(f'user{number}',))
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    assert len(set(results)) == 1


def test_page_limit(path: str) -> None:
    store = LockStore(path)
    store.create('a', None, 'alice', 1.0)
    assert len(store.page(limit=MAX_LIMIT + 1).locks) == 1
    assert store.page(cursor='9' * 19).locks == ()
    with pytest.raises(errors.Invalid):
        store.page(limit=0)


def test_fork(path: str) -> None:
    """A child process opens a connection of its own."""
    store = LockStore(path)
    store.create('a', None, 'alice', 1.0)
    child = os.fork()
    if not child:
        try:
            store.create('b', None, 'bob', 1.0)
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert [lock.path for lock in store.page().locks] == ['a', 'b']


@pytest.mark.parametrize('content', [b'not a database' * 100, b''])
def test_damaged_database(path: str, content: bytes) -> None:
    os.makedirs(os.path.dirname(path))
    pathlib.Path(path).write_bytes(content)
    if content:
        with pytest.raises(errors.StoreUnavailable):
            LockStore(path).page()
        # Locks are data, so a damaged file is kept.
        assert pathlib.Path(path).read_bytes() == content
    else:
        assert LockStore(path).page().locks == ()


def test_unknown_version(path: str) -> None:
    LockStore(path).page()
    database.forget(path)
    with sqlite3.connect(path) as other:
        other.execute('PRAGMA user_version = 99')
    other.close()
    with pytest.raises(errors.StoreUnavailable) as caught:
        LockStore(path).page()
    assert 'version 99' in caught.value.full_text


def test_connections_are_bounded(tmp_path: pathlib.Path) -> None:
    for number in range(database.MAX_OPEN * 3):
        LockStore(str(tmp_path / f'{number}.sqlite')).page()
    assert len(database._pool()) <= database.MAX_OPEN


@pytest.mark.parametrize('busy', [False, True])
def test_inherited_connection(tmp_path: pathlib.Path, busy: bool) -> None:
    """Connections are closed before a fork; a child closes none of the rest."""
    path = str(tmp_path / 'verified.sqlite')

    def descriptors() -> int:
        folder = pathlib.Path('/proc/self/fd')
        return sum(
            os.path.realpath(entry) == path for entry in folder.iterdir()
        )

    opened = database.connection(path, verdicts.FORMAT)
    if not descriptors():
        pytest.skip('open files of a process cannot be listed')
    if busy:
        opened.execute('BEGIN IMMEDIATE')
    del opened
    pid = os.fork()
    if not pid:
        status = 1
        with contextlib.suppress(BaseException):
            found = descriptors()
            database.forget(path)
            gc.collect()
            status = not (found == descriptors() == busy)
        os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert descriptors() == busy
    database.forget(path)
