# SPDX-License-Identifier: GPL-2.0-or-later
"""Replication by Litestream to an S3 server, and restoring from there.

Litestream runs with docs/deploy/litestream.yml. A machine is lost when Litestream
is killed and only the bucket and the archives of the rest are left.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from conftest import S3Server, wait_for

DEPLOY = pathlib.Path(__file__).parent.parent / 'docs' / 'deploy'
PROGRAMS = pathlib.Path(sys.executable).parent

pytestmark = pytest.mark.needs('s3', 'litestream')

HGRC = """\
[extensions]
sqlitestore =
strip =
censor =
[ui]
username = test
[storage]
new-repo-backend = sqlite
sqlite.auto-repack = no
sqlite.keep-wal = {keep}
[censor]
policy = ignore
"""


@dataclass(frozen=True)
class Moment:
    """What was committed when all of it was in the bucket."""

    name: str
    changesets: tuple[str, ...]
    transaction: str
    time: str
    rest: pathlib.Path


class Machine:
    """A server with a repository, whose database Litestream replicates."""

    def __init__(self, folder: pathlib.Path, s3: S3Server, keep: str) -> None:
        self.folder = folder
        self.repo = folder / 'project'
        self.database = self.repo / '.hg' / 'store' / 'history.sqlite'
        self.hgrc = folder / 'hgrc'
        self.hgrc.write_text(HGRC.format(keep=keep))
        self.log = folder / 'litestream.log'
        self.config = folder / 'litestream.yml'
        text = (DEPLOY / 'litestream.yml').read_text()
        for sample, here in (
            ('/srv/hg/project', str(self.repo)),
            ('/var/lib/litestream', str(folder / 'meta')),
            ('/run/litestream', str(folder)),
            ('s3://hg-backup', f's3://{s3.bucket}/{folder.name}'),
            (
                'region: us-east-1',
                f'region: us-east-1\n      endpoint: {s3.endpoint}',
            ),
        ):
            assert sample in text
            text = text.replace(sample, here)
        self.config.write_text(text)
        self.process: subprocess.Popen[bytes] | None = None
        self.hg('init', str(self.repo), cwd=folder)

    def run(
        self,
        *command: str,
        cwd: pathlib.Path | None = None,
        fails: bool = False,
    ) -> str:
        """Run a program and return its output."""
        env = {**os.environ, 'HGRCPATH': str(self.hgrc)}
        # The Go library that Litestream uses refuses this variable.
        env.pop('AWS_CA_BUNDLE', None)
        done = subprocess.run(
            [str(PROGRAMS / command[0]), *command[1:]],
            cwd=cwd or self.repo,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert fails or done.returncode == 0, (command, done.stdout)
        return done.stdout

    def hg(self, *args: str, cwd: pathlib.Path | None = None) -> str:
        return self.run('hg', *args, cwd=cwd)

    def write(self, name: str, text: str) -> None:
        (self.repo / name).write_text(text)

    def start(self) -> None:
        """Start Litestream, and wait until it replicates."""
        env = dict(os.environ)
        env.pop('AWS_CA_BUNDLE', None)
        command = [str(PROGRAMS / 'litestream'), 'replicate']
        with self.log.open('ab') as log:
            self.process = subprocess.Popen(
                [*command, '-config', str(self.config), '-log-level', 'debug'],
                stdout=log,
                stderr=log,
                env=env,
            )
        wait_for(
            lambda: 'txid' in self.sync(fails=True), 'litestream', self.process
        )

    def stop(self, *, kill: bool) -> None:
        if self.process is not None:
            (self.process.kill if kill else self.process.terminate)()
            self.process.wait()
            self.process = None

    def sync(self, *, fails: bool = False) -> str:
        """Wait until everything is in the bucket; return Litestream's report."""
        return self.run(
            *('litestream', 'sync', '-wait', '-json', '-timeout', '120'),
            *('-socket', str(self.folder / 'litestream.sock')),
            str(self.database),
            fails=fails,
        )

    def changesets(self, repo: pathlib.Path) -> tuple[str, ...]:
        return tuple(self.hg('log', '-T', '{node}\n', cwd=repo).split()[::-1])

    def archive(self, name: str) -> pathlib.Path:
        path = self.folder / f'{name}.tar'
        self.hg('admin::sqlite-backup', '-q', '--rest', str(path))
        return path

    def moment(self, name: str) -> Moment:
        """Return the moment when everything so far is in the bucket."""
        # What others commit while this waits need not be there.
        changesets = self.changesets(self.repo)
        report = json.loads(self.sync())
        now = datetime.datetime.now(datetime.timezone.utc)
        return Moment(
            name,
            changesets,
            f'{report["txid"]:016x}',
            now.isoformat().replace('+00:00', 'Z'),
            self.archive(name),
        )

    def restore(self, rest: pathlib.Path, *options: str) -> tuple[str, ...]:
        """Restore a repository elsewhere, check it, and return its changesets."""
        repo = self.folder / 'restored'
        shutil.rmtree(repo, ignore_errors=True)
        repo.mkdir()
        with tarfile.open(rest) as tar:
            tar.extractall(repo, filter='data')
        copy = self.folder / 'restored.sqlite'
        self.run(
            *('litestream', 'restore', '-force', '-config', str(self.config)),
            *options,
            *('-o', str(copy), str(self.database)),
            cwd=self.folder,
        )
        self.hg('admin::sqlite-restore', str(copy), cwd=repo)
        self.run('hg', 'recover', cwd=repo, fails=True)
        self.hg('verify', '-q', cwd=repo)
        found = self.changesets(repo)
        if not options:
            # It can be used.
            self.hg('update', '-q', 'tip', cwd=repo)
            (repo / 'after').write_text('after\n')
            self.hg('commit', '-qAm', 'after', cwd=repo)
            self.hg('verify', '-q', cwd=repo)
        return found


