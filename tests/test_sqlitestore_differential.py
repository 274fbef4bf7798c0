# SPDX-License-Identifier: GPL-2.0-or-later
"""Commands print the same in a repository with revlogs and in one with SQLite.

A seed determines a series of random commands, each of which runs in both
repositories. What they print must be equal, and at the end so must every
revision of every file.

Run as a script (``test_sqlitestore_differential.py SEED [STEPS]``), this file
runs one series in the current folder. The tests run it as a script, so that
extensions are not loaded into the process of other tests.
"""

from __future__ import annotations

import os
import pathlib
import random
import shutil
import struct
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent

CONFIG = {
    # Otherwise commands stop at a censored file, after having written other
    # files in an order that may differ.
    'censor.policy': 'ignore',
    'devel.default-date': '0 0',
    'extensions.censor': '',
    'extensions.rebase': '',
    'extensions.sqlitestore': '',
    'extensions.strip': '',
    'phases.publish': 'no',
    'storage.sqlite.auto-repack': 'no',
    'storage.sqlite.synchronous': 'off',
    'ui.interactive': 'no',
    'ui.merge': ':merge-local',
    'ui.username': 'test',
}
SIDES = ('revlogv1', 'sqlite')
NAMES = [f'd{d}/f{f}' for d in range(3) for f in range(4)]


#: An extension that makes all indexes late, as only those of long histories are.
LATE = """
from hgext3rd.sqlitestore.reading import lateindex
lateindex.LEAST_REVISIONS = 1
"""


