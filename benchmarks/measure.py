# SPDX-License-Identifier: GPL-2.0-or-later
"""Run whole processes, alternating the variants, and summarise.

A shared machine is slow in one minute and fast in the next.  So the variants
of a row are run in turns, CPU seconds count for more than wall seconds, and
only ratios within a row mean something.  Nothing here knows what is measured.
"""

from __future__ import annotations

import os
import pathlib
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
SERVER_CPU = 'server cpu s'
SERVER_PEAK = 'server peak MB'
SIZE = 'size MB'
DOWN = 'down MB'
REQUESTS = 'requests'
RATE = 'MB/s'
OBJECTS = 'objects/s'

#: Metrics of which more is better.
RISING = frozenset({RATE, OBJECTS})


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
    """A measured row: variant -> metric -> cell."""

    row: Row
    cells: Mapping[str, Mapping[str, Cell]]

    def ratio(self, variant: str, metric: str) -> float | None:
        """Return how the variant compares to the first; None if unknown."""
        first = self.cells[next(iter(self.row.variants))].get(metric)
        cell = self.cells[variant].get(metric)
        if first is None or cell is None or not first.median:
            return None
        return cell.median / first.median


def measure(row: Row, rounds: int) -> Result:
    """Run every variant ``rounds`` times, in turns."""
    runs: dict[str, list[Sample]] = {name: [] for name in row.variants}
    for _ in range(row.rounds or rounds):
        for name, variant in row.variants.items():
            runs[name].append(variant())
    return Result(
        row,
        {
            name: {
                metric: Cell(tuple(sample[metric] for sample in samples))
                for metric in row.metrics
                if all(metric in sample for sample in samples)
            }
            for name, samples in runs.items()
        },
    )


def run(
    command: Sequence[str | os.PathLike[str]],
    env: Mapping[str, str],
    cwd: pathlib.Path,
    stdin: pathlib.Path | None = None,
) -> Sample:
    """Run a command; return its wall and CPU seconds.

    CPU includes that of the processes it started and waited for.
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
    return {WALL: wall, CPU: usage.ru_utime + usage.ru_stime}


def process_cpu(pid: int) -> float:
    """Return CPU seconds used so far by a running process."""
    try:
        stat = pathlib.Path(f'/proc/{pid}/stat').read_text()
    except OSError:
        return _process_cpu_ps(pid)
    fields = stat.rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def _process_cpu_ps(pid: int) -> float:
    """The same where there is no /proc (macOS)."""
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
