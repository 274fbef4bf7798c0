# SPDX-License-Identifier: GPL-2.0-or-later
"""Use one database in many processes and threads at the same time.

All readers compare everything they read with what it must be. No test depends
on which process is first.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pathlib
import random
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip('mercurial')

from helpers import sqlitestore_crashes as crashes
from helpers.sqlitestore_crashes import contents, hg_command
from mercurial import hg as hgmod
from mercurial import ui as uimod

from hgext3rd.sqlitestore.database.connection import Database
from hgext3rd.sqlitestore.formats import schema

ROUNDS = int(os.environ.get('TOGETHER_ROUNDS', '6'))

pytestmark = pytest.mark.skipif(not hasattr(os, 'fork'), reason='needs fork')


@pytest.fixture(autouse=True)
def configuration(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Configure the commands that this process runs."""
    crashes.configure(tmp_path, monkeypatch)


@pytest.fixture
def path(tmp_path: pathlib.Path) -> bytes:
    """Return a repository with a linear history of 12 changesets."""
    path = os.fsencode(tmp_path / 'repo')
    assert hg_command(b'init', path)[0] == 0
    noise = random.Random(4)
    for number in range(12):
        write(path, b'blob', noise.randbytes(30_000))
        write(path, b'f%d' % (number % 4), b'%d\n' % number * 200)
        hg(path, b'commit', b'-qAm', b'c%d' % number)
    return path


def write(path: bytes, name: bytes, data: bytes) -> None:
    """Replace a file of a working directory."""
    with open(os.path.join(path, name), 'wb') as file:
        file.write(data)


def hg(path: bytes, *args: bytes) -> bytes:
    """Run a command, assert that it succeeds, and return its output."""
    code, out = hg_command(b'--cwd', path, *args)
    assert code == 0, out
    return out


def database(path: bytes) -> bytes:
    """Return the path of a repository's database."""
    return os.path.join(path, b'.hg/store', schema.FILENAME)


