# SPDX-License-Identifier: GPL-2.0-or-later
"""Run the .t files with Mercurial's run-tests.py and the rest with pytest.

When all tests are run, those of Mercurial's own that are most about storage
follow, with our backend.  Ends with what the failed tests said, once more
and together, and one line that sums up: ``N passed, N failed`` (``, N
skipped``).
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
    """How many tests passed, failed and were skipped; what the failed said."""

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
    """Count the test cases of a JUnit report.

    A runner that died without a report, or that reports no failure but says
    by its exit status that there was one, counts as one failure.
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
    """Return the last lines of a text, which say why a test failed."""
    lines = text.splitlines()
    if len(lines) > most + 1:
        lines[1:-most] = ['...']
    return '\n'.join(lines)


def environment() -> dict[str, str]:
    """Return the environment of both runners.

    The user's configuration must not decide what tests say, and the old
    Mercurial is found once here instead of in every test.
    """
    env = dict(os.environ)
    for name in ('HGRCPATH', 'HGPLAIN', 'PYTHONPATH', 'PYTHONHOME'):
        env.pop(name, None)
    # Tools installed beside this interpreter, moto_server for instance.
    bindir = os.path.dirname(sys.executable)
    env['PATH'] = bindir + os.pathsep + env['PATH']
    hg60 = testenv.old_hg()
    if hg60 is not None:
        env['AMALGAM_HG60'] = str(hg60)
    return env


def run_mercurial(
    names: list[str], env: dict[str, str], jobs: int, interactive: bool
) -> Tally:
    """Run .t files (names relative to tests/)."""
    report = REPORTS / 'run-tests.xml'
    report.unlink(missing_ok=True)
    # run-tests.py puts a link to its interpreter on PATH unless that already
    # is what "python3" means, and a link has no virtual environment.
    bindir = os.path.realpath(os.path.dirname(sys.executable))
    command = [
        os.path.join(bindir, 'python3'),
        str(testenv.mercurial_tests() / 'run-tests.py'),
        f'--with-hg={pathlib.Path(sys.executable).with_name("hg")}',
        f'--xunit={report}',
        '--timeout=900',
    ]
    command += ['-i'] if interactive else [f'-j{jobs}']
    done = subprocess.run([*command, *names], cwd=TESTS, env=env, check=False)
    # 80 is what run-tests.py says when it skipped all it was given.
    returncode = 0 if done.returncode == 80 else done.returncode
    return read_report(report, returncode)


def run_pytest(names: list[str], env: dict[str, str]) -> Tally:
    """Run pytest files (names relative to tests/)."""
    report = REPORTS / 'pytest.xml'
    report.unlink(missing_ok=True)
    # A module that cannot be imported must not hide the others.
    options = ['-q', '--continue-on-collection-errors']
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
    """Run a part of Mercurial's suite, for at most so many minutes."""
    report = REPORTS / 'conformance.xml'
    report.unlink(missing_ok=True)
    command = [sys.executable, str(TESTS / 'conformance' / 'run.py')]
    command += ['--subset', '--lazy', f'--jobs={jobs}', f'--minutes={minutes}']
    command.append(f'--junit={report}')
    done = subprocess.run(command, cwd=testenv.ROOT, env=env, check=False)
    return read_report(report, done.returncode)


def selection(wanted: list[str]) -> list[str]:
    """Return file names in tests/; ``wanted`` may hold paths and globs."""
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
    parser.add_argument('tests', nargs='*', help='files in tests/, or globs')
    parser.add_argument('--jobs', type=int, default=2)
    parser.add_argument(
        '--interactive', action='store_true', help='offer to accept output'
    )
    parser.add_argument(
        '--conformance',
        type=float,
        default=8,
        metavar='MINUTES',
        help="the longest that Mercurial's own tests may take; 0: not at all",
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
        total += run_pytest(modules, env)
    if options.conformance and not options.tests and not options.interactive:
        total += run_conformance(env, options.jobs, options.conformance)
    for failure in total.failures:
        print('FAILED', shortened(failure))
    print(total, flush=True)
    return 1 if total.failed else 0


if __name__ == '__main__':
    sys.exit(main())
