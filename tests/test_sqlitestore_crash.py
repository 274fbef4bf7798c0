# SPDX-License-Identifier: GPL-2.0-or-later
"""Kill every command that writes, at each of its steps, and check the result.

After each kill, ``hg recover`` runs if Mercurial asks for it. Afterwards
``hg verify`` must find no problem, every changeset that existed before must
read as before, and the next writer must succeed. What a step is:
helpers/sqlitestore_crashes.py.

The environment variable ``CRASH_POINTS`` says how many steps to try for each
command: a number, or ``all``. ``CRASH_SIGNAL`` is the signal to send instead of
SIGKILL. After SIGINT, the command rolls back by itself.
"""

from __future__ import annotations

import errno
import os
import pathlib
import random
import signal
import sqlite3
from collections.abc import Iterator
from typing import Any, Protocol

import pytest

pytest.importorskip('mercurial')

from helpers import sqlitestore_crashes as crashes
from helpers import sqlitestore_legacy as legacy
from helpers.sqlitestore_crashes import Scenario, hg_command
from mercurial import extensions, scmutil

WANTED = os.environ.get('CRASH_POINTS', '10')
POINTS = None if WANTED == 'all' else int(WANTED)
SIGNAL = getattr(signal, os.environ.get('CRASH_SIGNAL', 'SIGKILL'))

killed_or_interrupted = pytest.mark.parametrize(
    'sweep',
    [SIGNAL, signal.SIGINT],
    indirect=True,
    ids=['killed', 'interrupted'],
)

pytestmark = pytest.mark.skipif(not hasattr(os, 'fork'), reason='needs fork')


