# SPDX-License-Identifier: GPL-2.0-or-later
"""The test runner counts every failure, and fails if a test fails."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent

PASSING = '  $ hg root -R $TESTDIR/no 2>/dev/null || echo none\n  none\n'
FAILING = '  $ echo one\n  two\n'
SKIPPED = '  $ echo unreached\n  $ exit 80\n'

# Stands for tests/conformance/run.py; the argument is its test cases.
CONFORMANCE = """
import sys
(path,) = (a[len('--junit='):] for a in sys.argv if a.startswith('--junit='))
with open(path, 'w') as report:
    report.write('<testsuite>%s</testsuite>')
"""


@pytest.fixture
def checkout(tmp_path: pathlib.Path) -> pathlib.Path:
    """A project with the scripts and the cache of this one, but no tests.

    Its runner of Mercurial's suite reports no test cases.
    """
    shutil.copytree(ROOT / 'scripts', tmp_path / 'scripts')
    shutil.copy(ROOT / 'pyproject.toml', tmp_path)
    (tmp_path / 'tests' / 'conformance').mkdir(parents=True)
    write(tmp_path, 'conformance/run.py', CONFORMANCE % '')
    if (ROOT / '.cache').exists():
        (tmp_path / '.cache').mkdir()
        for entry in (ROOT / '.cache').iterdir():
            if entry.name != 'reports':
                (tmp_path / '.cache' / entry.name).symlink_to(entry)
    return tmp_path


def run(checkout: pathlib.Path, *names: str) -> tuple[int, list[str]]:
    """Run the tests; return the exit status and the lines of output."""
    done = subprocess.run(
        [sys.executable, 'scripts/runtests.py', *names],
        cwd=checkout,
        env=dict(os.environ, AMALGAM_HG60='none'),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout.splitlines()


def write(checkout: pathlib.Path, name: str, text: str) -> None:
    """Write a file below tests/."""
    (checkout / 'tests' / name).write_text(text, encoding='utf-8')


def test_sum_is_of_all_runners(checkout: pathlib.Path) -> None:
    case = '<testcase/><testcase><skipped/></testcase>'
    write(checkout, 'conformance/run.py', CONFORMANCE % case)
    write(checkout, 'test-good.t', PASSING)
    write(checkout, 'test-skipped.t', SKIPPED)
    write(checkout, 'test_good.py', 'def test_a(): pass\ndef test_b(): pass\n')
    status, lines = run(checkout)
    assert lines[-1] == '4 passed, 0 failed, 2 skipped'
    assert status == 0


@pytest.mark.parametrize(
    'name, text',
    [
        ('test-bad.t', FAILING),
        ('test_bad.py', 'def test_bad(): assert False\n'),
        ('test_broken.py', 'import nothing_of_that_name\n'),
        ('test_error.py', 'def test_error(no_such_fixture): pass\n'),
    ],
)
def test_run_fails_when_one_test_fails(
    checkout: pathlib.Path, name: str, text: str
) -> None:
    write(checkout, name, text)
    write(checkout, 'test_good.py', 'def test_a(): pass\n')
    write(checkout, 'conformance/run.py', 'this is not run')
    status, lines = run(checkout, '--conformance=0')
    assert lines[-1] == '1 passed, 1 failed'
    assert status == 1


def test_runner_that_dies_counts_as_a_failure(checkout: pathlib.Path) -> None:
    write(checkout, 'test_dies.py', 'import os\nos._exit(0)\n')
    write(checkout, 'conformance/run.py', 'import os\nos._exit(0)\n')
    status, lines = run(checkout)
    assert lines[-1] == '0 passed, 2 failed'
    assert status == 1


def test_only_selected_tests_run(checkout: pathlib.Path) -> None:
    write(checkout, 'test-good.t', PASSING)
    write(checkout, 'test-bad.t', FAILING)
    write(checkout, 'test_good.py', 'def test_a(): pass\n')
    case = '<testcase><failure/></testcase>'
    write(checkout, 'conformance/run.py', CONFORMANCE % case)
    status, lines = run(checkout)
    assert (status, lines[-1]) == (1, '2 passed, 2 failed')
    status, lines = run(checkout, 'tests/test-g*.t')
    assert (status, lines[-1]) == (0, '1 passed, 0 failed')
    status, lines = run(checkout, 'test-absent.t')
    assert status == 1
    assert lines == ['no such test: test-absent.t']
