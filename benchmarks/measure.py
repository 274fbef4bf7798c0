# SPDX-License-Identifier: GPL-2.0-or-later
"""Run whole processes, alternating the variants, and summarise.

A shared machine is slow in one minute and fast in the next.  So the variants
of a row are run in turns, CPU seconds count for more than wall seconds, and
only ratios within a row mean something.  Nothing here knows what is measured.
"""

from __future__ import annotations

import os
import pathlib
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

#: What one run of one variant gives: metric name -> value.  Names end with
#: their unit.
Sample = dict[str, float]

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

#: How much longer than others a row may take for the least of its rounds.
PATIENCE = 4

#: Bytes in what the system counts the memory of processes by.
RSS_UNIT = 1 if sys.platform == 'darwin' else 1024


class CommandError(Exception):
    """A measured command failed; the message has its output."""


@dataclass(frozen=True)
class Row:
    """One comparison: the first variant is what the others are held against.

    ``goals`` maps (variant, metric) to the ratio to reach.
    """

    name: str
    variants: Mapping[str, Callable[[], Sample]]
    metrics: Sequence[str]
    goals: Mapping[tuple[str, str], float] = field(default_factory=dict)
    #: How many rounds; sizes do not vary and need one.
    rounds: int | None = None


#: Prepares a row, which may take as long as measuring it.
Maker = Callable[[], Row]


@dataclass(frozen=True)
class Cell:
    """The runs of one variant seen by one metric."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def spread(self) -> float:
        """Half the distance from least to most, relative to the median."""
        if not self.median:
            return 0.0
        return (max(self.values) - min(self.values)) / 2 / self.median


@dataclass(frozen=True)
class Result:
    """A measured row: variant -> metric -> cell.

    ``failures`` says why a variant has no cells.
    """

    row: Row
    cells: Mapping[str, Mapping[str, Cell]]
    failures: Mapping[str, str] = field(default_factory=dict)

    def ratio(self, variant: str, metric: str) -> float | None:
        """Return how the variant compares to the first; None if unknown."""
        first = self.cells.get(next(iter(self.row.variants)), {}).get(metric)
        cell = self.cells.get(variant, {}).get(metric)
        if first is None or cell is None or not first.median:
            return None
        return cell.median / first.median


def measure(
    row: Row, rounds: int, least: int = 1, budget: float = float('inf')
) -> Result:
    """Run every variant up to ``rounds`` times, in turns.

    After ``budget`` seconds no round begins, except the ``least`` first, and
    none of these after ``PATIENCE`` times as long.  A variant that fails is
    left out from then on.
    """
    runs: dict[str, list[Sample]] = {name: [] for name in row.variants}
    failures: dict[str, str] = {}
    start = time.monotonic()
    for turn in range(row.rounds or rounds):
        patience = budget if turn >= least else budget * PATIENCE
        if turn and time.monotonic() - start > patience:
            break
        for name, variant in row.variants.items():
            if name in failures:
                continue
            try:
                runs[name].append(variant())
            except Exception as error:
                # whatever it is, the others can still be measured
                failures[name] = explain(error)
    return Result(
        row,
        {
            name: {
                metric: Cell(tuple(sample[metric] for sample in samples))
                for metric in row.metrics
                if samples and all(metric in sample for sample in samples)
            }
            for name, samples in runs.items()
            if name not in failures
        },
        failures,
    )


def explain(error: Exception) -> str:
    """Return what went wrong; of a command, what it said last."""
    if isinstance(error, CommandError):
        return str(error)
    return f'{type(error).__name__}: {error}'


def run(
    command: Sequence[str | os.PathLike[str]],
    env: Mapping[str, str],
    cwd: pathlib.Path,
    stdin: pathlib.Path | None = None,
) -> Sample:
    """Run a command; return its wall and CPU seconds, and its peak memory.

    CPU includes that of the processes it started and waited for; memory is
    that of the largest of them.  It is not known if this process is larger:
    the system counts from before the command took its place.
    """
    with open(stdin or os.devnull, 'rb') as source:
        start = time.perf_counter()
        process = subprocess.Popen(
            command,
            env=dict(env),
            cwd=cwd,
            stdin=source,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stdout.close()
    if process.returncode:
        words = ' '.join(os.fspath(word) for word in command)
        tail = output.decode('utf-8', 'replace')[-2000:]
        raise CommandError(f'{words}\n{tail}exit {process.returncode}')
    sample = {WALL: wall, CPU: usage.ru_utime + usage.ru_stime}
    if usage.ru_maxrss > resource.getrusage(resource.RUSAGE_SELF).ru_maxrss:
        sample[PEAK] = usage.ru_maxrss * RSS_UNIT / 2**20
    return sample


def process_cpu(pid: int) -> float:
    """Return CPU seconds used so far by a running process."""
    if sys.platform != 'linux':
        return _process_cpu_ps(pid)
    # The clock of another process, as clock_getcpuclockid(3) makes it: /proc
    # counts in hundredths of a second, more than a small pull takes.
    return time.clock_gettime((~pid << 3) | 2)


def _process_cpu_ps(pid: int) -> float:
    """The same where a process has no clock for others (macOS)."""
    text = subprocess.run(
        ['ps', '-o', 'cputime=', '-p', str(pid)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    seconds = 0.0
    for part in text.strip().split(':'):
        seconds = seconds * 60 + float(part)
    return seconds


def process_peak(pid: int) -> float:
    """Return the peak resident memory of a process in MB; 0 if unknown."""
    try:
        status = pathlib.Path(f'/proc/{pid}/status').read_text()
    except OSError:
        return 0.0
    for line in status.splitlines():
        if line.startswith('VmHWM:'):
            return int(line.split()[1]) / 1024
    return 0.0


def tree_size(path: pathlib.Path) -> float:
    """Return MB (10**6 bytes) of the files below a folder, or of a file."""
    if path.is_file():
        return path.stat().st_size / 1e6
    return sum(p.stat().st_size for p in path.rglob('*') if p.is_file()) / 1e6


def progress(text: str) -> None:
    """Tell whoever waits what happens."""
    print(text, file=sys.stderr, flush=True)
