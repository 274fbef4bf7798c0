# SPDX-License-Identifier: GPL-2.0-or-later
"""Show results as a table of text and as plots.

A report states versions and the kind of machine, but no host name and no path.
"""

from __future__ import annotations

import importlib.metadata
import os
import pathlib
import platform
import re
import sqlite3
import subprocess
from collections.abc import Iterable, Mapping, Sequence

from benchmarks.measure import RISING, Result

#: Other programs that some rows run if they are installed.
FOREIGN = (('git', '--version'), ('git-lfs', 'version'), ('fossil', 'version'))


def environment() -> list[str]:
    """Return lines with the versions of programs and the kind of machine."""
    packages = ('mercurial', 'hg-amalgam', 'zstandard', 'cbor2')
    versions = [
        f'{name} {importlib.metadata.version(name)}' for name in packages
    ]
    programs = [_version(*command) for command in FOREIGN]
    return [
        ', '.join([*versions, f'SQLite {sqlite3.sqlite_version}']),
        ', '.join(filter(None, programs)) or 'neither git nor fossil',
        f'{platform.python_implementation()} {platform.python_version()},'
        f' {platform.system()} {platform.machine()},'
        f' {os.cpu_count()} cores, {_memory()} GB of memory',
    ]


def _version(name: str, option: str) -> str:
    """Return a program's name and version, or '' if it is not installed."""
    try:
        text = subprocess.run(
            [name, option], capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return ''
    found = re.search(r'\d+(\.\d+)+', text)
    return f'{name} {found.group()}' if found else ''


def _memory() -> int:
    """Return the memory of this machine in 10**9 bytes."""
    total = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
    return round(total / 1e9)


def table(results: Iterable[Result]) -> str:
    """Return rows as text.  Ratios are to the first variant of a row."""
    lines = []
    for result in results:
        lines += ['', result.row.name, '-' * len(result.row.name)]
        head = (
            f'{"":26}{"":16}{"median":>10}{"spread":>9}{"ratio":>8}{"goal":>8}'
        )
        lines.append(head.rstrip())
        for variant, cells in result.cells.items():
            for metric, cell in cells.items():
                lines.append(_line(result, variant, metric, cell.median))
        for variant in result.failures:
            lines.append(f'{variant:26}could not be measured')
        for variant in result.unreached:
            lines.append(f'{variant:26}not measured: there was no time left')
    return '\n'.join(lines).lstrip('\n') + '\n'


def _line(result: Result, variant: str, metric: str, median: float) -> str:
    """Return the line of one variant and metric."""
    cell = result.cells[variant][metric]
    ratio = result.ratio(variant, metric)
    goal = result.row.goals.get((variant, metric))
    text = f'{variant:26}{metric:16}{median:10.3f}'
    text += f'{cell.spread:8.0%} ' if len(cell.values) > 1 else f'{"":9}'
    first = variant == next(iter(result.row.variants))
    text += f'{"":8}' if first or ratio is None else f'{ratio:8.3f}'
    if goal is not None and ratio is not None:
        rising = metric in RISING
        reached = ratio >= goal if rising else ratio <= goal
        sign = '>=' if rising else '<='
        text += f'  {sign} {goal:g} {"ok" if reached else "missed"}'
    return text.rstrip()


def curves(grown: Mapping[int, Sequence[Result]]) -> str:
    """Return how the medians of each row grow with the size.

    ``grown`` has the rows by size, a multiple of the smallest. The last column
    is the last median divided by the first.
    """
    sizes = sorted(grown)
    medians: dict[tuple[str, str, str], dict[int, float]] = {}
    for size in sizes:
        for result in grown[size]:
            name = result.row.name.rpartition(': ')[2]
            for variant, cells in result.cells.items():
                for metric, cell in cells.items():
                    found = medians.setdefault((name, variant, metric), {})
                    found[size] = cell.median
    lines = []
    row = ''
    head = ''.join(f'{f"{size}x":>9}' for size in sizes)
    for (name, variant, metric), found in medians.items():
        if name != row:
            lines += ['', f'{name:32}{head}   growth']
            row = name
        line = f'  {variant:16}{metric:14}'
        line += ''.join(
            f'{found[size]:9.3f}' if size in found else f'{"-":>9}'
            for size in sizes
        )
        first, last = found.get(sizes[0]), found.get(sizes[-1])
        if len(sizes) > 1 and first and last is not None:
            line += f'{last / first:9.2f}'
        lines.append(line)
    return '\n'.join(lines).lstrip('\n')


def plot_rows(results: Sequence[Result], folder: pathlib.Path) -> None:
    """Draw a PNG for each row, with a bar for the ratio of each cell."""
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    for result in results:
        metrics = list(result.row.metrics)
        variants = list(result.row.variants)
        figure, axes = pyplot.subplots(
            figsize=(7, 0.7 + 0.35 * len(variants) * len(metrics))
        )
        labels, values = [], []
        for metric in metrics:
            for variant in variants:
                ratio = result.ratio(variant, metric)
                if ratio is not None:
                    labels.append(f'{variant}: {metric}')
                    values.append(ratio)
        axes.barh(labels, values, color='#4477aa')
        axes.axvline(1, color='black', linewidth=0.8)
        axes.invert_yaxis()
        axes.set_xlabel(f'ratio to {variants[0]}')
        axes.set_title(result.row.name)
        figure.tight_layout()
        figure.savefig(folder / f'{slug(result.row.name)}.png', dpi=80)
        pyplot.close(figure)


def plot_growth(
    name: str,
    grown: Mapping[int, Sequence[Result]],
    folder: pathlib.Path,
) -> str | None:
    """Draw the medians of each row against the number of changesets.

    ``grown`` has the rows by number of changesets. Returns the name of the
    file in ``folder``, None if there are no rows to draw.
    """
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    # Rows are found by name, because a row may be missing for some sizes.
    rows = {
        result.row.name: result.row
        for results in grown.values()
        for result in results
    }
    if not rows:
        return None
    figure, all_axes = pyplot.subplots(
        1, len(rows), figsize=(4 * len(rows), 3.5), squeeze=False
    )
    for (row_name, row), axes in zip(rows.items(), all_axes[0], strict=True):
        metric = row.metrics[-1]
        for variant in row.variants:
            points = [
                (size, result.cells[variant][metric].median)
                for size, results in sorted(grown.items())
                for result in results
                if result.row.name == row_name
                and metric in result.cells.get(variant, {})
            ]
            axes.plot(
                [size for size, _ in points],
                [median for _, median in points],
                marker='o',
                label=variant,
            )
        axes.set_title(row_name.partition(': ')[2])
        axes.set_xlabel('changesets')
        axes.set_ylabel(metric)
        axes.set_ylim(bottom=0)
        axes.legend()
    figure.suptitle(name)
    figure.tight_layout()
    plot = f'growth-{slug(name)}.png'
    figure.savefig(folder / plot, dpi=80)
    pyplot.close(figure)
    return plot


def slug(name: str) -> str:
    """Return a row's name as a file name."""
    return re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-')