@pytest.fixture
def keep() -> str:
    return 'yes'


@pytest.fixture
def machine(
    s3: S3Server, tmp_path: pathlib.Path, keep: str
) -> Iterator[Machine]:
    found = Machine(tmp_path, s3, keep)
    try:
        yield found
    finally:
        found.stop(kill=True)


def test_lost_at_many_moments(machine: Machine) -> None:
    """Each moment can be restored, with the rest of then, before or after it."""
    for number in range(3):
        machine.write('a', f'{number}\n' * 500)
        machine.write(f'f{number}', f'{number}\n')
        machine.hg('commit', '-qAm', f'{number}')
    machine.start()
    moments = [machine.moment('begin')]

    machine.write('a', 'secret\n' * 500)
    machine.hg('commit', '-qm', 'secret')
    machine.write('a', 'clean\n' * 500)
    machine.hg('commit', '-qm', 'clean')
    moments.append(machine.moment('commits'))

    other = machine.folder / 'other'
    machine.hg('clone', '-q', '--pull', str(machine.repo), str(other))
    for number in range(10):
        (other / 'pushed').write_text(f'{number}\n')
        machine.hg('commit', '-qAm', f'pushed {number}', cwd=other)
    machine.hg('push', '-q', cwd=other)
    moments.append(machine.moment('push'))

    machine.hg('admin::sqlite-repack', '-q')
    moments.append(machine.moment('repack'))

    machine.hg('censor', '-q', '-r', '3', 'a')
    moments.append(machine.moment('censor'))

    machine.hg('strip', '-q', '--no-backup', '--force', '13')
    moments.append(machine.moment('strip'))
    assert len(moments[-1].changesets) == 13

    machine.hg('update', '-qC', 'tip')
    machine.write('b', 'b\n')
    machine.hg('commit', '-qAm', 'newest')
    moments.append(machine.moment('newest'))

    # The machine burns.
    machine.stop(kill=True)
    shutil.rmtree(machine.repo)
    newest = moments[-1]
    assert machine.restore(newest.rest) == newest.changesets
    for moment in moments:
        options = '-txid', moment.transaction
        assert machine.restore(moment.rest, *options) == moment.changesets
        # The rest was copied later, and before.
        for rest in (newest, moments[0]):
            common = tuple(
                node
                for node, same in zip(
                    moment.changesets, rest.changesets, strict=False
                )
                if node == same
            )
            assert machine.restore(rest.rest, *options) == common
    before = moments[1]
    found = machine.restore(before.rest, '-timestamp', before.time)
    assert found == before.changesets


def test_lost_while_it_is_busy(machine: Machine) -> None:
    """Whatever has arrived in the bucket is enough, at any moment."""
    machine.write('a', 'begin\n')
    machine.hg('commit', '-qAm', 'begin')
    machine.start()
    safe = machine.moment('safe')
    stop = threading.Event()
    failures: list[AssertionError] = []

    def work() -> None:
        number = 0
        try:
            while not stop.is_set():
                number += 1
                machine.write('a', f'{number}\n' * number)
                machine.write(f'f{number}', f'{number}\n')
                machine.hg('commit', '-qAm', f'{number}')
                if number % 5 == 0:
                    machine.hg('admin::sqlite-repack', '-q')
        except AssertionError as exc:
            failures.append(exc)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for number in range(2):
            rest = machine.archive(f'busy{number}')
            found = machine.restore(rest)
            assert found[: len(safe.changesets)] == safe.changesets
            # What was replicated before is not lost.
            safe = machine.moment(f'safe{number}')
    finally:
        stop.set()
        thread.join()
    assert not failures
    machine.stop(kill=True)
    found = machine.restore(machine.archive('end'))
    assert found[: len(safe.changesets)] == safe.changesets


@pytest.mark.parametrize('keep', ['yes', 'no'])
def test_pause(machine: Machine, keep: str) -> None:
    """Litestream goes on where it was if the log was kept while it paused."""
    machine.write('a', '1\n')
    machine.hg('commit', '-qAm', '1')
    machine.start()
    machine.sync()
    machine.stop(kill=False)
    for number in range(3):
        machine.write('a', f'while it paused {number}\n')
        machine.hg('commit', '-qm', f'{number}')
    with contextlib.suppress(FileNotFoundError):
        (machine.folder / 'litestream.sock').unlink()
    machine.log.write_bytes(b'')
    machine.start()
    moment = machine.moment('end')
    copied = 'snap=true' in machine.log.read_text()
    assert copied == (keep == 'no')
    machine.stop(kill=True)
    assert machine.restore(moment.rest) == moment.changesets


def test_unit_and_configuration_agree() -> None:
    unit = (DEPLOY / 'litestream.service').read_text()
    text = (DEPLOY / 'litestream.yml').read_text()
    assert '-config /etc/litestream.yml' in unit
    assert 'RuntimeDirectory=litestream' in unit
    assert 'path: /run/litestream/' in text
    assert 'StateDirectory=litestream' in unit
    assert 'meta-path: /var/lib/litestream/' in text


def test_unit_is_valid(tmp_path: pathlib.Path) -> None:
    program = shutil.which('systemd-analyze')
    if program is None:
        pytest.skip('missing feature: systemd-analyze')
    unit = tmp_path / 'litestream.service'
    text = (DEPLOY / 'litestream.service').read_text()
    unit.write_text(text.replace('/usr/local/bin/litestream', sys.executable))
    done = subprocess.run(
        [program, 'verify', '--man=no', str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert 'litestream.service' not in done.stderr, done.stderr
