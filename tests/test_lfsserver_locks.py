# SPDX-License-Identifier: GPL-2.0-or-later
"""Lock and verdict databases: threads, forks, damage."""

from __future__ import annotations

import os
import pathlib
import sqlite3
import threading

import pytest

from hgext3rd.lfsserver import errors
from hgext3rd.lfsserver.stores import database, verified
from hgext3rd.lfsserver.stores.locks import (
    MAX_LIMIT,
    LockHeld,
    LockStore,
)
from hgext3rd.lfsserver.stores.verified import Verdict, Verified


@pytest.fixture
def path(tmp_path: pathlib.Path) -> str:
    return str(tmp_path / 'store' / 'locks.sqlite')


def test_survives_restart(path: str) -> None:
    lock = LockStore(path).create('a', None, 'alice', 5.0)
    database.forget(path)
    assert LockStore(path).page().locks == (lock,)
    LockStore(path).delete(lock.id, 'alice', False)
    assert LockStore(path).page().locks == ()


def test_ids_are_not_used_twice(path: str) -> None:
    store = LockStore(path)
    first = store.create('a', None, 'alice', 1.0)
    store.delete(first.id, 'alice', False)
    second = store.create('a', None, 'alice', 1.0)
    assert second.id != first.id
    assert second.seq > first.seq


def test_one_wins(path: str) -> None:
    store = LockStore(path)
    results: list[object] = []

    def take(owner: str) -> None:
        try:
            results.append(store.create('a', None, owner, 1.0))
        except LockHeld as held:
            results.append(held.lock)

    threads = [
        threading.Thread(target=take, args=(f'user{number}',))
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
    """A child opens a connection of its own and leaves ours alone."""
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
def test_damaged(path: str, content: bytes) -> None:
    os.makedirs(os.path.dirname(path))
    pathlib.Path(path).write_bytes(content)
    if content:
        with pytest.raises(errors.StoreUnavailable):
            LockStore(path).page()
        # locks are data: the file is not thrown away
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


OID = 'ab' * 32
VERDICT = Verdict(5, 10**18, True)


def test_verdicts(path: str) -> None:
    store = Verified(path)
    assert store.get([OID]) == {}
    store.add({OID: VERDICT})
    assert store.get([OID]) == {OID: VERDICT}
    assert Verified(path).get([OID, '00' * 32]) == {OID: VERDICT}
    store.discard(OID)
    assert store.get([OID]) == {}
    assert Verified(path).get([OID]) == {}


def test_many_verdicts(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verified, 'MAX_REMEMBERED', 100)
    all_of_them = {f'{number:064x}': VERDICT for number in range(2000)}
    Verified(path).add(all_of_them)
    store = Verified(path)
    assert store.get(all_of_them) == all_of_them
    assert len(store._memory) <= 100


def test_damaged_verdicts_are_replaced(path: str) -> None:
    os.makedirs(os.path.dirname(path))
    pathlib.Path(path).write_bytes(b'not a database' * 100)
    store = Verified(path)
    assert store.get([OID]) == {}
    store.add({OID: VERDICT})
    assert Verified(path).get([OID]) == {OID: VERDICT}


def test_unwritable_verdicts(tmp_path: pathlib.Path) -> None:
    (tmp_path / 'file').write_text('in the way')
    store = Verified(str(tmp_path / 'file' / 'verified.sqlite'))
    store.add({OID: VERDICT})
    assert store.get([OID]) == {OID: VERDICT}
