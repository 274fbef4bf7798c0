# SPDX-License-Identifier: GPL-2.0-or-later
"""Read repositories when nothing can be written beside the database.

``RLIMIT_FSIZE`` of 0 has the effect of a full disk for one process, and needs
no privileges: files can be created, but not made larger. A tmpfs without space
or without inodes is used if one can be mounted.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pathlib
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator

import pytest

pytest.importorskip('mercurial')
resource = pytest.importorskip('resource')

from helpers import sqlitestore_crashes as crashes
from helpers.sqlitestore_crashes import hg_command

from hgext3rd.sqlitestore import errors
from hgext3rd.sqlitestore.database import connection, failures, location

pytestmark = pytest.mark.skipif(not hasattr(os, 'fork'), reason='needs fork')

# How often another process commits while this one reads.
ROUNDS = int(os.environ.get('ACCESS_ROUNDS', '8'))

DATABASE = b'.hg/store/history.sqlite'


@pytest.fixture
def path(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Return a repository with some history."""
    crashes.configure(tmp_path, monkeypatch)
    path = os.fsencode(tmp_path / 'repo')
    assert hg_command(b'init', path)[0] == 0
    for number in range(4):
        commit(path, number)
    gc.collect()
    return path


def commit(path: bytes, number: int) -> None:
    """Add a changeset."""
    with open(os.path.join(path, b'f'), 'wb') as file:
        file.write(b'%d\n' % number * 500)
    code, out = hg_command(b'--cwd', path, b'commit', b'-qAm', b'c%d' % number)
    assert code == 0, out


@contextlib.contextmanager
def without_space() -> Iterator[None]:
    """Keep this process from making any file larger."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def in_child(code: str, path: bytes, *, limited: bool = True) -> bytes:
    """Run Python code in a new process, and return its output."""

    def limit() -> None:
        if limited:
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

    done = subprocess.run(
        [sys.executable, '-B', '-c', code, os.fsdecode(path)],
        cwd=os.path.dirname(__file__),
        preexec_fn=limit,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


READ = """
import sys
from helpers.sqlitestore_crashes import contents
sys.argv, path = ['hg'], sys.argv[1]
print(sorted(contents(path.encode()).items()))
"""


def reads(path: bytes) -> bytes:
    """Return what a process without space reads."""
    return in_child(READ, path)


def expected(path: bytes) -> bytes:
    """Return what a process with space reads in a copy of a repository."""
    copy = path + b'.copy'
    shutil.copytree(os.fsdecode(path), os.fsdecode(copy))
    return in_child(READ, copy, limited=False)


def leave_log(path: bytes) -> None:
    """Commit in a process that is killed, so that its log remains."""
    pid = os.fork()
    if not pid:
        try:
            db = sqlite3.connect(os.fsdecode(os.path.join(path, DATABASE)))
            db.execute('SELECT count(*) FROM path').fetchone()
            commit(path, 5)
        finally:
            os.kill(os.getpid(), 9)
    os.waitpid(pid, 0)
    assert os.stat(os.path.join(path, DATABASE + b'-wal')).st_size


@pytest.mark.parametrize('index', ['whole', 'truncated', 'empty', 'none'])
def test_log_of_a_killed_writer(path: bytes, index: str) -> None:
    """The newest revisions are in the log only."""
    leave_log(path)
    shared = os.path.join(path, DATABASE + b'-shm')
    if index == 'none':
        os.unlink(shared)
    elif index != 'whole':
        os.truncate(shared, 3 if index == 'truncated' else 0)
    wanted = expected(path)
    before = os.stat(os.path.join(path, DATABASE + b'-wal'))
    assert reads(path) == wanted
    assert reads(path) == wanted
    after = os.stat(os.path.join(path, DATABASE + b'-wal'))
    assert (before.st_size, before.st_mtime) == (after.st_size, after.st_mtime)
    # With space again, the next process needs no repair.
    commit(path, 6)
    assert hg_command(b'-R', path, b'verify', b'-q') == (0, b'')
    assert not os.path.exists(os.path.join(path, DATABASE + b'-wal'))


@pytest.mark.parametrize('empty_files', [False, True])
def test_no_log(path: bytes, empty_files: bool) -> None:
    if empty_files:
        # A process that could not write has left them.
        for suffix in (b'-wal', b'-shm'):
            with open(os.path.join(path, DATABASE + suffix), 'wb'):
                pass
    wanted = expected(path)
    assert reads(path) == wanted
    assert reads(path) == wanted


def test_writer_with_space(path: bytes) -> None:
    """A reader without space sees every commit of a process that has some."""
    code = """
