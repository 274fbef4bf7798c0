# SPDX-License-Identifier: GPL-2.0-or-later
"""Read repositories without permission to write, as hgweb often does.

If the tests run as root, child processes become another user (``nobody``).
Otherwise permissions are removed instead.
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
import tempfile
from collections.abc import Callable, Iterator

import pytest

pytest.importorskip('mercurial')
pwd = pytest.importorskip('pwd')

from helpers import sqlitestore_crashes as crashes
from helpers.sqlitestore_crashes import contents, hg_command

pytestmark = pytest.mark.skipif(not hasattr(os, 'fork'), reason='needs fork')

# How often another user reads while the owner commits.
ROUNDS = int(os.environ.get('ACCESS_ROUNDS', '25'))


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[bytes]:
    """Return a folder that every user may enter."""
    path = tempfile.mkdtemp(prefix='hg-access-')
    os.chmod(path, 0o755)
    rc = pathlib.Path(path, 'hgrc')
    rc.write_bytes(crashes.HGRC + b'[trusted]\nusers = *\n')
    monkeypatch.setenv('HGRCPATH', str(rc))
    monkeypatch.setenv('HGPLAIN', '1')
    monkeypatch.setattr(sys, 'argv', ['hg'])
    old = os.umask(0o022)
    yield os.fsencode(path)
    os.umask(old)
    os.chdir('/')
    shutil.rmtree(path)


@pytest.fixture
def path(folder: bytes) -> bytes:
    """Return a repository with some history."""
    path = os.path.join(folder, b'repo')
    assert hg_command(b'init', path)[0] == 0
    for number in range(4):
        commit(path, number)
    return path


def commit(path: bytes, number: int) -> None:
    """Add a changeset."""
    with open(os.path.join(path, b'f'), 'wb') as file:
        file.write(b'%d\n' % number * 500)
    code, out = hg_command(b'--cwd', path, b'commit', b'-qAm', b'c%d' % number)
    assert code == 0, out


def settle(path: bytes) -> None:
    """Move the write-ahead log into the database, and remove it."""
    gc.collect()
    db = sqlite3.connect(os.path.join(os.fsdecode(path), store('')))
    db.execute('PRAGMA wal_checkpoint(TRUNCATE)')
    db.close()


def store(suffix: str) -> str:
    """Return the path of the database, or of a side file, in a repository."""
    return '.hg/store/history.sqlite' + suffix


def another_user() -> None:
    """Become a user who owns none of the files, if that is possible."""
    if os.getuid() == 0:
        nobody = pwd.getpwnam('nobody')
        os.setgroups([])
        os.setgid(nobody.pw_gid)
        os.setuid(nobody.pw_uid)


def in_child(
    function: Callable[[], object], prepare: Callable[[], None] = another_user
) -> bytes:
    """Run a function in a child process, as another user.

    Return the ``repr`` of its result, or of its exception.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        answer = b''
        try:
            os.close(reading)
            prepare()
            os.chdir('/')
            answer = repr(function()).encode()
        except BaseException as exc:
            answer = b'raised ' + repr(exc).encode()
        finally:
            with os.fdopen(writing, 'wb') as file:
                file.write(answer)
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, 'rb') as file:
        answer = file.read()
    os.waitpid(pid, 0)
    return answer


@contextlib.contextmanager
def read_only(*paths: bytes) -> Iterator[None]:
    """Remove all write permissions of some paths for a while."""
    modes = {path: os.stat(path).st_mode for path in paths}
    for path in paths:
        os.chmod(path, modes[path] & ~0o222)
    try:
        yield
    finally:
        for path in paths:
            os.chmod(path, modes[path])


def protected(path: bytes) -> tuple[bytes, ...]:
    """Return the paths in a repository that another user may not write to."""
    # Close connections that this process still has open.
    gc.collect()
    base = os.path.join(path, b'.hg/store')
    return (
        *(os.path.join(base, name) for name in os.listdir(base)),
        base,
        os.path.join(path, b'.hg'),
    )


def reads(path: bytes) -> bytes:
    """Return what another user reads.

    This must not add or remove a file of the store.
    """
    before = sorted(os.listdir(os.path.join(path, b'.hg/store')))
    found = in_child(lambda: contents(path))
    after = sorted(os.listdir(os.path.join(path, b'.hg/store')))
    assert before == after
    return found


def test_without_log(path: bytes) -> None:
    """No process has the database open."""
    expected = repr(contents(path)).encode()
    settle(path)
    with read_only(*protected(path)):
        assert reads(path) == expected


@pytest.mark.parametrize('elsewhere', [False, True])
def test_with_live_log(path: bytes, folder: bytes, elsewhere: bool) -> None:
    """An open connection of the owner keeps revisions in the log."""
    database = os.path.join(path, store('').encode())
    if elsewhere:
        settle(path)
        # As an administrator would move it to another disk.
        os.rename(database, os.path.join(folder, b'moved'))
        os.symlink(os.path.join(folder, b'moved'), database)
    owner = sqlite3.connect(os.path.join(os.fsdecode(path), store('')))
    owner.execute('PRAGMA wal_autocheckpoint = 0')
    owner.execute('SELECT count(*) FROM path').fetchone()
    commit(path, 5)
    assert os.stat(os.path.realpath(database) + b'-wal').st_size
    expected = repr(contents(path)).encode()
    with read_only(*protected(path)):
        assert reads(path) == expected
    owner.close()


