# SPDX-License-Identifier: GPL-2.0-or-later
"""Run the tests: .t files with Mercurial's run-tests.py, the rest with pytest.

A run of all tests ends with the tests of Mercurial's own suite that are most
about storage, with files in SQLite.  Then the output of all failed tests is
repeated.  The last line is the sum: ``N passed, N failed``, followed by ``, N
skipped`` if tests were skipped.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass

import testenv

TESTS = testenv.ROOT / 'tests'
REPORTS = testenv.CACHE / 'reports'


@dataclass(frozen=True)
class Tally:
    """Numbers of tests, and a text about each that failed."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    failures: tuple[str, ...] = ()

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.passed + other.passed,
            self.failed + other.failed,
            self.skipped + other.skipped,
            self.failures + other.failures,
        )

    def __str__(self) -> str:
        text = f'{self.passed} passed, {self.failed} failed'
        return text + (f', {self.skipped} skipped' if self.skipped else '')


def read_report(path: pathlib.Path, returncode: int) -> Tally:
    """Count the test cases in the JUnit report of a runner.

    ``returncode`` is the exit status of the runner.  A runner counts as one
    failed test if it left no report, or if it failed without reporting a
    failed test.
    """
    passed = failed = skipped = 0
    failures: list[str] = []
    try:
        cases = list(ElementTree.parse(path).iter('testcase'))
    except (OSError, ElementTree.ParseError):
        return Tally(failed=1, failures=(f'{path.name}: no report',))
    for case in cases:
        outcomes = {child.tag for child in case}
        if outcomes & {'failure', 'error'}:
            failed += 1
            said = '\n'.join(child.text or '' for child in case)
            failures.append(f'{case.get("name")}:\n{said}'.strip())
        elif 'skipped' in outcomes:
            skipped += 1
        else:
            passed += 1
    if returncode and not failed:
        failed = 1
        failures.append(f'{path.name}: exit status {returncode}')
    return Tally(passed, failed, skipped, tuple(failures))


def shortened(text: str, most: int = 40) -> str:
    """Return the first line and the last ``most`` lines of a text.

    The last lines of a test's output say why it failed.
    """
    lines = text.splitlines()
    if len(lines) > most + 1:
        lines[1:-most] = ['...']
    return '\n'.join(lines)


def environment() -> dict[str, str]:
    """Return the environment that all runners get.

    It has nothing of the user's configuration.  It names the old Mercurial, so
    that tests do not search for it.
    """
    env = dict(os.environ)
    for name in testenv.FOREIGN:
        env.pop(name, None)
    # Tests start tools that are installed beside this interpreter.
    bindir = os.path.dirname(sys.executable)
    env['PATH'] = bindir + os.pathsep + env['PATH']
    hg60 = testenv.old_hg()
    if hg60 is not None:
        env['AMALGAM_HG60'] = str(hg60)
    return env


def run_mercurial(
    names: list[str], env: dict[str, str], jobs: int, interactive: bool
) -> Tally:
    """Run .t files; their names are relative to tests/."""
    report = REPORTS / 'run-tests.xml'
    report.unlink(missing_ok=True)
    # If "python3" on PATH is another interpreter, run-tests.py puts a link to
    # its own interpreter on PATH.  Python does not find its virtual environment
    # when it is started by that link.
    bindir = os.path.realpath(os.path.dirname(sys.executable))
    command = [
        os.path.join(bindir, 'python3'),
        str(testenv.mercurial_tests() / 'run-tests.py'),
        f'--with-hg={pathlib.Path(sys.executable).with_name("hg")}',
        f'--xunit={report}',
        # Only to end a test that hangs: the longest takes a minute.
        '--timeout=3600',
    ]
    command += ['-i'] if interactive else [f'-j{jobs}']
    done = subprocess.run([*command, *names], cwd=TESTS, env=env, check=False)
    # run-tests.py exits with 80 when it skipped every test.
    returncode = 0 if done.returncode == 80 else done.returncode
    return read_report(report, returncode)


def run_pytest(names: list[str], env: dict[str, str], jobs: int) -> Tally:
    """Run pytest modules; their names are relative to tests/."""
    report = REPORTS / 'pytest.xml'
    report.unlink(missing_ok=True)
    # When a module cannot be imported, the others still run.
    options = ['-q', '--continue-on-collection-errors']
    # The tests of a module share servers, so one process runs all of them.
    if jobs > 1 and len(names) > 1:
        options += [f'--numprocesses={jobs}', '--dist=loadfile']
    command = [sys.executable, '-m', 'pytest', *options]
    command.append(f'--junitxml={report}')
    done = subprocess.run(
        [*command, *(f'tests/{name}' for name in names)],
        cwd=testenv.ROOT,
        env=env,
        check=False,
    )
    return read_report(report, done.returncode)


def run_conformance(env: dict[str, str], jobs: int, minutes: float) -> Tally:
    """Run a part of Mercurial's suite for at most ``minutes``."""
    report = REPORTS / 'conformance.xml'
    report.unlink(missing_ok=True)
    command = [sys.executable, str(TESTS / 'conformance' / 'run.py')]
    command += ['--subset', '--lazy', f'--jobs={jobs}', f'--minutes={minutes}']
    command.append(f'--junit={report}')
    done = subprocess.run(command, cwd=testenv.ROOT, env=env, check=False)
    return read_report(report, done.returncode)


def selection(wanted: list[str]) -> list[str]:
    """Return the names of the selected files in tests/.

    ``wanted`` has names, paths and globs; an empty list means all tests.  Exits
    with a message if a name matches no test.
    """
    if not wanted:
        patterns = ['test-*.t', 'test_*.py']
    else:
        patterns = [os.path.basename(name) for name in wanted]
    found: list[str] = []
    for pattern in patterns:
        matches = sorted(path.name for path in TESTS.glob(pattern))
        if not matches and wanted:
            raise SystemExit(f'no such test: {pattern}')
        found.extend(matches)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'tests', nargs='*', help='names or globs of files in tests/'
    )
    parser.add_argument(
        '--jobs', type=int, default=2, help='how many tests run at once'
    )
    parser.add_argument(
        '--interactive',
        action='store_true',
        help='run only .t tests, and offer to accept their new output',
    )
    parser.add_argument(
        '--conformance',
        type=float,
        default=5,
        metavar='MINUTES',
        help="how long Mercurial's own tests may take; 0 skips them",
    )
    options = parser.parse_args()
    names = selection(options.tests)
    scripts = [name for name in names if name.endswith('.t')]
    modules = [name for name in names if name.endswith('.py')]
    if options.interactive:
        modules = []
    REPORTS.mkdir(parents=True, exist_ok=True)
    env = environment()
    total = Tally()
    if scripts:
        total += run_mercurial(scripts, env, options.jobs, options.interactive)
    if modules:
        total += run_pytest(modules, env, options.jobs)
    if options.conformance and not options.tests and not options.interactive:
        total += run_conformance(env, options.jobs, options.conformance)
    for failure in total.failures:
        print('FAILED', shortened(failure))
    print(total, flush=True)
    return 1 if total.failed else 0


if __name__ == '__main__':
    sys.exit(main())
