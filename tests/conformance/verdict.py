# SPDX-License-Identifier: GPL-2.0-or-later
"""Decide what a result means: whether its difference is known, and no larger.

Pure functions: texts and results go in, verdicts come out.  Nothing here reads
files or runs tests.

A line of the list of known differences is ``NAME  LINES  REASON``: the test
file or case, how many lines of its output may differ, and why they differ.  The
number keeps a known difference from hiding a new one.  A number that ends in
"?" belongs to a test whose output varies by itself: it may also pass.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from suite import Case

PASSED = 'passed'
EXPECTED = 'expected'
SKIPPED = 'skipped'
# The test fails in the same way without the backend, because of this machine.
MACHINE = 'machine'
FAILED = 'failed'


@dataclass(frozen=True)
class Known:
    """A known difference of at most ``lines`` lines, and the reason for it.

    ``varies`` says that the output differs in some runs only.
    """

    lines: int
    reason: str
    varies: bool = False


@dataclass(frozen=True)
class Verdict:
    """The verdict on a case: its kind, the reason, and the difference."""

    case: str
    kind: str
    text: str = ''
    diff: tuple[str, ...] = ()


def parse_known(lines: Iterable[str]) -> dict[str, Known]:
    """Return the known differences by name.

    Raises ValueError for a line that is not of that form.
    """
    known: dict[str, Known] = {}
    for number, line in enumerate(lines, 1):
        line = line.strip()
        if not line or line.startswith('#'):
            continue
        words = line.split(None, 2)
        if len(words) != 3 or not words[1].removesuffix('?').isdigit():
            raise ValueError(f'line {number}: expected NAME LINES REASON')
        name, count, reason = words
        varies = count.endswith('?')
        if name in known:
            raise ValueError(f'line {number}: {name} is listed twice')
        known[name] = Known(int(count.removesuffix('?')), reason, varies)
    return known


def lookup(known: dict[str, Known], case: str) -> Known | None:
    """Return the known difference of a case, or else that of its file."""
    return known.get(case) or known.get(case.split('#')[0])


def differences(before: str, after: str) -> tuple[str, ...]:
    """Return a unified diff without its file names."""
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), n=2, lineterm=''
    )
    return tuple(lines)[2:]


def changed(diff: Iterable[str]) -> int:
    """Count the lines a diff adds and removes."""
    return sum(line.startswith(('+', '-')) for line in diff)


def judge(
    case: Case,
    baseline: Case | None,
    known: Known | None,
    before: str,
    after: str | None,
) -> Verdict:
    """Compare a case with the backend and without it; return the verdict.

    ``case`` is the result with the backend, and ``baseline`` the result without
    it, None if it did not run. ``before`` is the output without the backend: of
    the run if it failed, otherwise the expected output. ``after`` is the output
    with the backend, None unless the case failed by its output.
    """
    name = case.name
    if case.status == 'skipped':
        if baseline is None or baseline.status == 'skipped':
            return Verdict(name, SKIPPED)
        return Verdict(name, FAILED, 'skipped only with the backend')
    if case.status == 'passed':
        listed = known is not None and not known.varies
        if listed and (baseline is None or baseline.status == 'passed'):
            return Verdict(
                name, FAILED, 'passes, although it is listed as different'
            )
        return Verdict(name, PASSED)
    if after is None or case.reason:
        if baseline and baseline.status == 'failed' and baseline.reason:
            return Verdict(name, MACHINE, case.reason)
        return Verdict(name, FAILED, case.reason or 'left no output')
    diff = differences(before, after)
    count = changed(diff)
    if not count:
        return Verdict(name, MACHINE)
    if known is None:
        return Verdict(name, FAILED, f'{count} lines differ', diff)
    if count > known.lines:
        text = f'{count} lines differ, {known.lines} are known'
        return Verdict(name, FAILED, text, diff)
    return Verdict(name, EXPECTED, known.reason, diff)
