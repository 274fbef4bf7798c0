# SPDX-License-Identifier: GPL-2.0-or-later
"""Rows, their variants, and the medians of the measured values.

A shared machine is slow in one minute and fast in the next.  Therefore the
variants of a row take turns, CPU seconds are more reliable than wall seconds,
and only ratios within a row are meaningful.  Nothing here knows what the rows
measure.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.processes import CommandError, OutOfTime

#: The values from one run of one variant: metric -> value.
Sample = dict[str, float]

# Metrics; each name ends with a unit.  "slow" is over a line of 50 Mbit/s and
# 30 ms.  MB means 10**6 bytes; for memory, it
# means 2**20 bytes.
WALL = 'wall s'
SLOW_WALL = 'slow wall s'
CPU = 'cpu s'
PEAK = 'peak MB'
SERVER_CPU = 'server cpu s'
SERVER_PEAK = 'server peak MB'
SIZE = 'size MB'
DOWN = 'down MB'
REQUESTS = 'requests'
RATE = 'MB/s'
OBJECTS = 'objects/s'

#: Metrics for which more is better.
RISING = frozenset({RATE, OBJECTS})

#: The least number of rounds of a row may take this many times its budget.
PATIENCE = 4


@dataclass(frozen=True)
class Row:
    """One comparison.  All variants are compared with the first one.

    ``goals`` maps a variant and a metric to the ratio to reach.
    """

    name: str
    variants: Mapping[str, Callable[[], Sample]]
    metrics: Sequence[str]
    goals: Mapping[tuple[str, str], float] = field(default_factory=dict)
    #: Replaces the number of rounds of the run.  Sizes do not vary, so one
    #: round is enough for them.
    rounds: int | None = None


#: Prepares a row.  That may take as long as measuring it.
Maker = Callable[[], Row]


@dataclass(frozen=True)
class Cell:
    """The values of one metric in all runs of one variant."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def spread(self) -> float:
        """Half the range of the values, relative to the median."""
        if not self.median:
            return 0.0
        return (max(self.values) - min(self.values)) / 2 / self.median


@dataclass(frozen=True)
class Result:
    """A measured row: variant -> metric -> cell.

    ``failures`` has the reason for each variant that failed; ``unreached``
    names the variants that did not run for lack of time.
    """

    row: Row
    cells: Mapping[str, Mapping[str, Cell]]
    failures: Mapping[str, str] = field(default_factory=dict)
    unreached: tuple[str, ...] = ()

    def ratio(self, variant: str, metric: str) -> float | None:
        """Return the variant's median divided by the first variant's.

        Returns None if one of them is missing.
        """
        first = self.cells.get(next(iter(self.row.variants)), {}).get(metric)
        cell = self.cells.get(variant, {}).get(metric)
        if first is None or cell is None or not first.median:
            return None
        return cell.median / first.median


class Measurement:
    """A row that is being measured.

    ``result`` may be called at any time, also after an exception has
    interrupted ``run``.
    """

    def __init__(self, row: Row) -> None:
        self.row = row
        self._samples: dict[str, list[Sample]] = {n: [] for n in row.variants}
        self._failures: dict[str, str] = {}

    def run(self, rounds: int, least: int, budget: float) -> None:
        """Run every variant up to ``rounds`` times, in turns.

        No further round begins after ``budget`` seconds.  The first ``least``
        rounds may begin until ``PATIENCE`` times as long; the very first always
        runs.  A variant that fails is left out from then on.
        """
        start = time.monotonic()
        for turn in range(self.row.rounds or rounds):
            patience = budget if turn >= least else budget * PATIENCE
            if turn and time.monotonic() - start > patience:
                break
            for name, variant in self.row.variants.items():
                if name not in self._failures:
                    self._run_variant(name, variant)

    def _run_variant(self, name: str, variant: Callable[[], Sample]) -> None:
        try:
            self._samples[name].append(variant())
        except OutOfTime:
            raise
        except Exception as error:
            # Any exception: the other variants can still be measured.
            self._failures[name] = explain(error)

    def result(self) -> Result:
        """Return what has been measured so far."""
        cells = {}
        unreached = []
        for name, samples in self._samples.items():
            if name in self._failures:
                continue
            if not samples:
                unreached.append(name)
                continue
            cells[name] = {
                metric: Cell(tuple(sample[metric] for sample in samples))
                for metric in self.row.metrics
                if all(metric in sample for sample in samples)
            }
        return Result(self.row, cells, self._failures, tuple(unreached))


def measure(
    row: Row, rounds: int, least: int = 1, budget: float = float('inf')
) -> Result:
    """Measure a row; the arguments are those of ``Measurement.run``."""
    measurement = Measurement(row)
    measurement.run(rounds, least, budget)
    return measurement.result()


def explain(error: Exception) -> str:
    """Return the text about an error for a report."""
    if isinstance(error, (CommandError, OutOfTime)):
        return str(error)
    return f'{type(error).__name__}: {error}'