import os, sys
from mercurial import hg, ui
sys.argv, path = ['hg'], sys.argv[1].encode()
repo = hg.repository(ui.ui.load(), path)
for line in sys.stdin:
    repo.invalidateall()
    print(repo.filectx(b'f', changeid=b'tip').data().split()[0].decode(),
          len(repo.file(b'f')), flush=True)
"""
    with subprocess.Popen(
        [sys.executable, '-B', '-c', code, os.fsdecode(path)],
        cwd=os.path.dirname(__file__),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None
        for number in range(ROUNDS):
            commit(path, 10 + number)
            gc.collect()
            reader.stdin.write('read\n')
            reader.stdin.flush()
            said = reader.stdout.readline()
            assert said == f'{10 + number} {5 + number}\n'
        reader.stdin.close()
    assert reader.returncode == 0
    assert hg_command(b'-R', path, b'verify', b'-q') == (0, b'')


SPACE_COMES_BACK = """
import resource, sys
from mercurial import hg, ui
sys.argv, path = ['hg'], sys.argv[1].encode()
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
repo = hg.repository(ui.ui.load(), path)
db = repo.sqlitestore.db
print(repo[b'tip'][b'f'].data()[:1])
from hgext3rd.sqlitestore import errors
try:
    db.begin()
except errors.StoreUnavailable as exc:
    print(b'history.sqlite' in exc.message, bool(exc.hint))
print(repo[0][b'f'].data()[:1])
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
db.begin()
db.execute('ROLLBACK')
print(repo[1][b'f'].data()[:1], db._local.mode)
"""


def test_space_comes_back(path: bytes) -> None:
    """One process, as a command server: it reads, and writes when it can."""
    said = in_child(SPACE_COMES_BACK, path, limited=False)
    assert said == b"b'3'\nTrue True\nb'0'\nb'1' read-write\n"


def test_query_that_cannot_write(
    path: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file system becomes read-only while the database is open."""
    db = connection.Database(os.path.join(path, DATABASE))
    wanted = db.rows('SELECT id FROM path')
    failing = [sqlite3.OperationalError('attempt to write a readonly database')]

    def query(conn: sqlite3.Connection) -> list[tuple[int]]:
        if failing:
            raise failing.pop()
        return conn.execute('SELECT id FROM path').fetchall()

    assert db._read(query) == wanted
    assert db._local.mode == location.IMMUTABLE
    with pytest.raises(errors.StoreUnavailable, match='no such table'):
        db.rows('SELECT * FROM missing')
    db.close()


def test_commands(path: bytes) -> None:
    """Commands that only read work, and others print one line."""
    leave_log(path)
    there = b'-R', path
    for args in (
        (b'log', b'-p'),
        (b'diff', b'-r', b'0', b'-r', b'tip'),
        (b'verify', b'-q'),
        (b'manifest', b'-r', b'0'),
        (b'admin::sqlite-stats',),
    ):
        wanted = hg_command(b'-R', path, *args)
        with without_space():
            assert hg_command(*there, *args) == wanted
    with open(os.path.join(path, b'f'), 'wb') as file:
        file.write(b'no space\n')
    with without_space():
        code, out = hg_command(b'--cwd', path, b'commit', b'-m', b'no')
    assert code
    assert out.count(b'abort: ') == 1
    assert b'Traceback' not in out


THREADS = """
import resource, sys, threading
from hgext3rd.sqlitestore import errors
from hgext3rd.sqlitestore.database import connection
path = sys.argv[1].encode() + b'/.hg/store/history.sqlite'
first, second = connection.Database(path), connection.Database(path)
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
print(first.row('SELECT count(*) FROM path'), first._local.mode)
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

def write():
    try:
        second.begin()
        second.execute('ROLLBACK')
        print('could write')
    except errors.StoreUnavailable as exc:
        print('other threads' in exc.message.decode(), exc.hint[-9:])
    second.close()

def in_thread():
    thread = threading.Thread(target=write)
    thread.start()
    thread.join()

in_thread()
first.refresh()
print(first.row('SELECT count(*) FROM path'), first._local.mode)
in_thread()
"""


