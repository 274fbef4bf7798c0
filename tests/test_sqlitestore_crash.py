# SPDX-License-Identifier: GPL-2.0-or-later
"""SIGKILL at every step of everything that writes, and what is left.

A command runs in a forked child that kills itself before its Nth step: a step
is an SQL statement, a rename, an unlink or an fsync. Then `hg recover`, and
`hg verify` must be clean and every changeset that was there before must read
as before. Forks instead of new processes make hundreds of points affordable.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
import signal
import sys

import pytest

pytest.importorskip('mercurial')

import hgdemandimport
from mercurial import dispatch, extensions, hg, util
from mercurial import ui as uimod

from hgext3rd.sqlitestore import database

hgdemandimport.disable()

# hg <= 7.1 has it in dispatch itself
make_request = (
    getattr(dispatch, 'request', None) or dispatch.main_script.request
)

HGRC = b"""
[ui]
username = test
interactive = no
[extensions]
sqlitestore =
strip =
censor =
[censor]
policy = ignore
[storage]
new-repo-backend = sqlite
sqlite.auto-repack = no
[devel]
legacy.exchange =
"""

# Points tried per command: all if there are fewer, else spread evenly.
POINTS = int(os.environ.get('CRASH_POINTS', '40'))

pytestmark = pytest.mark.skipif(not hasattr(os, 'fork'), reason='needs fork')


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A function that runs an hg command in this process: (code, output)."""
    rc = tmp_path / 'hgrc'
    rc.write_bytes(HGRC)
    monkeypatch.setenv('HGRCPATH', str(rc))
    monkeypatch.setenv('HGPLAIN', '1')
    monkeypatch.setattr(sys, 'argv', ['hg'])

    def run(*args: bytes) -> tuple[int, bytes]:
        out = io.BytesIO()
        request = make_request(list(args), fin=io.BytesIO(), fout=out, ferr=out)
        code = dispatch.dispatch(request)
        return int(code or 0), out.getvalue()

    return run


class Steps:
    """Counts the steps of a process and kills it before one of them."""

    def __init__(self, last: int | None) -> None:
        self.count = 0
        self.last = last

    def step(self) -> None:
        if self.count == self.last:
            os.kill(os.getpid(), signal.SIGKILL)
        self.count += 1

    def install(self) -> None:
        for name in ('rows', 'row', 'execute', 'execute_many'):
            self._wrap(database.Database, name)
        for module, name in (
            (os, 'rename'),
            (os, 'unlink'),
            (os, 'fsync'),
            (util, 'rename'),
            (util, 'copyfile'),
        ):
            self._wrap(module, name)

    def _wrap(self, owner, name) -> None:
        orig = getattr(owner, name)

        def wrapper(*args, **kwargs):
            self.step()
            return orig(*args, **kwargs)

        setattr(owner, name, wrapper)


