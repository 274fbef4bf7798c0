# SPDX-License-Identifier: GPL-2.0-or-later
"""Measure how costs grow with history, on made-up histories.

There are three kinds of histories. "long" ones grow in changesets and in files
together, as projects do. "wide" ones have few changesets of ever more files, and
"tall" ones ever more changesets of the same files. Each size is a multiple of
the smallest one.
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import signal
import sys
import tempfile
import textwrap
import time
from collections.abc import Mapping

from benchmarks import histories, report, runner, summary
from benchmarks.generate import Shape
from benchmarks.processes import progress
from benchmarks.rows_scale import Site
from benchmarks.runner import Output, Runner
from benchmarks.workspace import Workspace

#: Multiples of the smallest size.
FACTORS = (1, 4, 16, 64)
#: The smallest histories.
LONG = Shape(2000, 125)
WIDE = Shape(100, 1600, imported=0.9)
TALL = Shape(15_625, 2000)
#: The kinds that are measured when none is named.
KINDS = ('long', 'wide', 'tall')
RECORD = histories.DOWNLOADS / 'scale.txt'
#: The published curves of a kind.
CURVES_FILE = 'scale-{}.txt'
#: The name of the block of a document that shows the curves.
CURVES = 'curves of "make bench-scale"'


def shapes(kind: str, smallest: int, factor: int) -> Shape:
    """Return the shape of a history of a kind.

    ``smallest`` replaces the number of changesets or files of the smallest one;
    0 means not to.
    """
    if kind == 'wide':
        files = (smallest or WIDE.files) * factor
        return dataclasses.replace(WIDE, files=files)
    if kind == 'tall':
        changesets = (smallest or TALL.changesets) * factor
        return dataclasses.replace(TALL, changesets=changesets)
    changesets = (smallest or LONG.changesets) * factor
    files = max(LONG.files * changesets // LONG.changesets, 10)
    return dataclasses.replace(LONG, changesets=changesets, files=files)


def main(words: list[str] | None = None) -> int:
    options = _options(words)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    start = time.monotonic()
    output = Output(options.record)
    output.write('\n'.join(report.environment()) + '\n\n')
    effort = dataclasses.replace(runner.FULL, rounds=options.rounds)
    texts = {}
    with tempfile.TemporaryDirectory(prefix='amalgam-scale-') as folder:
        workspace = Workspace(pathlib.Path(folder).resolve())
        measuring = Runner(workspace, effort, output)
        for kind in options.kind:
            _measure(measuring, kind, options)
            texts[kind] = _curves(measuring, kind, options)
            output.write(texts[kind])
    for name in measuring.failed:
        progress(f'failed: {name}')
    progress(f'{time.monotonic() - start:.0f} s')
    if options.publish and not measuring.failed:
        publish(options.publish, texts)
    return 1 if measuring.failed else 0


def _options(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks.scale', description=__doc__
    )
    parser.add_argument(
        '--kind',
        choices=KINDS,
        action='append',
        help='measure only histories of this kind',
    )
    parser.add_argument(
        '--factors',
        type=int,
        nargs='+',
        default=FACTORS,
        help='sizes, as multiples of the smallest',
    )
    parser.add_argument(
        '--smallest',
        type=int,
        default=0,
        help='changesets, or files of wide histories, of the smallest size',
    )
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument(
        '--baseline',
        type=int,
        default=16,
        metavar='FACTOR',
        help='the largest size at which version 1 and repack --max are'
        ' measured as well',
    )
    parser.add_argument(
        '--record',
        type=pathlib.Path,
        default=RECORD,
        help='file that gets every row as soon as it is measured',
    )
    parser.add_argument(
        '--bundles',
        type=pathlib.Path,
        help='folder that keeps the made-up histories for other runs',
    )
    parser.add_argument(
        '--publish', type=pathlib.Path, help='folder for the curves'
    )
    options = parser.parse_args(words)
    options.kind = options.kind or list(KINDS)
    return options


def _measure(measuring: Runner, kind: str, options: argparse.Namespace) -> None:
    """Measure one kind of histories at every size."""
    for factor in options.factors:
        shape = shapes(kind, options.smallest, factor)
        baseline = factor <= options.baseline
        site = Site(measuring.workspace, kind, shape, baseline)
        try:
            site.make(options.bundles)
            if kind == 'tall':
                # The packs of the longest one take an hour to build.
                site.fill_all()
                measuring.grow(kind, factor, site.everyday())
            else:
                site.fill('revlog')
                measuring.grow(kind, factor, site.rows())
        finally:
            site.remove()


def _curves(measuring: Runner, kind: str, options: argparse.Namespace) -> str:
    """Return the table of one kind."""
    title = f'{kind} histories'
    lines = [title, '=' * len(title), '']
    for factor in options.factors:
        shape = shapes(kind, options.smallest, factor)
        lines.append(
            f'{factor}x: {shape.changesets} changesets, {shape.files} files'
        )
    grown = measuring.growth.get(kind, {})
    return '\n'.join([*lines, '', report.curves(grown), ''])


def publish(folder: pathlib.Path, texts: Mapping[str, str]) -> None:
    """Replace the published curves of each kind in ``texts``.

    The document beside the folder shows all that are published.
    """
    folder.mkdir(parents=True, exist_ok=True)
    heading = '\n'.join(report.environment())
    for kind, text in texts.items():
        path = folder / CURVES_FILE.format(kind)
        path.write_text(f'{text}\n{heading}\n', encoding='utf-8')
    document = folder.with_suffix('.rst')
    if document.exists():
        paths = [folder / CURVES_FILE.format(kind) for kind in KINDS]
        shown = '\n'.join(
            path.read_text(encoding='utf-8') for path in paths if path.exists()
        )
        block = '::\n\n' + textwrap.indent(shown, '    ')
        summary.replace_block(document, CURVES, block.rstrip() + '\n')


if __name__ == '__main__':
    sys.exit(main())