@contextlib.contextmanager
def process(function: Callable[[], object]) -> Iterator[int]:
    """Run a function in a child process, and wait for it at the end.

    The function must succeed unless the process is killed.
    """
    pid = os.fork()
    if not pid:
        code = 1
        try:
            function()
            code = 0
        except BaseException as exc:
            os.write(2, repr(exc).encode() + b'\n')
        finally:
            os._exit(code)
    done = False
    try:
        yield pid
        done = True
    finally:
        if not done:
            os.kill(pid, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
    assert os.WIFSIGNALED(status) or status == 0


@contextlib.contextmanager
def lock_held(path: bytes, sql: bytes = b'BEGIN IMMEDIATE') -> Iterator[None]:
    """Have another process hold a lock of the database for a while."""
    reading, writing = os.pipe()

    def hold() -> None:
        db = sqlite3.connect(os.fsdecode(database(path)), isolation_level=None)
        db.execute(sql.decode())
        os.write(writing, b'held')
        signal.pause()

    with process(hold) as pid:
        os.read(reading, 4)
        yield
        os.kill(pid, signal.SIGKILL)
    os.close(reading)
    os.close(writing)


WRITING = {
    'commit': (b'commit', b'-m', b'locked out'),
    'strip': (b'strip', b'-q', b'-f', b'9'),
    'repack': (b'admin::sqlite-repack',),
    'censor': (b'censor', b'-r', b'1', b'blob'),
    'rollback': (b'rollback', b'-f'),
}


@pytest.mark.parametrize('name', WRITING)
def test_locked(path: bytes, name: str) -> None:
    """Writers fail with one line while a lock is held, and readers go on."""
    write(path, b'f0', b'new\n')
    before = contents(path)
    busy = b'--config', b'storage.sqlite.busy-timeout=0.05'
    with lock_held(path):
        assert contents(path) == before
        code, out = hg_command(b'--cwd', path, *busy, *WRITING[name])
        assert code != 0, out
        lines = [line for line in out.splitlines() if b'abort: ' in line]
        expected = b'abort: cannot use %s: database is locked' % database(path)
        assert lines == [expected], out
        assert out.endswith(b'(another process holds it; try again)\n')
        assert contents(path) == before
    if os.path.exists(os.path.join(path, b'.hg/store/journal')):
        hg(path, b'recover', b'--no-verify')
    assert hg_command(b'-R', path, b'verify', b'-q') == (0, b'')
    assert contents(path) == before
    hg(path, *WRITING[name])
    assert hg_command(b'-R', path, b'verify', b'-q') == (0, b'')


def test_two_writers(path: bytes, tmp_path: pathlib.Path) -> None:
    """Two writers wait for each other, and both succeed."""
    clone = os.fsencode(tmp_path / 'clone')
    hg(path, b'share', b'-q', path, clone, b'--config', b'extensions.share=')

    def commit(where: bytes, name: bytes) -> None:
        for number in range(ROUNDS):
            write(where, name, b'%d\n' % number)
            hg(where, b'commit', b'-qAm', b'%s %d' % (name, number), name)

    with process(lambda: commit(path, b'one')):
        commit(clone, b'two')
    assert len(contents(path)) == 12 + 2 * ROUNDS
    assert hg_command(b'-R', path, b'verify', b'-q') == (0, b'')


def test_reader_during_repack(path: bytes) -> None:
    """All history is read while it is repacked."""
    before = contents(path)

    def repack() -> None:
        for number in range(ROUNDS):
            write(path, b'f0', b'again %d\n' % number)
            hg(path, b'commit', b'-qm', b'again')
            kind = (b'--max',) if number % 2 else ()
            hg(path, b'admin::sqlite-repack', b'-q', *kind)

    repo = hg_repository(path)
    with process(repack) as pid:
        while not os.waitid(
            os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT
        ):
            # A repository object that was opened before, and a new one.
            assert read(repo, before) == before
            assert before.items() <= contents(path).items()
    assert len(contents(path)) == len(before) + ROUNDS


def test_reader_while_repack_is_killed(path: bytes) -> None:
    before = contents(path)
    repo = hg_repository(path)
    noise = random.Random(5)
    for number in range(ROUNDS):
        write(path, b'f1', b'killed %d\n' % number)
        hg(path, b'commit', b'-qm', b'killed')
        with process(lambda: hg(path, b'admin::sqlite-repack', b'-q')) as pid:
            for _look in range(noise.randrange(3)):
                assert read(repo, before) == before
            os.kill(pid, signal.SIGKILL)
        assert read(repo, before) == before
    assert hg_command(b'-R', path, b'verify', b'-q') == (0, b'')
    hg(path, b'admin::sqlite-repack', b'-q')
    assert before.items() <= contents(path).items()


def hg_repository(path: bytes) -> Any:
    """Return a repository object."""
    return hgmod.repository(uimod.ui.load(), path).unfiltered()


def read(repo: Any, wanted: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """Return what ``contents`` does, from an object that stays open."""
    return crashes.digests(repo, [repo[node] for node in wanted])


def test_threads(path: bytes) -> None:
    """Each thread has its own repository object, while another commits."""
    before = contents(path)
    errors: list[BaseException] = []
    stop = threading.Event()

    def reader() -> None:
        try:
            repo = hg_repository(path)
            while not stop.is_set():
                assert read(repo, before) == before
        except BaseException as exc:
            errors.append(exc)

    def commit() -> None:
        for number in range(ROUNDS):
            write(path, b'f2', b'threads %d\n' % number)
            hg(path, b'commit', b'-qm', b'threads')
        hg(path, b'admin::sqlite-repack', b'-q')

    threads = [threading.Thread(target=reader) for _number in range(6)]
    # The fork must happen before threads start.
    with process(commit) as pid:
        for thread in threads:
            thread.start()
        while not os.waitid(
            os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT
        ):
            time.sleep(0.05)
        stop.set()
        for thread in threads:
            thread.join()
    assert not errors
    assert len(contents(path)) == len(before) + ROUNDS


def test_threads_share_one_object(path: bytes) -> None:
    """Threads share one repository object, as those of update do."""
    before = contents(path)
    repo = hg_repository(path)
    ctxs = [repo[node] for node in before]
    for ctx in ctxs:
        ctx.manifest()
    store = repo.sqlitestore
    errors: list[BaseException] = []

    def reader() -> None:
        try:
            for _round in range(3):
                assert crashes.digests(repo, ctxs) == before
        except BaseException as exc:
            errors.append(exc)
        finally:
            store.db.close()

    threads = [threading.Thread(target=reader) for _number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


def open_files(path: bytes) -> int:
    """Return how many descriptors of this process refer to a database."""
    count = 0
    for name in os.listdir('/proc/self/fd'):
        with contextlib.suppress(OSError):
            target = os.readlink(f'/proc/self/fd/{name}')
            count += os.fsencode(target) == database(path)
    return count


@pytest.mark.skipif(not os.path.exists('/proc/self/fd'), reason='needs /proc')
def test_threads_leave_nothing(path: bytes) -> None:
    """Connections of threads that have ended are closed."""
    repo = hg_repository(path)
    repo.file(b'f0').read(repo.file(b'f0').node(0))

    def some_threads() -> int:
        for _number in range(20):
            thread = threading.Thread(target=repo.sqlitestore.paths)
            thread.start()
            thread.join()
            gc.collect()
        return open_files(path)

    # SQLite keeps descriptors open as long as the process has locks.
    assert some_threads() >= some_threads()


def test_update_workers(path: bytes) -> None:
    """Workers are forked from a process that has the database open."""
    for number in range(120):
        write(path, b'many%d' % number, b'%d\n' % number * 50)
    hg(path, b'commit', b'-qAm', b'many')
    config = b'--config', b'worker.enabled=yes', b'--config'
    workers = (
        *config,
        b'worker.numcpus=4',
        b'--config',
        b'worker.backgroundclosemaxqueue=1',
    )
    hg(path, b'update', b'-q', b'0')
    hg(path, b'update', b'-q', b'tip', *workers)
    assert hg(path, b'status') == b''
    with open(os.path.join(path, b'many119'), 'rb') as file:
        assert file.read() == b'119\n' * 50
    hg(path, b'update', b'-q', b'null', *workers)
    hg(path, b'update', b'-q', b'tip', *workers)
    assert hg(path, b'status') == b''


def test_fork_holds_locks_of_its_own(path: bytes) -> None:
    """A forked child takes its own locks.

    SQLite records in memory which locks a process holds. A child inherits the
    record without the locks. If it relied on them, another process could delete
    the log while the child writes to it.
    """
    # Close connections of earlier commands in this process.
    gc.collect()
    parent = Database(database(path))
    parent.row('SELECT count(*) FROM path')
    to_child, to_parent = os.pipe(), os.pipe()

    def child() -> None:
        own = Database(database(path))
        own.row('SELECT count(*) FROM path')
        os.write(to_parent[1], b'1')
        os.read(to_child[0], 1)
        own.execute("INSERT INTO counter VALUES ('child', 7)")
        os.write(to_parent[1], b'2')
        os.read(to_child[0], 1)

    def close() -> None:
        other = Database(database(path))
        other.row('SELECT count(*) FROM path')
        other.close()

    with process(child):
        os.read(to_parent[0], 1)
        parent.close()
        # The last process to close the database removes the log, but the child
        # still has it open.
        with process(close):
            pass
        os.write(to_child[1], b'1')
        os.read(to_parent[0], 1)
        db = sqlite3.connect(os.fsdecode(database(path)))
        found = db.execute("SELECT value FROM counter WHERE name = 'child'")
        assert found.fetchone() == (7,)
        db.close()
        os.write(to_child[1], b'1')
