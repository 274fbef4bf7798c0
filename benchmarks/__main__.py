# SPDX-License-Identifier: GPL-2.0-or-later
"""Measure Amalgam against Mercurial as it comes.

Histories are the releases of PyPI packages and the Mercurial repositories
whose paths are given.  These are copied, never changed.
"""

from __future__ import annotations

import argparse
import pathlib
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable

from benchmarks import (
    histories,
    measure,
    report,
    rows_lfs,
    rows_storage,
    rows_wire,
    summary,
)
from benchmarks.histories import History
from benchmarks.measure import Maker, Result, Row
from benchmarks.workspace import Workspace

FAMILIES = ('storage', 'wire', 'lfs', 'growth')
#: The parts of a history that growth is measured at: 1x, 2x, 4x, 8x.
PARTS = (8, 4, 2, 1)
#: Runs of each variant; after how many seconds a row gets no more of them,
#: and how many it gets whatever they take: a median and a spread need some.
ROUNDS = 3
BUDGET = 30.0
LEAST = 2
#: With --quick.
QUICK_BUDGET = 5.0
QUICK_LEAST = 1


class Runner:
    """Measures rows and keeps their results.

    What cannot be measured is reported and left out.
    """

    def __init__(
        self, workspace: Workspace, rounds: int, least: int, budget: float
    ) -> None:
        self.workspace = workspace
        self.rounds = rounds
        self.least = least
        self.budget = budget
        self.results: list[Result] = []
        self.growth: dict[str, dict[int, list[Result]]] = {}
        self.failed: list[str] = []

    def take(self, makers: Iterable[Maker]) -> None:
        """Measure rows for the table."""
        self.results += self._measured(makers)

    def grow(self, history: str, size: int, makers: Iterable[Maker]) -> None:
        """Measure rows for the plot of a growing history."""
        self.growth.setdefault(history, {})[size] = self._measured(makers)

    def fail(self, what: str, error: Exception) -> None:
        measure.progress(f'{what} failed: {measure.explain(error)}')
        self.failed.append(what)

    def _measured(self, makers: Iterable[Maker]) -> list[Result]:
        taken = []
        for make in makers:
            with self.workspace.passing():
                try:
                    row = make()
                except Exception as error:
                    # whatever it is, the other rows can still be measured
                    self.fail(f'preparing {_name(make)}', error)
                else:
                    taken.append(self._measured_row(row))
        return taken

    def _measured_row(self, row: Row) -> Result:
        measure.progress(f'measuring {row.name}')
        start = time.monotonic()
        result = measure.measure(row, self.rounds, self.least, self.budget)
        for variant, text in result.failures.items():
            self.fail(f'{row.name}: {variant}', measure.CommandError(text))
        seconds = time.monotonic() - start
        measure.progress(f'{report.table([result])}took {seconds:.0f} s\n')
        return result


def _name(make: Maker) -> str:
    function = getattr(make, 'func', make)
    arguments = getattr(make, 'args', ())
    names = [a.name for a in arguments if isinstance(a, History)]
    return ': '.join([*names, function.__name__])


def main() -> int:
    options = _options()
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix='amalgam-bench-') as folder:
        workspace = Workspace(pathlib.Path(folder).resolve())
        least = QUICK_LEAST if options.quick else LEAST
        runner = Runner(workspace, options.rounds, least, options.budget)
        try:
            first = _measure(runner, workspace, options)
            if options.readme:
                summary.rewrite(options.readme, runner.results, first)
        finally:
            # also what there is when somebody loses patience
            text = '\n'.join(report.environment()) + '\n\n'
            text += report.table(runner.results)
            print(text, flush=True)
            if options.publish:
                publish(options.publish, text, runner)
            for name in runner.failed:
                measure.progress(f'could not be measured: {name}')
            measure.progress(f'{time.monotonic() - start:.0f} s')
    return 1 if runner.failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('histories', nargs='*', type=pathlib.Path)
    parser.add_argument('--quick', action='store_true', help='under 3 minutes')
    parser.add_argument('--rounds', type=int, help='runs of each variant')
    parser.add_argument(
        '--budget', type=float, help='seconds after which a row gets no more'
    )
    parser.add_argument('--only', choices=FAMILIES, action='append')
    parser.add_argument(
        '--package',
        choices=[*histories.PACKAGES, 'none'],
        action='append',
        help='releases to measure on',
    )
    parser.add_argument(
        '--publish', type=pathlib.Path, help='folder for table and plots'
    )
    parser.add_argument(
        '--readme', type=pathlib.Path, help='file whose figures are replaced'
    )
    options = parser.parse_args()
    options.rounds = options.rounds or ROUNDS
    if options.budget is None:
        options.budget = QUICK_BUDGET if options.quick else BUDGET
    if not options.only:
        options.only = list(FAMILIES)
        if options.quick:
            options.only.remove('growth')
    if not options.package:
        quick, full = histories.QUICK, histories.FULL
        options.package = list(quick if options.quick else full)
    return options


def _measure(
    runner: Runner, workspace: Workspace, options: argparse.Namespace
) -> History | None:
    """Measure the families; return the history to speak of first."""
    families, quick = options.only, options.quick
    first: History | None = None
    if families != ['lfs']:
        for history in _histories(runner, workspace, options):
            # a repository somebody names means more than releases
            first = history
            if 'storage' in families:
                runner.take(rows_storage.rows(workspace, history))
            if 'wire' in families:
                runner.take(rows_wire.rows(workspace, history, quick))
            if 'growth' in families:
                _grow(runner, workspace, history)
    if 'storage' in families:
        runner.take(rows_storage.common(workspace, quick))
    if 'lfs' in families:
        runner.take(rows_lfs.rows(workspace, quick))
    return first


def _histories(
    runner: Runner, workspace: Workspace, options: argparse.Namespace
) -> Iterable[History]:
    for source in [*options.package, *options.histories]:
        if source == 'none':
            continue
        try:
            if isinstance(source, str):
                path = histories.from_releases(workspace, source)
            else:
                path = source.resolve()
            yield histories.prepare(workspace, path)
        except (measure.CommandError, OSError, ValueError) as error:
            runner.fail(f'preparing {pathlib.Path(source).name}', error)


def _grow(runner: Runner, workspace: Workspace, history: History) -> None:
    for part in PARTS:
        try:
            piece = histories.prefix(workspace, history, part)
        except (measure.CommandError, OSError, ValueError) as error:
            runner.fail(f'a part of {history.name}', error)
            continue
        makers = rows_storage.growing(workspace, piece)
        runner.grow(history.name, piece.changesets, makers)
        if part != 1:
            shutil.rmtree(piece.revlog)
            shutil.rmtree(piece.sqlite)


def publish(folder: pathlib.Path, text: str, runner: Runner) -> None:
    """Replace the published table and plots."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, grown in runner.growth.items():
        for count, rows in sorted(grown.items()):
            title = f'{name}: growth, {count} changesets'
            text += f'\n{title}\n{"=" * len(title)}\n\n{report.table(rows)}'
    if runner.failed:
        text += '\nCould not be measured: ' + '; '.join(runner.failed) + '\n'
    (folder / 'results.txt').write_text(text, encoding='utf-8')
    for old in folder.glob('*.png'):
        old.unlink()
    for name, grown in runner.growth.items():
        report.plot_growth(name, grown, folder)
    report.plot_rows(runner.results, folder)


if __name__ == '__main__':
    sys.exit(main())
