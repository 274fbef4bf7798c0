# SPDX-License-Identifier: GPL-2.0-or-later
"""Measure Amalgam against Mercurial as it comes.

Takes paths of Mercurial repositories; without any, releases of a PyPI package
are made into one.  They are copied, never changed.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
import tempfile
from collections.abc import Callable, Iterator

import histories
import measure
import report
import rows_lfs
import rows_storage
import rows_wire
from histories import History
from measure import Result, Row
from workspace import Workspace

FAMILIES = ('storage', 'wire', 'lfs', 'growth')
#: The parts of a history that growth is measured at: 1x, 2x, 4x, 8x.
PARTS = (8, 4, 2, 1)


def storage(workspace: Workspace, history: History) -> Iterator[Row]:
    yield rows_storage.sizes(workspace, history)
    yield rows_storage.clone(workspace, history)
    yield rows_storage.update(workspace, history)
    yield rows_storage.commit(workspace, history)
    yield from rows_storage.reads(workspace, history)


def growing(workspace: Workspace, history: History) -> Iterator[Row]:
    """Rows repeated on a growing history; the last metric is plotted."""
    yield rows_storage.size_only(history)
    yield rows_storage.clone(workspace, history)
    yield rows_storage.update(workspace, history)
    yield rows_storage.commit(workspace, history)


class Runner:
    """Measures rows and keeps their results."""

    def __init__(self, rounds: int, quick: bool) -> None:
        self.rounds = rounds
        self.quick = quick
        self.results: list[Result] = []
        self.failed: list[str] = []

    def take(self, rows: Iterator[Row]) -> list[Result]:
        """Measure rows; one that cannot be measured is reported and left."""
        taken = []
        for row in rows:
            measure.progress(f'measuring {row.name}')
            try:
                result = measure.measure(row, self.rounds)
            except measure.CommandError as error:
                measure.progress(f'failed: {error}')
                self.failed.append(row.name)
                continue
            measure.progress(report.table([result]))
            taken.append(result)
        self.results += taken
        return taken


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('histories', nargs='*', type=pathlib.Path)
    parser.add_argument('--quick', action='store_true', help='under 3 minutes')
    parser.add_argument('--rounds', type=int, help='runs of each variant')
    parser.add_argument('--only', choices=FAMILIES, action='append')
    parser.add_argument(
        '--publish', type=pathlib.Path, help='folder for table and plots'
    )
    options = parser.parse_args()
    families: list[str] = options.only or list(FAMILIES)
    if options.quick and not options.only:
        families.remove('growth')
    runner = Runner(
        options.rounds or (3 if options.quick else 7), options.quick
    )
    growth: dict[str, dict[int, list[Result]]] = {}
    with tempfile.TemporaryDirectory(prefix='amalgam-bench-') as folder:
        workspace = Workspace(pathlib.Path(folder).resolve())
        sources = [path.resolve() for path in options.histories] or [
            histories.from_releases(workspace, name)
            for name in (histories.QUICK if options.quick else histories.FULL)
        ]
        if families != ['lfs']:
            for source in sources:
                history = histories.prepare(workspace, source)
                _measure(runner, workspace, history, families, growth)
        if 'storage' in families:
            files = 2000 if options.quick else 20000
            many: list[Callable[[], Row]] = [
                lambda: rows_storage.stream_clone(workspace, files),
                lambda: rows_storage.import_cost(workspace),
            ]
            runner.take(make() for make in many)
        if 'lfs' in families:
            runner.take(rows_lfs.rows(workspace, options.quick))
    text = '\n'.join(report.environment()) + '\n\n'
    text += report.table(runner.results)
    print(text)
    if options.publish:
        publish(options.publish, text, runner.results, growth)
    for name in runner.failed:
        measure.progress(f'could not be measured: {name}')
    return 1 if runner.failed else 0


def _measure(
    runner: Runner,
    workspace: Workspace,
    history: History,
    families: list[str],
    growth: dict[str, dict[int, list[Result]]],
) -> None:
    """Measure the families that need a history on one."""
    if 'storage' in families:
        runner.take(storage(workspace, history))
    if 'wire' in families:
        runner.take(rows_wire.rows(workspace, history, runner.quick))
    if 'growth' in families:
        growth[history.name] = {}
        for part in PARTS:
            piece = histories.prefix(workspace, history, part)
            grown = Runner(max(runner.rounds // 2, 1), runner.quick)
            growth[history.name][piece.changesets] = grown.take(
                growing(workspace, piece)
            )


def publish(
    folder: pathlib.Path,
    text: str,
    results: list[Result],
    growth: dict[str, dict[int, list[Result]]],
) -> None:
    """Replace the published table and plots."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, grown in growth.items():
        for count, rows in sorted(grown.items()):
            title = f'{name}: growth, {count} changesets'
            text += f'\n{title}\n{"=" * len(title)}\n\n{report.table(rows)}'
        report.plot_growth(name, grown, folder)
    (folder / 'results.txt').write_text(text, encoding='utf-8')
    report.plot_rows(results, folder)


if __name__ == '__main__':
    sys.exit(main())