def test_another_thread_reads(path: bytes) -> None:
    """A thread that found the disk full does not keep others from writing."""
    leave_log(path)
    os.truncate(os.path.join(path, DATABASE + b'-shm'), 0)
    lines = in_child(THREADS, path, limited=False).splitlines()
    assert lines == [
        b'(2,) read-only',
        b"True b'try again'",
        b'(2,) read-write',
        b'could write',
    ]


@pytest.mark.parametrize('log', ['none', 'without index'])
@pytest.mark.parametrize('options', ['size=2M', 'nr_inodes=100'])
def test_full_tmpfs(
    path: bytes, tmp_path: pathlib.Path, options: str, log: str
) -> None:
    """The file system has no more blocks, or no more inodes."""
    if log != 'none':
        leave_log(path)
        os.unlink(os.path.join(path, DATABASE + b'-shm'))
    folder = tmp_path / 'small'
    folder.mkdir()
    mount = ['mount', '-t', 'tmpfs', '-o', options, 'none', str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True)
    except FileNotFoundError:
        pytest.skip('there is no mount command')
    if done.returncode:
        pytest.skip(f'cannot mount: {done.stderr.decode().strip()}')
    try:
        wanted = expected(path)
        there = folder / 'repo'
        shutil.copytree(os.fsdecode(path), there)
        with pytest.raises(OSError, match='No space'):
            fill(folder)
        assert in_child(READ, bytes(there), limited=False) == wanted
        clone = os.fsencode(tmp_path / 'clone')
        code, out = hg_command(b'clone', b'-qU', bytes(there), clone)
        assert (code, out) == (0, b'')
        assert in_child(READ, clone, limited=False) == wanted
    finally:
        gc.collect()
        subprocess.run(['umount', str(folder)], check=True)


def fill(folder: pathlib.Path) -> None:
    """Use up all space or all inodes of a file system; raises OSError."""
    number = 0
    while True:
        number += 1
        (folder / f'empty{number}').touch()
        if number == 1000:
            with open(folder / 'ballast', 'wb', buffering=0) as file:
                while True:
                    file.write(b'\0' * 4096)


@pytest.mark.needs('strace')
@pytest.mark.parametrize('error', ['EDQUOT', 'ENOSPC', 'EROFS', 'EIO'])
@pytest.mark.parametrize('log', ['none', 'whole', 'without index'])
def test_calls_that_fail(
    path: bytes, tmp_path: pathlib.Path, error: str, log: str
) -> None:
    """Nothing can be written beside the database, as with a full quota."""
    base = os.fsdecode(os.path.join(path, DATABASE))
    if log != 'none':
        leave_log(path)
    if log == 'without index':
        os.unlink(base + '-shm')
    wanted = expected(path)
    names = [base, base + '-wal', base + '-shm']
    done = subprocess.run(
        [
            'strace',
            *('-f', '-o', str(tmp_path / 'calls')),
            *(word for name in names for word in ('-P', name)),
            *('-e', f'inject=pwrite64,ftruncate,fallocate:error={error}'),
            *(sys.executable, '-B', '-c', READ, os.fsdecode(path)),
        ],
        cwd=os.path.dirname(__file__),
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout == wanted
    assert 'INJECTED' in (tmp_path / 'calls').read_text()


@pytest.mark.parametrize('with_code', [False, True])
@pytest.mark.parametrize(
    ('code', 'text', 'hint'),
    [
        (5, 'database is locked', b'another process'),
        (8, 'attempt to write a readonly database', b'check the permissions'),
        (10, 'disk I/O error', b'check the disk'),
        (13, 'database or disk is full', b'free some disk space'),
        (14, 'unable to open database file', b'check the permissions'),
        (1, 'no such table: full', b"run 'hg verify'"),
    ],
)
def test_hints(code: int, text: str, hint: bytes, with_code: bool) -> None:
    """Errors are told apart by their code; Python 3.10 has none."""
    exc = sqlite3.OperationalError('any text' if with_code else text)
    if with_code:
        vars(exc)['sqlite_errorcode'] = code
    assert failures.code_of(exc) == code
    found = failures.translated(b'/x', exc)
    assert isinstance(found, errors.StoreUnavailable)
    assert found.hint is not None
    assert found.hint.startswith(hint)
