# SPDX-License-Identifier: GPL-2.0-or-later
"""Run Mercurial's own test suite with all repositories in SQLite.

Each test also runs without the backend.  A test that fails in the same way
without it does not count as failed.  Any other difference must be listed in
expected.txt.

Results are kept in .cache/conformance, so an interrupted run continues where it
stopped.  Files that have a result with the present code do not run again.  With
a time limit, the files that were not reached are named, and do not count as
failed.
"""

from __future__ import annotations

import argparse
import collections
import fnmatch
import pathlib
import platform
import queue
import signal
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from concurrent.futures import TimeoutError as TimeIsUp

import junit
import verdict
from results import Results, fingerprint
from suite import CACHE, Suite, backend_is_used, build_chg, mercurial_version
from verdict import Verdict

HERE = pathlib.Path(__file__).resolve().parent
EXPECTED = HERE / 'expected.txt'
SUBSET = HERE / 'subset.txt'
# How many lines of the diff of a failed test are printed.
DIFF_LINES = 60


class Conformance:
    """Runs files with the backend and without it, and compares the results."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        version = mercurial_version()
        python = '.'.join(platform.python_version_tuple()[:2])
        place = CACHE / 'conformance' / f'{version}-py{python}'
        place.mkdir(parents=True, exist_ok=True)
        chg = None if options.no_chg else build_chg(place)
        how = 'with chg' if chg else 'without chg, which is slow'
        print(
            f'Mercurial {version}, Python {platform.python_version()}, {how}',
            flush=True,
        )
        self.suite = Suite(chg, options.port)
        suffix = '' if chg else '-nochg'
        self.without = Results(place / f'without{suffix}')
        self.with_backend = Results(place / f'with{suffix}')
        self.code = fingerprint()
        lines = EXPECTED.read_text(encoding='utf-8').splitlines()
        self.known = verdict.parse_known(lines)
        self.subset = read_names(SUBSET)
        self.deadline: float | None = None
        if options.minutes:
            self.deadline = time.monotonic() + 60 * options.minutes

    def selection(self) -> list[str]:
        """Return the selected files, those of subset.txt first."""
        files = self.suite.files()
        subset = [name for name in self.subset if name in files]
        if self.options.subset:
            files = subset
        else:
            files = subset + [name for name in files if name not in subset]
        if self.options.only:
            wanted = self.options.only.split(',')
            files = [
                name
                for name in files
                if any(fnmatch.fnmatch(name, pattern) for pattern in wanted)
            ]
        if self.options.rerun_failed:
            files = [name for name in files if self.failed(name)]
        return files

    def verdicts(self, name: str) -> list[Verdict]:
        """Return the verdicts on the cases of a file that has run."""
        found = []
        for case in self.with_backend.entries[name].cases:
            baseline = self.without.case(case.name)
            before = self.without.output(case.name)
            if before is None:
                before = read_text(self.suite.reference(case.name))
            after = self.with_backend.output(case.name)
            known = verdict.lookup(self.known, case.name)
            found.append(verdict.judge(case, baseline, known, before, after))
        return found

    def failed(self, name: str) -> bool:
        """Tell whether a file has run and has a failed case."""
        if name not in self.with_backend.entries:
            return False
        return any(v.kind == verdict.FAILED for v in self.verdicts(name))

    def is_done(self, name: str) -> bool:
        """Tell whether a file need not run again."""
        entry = self.with_backend.entries.get(name)
        if entry is None or self.options.rerun_failed:
            return False
        if self.options.junit and self.failed(name):
            return False
        return self.fresh(name)

    def fresh(self, name: str) -> bool:
        """Tell whether a file ran with the present code, or any with --keep."""
        entry = self.with_backend.entries[name]
        return self.options.keep or entry.code == self.code

    def run_without(self, name: str, slot: int) -> list[Verdict]:
        """Run a file without the backend, unless it has a result.

        ``slot`` is a number that no other file has while this one runs.  Return
        no verdicts: a verdict also needs the result with the backend.
        """
        if name not in self.without.entries:
            cases = self.suite.run(name, slot, False, self.without.outputs)
            self.without.add(name, cases, '')
        return []

    def run_again(self, name: str, slot: int) -> list[Verdict]:
        """Run a file with and without the backend, even if it has results."""
        self.without.entries.pop(name, None)
        self.run_without(name, slot)
        return self.run_both(name, slot)

    def run_both(self, name: str, slot: int) -> list[Verdict]:
        """Run a file with the backend, and without it unless it has a result.

        With --lazy, run it without the backend only if a case did not pass.
        """
        if not self.options.lazy:
            self.run_without(name, slot)
        outputs = self.with_backend.outputs
        cases = self.suite.run(name, slot, True, outputs)
        if any(case.status != 'passed' for case in cases):
            self.run_without(name, slot)
        self.with_backend.add(name, cases, self.code)
        return self.verdicts(name)

    def run(self, names: list[str]) -> None:
        """Run files; at the end, run those that failed once more.

        They run with and without the backend.  A test that failed because the
        machine was busy then passes, or also fails without the backend.
        """
        failed = self._run(names, self.run_both)
        if failed and not self.options.no_retry:
            print(f'{len(failed)} files failed and run again', flush=True)
            self._run(failed, self.run_again)

    def run_baseline(self, names: list[str]) -> None:
        """Run files without the backend, except those that have a result."""
        todo = [n for n in names if n not in self.without.entries]
        self._run(todo, self.run_without)

    def _run(
        self, names: list[str], one: Callable[[str, int], list[Verdict]]
    ) -> list[str]:
        """Run files, several at a time; return the names of those that failed.

        At the deadline, interrupt the running tests and return no names, so
        that nothing runs again.
        """
        slots: queue.SimpleQueue[int] = queue.SimpleQueue()
        for slot in range(self.options.jobs):
            slots.put(slot)

        def work(name: str) -> list[Verdict]:
            slot = slots.get()
            try:
                return one(name, slot)
            finally:
                slots.put(slot)

        failed = []
        limit = None
        if self.deadline is not None:
            limit = max(0.0, self.deadline - time.monotonic())
        with ThreadPoolExecutor(self.options.jobs) as pool:
            futures = {pool.submit(work, name): name for name in names}
            try:
                for done, future in enumerate(as_completed(futures, limit), 1):
                    name = futures[future]
                    verdicts = future.result()
                    failures = [v for v in verdicts if v.kind == verdict.FAILED]
                    print(f'[{done}/{len(names)}] {name}', flush=True)
                    show(failures)
                    if failures:
                        failed.append(name)
            except TimeIsUp:
                pool.shutdown(wait=False, cancel_futures=True)
                self.suite.stop()
                return []
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                self.suite.stop()
                raise
        return failed

    def reached(self, names: list[str]) -> list[str]:
        """Return the files that have a result that counts in this run.

        With a time limit, results of earlier code do not count.
        """
        entries = self.with_backend.entries
        if self.deadline is None:
            return [name for name in names if name in entries]
        return [name for name in names if name in entries and self.fresh(name)]

    def report(self, names: list[str], show_diffs: bool) -> int:
        """Print a summary; return the number of failed cases."""
        ran = self.reached(names)
        verdicts = [one for name in ran for one in self.verdicts(name)]
        counts = collections.Counter(one.kind for one in verdicts)
        failures = [one for one in verdicts if one.kind == verdict.FAILED]
        if show_diffs:
            show(failures)
        else:
            for one in failures:
                print(f'failed: {one.case}: {one.text}')
        old = sum(
            self.with_backend.entries[name].code != self.code for name in ran
        )
        if old:
            print(f'{old} files ran with an earlier state of the code')
        missing = [name for name in names if name not in ran]
        if self.options.junit:
            junit.write(self.options.junit, verdicts, missing)
        if self.deadline is not None and missing:
            print('not reached in time: ' + ' '.join(missing))
        print(
            f'{len(ran)} of {len(names)} files ran, '
            f'{sum(counts.values())} cases: {counts[verdict.PASSED]} passed, '
            f'{counts[verdict.EXPECTED]} differ as expected, '
            f'{counts[verdict.MACHINE]} also fail without SQLite, '
            f'{counts[verdict.SKIPPED]} skipped, '
            f'{counts[verdict.FAILED]} failed',
            flush=True,
        )
        return counts[verdict.FAILED]


def show(failures: Iterable[Verdict]) -> None:
    """Print failed cases with the beginning of their diffs."""
    for one in failures:
        print(f'failed: {one.case}: {one.text}')
        for line in one.diff[:DIFF_LINES]:
            print(line.encode('utf-8', 'replace').decode())
        if len(one.diff) > DIFF_LINES:
            print(f'... {len(one.diff) - DIFF_LINES} more lines')
    sys.stdout.flush()


def read_names(path: pathlib.Path) -> list[str]:
    lines = path.read_text(encoding='utf-8').splitlines()
    return [line for line in lines if line and not line.startswith('#')]


def read_text(path: pathlib.Path | None) -> str:
    if path is None:
        return ''
    return path.read_text(encoding='utf-8', errors='surrogateescape')


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    flags = {
        '--subset': 'run only the tests in subset.txt',
        '--rerun-failed': 'run only the tests that failed in the last run',
        '--report': 'run no tests; print the summary of previous runs',
        '--diffs': 'with --report, also print the diffs of failed tests',
        '--baseline': 'run the tests only without the backend',
        '--lazy': 'run without the backend only the tests that fail with it',
        '--keep': 'do not run again what ran with earlier code',
        '--no-chg': 'do not use chg',
        '--no-retry': 'do not run failed tests a second time',
    }
    for flag, text in flags.items():
        parser.add_argument(flag, action='store_true', help=text)
    parser.add_argument(
        '--only', help='run files that match one of these patterns (A,B,...)'
    )
    parser.add_argument(
        '--jobs', type=int, default=2, help='files that run at the same time'
    )
    parser.add_argument(
        '--port', type=int, default=27000, help='first TCP port for the tests'
    )
    parser.add_argument(
        '--minutes', type=float, help='stop after this time and report'
    )
    parser.add_argument(
        '--junit', type=pathlib.Path, help='also write a JUnit report here'
    )
    return parser.parse_args()


def interrupt(signum: int, frame: object) -> None:
    """Handle SIGTERM as Ctrl-C is handled."""
    raise KeyboardInterrupt


def main() -> int:
    signal.signal(signal.SIGTERM, interrupt)
    options = arguments()
    conformance = Conformance(options)
    names = conformance.selection()
    try:
        if options.baseline:
            conformance.run_baseline(names)
            return 0
        if not options.report:
            if not backend_is_used():
                print(
                    'new repositories are not in SQLite, so nothing is tested'
                )
                return 1
            todo = [n for n in names if not conformance.is_done(n)]
            conformance.run(todo)
    except KeyboardInterrupt:
        print('interrupted; run it again to continue', flush=True)
        return 130
    failed = conformance.report(names, show_diffs=options.diffs)
    incomplete = len(conformance.reached(names)) < len(names)
    if options.minutes:
        incomplete = False
    return 1 if failed or incomplete else 0


if __name__ == '__main__':
    sys.exit(main())
