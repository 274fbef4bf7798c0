# SPDX-License-Identifier: GPL-2.0-or-later
"""Mercurial's own test suite: its folder, its files, and how to run one.

This module knows run-tests.py.  It does not judge results; verdict.py does.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import threading
from dataclasses import asdict, dataclass, field

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / 'scripts'))

import testenv

CACHE = testenv.CACHE
# Makes SQLite the backend of every repository that a test creates.
CONFIG = ('extensions.sqlitestore=', 'storage.new-repo-backend=sqlite')
# Seconds after which a test counts as hanging.  The longest one takes a minute
# on an idle machine.
TIMEOUT = 3600


@dataclass(frozen=True)
class Case:
    """The result of one test case.

    ``name`` is that of its file, followed by ``#variant`` if the file has
    several variants.  ``status`` is "passed", "failed" or "skipped".
    ``reason`` is the message of run-tests.py for a case that failed for another
    reason than its output.
    """

    name: str
    status: str
    seconds: float = 0.0
    reason: str = ''

    def as_json(self) -> dict[str, object]:
        return asdict(self)


@dataclass
class Suite:
    """The tests of the installed Mercurial, and a way to run them.

    ``port`` is the first of the TCP ports that the tests may use.
    """

    chg: pathlib.Path | None
    port: int
    folder: pathlib.Path = field(default_factory=testenv.mercurial_tests)
    running: set[subprocess.Popen[bytes]] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)
    stopped: bool = False

    def files(self) -> list[str]:
        """Return the names of all test files."""
        found = [
            path.name
            for pattern in ('test-*.t', 'test-*.py')
            for path in self.folder.glob(pattern)
        ]
        return sorted(found)

    def reference(self, case: str) -> pathlib.Path | None:
        """Return the file that has the expected output of a case, if any."""
        name = case.split('#')[0]
        if name.endswith('.py'):
            name += '.out'
        path = self.folder / name
        return path if path.exists() else None

    def run(
        self, name: str, slot: int, backend: bool, outputs: pathlib.Path
    ) -> list[Case]:
        """Run one file; return the results of its cases.

        The output of each failed case is copied to ``outputs`` as
        ``<case>.err``.  Files that run at the same time have different numbers
        as ``slot``, and therefore different ports.
        """
        with tempfile.TemporaryDirectory(prefix='conf') as scratch:
            command = [
                *(sys.executable, str(self.folder / 'run-tests.py')),
                *('--json', '--outputdir', scratch, '-j1'),
                f'--timeout={TIMEOUT}',
                f'--port={self.port + 40 * slot}',
                f'--with-hg={executable()}',
            ]
            if self.chg and not self._refuses_chg(name):
                command.append(f'--with-chg={self.chg}')
            if backend:
                command += [f'--extra-config-opt={item}' for item in CONFIG]
            output = self._execute([*command, name])
            folder = pathlib.Path(scratch)
            for stale in outputs.glob(f'{name}*.err'):
                if stale.name[len(name)] in '.#':
                    stale.unlink()
            for failed in folder.glob('*.err'):
                shutil.copyfile(failed, outputs / failed.name)
            return read_report(folder / 'report.json', output, name)

    def _refuses_chg(self, name: str) -> bool:
        text = (self.folder / name).read_bytes()
        return re.search(rb'^#require .*\bno-chg\b', text, re.M) is not None

    def _execute(self, command: list[str]) -> str:
        """Run run-tests.py; return its output."""
        with self.lock:
            if self.stopped:
                raise KeyboardInterrupt
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self.running.add(process)
        output = process.communicate()[0].decode('utf-8', 'replace')
        with self.lock:
            self.running.discard(process)
            if self.stopped:
                raise KeyboardInterrupt
        return output

    def stop(self) -> None:
        """Interrupt all running tests; run-tests.py stops their servers."""
        with self.lock:
            self.stopped = True
            for process in self.running:
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(signal.SIGINT)


def read_report(path: pathlib.Path, output: str, name: str) -> list[Case]:
    """Return the cases in a report of run-tests.py (``testreport ={...}``).

    ``output`` is what run-tests.py printed, and ``name`` the file that ran.
    """
    try:
        text = path.read_text(encoding='utf-8')
        report = json.loads(text.partition('=')[2])
    except (OSError, ValueError):
        return [Case(name, 'failed', reason='no report: ' + output[-300:])]
    reasons = dict(re.findall(r'^Failed (\S+): (.*)$', output, re.MULTILINE))
    status = {'success': 'passed', 'failure': 'failed', 'skip': 'skipped'}
    cases = []
    for case, result in sorted(report.items()):
        reason = reasons.get(case, '')
        if reason.startswith('output changed'):
            reason = ''
        seconds = float(result.get('time', 0))
        cases.append(Case(case, status[result['result']], seconds, reason))
    # If no variant of a file can run on this machine, its report is empty.
    return cases or [Case(name, 'skipped')]


def environment() -> dict[str, str]:
    """Return the environment for run-tests.py.

    Helper scripts of the suite import mercurial with any python3 on PATH.  So
    PYTHONPATH must have the folder where Mercurial is installed.  It must also
    have this checkout.
    """
    env = dict(os.environ)
    for name in testenv.FOREIGN:
        env.pop(name, None)
    packages = {sysconfig.get_path('platlib'), sysconfig.get_path('purelib')}
    env['PYTHONPATH'] = os.pathsep.join([str(ROOT), *sorted(packages)])
    bindir = os.path.dirname(sys.executable)
    env['PATH'] = bindir + os.pathsep + env['PATH']
    return env


def executable() -> pathlib.Path:
    return pathlib.Path(sys.executable).with_name('hg')


def mercurial_version() -> str:
    return importlib.metadata.version('mercurial')


def backend_is_used() -> bool:
    """Tell whether new repositories are in SQLite with CONFIG."""
    env = environment()
    env['HGRCPATH'] = ''
    with tempfile.TemporaryDirectory() as folder:
        config = [word for item in CONFIG for word in ('--config', item)]
        command = [str(executable()), *config, 'init', folder]
        subprocess.run(command, env=env, check=True)
        command = [str(executable()), *config, 'debugrequirements', '-R']
        output = subprocess.run(
            [*command, folder], env=env, check=True, capture_output=True
        ).stdout
    return b'sqlitestore-v3' in output.split()


def build_chg(folder: pathlib.Path) -> pathlib.Path | None:
    """Build chg from Mercurial's sdist into ``folder``, unless it is there.

    Return the path of the program, or None if it cannot be built here.  Without
    chg every command starts its own hg, which takes about four times as long.
    """
    chg = folder / 'chg' / 'chg'
    if chg.exists():
        return chg
    source = testenv.mercurial_tests().parent / 'contrib' / 'chg'
    if not source.is_dir() or not shutil.which('make'):
        return None
    partial = folder / 'chg.partial'
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(source, partial)
    built = subprocess.run(
        ['make', 'chg'], cwd=partial, capture_output=True, check=False
    )
    if built.returncode or not (partial / 'chg').exists():
        return None
    partial.rename(chg.parent)
    return chg