def test_modes_follow_a_link(path: bytes, folder: bytes) -> None:
    """SQLite keeps the side files beside the file that a link leads to."""
    settle(path)
    moved = os.path.join(folder, b'moved')
    link = os.path.join(path, store('').encode())
    os.rename(link, moved)
    os.symlink(moved, link)
    owner = sqlite3.connect(os.fsdecode(moved))
    owner.execute('SELECT count(*) FROM path').fetchone()
    side = moved + b'-wal', moved + b'-shm'
    for name in (moved, *side):
        os.chmod(name, 0o600)
    os.chmod(os.path.join(path, b'.hg/store'), 0o777)
    os.chmod(os.path.join(path, b'.hg'), 0o777)
    contents(path)
    for name in (moved, *side):
        assert os.stat(name).st_mode & 0o777 == 0o666, name
    owner.close()


def test_with_log_of_a_killed_owner(path: bytes) -> None:
    """The owner was killed: no process has the log open."""
    pid = os.fork()
    if not pid:
        db = sqlite3.connect(os.path.join(os.fsdecode(path), store('')))
        db.execute('SELECT count(*) FROM path').fetchone()
        commit(path, 5)
        os.kill(os.getpid(), 9)
    os.waitpid(pid, 0)
    assert os.stat(os.path.join(path, store('-wal').encode())).st_size
    # Read a copy: reading as the owner would empty the log.
    shutil.copytree(os.fsdecode(path), os.fsdecode(path + b'.copy'))
    expected = repr(contents(path + b'.copy')).encode()
    with read_only(*protected(path)):
        assert reads(path) == expected


def test_log_without_index(path: bytes) -> None:
    """A repository was copied without the ``-shm`` file."""
    owner = sqlite3.connect(os.path.join(os.fsdecode(path), store('')))
    owner.execute('SELECT count(*) FROM path').fetchone()
    commit(path, 5)
    copy = path + b'.copy'
    shutil.copytree(os.fsdecode(path), os.fsdecode(copy))
    owner.close()
    os.unlink(os.path.join(copy, store('-shm').encode()))
    with read_only(*protected(copy)):
        found = reads(copy)
    assert b'history.sqlite-wal without history.sqlite-shm' in found, found


def test_writing_is_refused(path: bytes) -> None:
    with read_only(*protected(path), path):
        said = in_child(lambda: hg_command(b'-R', path, b'recover'))
        assert b'abort: ' in said, said
        assert b'Traceback' not in said
        repack = b'-R', path, b'admin::sqlite-repack'
        said = in_child(lambda: hg_command(*repack))
        assert b'abort: ' in said, said


def test_unwritable_database(path: bytes) -> None:
    """The folder is writable, the database is not."""
    database = os.path.join(path, store('').encode())
    os.chmod(os.path.join(path, b'.hg/store'), 0o777)
    for folder, _names, files in os.walk(path):
        os.chmod(folder, 0o777)
        for name in files:
            os.chmod(os.path.join(folder, name), 0o666)
    settle(path)
    os.chmod(database, 0o444)
    with open(os.path.join(path, b'f'), 'wb') as file:
        file.write(b'refused\n')
    before = contents(path)
    args = b'--cwd', path, b'commit', b'-m', b'refused', b'-u', b'nobody'
    said = in_child(lambda: hg_command(*args))
    assert b'abort: cannot write to ' in said, said
    assert b'history.sqlite' in said
    assert b'check the permissions' in said
    os.chmod(database, 0o644)
    assert contents(path) == before
    assert hg_command(b'-R', path, b'verify', b'-q') == (0, b'')


def test_unreadable_database(path: bytes) -> None:
    settle(path)
    database = os.path.join(path, store('').encode())
    os.chmod(database, 0)
    if os.getuid() and os.access(database, os.R_OK):
        pytest.skip('permissions mean nothing here')
    cat = b'--cwd', path, b'cat', b'-r', b'0', b'f'
    said = in_child(lambda: hg_command(*cat))
    assert b'abort: cannot ' in said, said
    assert b'history.sqlite' in said
    assert b'(check the permissions' in said
    os.chmod(database, 0o644)


def test_reader_while_owner_commits(path: bytes) -> None:
    """A reader can read everything that it finds in the changelog."""
    if os.getuid():
        pytest.skip('needs two users')

    def owner() -> None:
        for number in range(ROUNDS):
            commit(path, 10 + number)

    def reader() -> int:
        seen = 0
        while seen < ROUNDS:
            seen += 1
            contents(path)
        return seen

    pid = os.fork()
    if not pid:
        try:
            owner()
        finally:
            os._exit(0)
    try:
        assert in_child(reader) == b'%d' % ROUNDS
    finally:
        os.waitpid(pid, 0)
    assert hg_command(b'-R', path, b'verify', b'-q') == (0, b'')


def test_read_only_media(path: bytes, folder: bytes) -> None:
    """The file system is mounted read-only, as CDs and snapshots are."""
    if os.getuid():
        pytest.skip('only root may mount')
    target = os.path.join(folder, b'mounted')
    os.mkdir(target)
    expected = repr(contents(path)).encode()
    settle(path)
    bind = ['mount', '--bind', os.fsdecode(path), os.fsdecode(target)]
    remount = ['mount', '-o', 'remount,bind,ro', os.fsdecode(target)]
    if subprocess.run(bind, capture_output=True).returncode:
        pytest.skip('cannot mount')
    try:
        if subprocess.run(remount, capture_output=True).returncode:
            pytest.skip('cannot mount read-only')
        assert in_child(lambda: contents(target), lambda: None) == expected
        assert in_child(lambda: contents(target)) == expected
    finally:
        subprocess.run(['umount', os.fsdecode(target)], check=True)
