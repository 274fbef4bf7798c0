# SPDX-License-Identifier: GPL-2.0-or-later
"""Rows, their variants, and medians of what the variants gave.

A shared machine is slow in one minute and fast in the next.  So the variants
of a row run in turns, CPU seconds count for more than wall seconds, and only
ratios within a row mean something.  Nothing here knows what is measured.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.processes import CommandError, OutOfTime

#: What one run of one variant gives: metric -> value.
Sample = dict[str, float]

# Metrics; a name ends with its unit.  MB are 10**6 bytes, of memory 2**20.
WALL = 'wall s'
CPU = 'cpu s'
PEAK = 'peak MB'
SERVER_CPU = 'server cpu s'
SERVER_PEAK = 'server peak MB'
SIZE = 'size MB'
DOWN = 'down MB'
REQUESTS = 'requests'
RATE = 'MB/s'
OBJECTS = 'objects/s'

#: Metrics of which more is better.
RISING = frozenset({RATE, OBJECTS})

#: How many times the budget of a row its least number of rounds may take.
PATIENCE = 4


@dataclass(frozen=True)
class Row:
    """One comparison.  The first variant is what the others are compared with.

    ``goals`` maps a variant and a metric to the ratio that is wanted.
    """

    name: str
    variants: Mapping[str, Callable[[], Sample]]
    metrics: Sequence[str]
    goals: Mapping[tuple[str, str], float] = field(default_factory=dict)
    #: The number of rounds, where it is not that of all rows.  Sizes do not
    #: vary, so one round is enough for them.
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
        """Half the distance from the least value to the greatest, relative to
        the median."""
        if not self.median:
            return 0.0
        return (max(self.values) - min(self.values)) / 2 / self.median


@dataclass(frozen=True)
class Result:
    """A measured row: variant -> metric -> cell.

    ``failures`` has the reason for each variant that failed, ``unreached`` the
    variants that no time was left for.
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

    ``result`` may be asked for at any time, also after ``run`` was interrupted
    by an exception.
    """

    def __init__(self, row: Row) -> None:
        self.row = row
        self._samples: dict[str, list[Sample]] = {n: [] for n in row.variants}
        self._failures: dict[str, str] = {}

    def run(self, rounds: int, least: int, budget: float) -> None:
        """Run every variant up to ``rounds`` times, in turns.

        After ``budget`` seconds no round begins, except the ``least`` first;
        and none of those after ``PATIENCE`` times as long.  A variant that
        fails is left out from then on.
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
            # Whatever it is, the other variants can still be measured.
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
    """Return what went wrong as text."""
    if isinstance(error, (CommandError, OutOfTime)):
        return str(error)
    return f'{type(error).__name__}: {error}'
