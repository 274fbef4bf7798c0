# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests of the runner in conformance/, which runs Mercurial's own suite.

They show which results the runner reports as failures, and that it keeps its
results when it is interrupted.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import sys
import threading
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, as_completed
from concurrent.futures import TimeoutError as TimeIsUp
from typing import Any

import pytest

FOLDER = pathlib.Path(__file__).resolve().parent / 'conformance'
sys.path.insert(0, str(FOLDER))

import junit
import run
import suite
import verdict
from results import Results
from suite import Case
from verdict import Known, Verdict

PASSED = Case('test-a.t', 'passed')
FAILED = Case('test-a.t', 'failed')
SKIPPED = Case('test-a.t', 'skipped')
TEXT = '  $ hg debugindex a\n  one\n  two\n'
# One line of TEXT changed: one removed, one added.
OTHER = '  $ hg debugindex a\n  one\n  three\n'


def judge(
    case: Case,
    baseline: Case | None = PASSED,
    known: Known | None = None,
    after: str | None = None,
) -> Verdict:
    return verdict.judge(case, baseline, known, TEXT, after)


def test_the_committed_lists_name_each_test_once_and_with_a_reason() -> None:
    lines = (FOLDER / 'expected.txt').read_text(encoding='utf-8').splitlines()
    for name, known in verdict.parse_known(lines).items():
        assert name.startswith('test-'), name
        assert known.lines > 0, name
    names = (FOLDER / 'subset.txt').read_text(encoding='utf-8').split('\n')
    names = [name for name in names if name and not name.startswith('#')]
    assert names
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    'line', ['test-a.t', 'test-a.t 3', 'test-a.t three reads revlogs']
)
def test_an_incomplete_line_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match='line 2'):
        verdict.parse_known(['# names', line])


def test_a_name_listed_twice_is_refused() -> None:
    with pytest.raises(ValueError, match='twice'):
        verdict.parse_known(['test-a.t 1 reason', 'test-a.t 2 reason'])


def test_a_variant_is_covered_by_the_line_of_its_file_or_by_its_own() -> None:
    known = verdict.parse_known(['test-a.t 1 all', 'test-a.t#x 2 one'])
    assert verdict.lookup(known, 'test-a.t#x') == Known(2, 'one')
    assert verdict.lookup(known, 'test-a.t#y') == Known(1, 'all')
    assert verdict.lookup(known, 'test-b.t') is None


def test_an_unknown_difference_fails_and_is_shown() -> None:
    found = judge(FAILED, after=OTHER)
    assert found.kind == verdict.FAILED
    assert '-  two' in found.diff
    assert '+  three' in found.diff


def test_a_known_difference_passes_if_it_is_no_larger_than_listed() -> None:
    assert judge(FAILED, known=Known(2, 'why'), after=OTHER) == Verdict(
        'test-a.t', verdict.EXPECTED, 'why', judge(FAILED, after=OTHER).diff
    )
    found = judge(FAILED, known=Known(1, 'why'), after=OTHER)
    assert found.kind == verdict.FAILED


def test_the_same_failure_without_the_backend_does_not_count() -> None:
    alike = verdict.judge(FAILED, FAILED, None, OTHER, OTHER)
    assert alike.kind == verdict.MACHINE
    more = verdict.judge(FAILED, FAILED, None, OTHER, OTHER + '  four\n')
    assert more.kind == verdict.FAILED


def test_a_test_that_timed_out_fails_even_if_it_is_listed() -> None:
    case = Case('test-a.t', 'failed', reason='timed out')
    assert judge(case, known=Known(9, 'why')).kind == verdict.FAILED
    assert judge(case, baseline=case).kind == verdict.MACHINE


def test_a_listed_test_that_passes_is_a_failure() -> None:
    assert judge(PASSED).kind == verdict.PASSED
    assert judge(PASSED, known=Known(2, 'why')).kind == verdict.FAILED


def test_a_test_whose_output_varies_may_pass_or_differ_as_listed() -> None:
    known = verdict.parse_known(['test-a.t 2? reads too early'])['test-a.t']
    assert known == Known(2, 'reads too early', varies=True)
    assert judge(PASSED, known=known).kind == verdict.PASSED
    assert judge(FAILED, known=known, after=OTHER).kind == verdict.EXPECTED
    larger = Known(1, 'reads too early', varies=True)
    assert judge(FAILED, known=larger, after=OTHER).kind == verdict.FAILED


def test_a_test_that_is_skipped_only_with_the_backend_fails() -> None:
    assert judge(SKIPPED).kind == verdict.FAILED
    assert judge(SKIPPED, baseline=SKIPPED).kind == verdict.SKIPPED