@pytest.fixture(autouse=True)
def configuration(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Configure the commands that this process runs."""
    crashes.configure(tmp_path, monkeypatch)


class Sweep(Protocol):
    def __call__(self, scenario: Scenario, part: int = 1) -> None: ...


@pytest.fixture
def sweep(
    request: pytest.FixtureRequest, capsys: pytest.CaptureFixture
) -> Iterator[Sweep]:
    """Return a function that runs a scenario.

    If not all steps are to be tried, it tries ``CRASH_POINTS / part`` of them.
    Otherwise the number of steps is printed at the end.
    """
    total: list[int] = []

    def run(scenario: Scenario, part: int = 1) -> None:
        scenario.signum = signum
        if signum != SIGNAL:
            part = 3
        total.append(scenario.run(POINTS and max(1, POINTS // part)))

    signum = getattr(request, 'param', SIGNAL)
    yield run
    if POINTS is None:
        with capsys.disabled():
            print(f'{request.node.name}: {sum(total)} points')


def write(path: bytes, name: bytes, data: bytes, mode: str = 'ab') -> None:
    """Append to a file of a working directory."""
    target = os.path.join(path, name)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, mode) as file:
        file.write(data)


def hg(path: bytes, *args: bytes) -> None:
    """Run a command, and assert that it succeeds."""
    code, out = hg_command(b'--cwd', path, *args)
    assert code == 0, out


@pytest.fixture
def history(tmp_path: pathlib.Path) -> bytes:
    """Return a repository with a copy and revisions in frames and in rows."""
    path = os.fsencode(tmp_path / 'repo')
    assert hg_command(b'init', path)[0] == 0
    for number in range(5):
        for name in (b'f', b'g%d' % number, b'dir/h'):
            write(path, name, b'%d ' % number * 500 + b'\n')
        if number == 2:
            hg(path, b'copy', b'-q', b'f', b'copied')
        hg(path, b'commit', b'-qAm', b'c%d' % number)
        if number == 3:
            hg(path, b'admin::sqlite-repack', b'-q')
    return path


@pytest.fixture
def changed(history: bytes) -> bytes:
    """Return the same repository with uncommitted changes."""
    write(history, b'f', b'changed\n')
    write(history, b'new', random.Random(1).randbytes(100_000))
    hg(history, b'copy', b'-q', b'g1', b'g1copy')
    hg(history, b'add', b'-q', b'new')
    return history


@pytest.fixture
def large(tmp_path: pathlib.Path) -> bytes:
    """Return a repository that fills several frames."""
    path = os.fsencode(tmp_path / 'large')
    noise = random.Random(2)
    assert hg_command(b'init', path)[0] == 0
    for number in range(12):
        write(path, b'log', noise.randbytes(20_000))
        write(path, b'blob', noise.randbytes(150_000), 'wb')
        for name in range(number, number + 4):
            write(path, b'd/%d' % name, b'line %d\n' % number * 50)
        hg(path, b'commit', b'-qAm', b'c%d' % number)
    return path


@killed_or_interrupted
def test_commit(changed: bytes, sweep: Sweep) -> None:
    sweep(Scenario(changed, (b'--cwd', changed, b'commit', b'-m', b'dies')))


def test_commit_with_pending_hook(changed: bytes, sweep: Sweep) -> None:
    """What a hook in another process must see is committed before it runs."""
    hook = b'hooks.pretxncommit.look=true'
    args = (b'--cwd', changed, b'commit', b'-m', b'dies', b'--config', hook)
    sweep(Scenario(changed, args))


def test_hook_killed(changed: bytes, sweep: Sweep) -> None:
    """A hook is killed, then the command while it rolls back."""
    hook = b'hooks.pretxncommit.dies=kill -9 $$'
    args = (b'--cwd', changed, b'commit', b'-m', b'dies', b'--config', hook)
    sweep(Scenario(changed, args, code=-1))


def test_amend(history: bytes, sweep: Sweep) -> None:
    write(history, b'f', b'changed\n')
    # Without obsolescence, amend strips. Core then keeps the changesets above
    # the amended one in a bundle only: see test_strip.
    evolution = b'experimental.evolution=createmarkers,allowunstable'
    amend = (b'commit', b'--amend', b'-m', b'amended', b'--config', evolution)
    sweep(Scenario(history, (b'--cwd', history, *amend)))


def test_pull(large: bytes, tmp_path: pathlib.Path, sweep: Sweep) -> None:
    path = os.fsencode(tmp_path / 'clone')
    hg_command(b'clone', b'-q', b'--pull', b'-r', b'1', large, path)
    sweep(Scenario(path, (b'-R', path, b'pull', large)))


def test_pull_refused(
    large: bytes, tmp_path: pathlib.Path, sweep: Sweep
) -> None:
    """A hook refuses a large changegroup, which is rolled back."""
    path = os.fsencode(tmp_path / 'clone')
    hg_command(b'clone', b'-q', b'--pull', b'-r', b'1', large, path)
    hook = b'hooks.pretxnchangegroup.no=false'
    args = (b'-R', path, b'pull', large, b'--config', hook)
    sweep(Scenario(path, args, code=-1))


def stripped(path: bytes, first: int) -> frozenset[bytes]:
    """Return the changesets from number ``first`` on."""
    return frozenset(list(crashes.contents(path))[first:])


@killed_or_interrupted
def test_strip(history: bytes, sweep: Sweep) -> None:
    hg(history, b'update', b'-q', b'0')
    strip = (b'-R', history, b'strip', b'-q', b'3')
    sweep(Scenario(history, strip, stripped(history, 3)))


def test_strip_below_others(history: bytes, sweep: Sweep) -> None:
    """Unrelated changesets above go into a bundle and come back."""
    hg(history, b'update', b'-q', b'2')
    write(history, b'branch', b'off\n')
    write(history, b'copied', b'off\n')
    hg(history, b'commit', b'-qAm', b'other head')
    hg(history, b'update', b'-q', b'0')
    strip = (b'-R', history, b'strip', b'-q', b'3')
    # As with revlogs, those changesets are only in a bundle for a while.
    sweep(Scenario(history, strip, stripped(history, 3)))


def test_rollback(history: bytes, sweep: Sweep) -> None:
    hg(history, b'update', b'-q', b'0')
    args = (b'-R', history, b'rollback', b'-qf')
    # As with revlogs, the command starts again.
    sweep(
        Scenario(
            history,
            args,
            stripped(history, 4),
            repair=lambda: hg_command(*args),
        )
    )


def test_censor(history: bytes, sweep: Sweep) -> None:
    args = (b'--cwd', history, b'censor', b'-r', b'2', b'f')
    sweep(Scenario(history, args))


def test_repack(large: bytes, sweep: Sweep) -> None:
    sweep(Scenario(large, (b'-R', large, b'admin::sqlite-repack')))


def test_repack_max(large: bytes, sweep: Sweep) -> None:
    """Repack a repository whose revisions are mostly in frames already."""
    hg(large, b'admin::sqlite-repack', b'-q')
    write(large, b'log', b'more')
    hg(large, b'commit', b'-qm', b'more')
    sweep(Scenario(large, (b'-R', large, b'admin::sqlite-repack', b'--max')))


@pytest.mark.parametrize('target', ['sqlite', 'revlog'])
def test_convert(history: bytes, sweep: Sweep, target: str) -> None:
    if target == 'sqlite':
        hg(history, b'admin::sqlite-convert', b'--to', b'revlog')
    convert = b'admin::sqlite-convert', b'--to', target.encode()

    def again() -> None:
        """Check that the repository is whole, and convert it again."""
        assert crashes.contents(history) == scenario.before
        hg(history, *convert)
        found = os.listdir(os.path.join(history, b'.hg/store'))
        assert (b'history.sqlite' in found) == (target == 'sqlite')
        assert b'sqlite-convert' not in found

    scenario = Scenario(history, (b'-R', history, *convert), repair=again)
    sweep(scenario)


@pytest.mark.parametrize('target', ['sqlite', 'revlog'])
def test_convert_legacy(history: bytes, sweep: Sweep, target: str) -> None:
    """Convert from the extension that came with Mercurial until 6.9."""
    before = crashes.contents(history)
    legacy.make_legacy(history)
    store = os.path.join(history, b'.hg/store')
    convert = b'admin::sqlite-convert', b'--to', target.encode()

    def again() -> None:
        """Check that the repository has one format, and convert it again."""
        with open(os.path.join(store, b'requires'), 'rb') as file:
            if b'exp-sqlite-001' in file.read():
                assert b'db.sqlite' in os.listdir(store)
            else:
                assert crashes.contents(history) == before
        hg(history, *convert)
        assert crashes.contents(history) == before
        found = os.listdir(store)
        assert (b'history.sqlite' in found) == (target == 'sqlite')
        assert not {b'db.sqlite', b'db.sqlite-wal', b'sqlite-convert'} & {
            *found
        }

    args = (b'-R', history, *convert)
    sweep(Scenario(history, args, before=before, repair=again), part=3)


@pytest.mark.parametrize('kind', ['sqlite', 'revlog', 'legacy'])
def test_convert_without_room(
    history: bytes, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """The requirements on disk decide which files are removed."""
    before = crashes.contents(history)
    target = 'revlog'
    if kind == 'revlog':
        hg(history, b'admin::sqlite-convert', b'--to', b'revlog')
        target = 'sqlite'
    elif kind == 'legacy':
        legacy.make_legacy(history)
    convert = b'admin::sqlite-convert', b'-q', b'--to', target.encode()

    write = scmutil.writerequires

    def full(vfs: Any, *args: Any) -> None:
        if b'sqlite-convert' not in vfs.base:
            raise OSError(errno.ENOSPC, 'No space left on device')
        write(vfs, *args)

    with monkeypatch.context() as patch:
        patch.setattr(scmutil, 'writerequires', full)
        code, out = hg_command(b'-R', history, *convert)
    assert code and b'No space left' in out, out
    if kind != 'legacy':
        assert crashes.contents(history) == before
    hg(history, *convert)
    assert crashes.contents(history) == before


class BackupScenario(Scenario):
    """A scenario that also checks the backup of the run that is not killed."""

    def total(self) -> int:
        total = super().total()
        self.also()
        return total


def test_backup(large: bytes, tmp_path: pathlib.Path, sweep: Sweep) -> None:
    dest = os.fsencode(tmp_path / 'backup')

    def look() -> None:
        """Check that the copy is complete or absent, and copy again."""
        for attempt in range(2):
            if os.path.exists(dest):
                db = sqlite3.connect(os.fsdecode(dest))
                (verdict,) = db.execute('PRAGMA integrity_check').fetchone()
                db.close()
                assert verdict == 'ok'
                os.unlink(dest)
            if not attempt:
                hg(large, b'admin::sqlite-backup', b'-q', dest)

    args = (b'-R', large, b'admin::sqlite-backup', dest)
    sweep(BackupScenario(large, args, also=look))


def interrupted(scenario: Scenario, mark: bytes) -> list[int]:
    """Return the steps at which a kill leaves a journal that names ``mark``."""
    journal = os.path.join(scenario.path, b'.hg/store/journal')
    found = []
    for last in range(scenario.total()):
        scenario.kill(last)
        if os.path.exists(journal):
            with open(journal, 'rb') as file:
                if mark in file.read():
                    found.append(last)
    return found


def recovery(scenario: Scenario, last: int) -> Scenario:
    """Return a scenario that kills the recovery from an earlier kill."""
    scenario.kill(last)
    path = scenario.path + b'-crashed'
    crashes.copy_tree(scenario.path, path)
    args = (b'-R', path, b'recover', b'--no-verify')
    return Scenario(path, args, scenario.allowed, before=scenario.before)


def test_recover(changed: bytes, sweep: Sweep) -> None:
    """Recovery is killed once; the next one succeeds."""
    hook = b'hooks.pretxncommit.look=true'
    args = (b'--cwd', changed, b'commit', b'-m', b'dies', b'--config', hook)
    commit = Scenario(changed, args)
    points = interrupted(commit, b'00changelog.i')
    for last in (points[len(points) // 2], points[-1]):
        sweep(recovery(commit, last))


def test_recover_strip(history: bytes, sweep: Sweep) -> None:
    hg(history, b'update', b'-q', b'0')
    args = (b'-R', history, b'strip', b'-q', b'3')
    strip = Scenario(history, args, stripped(history, 3))
    sweep(recovery(strip, interrupted(strip, b'00changelog.i')[2]))


def test_extension_is_loaded() -> None:
    """The commands above run with the extension of this source tree."""
    assert extensions.find(b'sqlitestore') is not None
