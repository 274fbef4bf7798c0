# SPDX-License-Identifier: GPL-2.0-or-later
"""Measure Amalgam against Mercurial without its extensions.

Histories are the releases of PyPI packages, and the Mercurial repositories
whose paths are given.  Repositories are copied and never changed.  Each row is
printed as soon as it is measured.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import pathlib
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from types import FrameType

from benchmarks import (
    histories,
    report,
    rows_lfs,
    rows_lfs_small,
    rows_storage,
    rows_wire,
    runner,
    summary,
)
from benchmarks.histories import History
from benchmarks.processes import CommandError, progress
from benchmarks.runner import Output, Runner
from benchmarks.workspace import Workspace

FAMILIES = ('storage', 'wire', 'lfs', 'growth')
#: Growth is measured on these fractions of a history: an eighth, a quarter, ...
PARTS = (8, 4, 2, 1)
#: Every run writes its table here, even if it is interrupted.
RECORD = histories.DOWNLOADS / 'results.txt'
#: The exit status of an interrupted run: the status of shells for SIGINT.
INTERRUPTED = 130


def main() -> int:
    options = _options()
    signal.signal(signal.SIGTERM, _interrupt)
    start = time.monotonic()
    output = Output(options.record)
    output.write('\n'.join(report.environment()) + '\n\n')
    status = 0
    with tempfile.TemporaryDirectory(prefix='amalgam-bench-') as folder:
        workspace = Workspace(pathlib.Path(folder).resolve())
        measuring = Runner(workspace, options.effort, output)
        try:
            first = _measure(measuring, _sources(options), options)
        except KeyboardInterrupt:
            progress('interrupted; what was measured is above')
            status = INTERRUPTED
        else:
            # An incomplete run does not replace published results.
            if options.publish:
                publish(options.publish, measuring)
            if options.readme:
                summary.rewrite(options.readme, measuring.results, first)
        for name in measuring.failed:
            progress(f'failed: {name}')
        for name in measuring.skipped:
            progress(f'skipped, because there was no time: {name}')
        progress(f'all results are in {options.record}')
        progress(f'{time.monotonic() - start:.0f} s')
    return status or (1 if measuring.failed else 0)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks', description=__doc__
    )
    parser.add_argument(
        'histories',
        nargs='*',
        type=pathlib.Path,
        help='Mercurial repositories to measure on',
    )
    parser.add_argument(
        '--quick',
        action='store_true',
        help='take less than 3 minutes: small rows, a slice of long histories',
    )
    parser.add_argument(
        '--rounds', type=int, help='how many times each variant runs'
    )
    parser.add_argument(
        '--budget',
        type=float,
        metavar='SECONDS',
        help='a row gets no further round after this time',
    )
    parser.add_argument(
        '--only',
        choices=FAMILIES,
        action='append',
        help='measure only these rows',
    )
    parser.add_argument(
        '--package',
        choices=[*histories.PACKAGES, 'none'],
        action='append',
        help='package whose releases to measure on',
    )
    parser.add_argument(
        '--record',
        type=pathlib.Path,
        default=RECORD,
        help='file that gets every row as soon as it is measured',
    )
    parser.add_argument(
        '--publish', type=pathlib.Path, help='folder for table and plots'
    )
    parser.add_argument(
        '--readme', type=pathlib.Path, help='file whose figures are replaced'
    )
    options = parser.parse_args()
    effort = runner.QUICK if options.quick else runner.FULL
    if options.rounds:
        effort = dataclasses.replace(effort, rounds=options.rounds)
    if options.budget is not None:
        effort = dataclasses.replace(effort, budget=options.budget)
    options.effort = effort
    if not options.only:
        options.only = list(FAMILIES)
        if options.quick:
            options.only.remove('growth')
    if not options.package:
        options.package = _default_packages(options)
    return options


def _default_packages(options: argparse.Namespace) -> list[str]:
    """Return the packages to measure on when none is named."""
    if not options.quick:
        return list(histories.FULL)
    # There is time for one history.
    return [] if options.histories else list(histories.QUICK)


#: Makes a repository in a workspace and returns its path.
Source = Callable[[Workspace], pathlib.Path]


def _sources(options: argparse.Namespace) -> dict[str, Source]:
    """Return the histories to measure on, by name.

    Downloads happen here, before the time of the run is counted.
    """
    sources: dict[str, Source] = {}
    if options.only == ['lfs']:
        return sources
    for package in options.package:
        if package == 'none':
            continue
        try:
            wheels = histories.download(package)
        except CommandError as error:
            sources[package] = _missing(error)
        else:
            sources[package] = _releases(package, wheels)
    for path in options.histories:
        sources[path.resolve().name] = _existing(path.resolve())
    return sources


def _releases(package: str, wheels: list[pathlib.Path]) -> Source:
    return lambda space: histories.from_releases(space, package, wheels)


def _missing(error: CommandError) -> Source:
    def fail(space: Workspace) -> pathlib.Path:
        raise error

    return fail


def _existing(path: pathlib.Path) -> Source:
    return lambda space: path


def _measure(
    measuring: Runner, sources: dict[str, Source], options: argparse.Namespace
) -> History | None:
    """Measure all rows; return the history whose figures the README shows."""
    families, quick = options.only, options.quick
    workspace = measuring.workspace
    last: History | None = None
    for history in _prepared(measuring, sources):
        # The README shows the last history. Repositories named by the user come
        # after packages, and are more realistic than releases.
        last = history
        if 'storage' in families:
            measuring.take(rows_storage.rows(workspace, history))
        if 'wire' in families:
            measuring.take(rows_wire.rows(workspace, history, quick))
        if 'growth' in families:
            _grow(measuring, history)
    if 'storage' in families:
        measuring.take(rows_storage.common(workspace, quick))
    if 'lfs' in families:
        measuring.take(rows_lfs.rows(workspace, quick))
        measuring.take(rows_lfs_small.rows(workspace, quick))
    return last


def _prepared(
    measuring: Runner, sources: dict[str, Source]
) -> Iterator[History]:
    """Yield the histories that could be prepared, one after another."""
    workspace, limit = measuring.workspace, measuring.effort.slice

    def prepare(source: Source) -> History:
        path = source(workspace)
        if limit is None:
            return histories.prepare(workspace, path)
        return histories.slice_of(workspace, path, limit)

    for name, source in sources.items():
        step = functools.partial(prepare, source)
        history = measuring.attempt(f'preparing {name}', step)
        if history is not None:
            yield history


def _grow(measuring: Runner, history: History) -> None:
    """Measure on prefixes of a history, each twice as long as the previous."""
    workspace = measuring.workspace
    for part in PARTS:
        step = functools.partial(histories.prefix, workspace, history, part)
        grown = measuring.attempt(f'1/{part} of {history.name}', step)
        if grown is None:
            continue
        makers = rows_storage.growing(workspace, grown)
        measuring.grow(history.name, grown.changesets, makers)
        if part != 1:
            shutil.rmtree(grown.revlog)
            shutil.rmtree(grown.sqlite)


def publish(folder: pathlib.Path, measured: Runner) -> None:
    """Replace the published table and plots with those of this run.

    The document beside the folder (``docs/benchmarks.rst``) shows the plots.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = '\n'.join(report.environment()) + '\n\n'
    text += report.table(measured.results)
    for name, grown in measured.growth.items():
        for count, rows in sorted(grown.items()):
            title = f'{name}: growth, {count} changesets'
            text += f'\n{title}\n{"=" * len(title)}\n\n{report.table(rows)}'
    if measured.failed:
        text += '\nCould not be measured: ' + '; '.join(measured.failed) + '\n'
    (folder / 'results.txt').write_text(text, encoding='utf-8')
    for old in folder.glob('*.png'):
        old.unlink()
    plots = {}
    for name, grown in measured.growth.items():
        caption = f'size and time of storage as the history of {name} grows'
        plot = report.plot_growth(name, grown, folder)
        if plot is not None:
            plots[plot] = caption
    report.plot_rows(measured.results, folder)
    document = folder.with_suffix('.rst')
    if document.exists():
        images = summary.images(folder.name, plots)
        summary.replace_block(document, summary.PLOTS, images)


if __name__ == '__main__':
    sys.exit(main())