class Server:
    """``hg serve --cmdserver pipe``: one process for many commands."""

    def __init__(self, side: str, late: bool) -> None:
        config = dict(CONFIG, **{'storage.new-repo-backend': side})
        if late:
            extension = pathlib.Path('late.py').resolve()
            extension.write_text(LATE, encoding='utf-8')
            config['extensions.late'] = str(extension)
        words = [f'--config={key}={value}' for key, value in config.items()]
        hg = str(pathlib.Path(sys.executable).with_name('hg'))
        self._process = subprocess.Popen(
            [hg, *words, 'serve', '--cmdserver', 'pipe'],
            cwd=side,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._read()

    def _read(self) -> tuple[bytes, bytes]:
        """Read one message, and return (channel, data).

        Messages that ask for input have no data.
        """
        stream = self._process.stdout
        assert stream is not None
        channel, length = struct.unpack('>cI', stream.read(5))
        return channel, b'' if channel in b'IL' else stream.read(length)

    def run(self, words: tuple[str, ...]) -> str:
        """Run a command; return what it prints, with its exit status."""
        data = b'\0'.join(map(os.fsencode, words))
        request = b'runcommand\n' + struct.pack('>I', len(data)) + data
        stream = self._process.stdin
        assert stream is not None
        stream.write(request)
        stream.flush()
        said = b''
        while True:
            channel, data = self._read()
            if channel == b'r':
                status = struct.unpack('>i', data)[0]
                return said.decode('utf-8', 'replace') + f'[{status}]\n'
            if channel in b'IL':
                stream.write(struct.pack('>I', 0))
                stream.flush()
            else:
                said += data

    def close(self) -> None:
        self._process.communicate()


class Pair:
    """One repository on each side, changed by the same commands."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.name = 'r0'
        self.generation = 0
        self.censored = False
        self.log: list[str] = []
        self.servers = {}
        for side in SIDES:
            os.mkdir(side)
            # Half of the series have late indexes.
            self.servers[side] = Server(side, late=bool(seed % 2))
        self.both('init', 'r0', top=True)

    def run(self, side: str, *words: str, top: bool = False) -> str:
        """Run hg on one side; return what it prints, with its exit status.

        With ``top``, it runs beside the repository and not in it.
        """
        folder = [] if top else ['--cwd', self.name]
        said = self.servers[side].run((*folder, *words))
        return said.replace(f'/{side}/', '/SIDE/')

    def both(self, *words: str, top: bool = False) -> str:
        """Run a command on both sides; return what they printed alike."""
        self.log.append('hg ' + ' '.join(words))
        said = [self.run(side, *words, top=top) for side in SIDES]
        if said[0] != said[1]:
            raise SystemExit(
                '\n'.join(self.log[-30:])
                + f'\n--- {SIDES[0]}\n{said[0]}\n--- {SIDES[1]}\n{said[1]}'
            )
        if '** unknown exception' in said[0] or 'Traceback' in said[0]:
            raise SystemExit('\n'.join(self.log[-30:]) + f'\n{said[0]}')
        return said[0]

    def write(self, name: str, text: bytes) -> None:
        self.log.append(f'write {name} {len(text)}')
        for side in SIDES:
            path = pathlib.Path(side, self.name, name)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(text)

    def read(self, name: str) -> bytes:
        path = pathlib.Path(SIDES[0], self.name, name)
        return path.read_bytes() if path.is_file() else b''

    # The actions that a series consists of.

    def revision(self) -> str:
        """Return the number of a random revision, 0 in an empty repository."""
        said = self.run(SIDES[0], 'log', '-r', 'tip', '-T', '{rev}')
        tip = int(said.partition('[')[0] or -1)
        return str(self.random.randint(0, tip)) if tip > 0 else '0'

    def change(self) -> None:
        """Change or add some files, and commit."""
        rng = self.random
        for name in rng.sample(NAMES, rng.randint(1, 4)):
            lines = self.read(name).splitlines(True)
            for _ in range(rng.randint(1, 4)):
                line = b'%d %s\n' % (rng.randint(0, 9), os.fsencode(name))
                place = rng.randint(0, len(lines))
                lines[place : place + rng.randint(0, 1)] = [line] * rng.choice(
                    (1, 1, 1, 30)
                )
            text = b''.join(lines)
            if rng.random() < 0.1:
                # A text that must be escaped, one that cannot be compressed, or
                # an empty one.
                text = rng.choice((b'\1\n' + text, rng.randbytes(2000), b''))
            self.write(name, text)
        self.commit('-A')

    def commit(self, *words: str) -> None:
        self.both('commit', '-m', f'm{len(self.log)}', *words)

    def copy(self) -> None:
        """Copy or rename a file, and commit."""
        rng = self.random
        source, target = rng.sample(NAMES, 2)
        self.both(rng.choice(('cp', 'mv')), '--force', source, target)
        if rng.random() < 0.5:
            self.write(target, self.read(target) + b'more\n')
        self.commit()

    def remove(self) -> None:
        self.both('remove', '--force', self.random.choice(NAMES))
        self.commit()

    def update(self) -> None:
        self.both('update', '--clean', '-r', self.revision())

    def merge(self) -> None:
        self.both('merge', '-r', self.revision())
        self.commit()

    def amend(self) -> None:
        self.write(self.random.choice(NAMES), b'amended %d\n' % len(self.log))
        self.commit('--amend', '-A')

    def strip(self) -> None:
        """Strip a revision, and half of the time restore it from the backup."""
        pattern = 'strip-backup/*-backup.hg'
        folder = pathlib.Path(SIDES[0], self.name, '.hg')
        old = set(folder.glob(pattern))
        self.both('strip', '--force', '-r', self.revision())
        new = set(folder.glob(pattern)) - old
        if new and self.random.random() < 0.5:
            self.both('unbundle', f'.hg/strip-backup/{new.pop().name}')

    def rebase(self) -> None:
        self.both('rebase', '-s', self.revision(), '-d', self.revision())
        self.both('rebase', '--abort')

    def rollback(self) -> None:
        self.both('rollback', '--force')

    def clone(self) -> None:
        """Clone in one of several ways, and go on in the clone."""
        self.generation += 1
        target = f'r{self.generation}'
        how = self.random.choice(
            ([], ['--pull'], ['--stream'], ['-r', self.revision()])
        )
        for side in SIDES:
            # The output is not compared: numbers of copied files differ.
            self.run(side, 'clone', '-q', *how, self.name, target, top=True)
        self.log.append(f'hg clone {" ".join(how)} {self.name} {target}')
        self.name = target

    def bundle(self) -> None:
        """Read a bundle on top of a part of the history, then apply it."""
        if self.censored:
            # Bundle repositories on revlogs cannot read censored revisions.
            return
        self.generation += 1
        target = f'r{self.generation}'
        base = self.revision()
        self.both('bundle', '-q', '--base', base, '../x.hg')
        self.both('clone', '-q', '-r', base, self.name, target, top=True)
        for words in (['log', '-p', '-T', '{node}\n'], ['manifest', '--all']):
            over = f'bundle:{target}+x.hg'
            self.both('-R', over, *words, top=True)
        self.both('-R', target, 'unbundle', 'x.hg', top=True)
        self.name = target

    def censor(self) -> None:
        """Censor a revision of a file that no head has, if there is one."""
        name = self.random.choice(NAMES)
        revset = f'file("path:{name}") - head() - .'
        said = self.run(SIDES[0], 'log', '-r', revset, '-T', '{rev} ')
        if revs := said.split()[:-1]:
            self.both('censor', '-q', '-r', self.random.choice(revs), name)
            self.censored = True

    def repack(self) -> None:
        effort = self.random.choice(([], ['--max']))
        said = self.run('sqlite', 'admin::sqlite-repack', '-q', *effort)
        self.log.append(f'repack {said}')
        assert said == '[0]\n', said

    def history(self) -> None:
        name = self.random.choice(NAMES)
        self.both('log', '-p', '--copies', name)
        self.both('annotate', '-c', '-r', self.revision(), name)

    def step(self) -> None:
        actions = {
            self.change: 10,
            self.copy: 5,
            self.remove: 1,
            self.update: 5,
            self.merge: 2,
            self.amend: 2,
            self.strip: 3,
            self.rebase: 2,
            self.rollback: 1,
            self.clone: 1,
            self.bundle: 1,
            self.censor: 2,
            self.repack: 2,
            self.history: 1,
        }
        weights = list(actions.values())
        (action,) = self.random.choices(list(actions), weights)
        action()

    def compare(self) -> None:
        """Verify, and compare every revision of every file."""
        self.both('verify', '-q', '--config', 'censor.policy=abort')
        self.both('log', '-T', '{rev} {node} {phase} {files}\n')
        names = self.both('manifest', '--all').splitlines()[:-1]
        for name in names:
            index = self.both('debugindex', name)
            for line in index.splitlines()[1:-1]:
                self.both('debugdata', name, line.split()[0])
                self.both('debugrename', '-r', line.split()[1], name)


def run_series(seed: int, steps: int) -> None:
    """Run ``steps`` random actions in the current folder, then compare."""
    pair = Pair(seed)
    for _ in range(steps):
        pair.step()
    pair.compare()
    for server in pair.servers.values():
        server.close()


@pytest.mark.parametrize('seed', range(4))
def test_both_backends_answer_alike(seed: int, tmp_path: pathlib.Path) -> None:
    env = dict(os.environ, HGRCPATH='', HGENCODING='utf-8')
    env['PYTHONPATH'] = os.pathsep.join([str(ROOT), *sys.path[1:]])
    done = subprocess.run(
        [sys.executable, os.path.abspath(__file__), str(seed)],
        cwd=tmp_path,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert not done.returncode, done.stdout.decode('utf-8', 'replace')
    shutil.rmtree(tmp_path)


if __name__ == '__main__':
    series = [int(word) for word in sys.argv[1:]]
    run_series(series[0], series[1] if len(series) > 1 else 60)
