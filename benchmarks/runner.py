# SPDX-License-Identifier: GPL-2.0-or-later
"""Measure rows one after another, within a time limit.

The runner decides how long a row may take and what happens when it takes
longer or fails.  It does not know what the rows measure.
"""

from __future__ import annotations

import pathlib
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from benchmarks import measure, report
from benchmarks.histories import History
from benchmarks.measure import Maker, Measurement, Result
from benchmarks.processes import OutOfTime, progress, time_limit
from benchmarks.workspace import Workspace

T = TypeVar('T')

#: If the run has a time limit, one step may take this fraction of the remaining
#: time, so that time remains for the last rows.
SHARE = 1 / 4
#: The step may also take at most this many seconds.
MOST = 30.0
#: A step is skipped if fewer seconds than this are allowed for it.
LEAST = 1.0


@dataclass(frozen=True)
class Effort:
    """How thoroughly to measure.

    ``rounds``, ``least`` and ``budget`` are those of ``Measurement.run``.
    ``seconds`` is the limit for the whole run, or None.  ``slice`` is the
    number of CPU seconds that a clone may take: longer histories are cut to a
    slice.  None measures on whole histories.
    """

    rounds: int
    least: int
    budget: float
    seconds: float | None = None
    slice: float | None = None


QUICK = Effort(rounds=3, least=1, budget=5, seconds=170, slice=0.75)
FULL = Effort(rounds=3, least=2, budget=30)


class Output:
    """Writes results to standard output and to a file.

    Each row is written as soon as it is measured, so that a run that is
    interrupted or killed loses nothing.
    """

    def __init__(self, path: pathlib.Path | None = None) -> None:
        self.path = path
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text('', encoding='utf-8')

    def write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()
        if self.path is not None:
            with self.path.open('a', encoding='utf-8') as file:
                file.write(text)


class Runner:
    """Measures rows and keeps their results.

    If a row fails or takes too long, the runner reports it and measures the
    next row.
    """

    def __init__(
        self, workspace: Workspace, effort: Effort, output: Output
    ) -> None:
        self.workspace = workspace
        self.effort = effort
        self.output = output
        self.results: list[Result] = []
        #: Results of growing histories: name -> number of changesets -> rows.
        self.growth: dict[str, dict[int, list[Result]]] = {}
        self.failed: list[str] = []
        self.skipped: list[str] = []
        self._start: float | None = None

    def allowance(self) -> float | None:
        """Return how many seconds the next step may take; None means no limit.

        The first call starts the time of the run.
        """
        if self.effort.seconds is None:
            return None
        now = time.monotonic()
        if self._start is None:
            self._start = now
        left = self.effort.seconds - (now - self._start)
        return min(MOST, left * SHARE)

    def take(self, makers: Iterable[Maker]) -> None:
        """Measure rows for the table."""
        for make in makers:
            self._take(make, self.results)

    def grow(self, history: str, size: int, makers: Iterable[Maker]) -> None:
        """Measure rows for the plot of a growing history."""
        rows = self.growth.setdefault(history, {}).setdefault(size, [])
        title = f'{history}: growth, {size} changesets'
        self.output.write(f'{title}\n{"=" * len(title)}\n\n')
        for make in makers:
            self._take(make, rows)

    def attempt(self, what: str, step: Callable[[], T]) -> T | None:
        """Return the result of a step; None if it failed or took too long."""
        allowance = self.allowance()
        if allowance is not None and allowance < LEAST:
            self._skip(what, 'no time is left')
            return None
        try:
            with time_limit(allowance):
                return step()
        except OutOfTime as error:
            self._skip(what, str(error))
        except Exception as error:
            # Any exception: the other rows can still be measured.
            self._fail(what, measure.explain(error))
        return None

    def _take(self, make: Maker, results: list[Result]) -> None:
        """Prepare and measure one row; keep its result, even a partial one."""
        started = time.monotonic()
        with self.workspace.temporary():
            row = self.attempt(f'preparing {_name(make)}', make)
            if row is None:
                return
            progress(f'measuring {row.name}')
            measurement = Measurement(row)
            try:
                self.attempt(row.name, lambda: self._measure(measurement))
            finally:
                # The finished variants of an interrupted row count.
                self._keep(measurement.result(), results)
        progress(f'(this row took {time.monotonic() - started:.0f} s)')

    def _measure(self, measurement: Measurement) -> None:
        effort = self.effort
        measurement.run(effort.rounds, effort.least, effort.budget)

    def _keep(self, result: Result, results: list[Result]) -> None:
        for variant, text in result.failures.items():
            self._fail(f'{result.row.name}: {variant}', text)
        if result.cells:
            results.append(result)
            self.output.write(report.table([result]) + '\n')

    def _fail(self, what: str, why: str) -> None:
        progress(f'{what} failed: {why}')
        self.failed.append(what)

    def _skip(self, what: str, why: str) -> None:
        progress(f'{what}: {why}')
        self.skipped.append(what)


def _name(make: Maker) -> str:
    """Return a name for a row that is not prepared yet."""
    function = getattr(make, 'func', make)
    arguments = getattr(make, 'args', ())
    names = [a.name for a in arguments if isinstance(a, History)]
    return ': '.join([*names, function.__name__])
