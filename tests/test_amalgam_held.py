# SPDX-License-Identifier: GPL-2.0-or-later
"""Connections to SQLite are closed when nobody holds them any more.

Garbage collection is off: a connection is part of a reference cycle.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pathlib
import sqlite3
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from hgext3rd.amalgam.held import Held
from hgext3rd.lfsserver.stores import database as lfs
from hgext3rd.sqlitestore.database.connection import Database

FORMAT = lfs.DatabaseFormat(1, 1, ('CREATE TABLE t (a)',), True)


@pytest.fixture(autouse=True)
def no_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def path(tmp_path: pathlib.Path) -> bytes:
    path = os.fsencode(tmp_path / 'db')
    Database(path).create()
    return path


def is_closed(conn: sqlite3.Connection) -> bool:
    with contextlib.suppress(sqlite3.ProgrammingError):
        conn.execute('SELECT 1')
        return False
    return True


def in_thread(work: Callable[[], sqlite3.Connection]) -> sqlite3.Connection:
    """Return what ``work`` returns in another thread, which has ended."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join()
    (conn,) = found
    return conn


def shared(path: bytes) -> sqlite3.Connection:
    return sqlite3.connect(os.fsdecode(path), check_same_thread=False)


def test_thread_ends(path: bytes) -> None:
    db = Database(path)
    assert is_closed(in_thread(db.connection))
    assert not is_closed(db.connection())
    db.close()


def test_thread_ends_in_lfsserver(tmp_path: pathlib.Path) -> None:
    name = str(tmp_path / 'locks')
    assert is_closed(in_thread(lambda: lfs.connection(name, FORMAT)))


def test_database_ends(path: bytes) -> None:
    db = Database(path)
    conn = db.connection()
    del db
    assert is_closed(conn)


def test_snapshot_ends(path: bytes, tmp_path: pathlib.Path) -> None:
    db = Database(path)
    snapshot = db.snapshot()
    assert snapshot is not None
    conn = snapshot._held.conn
    assert conn.in_transaction
    del snapshot
    assert is_closed(conn)
    snapshot = db.snapshot()
    assert snapshot is not None
    conn = snapshot._held.conn
    copy = tmp_path / 'copy'
    db.begin()
    db.execute('CREATE TABLE later (a)')
    db.execute('COMMIT')
    snapshot.copy(bytes(copy))
    assert is_closed(conn)
    assert copy.stat().st_size == snapshot.size
    assert Database(bytes(copy)).row(
        "SELECT count(*) FROM sqlite_schema WHERE name = 'later'"
    ) == (0,)
    db.close()


def test_another_thread_drops_it(path: bytes) -> None:
    conn = shared(path)
    held = [Held(conn)]
    thread = threading.Thread(target=held.clear)
    thread.start()
    thread.join()
    assert is_closed(conn)


def test_a_second_connection_is_closed_last(path: bytes) -> None:
    closed = []

    class Connection:
        def __init__(self, name: str) -> None:
            self.name = name

        def close(self) -> None:
            closed.append(self.name)

    held = [Held(Connection('first'), Connection('last'))]
    held.clear()
    assert closed == ['first', 'last']


@pytest.mark.parametrize('keep', [False, True])
def test_the_log_stays_if_it_shall(path: bytes, keep: bool) -> None:
    """Also when threads end, in any order, and after a snapshot."""
    log = pathlib.Path(os.fsdecode(path) + '-wal')
    db = Database(path, keep_log=keep)

    def write() -> sqlite3.Connection:
        db.begin()
        db.execute('CREATE TABLE IF NOT EXISTS later (a)')
        db.execute('INSERT INTO later VALUES (1)')
        db.commit()
        return db.connection()

    write()
    in_thread(write)
    snapshot = db.snapshot()
    db.close()
    in_thread(write)
    assert snapshot is not None
    snapshot.copy(path + b'.copy')
    assert log.exists() == keep
    # The main file has nothing of it, or all.
    main = sqlite3.connect(f'file:{os.fsdecode(path)}?immutable=1', uri=True)
    (found,) = main.execute(
        "SELECT count(*) FROM sqlite_schema WHERE name = 'later'"
    ).fetchone()
    main.close()
    assert found == (not keep)
    assert db.row('SELECT count(*) FROM later') == (3,)
    db.close()


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='needs fork')
def test_child_process_closes_nothing(path: bytes) -> None:
    """A child that drops an inherited connection leaves it open."""
    conn = shared(path)
    held = [Held(conn)]
    pid = os.fork()
    if not pid:
        # Nothing of pytest may run in the child.
        status = 1
        try:
            held.clear()
            status = int(is_closed(conn))
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert not is_closed(conn)
    held[0].close()
    assert is_closed(conn)
