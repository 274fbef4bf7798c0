# SPDX-License-Identifier: GPL-2.0-or-later
"""Run commands that write while the disk is full.

Each command must fail with one line that names a path, lose nothing, and work
again when there is space. ``RLIMIT_FSIZE`` limits the size of each file: the
database, its log, a revlog. A small tmpfs limits the total, if one can be
mounted.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import pathlib
import random
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

pytest.importorskip('mercurial')
resource = pytest.importorskip('resource')

from helpers import sqlitestore_crashes as crashes
from helpers.sqlitestore_crashes import contents, copy_tree, hg_command
from mercurial import hg as hg_module
from mercurial import ui as uimod

from hgext3rd.sqlitestore.revlogs import filelog

NULL = b'\0' * 20

pytestmark = pytest.mark.skipif(not hasattr(os, 'fork'), reason='needs fork')

TMPFS_SIZE = 8 << 20

# How many amounts of space to try for each command.
ATTEMPTS = int(os.environ.get('FULL_POINTS', '3'))


@pytest.fixture(autouse=True)
def configuration(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Configure the commands that this process runs."""
    rc = tmp_path / 'hgrc'
    rc.write_bytes(crashes.HGRC)
    monkeypatch.setenv('HGRCPATH', str(rc))
    monkeypatch.setenv('HGPLAIN', '1')
    monkeypatch.setattr(sys, 'argv', ['hg'])


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> bytes:
    """Return the folder in which repositories are made."""
    return os.fsencode(tmp_path)


@pytest.fixture
def tmpfs(tmp_path: pathlib.Path) -> Iterator[bytes]:
    """Return the path of a file system of TMPFS_SIZE bytes."""
    path = tmp_path / 'small'
    path.mkdir()
    mount = ['mount', '-t', 'tmpfs', '-o', f'size={TMPFS_SIZE}', 'none']
    try:
        done = subprocess.run([*mount, str(path)], capture_output=True)
    except FileNotFoundError:
        pytest.skip('there is no mount command')
    if done.returncode:
        pytest.skip(f'cannot mount: {done.stderr.decode().strip()}')
    yield os.fsencode(path)
    os.chdir('/')
    gc.collect()
    subprocess.run(['umount', str(path)], check=True)


def hg(path: bytes, *args: bytes) -> None:
    """Run a command, and assert that it succeeds."""
    code, out = hg_command(b'--cwd', path, *args)
    assert code == 0, out


def write(path: bytes, name: bytes, data: bytes) -> None:
    """Replace a file of a working directory."""
    with open(os.path.join(path, name), 'wb') as file:
        file.write(data)


def make(path: bytes) -> bytes:
    """Make a repository of 8 changesets and 1 MB, with changes to commit."""
    noise = random.Random(3)
    assert hg_command(b'init', path)[0] == 0
    for number in range(8):
        write(path, b'blob', noise.randbytes(120_000))
        write(path, b'f%d' % number, b'%d\n' % number * 100)
        hg(path, b'commit', b'-qAm', b'c%d' % number)
    write(path, b'blob', noise.randbytes(400_000))
    write(path, b'f0', b'changed\n')
    return path


def limited(size: int) -> Callable[[], None]:
    """Return a function that limits the size of files of a process."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


def attempt(
    args: tuple[bytes, ...], prepare: Callable[[], None] = lambda: None
) -> tuple[int, bytes]:
    """Run a command in a child process; return (exit code, output)."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        with contextlib.suppress(BaseException):
            os.close(reading)
            prepare()
            code, out = hg_command(*args)
            os.write(writing, b'%d\n%s' % (code, out[-4000:]))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, 'rb') as file:
        status, _newline, out = file.read().partition(b'\n')
    os.waitpid(pid, 0)
    return int(status), out


def failed_well(out: bytes) -> None:
    """Assert that a command without space printed one error, as it should."""
    lines = [line for line in out.split(b'\n') if line.startswith(b'abort: ')]
    assert len(lines) == 1, out
    assert b'Traceback' not in out, out
    if b'history.sqlite' in lines[0]:
        assert out.rstrip().endswith(b')'), out


Before = dict[bytes, set[bytes]]


def expected(path: bytes, args: tuple[bytes, ...]) -> Before:
    """Return what ``contents`` may find after the command ``args``.

    Run the command in ``path``, which the caller must have a copy of.
    """
    before = contents(path)
    code, out = attempt(args)
    assert code == 0, out
    after = contents(path)
    return {
        node: {digest, after[node]}
        for node, digest in before.items()
        if node in after
    }


def still_whole(path: bytes, before: Before, out: bytes) -> None:
    """Run ``hg recover`` if Mercurial asks for it; nothing may be missing."""
    if os.path.exists(os.path.join(path, b'.hg/store/journal')):
        hg(path, b'recover', b'--no-verify')
    code, said = hg_command(b'-R', path, b'verify', b'-q')
    assert code == 0, (out, said)
    after = contents(path)
    for node, digests in before.items():
        assert after[node] in digests, (out, node.hex())


