# SPDX-License-Identifier: GPL-2.0-or-later
"""What a server keeps of its stores."""

from __future__ import annotations

import pathlib
import subprocess
import sys
import threading
from typing import Any

import pytest

from hgext3rd.sqlitestore.reading import resting


class FakeDatabase:
    def __init__(self) -> None:
        self.open = True

    def pause(self) -> None:
        pass

    def close(self) -> None:
        self.open = False


class FakeStore:
    """A store whose caches have ``size`` bytes after each use."""

    def __init__(self, size: int = 1) -> None:
        self.db = FakeDatabase()
        self.size = size
        self.cached_bytes = 0
        self.users = 0

    def share_limits(self, users: int) -> None:
        self.users = users

    def drop_caches(self) -> None:
        self.cached_bytes = 0


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resting, '_kept', {})
    monkeypatch.setattr(resting, '_local', threading.local())


def use(store: Any) -> None:
    with resting.used(store):
        store.cached_bytes = store.size


def in_thread(store: Any, done: threading.Event) -> threading.Thread:
    """Use a store in a thread that lives until ``done`` is set."""
    used = threading.Event()

    def run() -> None:
        use(store)
        used.set()
        done.wait()

    thread = threading.Thread(target=run)
    thread.start()
    used.wait()
    return thread


def test_stores_in_use_share_the_limits() -> None:
    one: Any = FakeStore()
    two: Any = FakeStore()
    with resting.used(one):
        assert one.users == 1
        with resting.used(two):
            assert one.users == two.users == 2
        assert one.users == 1


def test_a_thread_keeps_the_store_it_used_last() -> None:
    one, two = FakeStore(), FakeStore()
    use(one)
    use(one)
    assert one.cached_bytes and one.db.open
    use(two)
    assert not one.cached_bytes and not one.db.open
    assert two.cached_bytes and two.db.open


def test_threads_together_keep_a_limited_number_of_bytes() -> None:
    done = threading.Event()
    stores = [FakeStore(resting.KEPT_BYTES // 2 - 1) for _ in range(4)]
    threads = [in_thread(store, done) for store in stores]
    assert [bool(store.cached_bytes) for store in stores] == [
        *(False, False, True, True)
    ]
    done.set()
    for thread in threads:
        thread.join()


def test_caches_go_with_their_thread() -> None:
    done = threading.Event()
    store = FakeStore()
    thread = in_thread(store, done)
    assert store.cached_bytes
    done.set()
    thread.join()
    assert not store.cached_bytes


def test_a_store_in_use_again_keeps_its_caches() -> None:
    """Another thread has it by the time that the first one ends."""
    done = threading.Event()
    store: Any = FakeStore()
    thread = in_thread(store, done)
    with resting.used(store):
        store.cached_bytes = 5
        done.set()
        thread.join()
        assert store.cached_bytes == 5


def test_a_stay_may_end_while_the_lock_is_held() -> None:
    """As when a garbage collection finds it."""
    store: Any = FakeStore()
    use(store)
    with resting._lock:
        resting._local.stay = None
    assert not store.cached_bytes


def test_process_that_keeps_a_store_ends_quietly() -> None:
    """As a CGI script does."""
    # Something refers to the module until the end.
    script = (
        'import sys\n'
        'from test_sqlitestore_resting import FakeStore, resting, use\n'
        'sys.kept = resting\n'
        'use(FakeStore())\n'
    )
    run = subprocess.run(
        [sys.executable, '-c', script],
        capture_output=True,
        check=True,
        cwd=pathlib.Path(__file__).parent,
        text=True,
    )
    assert run.stderr == ''
