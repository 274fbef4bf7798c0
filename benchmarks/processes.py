# SPDX-License-Identifier: GPL-2.0-or-later
"""Run commands, measure what they cost, and stop them when time is up.

This module knows the operating system.  It does not know Mercurial, rows or
histories.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

#: The unit of ``ru_maxrss`` in bytes; see getrusage(2) of macOS and of Linux.
RSS_UNIT = 1 if sys.platform == 'darwin' else 1024


class CommandError(Exception):
    """A command failed; the message ends with its output."""


class OutOfTime(Exception):
    """A step has used up its time."""


@dataclass(frozen=True)
class Cost:
    """The cost of a command: seconds, and peak memory in MB (2**20 bytes).

    ``peak`` is None if it is unknown.
    """

    wall: float
    cpu: float
    peak: float | None


@contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """Raise OutOfTime inside the block after ``seconds``; None means no limit.

    A signal interrupts whatever the main thread waits for.  Blocks cannot be
    nested.
    """
    if seconds is None:
        yield
        return

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise OutOfTime(f'not finished after {seconds:.0f} s')

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def run(
    command: Sequence[str | os.PathLike[str]],
    env: Mapping[str, str],
    cwd: pathlib.Path,
    stdin: pathlib.Path | None = None,
) -> Cost:
    """Run a command and return its cost.

    CPU seconds include the processes that the command started and waited for.
    Peak memory is that of the largest of these processes.  It is unknown if
    this process itself is larger: the system also counts the forked copy of
    this process, which becomes the command.

    Raises CommandError if the command fails.  If an exception interrupts the
    wait, the command is killed together with the processes it started.
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
            # The command and its children can be killed as one process group.
            start_new_session=True,
        )
        assert process.stdout is not None
        try:
            output = process.stdout.read()
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            process.stdout.close()
            raise
        wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stdout.close()
    if process.returncode:
        words = ' '.join(os.fspath(word) for word in command)
        tail = output.decode('utf-8', 'replace')[-2000:]
        raise CommandError(f'{words}\n{tail}exit {process.returncode}')
    peak = None
    if usage.ru_maxrss > resource.getrusage(resource.RUSAGE_SELF).ru_maxrss:
        peak = usage.ru_maxrss * RSS_UNIT / 2**20
    return Cost(wall, usage.ru_utime + usage.ru_stime, peak)


def process_cpu(pid: int) -> float:
    """Return the CPU seconds that a running process has used so far."""
    if sys.platform != 'linux':
        return _process_cpu_from_ps(pid)
    # The id of the CPU clock of another process, computed like
    # clock_getcpuclockid(3) of glibc.  /proc counts hundredths of a second, but
    # a small pull takes less than that.
    return time.clock_gettime((~pid << 3) | 2)


def _process_cpu_from_ps(pid: int) -> float:
    """Return the same on macOS, where processes have no such clocks."""
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
    """Return the peak memory of a running process in MB; 0 if unknown."""
    try:
        status = pathlib.Path(f'/proc/{pid}/status').read_text()
    except OSError:
        return 0.0
    for line in status.splitlines():
        if line.startswith('VmHWM:'):
            return int(line.split()[1]) / 1024
    return 0.0


def tree_size(path: pathlib.Path) -> float:
    """Return the size of a file or of a folder's files in MB (10**6 bytes)."""
    if path.is_file():
        return path.stat().st_size / 1e6
    return sum(p.stat().st_size for p in path.rglob('*') if p.is_file()) / 1e6


def progress(text: str) -> None:
    """Print a message about the run itself, apart from the results."""
    print(text, file=sys.stderr, flush=True)
