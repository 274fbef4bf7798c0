# SPDX-License-Identifier: GPL-2.0-or-later
"""A disk that fills up under commands that write.

Each is one line that names a path, loses nothing, and works again when there is
space. ``RLIMIT_FSIZE`` bounds the size of any one file: the database, its log,
a revlog. A small tmpfs bounds the sum, if one can be mounted here.
"""

from __future__ import annotations

import contextlib
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

pytestmark = pytest.mark.skipif(not hasattr(os, 'fork'), reason='needs fork')

TMPFS_SIZE = 8 << 20

# Amounts of space tried for each command.
ATTEMPTS = int(os.environ.get('FULL_POINTS', '3'))


@pytest.fixture(autouse=True)
def configuration(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Have commands of this process find their configuration."""
    rc = tmp_path / 'hgrc'
    rc.write_bytes(crashes.HGRC)
    monkeypatch.setenv('HGRCPATH', str(rc))
    monkeypatch.setenv('HGPLAIN', '1')
    monkeypatch.setattr(sys, 'argv', ['hg'])


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> bytes:
    """Where repositories are made."""
    return os.fsencode(tmp_path)


@pytest.fixture
def tmpfs(tmp_path: pathlib.Path) -> Iterator[bytes]:
    """A file system of TMPFS_SIZE."""
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
    """Run a command that must succeed."""
    code, out = hg_command(b'--cwd', path, *args)
    assert code == 0, out


def write(path: bytes, name: bytes, data: bytes) -> None:
    """Replace a file of a working directory."""
    with open(os.path.join(path, name), 'wb') as file:
        file.write(data)


def make(path: bytes) -> bytes:
    """A repository of 8 changesets and about 1 MB, with changes to commit."""
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
    """What makes a process unable to write files larger than ``size``."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


def attempt(
    args: tuple[bytes, ...], prepare: Callable[[], None] = lambda: None
) -> tuple[int, bytes]:
    """Run a command in a child: (exit code, output)."""
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
    """Check what a command said that had no space."""
    lines = [line for line in out.split(b'\n') if line.startswith(b'abort: ')]
    assert len(lines) == 1, out
    assert b'Traceback' not in out, out
    if b'files.sqlite' in lines[0]:
        assert out.rstrip().endswith(b')'), out


Before = dict[bytes, set[bytes]]


def expected(path: bytes, args: tuple[bytes, ...]) -> Before:
    """What ``contents`` may say of each changeset that ``args`` leave.

    Runs them in ``path``, of which there must be a copy.
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
    """Recover if that was asked for; nothing may be missing."""
    if os.path.exists(os.path.join(path, b'.hg/store/journal')):
        hg(path, b'recover', b'--no-verify')
    code, said = hg_command(b'-R', path, b'verify', b'-q')
    assert code == 0, (out, said)
    after = contents(path)
    for node, digests in before.items():
        assert after[node] in digests, (out, node.hex())


def again(path: bytes, args: tuple[bytes, ...], before: Before) -> None:
    """It succeeds now, unless the lack of space only hit what follows it."""
    code, out = attempt(args)
    done = b'nothing changed' in out or b'unknown revision' in out
    assert code == 0 or done, out
    still_whole(path, before, out)


def commands(path: bytes) -> dict[str, tuple[bytes, ...]]:
    """What is tried in the repository ``path``; its clone is in other places."""
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
    """The repository for a command."""
    path = make(os.path.join(folder, b'repo'))
    if name == 'strip':
        # rows to rewrite, and a bundle to write
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
    # from what fits nothing to what fits nearly everything
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
        # connections to files removed here keep their space
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