def test_results_survive_an_interruption(tmp_path: pathlib.Path) -> None:
    results = Results(tmp_path)
    results.add('test-a.t', [Case('test-a.t#x', 'failed')], 'code')
    with (tmp_path / 'results.jsonl').open('a', encoding='utf-8') as log:
        log.write('{"file": "test-b.t", "cas')
    again = Results(tmp_path)
    assert list(again.entries) == ['test-a.t']
    assert again.case('test-a.t#x') == Case('test-a.t#x', 'failed')
    assert again.case('test-a.t#y') is None


def test_the_report_of_run_tests_is_read(tmp_path: pathlib.Path) -> None:
    path = tmp_path / 'report.json'
    report = {
        'test-a.t#x': {'result': 'success', 'time': '1.5'},
        'test-a.t#y': {'result': 'failure', 'time': '2'},
        'test-a.t#z': {'result': 'skip'},
    }
    path.write_text('testreport =' + json.dumps(report), encoding='utf-8')
    said = 'Failed test-a.t#y: timed out\n'
    assert suite.read_report(path, said, 'test-a.t') == [
        Case('test-a.t#x', 'passed', 1.5),
        Case('test-a.t#y', 'failed', 2.0, 'timed out'),
        Case('test-a.t#z', 'skipped'),
    ]


def test_a_run_without_a_report_is_a_failure(tmp_path: pathlib.Path) -> None:
    (case,) = suite.read_report(tmp_path / 'none', 'Traceback', 'test-a.t')
    assert case.status == 'failed'
    assert 'Traceback' in case.reason


class SuiteThatHangs:
    """A suite whose tests end at once, except for test-long.t."""

    def __init__(self) -> None:
        self.stopped = threading.Event()

    def run(self, name: str, slot: int, *args: object) -> list[Case]:
        if name == 'test-long.t':
            self.stopped.wait()
            raise KeyboardInterrupt
        return [Case(name, 'passed')]

    def stop(self) -> None:
        self.stopped.set()

    def reference(self, case: str) -> None:
        """Return no file, so that no output is compared."""


def complete_one(
    futures: Iterable[Future[Any]], _limit: float
) -> Iterator[Future[Any]]:
    """Stand in for ``as_completed``: time is up when one file is done."""
    yield next(as_completed(futures))
    raise TimeIsUp


def test_files_that_were_not_reached_in_time_are_named_and_do_not_fail(
    tmp_path: pathlib.Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run, 'as_completed', complete_one)
    names = ['test-a.t', 'test-long.t', 'test-later.t']
    runner = object.__new__(run.Conformance)
    runner.options = argparse.Namespace(
        jobs=1, lazy=True, keep=False, no_retry=False, junit=tmp_path / 'x.xml'
    )
    monkeypatch.setattr(runner, 'suite', SuiteThatHangs(), raising=False)
    runner.with_backend = Results(tmp_path / 'with')
    runner.without = Results(tmp_path / 'without')
    runner.code, runner.known = 'code', {}
    # A result with another state of the code does not count.
    runner.with_backend.add(
        'test-later.t', [Case('test-later.t', 'failed')], ''
    )
    runner.deadline = time.monotonic() + 3600
    runner.run(names)
    assert runner.report(names, show_diffs=False) == 0
    said = capsys.readouterr().out
    assert 'not reached in time: test-long.t test-later.t' in said
    assert '1 of 3 files ran, 1 cases: 1 passed' in said
    cases = ElementTree.parse(runner.options.junit).iter('testcase')
    assert [(case.get('name'), len(case)) for case in cases] == [
        ('test-a.t', 0),
        ('test-long.t', 1),
        ('test-later.t', 1),
    ]


def test_the_junit_report_distinguishes_failures_and_skipped_tests(
    tmp_path: pathlib.Path,
) -> None:
    kinds = ('PASSED', 'EXPECTED', 'SKIPPED', 'MACHINE', 'FAILED')
    verdicts = [
        Verdict(kind, getattr(verdict, kind), 'why', ('-\x00\udc80\xe9',))
        for kind in kinds
    ]
    junit.write(tmp_path / 'x.xml', verdicts, [])
    cases = ElementTree.parse(tmp_path / 'x.xml').iter('testcase')
    assert [[child.tag for child in case] for case in cases] == [
        [],
        [],
        ['skipped'],
        ['skipped'],
        ['failure'],
    ]


def test_variables_of_the_user_do_not_reach_the_tests(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv('PYTHONUNBUFFERED', '1')
    monkeypatch.setenv('HGPLAIN', '1')
    env = suite.environment()
    assert 'PYTHONUNBUFFERED' not in env
    assert 'HGPLAIN' not in env