def crash(run, args: tuple[bytes, ...], last: int | None) -> int | None:
    """Run a command in a child that dies at step ``last``.

    Returns the number of steps it took, or None if it was killed.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        with contextlib.suppress(BaseException):
            steps = Steps(last)
            steps.install()
            code, out = run(*args)
            os.write(writing, b'%d %d\n%s' % (steps.count, code, out))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, 'rb') as fp:
        report = fp.read()
    os.waitpid(pid, 0)
    if not report:
        return None
    head, out = report.split(b'\n', 1)
    count, code = map(int, head.split())
    assert code == 0, out
    return count


def contents(path: bytes) -> dict[bytes, bytes]:
    """A digest of all file content of each changeset of a repository."""
    repo = hg.repository(uimod.ui.load(), path).unfiltered()
    found = {}
    for rev in repo:
        ctx = repo[rev]
        digest = hashlib.sha1()
        for name in sorted(ctx.manifest()):
            fctx = ctx[name]
            with contextlib.suppress(Exception):
                if fctx.filelog().iscensored(fctx.filerev()):
                    digest.update(name + b' censored')
                    continue
            digest.update(name + fctx.data() + fctx.flags())
        found[ctx.node()] = digest.digest()
    repo.close()
    return found


def check(run, args, path: bytes, pristine: bytes, before, allowed) -> None:
    """Kill ``args`` at many points; ``allowed`` may be missing afterwards."""

    def reset() -> None:
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(pristine, path, symlinks=True)

    reset()
    total = crash(run, args, None)
    assert total, 'the command did not finish'
    expected = contents(path)
    step = max(1, total // POINTS)
    for last in range(0, total, step):
        reset()
        assert crash(run, args, last) is None
        run(b'-R', path, b'recover', b'--no-verify')
        code, out = run(b'-R', path, b'verify', b'-q')
        assert code == 0, (last, out)
        after = contents(path)
        for node, digest in before.items():
            if node not in after:
                assert node in allowed, (last, node.hex())
            else:
                assert after[node] in (digest, expected.get(node)), (
                    last,
                    node.hex(),
                )
        # It can go on from here.
        with open(os.path.join(path, b'more'), 'ab') as fp:
            fp.write(b'more')
        code, out = run(
            b'-R', path, b'--cwd', path, b'commit', b'-qAm', b'more'
        )
        assert code in (0, 1), (last, out)


@pytest.fixture
def history(run, tmp_path):
    """A repository with a little history; returns (path, pristine copy)."""
    path = os.fsencode(tmp_path / 'repo')
    assert run(b'init', path)[0] == 0
    for number in range(5):
        for name in (b'f', b'g%d' % number, b'dir/h'):
            target = os.path.join(path, name)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, 'ab') as fp:
                fp.write(b'%d ' % number * 500 + b'\n')
        code, out = run(b'--cwd', path, b'commit', b'-qAm', b'c%d' % number)
        assert code == 0, out
    return path, os.fsencode(tmp_path / 'pristine')


def test_commit(run, history):
    path, pristine = history
    with open(os.path.join(path, b'f'), 'ab') as fp:
        fp.write(b'changed\n')
    with open(os.path.join(path, b'new'), 'wb') as fp:
        fp.write(os.urandom(100_000))
    run(b'--cwd', path, b'copy', b'-q', b'g1', b'g1copy')
    run(b'--cwd', path, b'add', b'-q', b'new')
    shutil.copytree(path, pristine, symlinks=True)
    check(
        run,
        (b'--cwd', path, b'commit', b'-m', b'crashing'),
        path,
        pristine,
        contents(path),
        set(),
    )


def test_amend(run, history):
    path, pristine = history
    with open(os.path.join(path, b'f'), 'ab') as fp:
        fp.write(b'changed\n')
    shutil.copytree(path, pristine, symlinks=True)
    # Without obsolescence it strips, and core keeps what it strips above the
    # amended changeset in a bundle only: see test_strip.
    evolution = b'experimental.evolution=createmarkers,allowunstable'
    amend = (b'commit', b'--amend', b'-m', b'amended', b'--config', evolution)
    check(run, (b'--cwd', path, *amend), path, pristine, contents(path), set())


def test_pull(run, history, tmp_path):
    source, pristine = history
    path = os.fsencode(tmp_path / 'clone')
    assert run(b'clone', b'-q', b'--pull', b'-r', b'1', source, path)[0] == 0
    shutil.copytree(path, pristine, symlinks=True)
    check(
        run,
        (b'-R', path, b'pull', source),
        path,
        pristine,
        contents(path),
        set(),
    )


def test_strip(run, history):
    path, pristine = history
    run(b'-R', path, b'update', b'-q', b'0')
    shutil.copytree(path, pristine, symlinks=True)
    before = contents(path)
    stripped = set(list(before)[3:])
    check(
        run,
        (b'-R', path, b'strip', b'-q', b'3'),
        path,
        pristine,
        before,
        stripped,
    )


def test_censor(run, history):
    path, pristine = history
    shutil.copytree(path, pristine, symlinks=True)
    before = contents(path)
    check(
        run,
        (b'--cwd', path, b'censor', b'-r', b'2', b'f'),
        path,
        pristine,
        before,
        set(),
    )


def test_rollback_of_loaded_extension():
    """The extension under test is the one the commands above run with."""
    assert extensions.find(b'sqlitestore') is not None