def again(path: bytes, args: tuple[bytes, ...], before: Before) -> None:
    """Check that the command succeeds now, unless it had succeeded before."""
    code, out = attempt(args)
    if b'last update was interrupted' in out:
        # A strip updates the working directory first.
        assert attempt((*args[:2], b'update', b'-q', b'--clean', b'.'))[0] == 0
        code, out = attempt(args)
    done = b'nothing changed' in out or b'unknown revision' in out
    assert code == 0 or done, out
    still_whole(path, before, out)


def commands(path: bytes) -> dict[str, tuple[bytes, ...]]:
    """Return the commands to try in the repository ``path``, by name."""
    there = b'--cwd', path
    return {
        'commit': (*there, b'commit', b'-m', b'large'),
        'commit-hook': (
            *there,
            *(b'--config', b'hooks.pretxncommit.look=true'),
            *(b'commit', b'-m', b'large'),
        ),
        'pull': (*there, b'pull', b'-q', path + b'-source'),
        'strip': (*there, b'strip', b'-q', b'-f', b'5'),
        'repack': (*there, b'admin::sqlite-repack', b'-q'),
        'censor': (*there, b'censor', b'-r', b'3', b'blob'),
        'convert': (*there, b'admin::sqlite-convert', b'--to', b'revlog'),
    }


NAMES = sorted(commands(b''))


def prepared(name: str, folder: bytes) -> bytes:
    """Make the repository for a command, and return its path."""
    path = make(os.path.join(folder, b'repo'))
    if name == 'strip':
        # So that an index run must be rewritten and a bundle be written.
        hg(path, b'admin::sqlite-repack', b'-q')
    if name == 'pull':
        source = path + b'-source'
        os.rename(path, source)
        hg(source, b'commit', b'-qAm', b'large')
        pull = b'clone', b'-q', b'--pull', b'-r', b'2', source, path
        assert hg_command(*pull)[0] == 0
    return path


@pytest.mark.parametrize('name', NAMES)
def test_file_too_large(folder: bytes, name: str) -> None:
    path = prepared(name, folder)
    args = commands(path)[name]
    copy_tree(path, path + b'.pristine')
    before = expected(path, args)
    failures = 0
    # From too little for anything to enough for nearly everything.
    for number in range(ATTEMPTS):
        size = 20_000 + 1_600_000 * number // ATTEMPTS
        copy_tree(path + b'.pristine', path)
        code, out = attempt(args, limited(size))
        if code:
            failures += 1
            failed_well(out)
        still_whole(path, before, out)
        if code:
            again(path, args, before)
    assert failures


@pytest.mark.parametrize('name', NAMES)
def test_no_space(folder: bytes, tmpfs: bytes, name: str) -> None:
    path = prepared(name, tmpfs)
    args = commands(path)[name]
    saved = os.path.join(folder, b'saved')
    copy_tree(path, saved)
    before = expected(path, args)
    ballast = os.path.join(tmpfs, b'ballast')
    failures = 0
    for number in range(ATTEMPTS):
        # Open connections keep the space of files that are removed here.
        gc.collect()
        copy_tree(saved, path)
        stat = os.statvfs(tmpfs)
        free = stat.f_bavail * stat.f_frsize
        fill = free - (8_192 + 900_000 * number // ATTEMPTS)
        with open(ballast, 'wb') as file:
            file.write(b'\0' * fill)
        code, out = attempt(args)
        os.unlink(ballast)
        if code:
            failures += 1
            failed_well(out)
        still_whole(path, before, out)
        if code:
            again(path, args, before)
    assert failures


class FullFile:
    """A file that cannot be closed, because its disk is full."""

    def close(self) -> None:
        """Fail."""
        raise OSError(errno.ENOSPC, 'No space left on device')


def test_failed_abort(folder: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mercurial cannot close the journal, and therefore not roll back."""
    unraisable: list[object] = []
    monkeypatch.setattr(sys, 'unraisablehook', unraisable.append)
    path = make(os.path.join(folder, b'repo'))
    before = contents(path)
    warnings: list[bytes] = []
    repo = hg_module.repository(uimod.ui.load(), path)
    with repo.lock():
        tr = repo.transaction(b'test', report=warnings.append)
        file = filelog.SQLiteFilelog(
            repo.sqlitestore, repo.svfs, b'f0', writable=True
        )
        file.add(b'new', {}, tr, 8, NULL, NULL)
        assert repo.sqlitestore.db.in_transaction
        tr._backupsfile = FullFile()
        with pytest.raises(OSError, match='No space left'):
            tr.release()
        assert not repo.sqlitestore.db.in_transaction
        assert repo.sqlitestore.open_writer is None
        del tr
        gc.collect()
    assert not unraisable
    assert warnings == [b'rollback failed - please run hg recover\n']
    still_whole(path, {node: {text} for node, text in before.items()}, b'')
