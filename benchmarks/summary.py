# SPDX-License-Identifier: GPL-2.0-or-later
"""The table of the README: a selection of all results.

The table stands between two comments, and everything between them is replaced.
Nothing is measured here, and the selection does not depend on the results.
"""

from __future__ import annotations

import importlib.metadata
import os
import pathlib
import textwrap
from collections.abc import Iterator, Mapping, Sequence

from benchmarks.histories import History
from benchmarks.measure import (
    CPU,
    DOWN,
    OBJECTS,
    PEAK,
    RATE,
    SERVER_CPU,
    SIZE,
    SLOW_WALL,
    WALL,
    Result,
)

FIGURES = 'figures of "make bench"'
PLOTS = 'plots of "make bench"'

#: A line of the table: its label, the start of the row's name (without the name
#: of the history), the variant that stands for Amalgam, and the metric.  The
#: first variant of a row stands for Mercurial.
Line = tuple[str, str, str, str]
LINES: Sequence[Line] = (
    ('``clone --stream``, 20,000 files: wall', 'clone --st', 'sqlite', WALL),
    ('``clone --pull``: CPU', 'clone --pull', 'sqlite', CPU),
    ('``clone --pull``: memory', 'clone --pull', 'sqlite', PEAK),
    ('``update`` from nothing: CPU', 'update', 'sqlite', CPU),
    ('``commit`` of one file: wall', 'commit', 'sqlite', WALL),
    ('``commit`` of one file: CPU', 'commit', 'sqlite', CPU),
    ('``log -p`` of one file: CPU', 'log -p', 'sqlite', CPU),
    ('``annotate``: CPU', 'annotate', 'sqlite', CPU),
    ('``cat`` of an old revision: CPU', 'cat', 'sqlite', CPU),
    ('``verify``: CPU', 'verify', 'sqlite', CPU),
    ('LFS download of 1 GiB', 'GET ', 'lfsserver', RATE),
    ('LFS upload of 1 GiB: server CPU', 'PUT ', 'lfsserver', SERVER_CPU),
    (
        '2,000 LFS uploads, ``hg serve``: CPU',
        'small uploads, hg',
        'lfsserver',
        SERVER_CPU,
    ),
    (
        '2,000 LFS uploads, gunicorn: CPU',
        'small uploads, g',
        'lfsserver',
        SERVER_CPU,
    ),
    (
        '2,000 LFS downloads, gunicorn: CPU',
        'small downloads, g',
        'lfsserver',
        SERVER_CPU,
    ),
    ('Small LFS files: ``hg clone``', 'hg clone', 'lfsserver', OBJECTS),
    ('Small LFS files: ``git-lfs fetch``', 'git-lfs', 'lfsserver', OBJECTS),
)

#: A machine is busy with other work if this many processes wait for each core.
#: A benchmark alone makes one or two wait.
BUSY = 2

#: Widths of the columns.
WIDTHS = (40, 15, 14, 5)

#: The table of clones and the text after it.  Lines are a label, and a variant
#: of the row.
CLONES: Sequence[tuple[str, str]] = (
    ('version 1', 'v1'),
    ('``clone --stream``', 'stream'),
    ('version 1 of SQLite', 'v1 of sqlite'),
    ('the same, repacked', 'v1 of sqlite, repacked'),
    ('clone bundle, zstd-v2', 'zstd bundle'),
    ('clone bundle, streamv2', 'stream bundle'),
    ('ours, into revlogs', 'v2 warm'),
    ('ours, into SQLite', 'v2 warm into sqlite'),
    ('ours, nothing cached', 'v2 cold'),
    ('``--stream`` of SQLite', 'stream of sqlite'),
)
CLONES_TEXT = (
    'All clients but ours are Mercurial without extensions.  Ours fetch packs'
    ' that ``hg admin::wire-warm`` has built ahead of time, or that the server'
    ' builds while they wait ("nothing cached").  "Slow line" is the wall time'
    ' over 50 Mbit/s and 30 ms.'
)
#: Its columns: a heading, a metric, and the width.
CLONE_COLUMNS: Sequence[tuple[str, str, int]] = (
    ('wall', WALL, 8),
    ('slow line', SLOW_WALL, 9),
    ('CPU', CPU, 8),
    ('memory', PEAK, 7),
    ('server CPU', SERVER_CPU, 10),
    ('received', DOWN, 8),
)

#: The lines of the table of sizes.
STORES: Sequence[tuple[str, str]] = (
    ('Mercurial, revlogs', 'revlog'),
    ('SQLite, after a clone', 'sqlite after clone'),
    ('SQLite, repacked', 'sqlite repacked'),
    ('SQLite, repacked with ``--max``', 'sqlite repacked --max'),
    ('git, ``repack -adf``, depth and window 250', 'git'),
    ('fossil', 'fossil'),
)
STORE_WIDTHS = (42, 8, 5)
#: The width of the first column of the table of clones.
WAY_WIDTH = 22


def rewrite(
    readme: pathlib.Path, results: Sequence[Result], history: History | None
) -> None:
    """Replace the figures in ``readme``.

    If rows were measured on several histories, those on ``history`` are shown.
    Raises ValueError if the file has no place for figures.
    """
    replace_block(readme, FIGURES, figures(results, history))


def replace_block(document: pathlib.Path, name: str, text: str) -> None:
    """Replace the text between the comments ``NAME begin`` and ``NAME end``.

    Raises ValueError if the document has no such comments.
    """
    old = document.read_text(encoding='utf-8')
    opening, closing = f'.. {name} begin\n', f'.. {name} end\n'
    before, begin, rest = old.partition(opening)
    _, end, after = rest.partition(closing)
    if not (begin and end):
        raise ValueError(f'{document.name} has no place for {name}')
    document.write_text(
        f'{before}{opening}\n{text}\n{closing}{after}', encoding='utf-8'
    )


def images(folder: str, plots: Mapping[str, str]) -> str:
    """Return image directives for plots: a file in ``folder`` to its caption."""
    return '\n'.join(
        f'.. image:: {folder}/{name}\n   :alt: {caption}\n'
        for name, caption in plots.items()
    )


def figures(results: Sequence[Result], history: History | None) -> str:
    """Return the figures as reStructuredText."""
    rows = {}
    for result in results:
        owner, _, name = result.row.name.rpartition(': ')
        if not owner or (history is not None and owner == history.name):
            rows[name] = result
    version = importlib.metadata.version('mercurial')
    text = 'Medians of whole commands'
    if history is not None:
        text += f' on the history of {history.name}'
        text += f' ({history.changesets} changesets)'
    text += f', {os.cpu_count()} cores. A ratio below 1 means less than without'
    text += ' Amalgam, which is better except for rates (objects/s and MB/s).'
    if os.getloadavg()[2] > BUSY * (os.cpu_count() or 1):
        text += ' The machine was busy with other work, so wall times are long.'
    rule = '  '.join('=' * width for width in WIDTHS)
    heading = _line(
        'what', f'Mercurial {version}', 'with Amalgam', 'ratio'
    ).rstrip()
    paragraphs = [
        textwrap.fill(text, 79),
        '\n'.join([rule, heading, rule, *_table(rows), rule]),
    ]
    for name, result in rows.items():
        if name.startswith('store'):
            paragraphs.append('\n'.join(_stores(result)))
        if name.startswith('clone over'):
            paragraphs.append('\n'.join(_clones(result)))
            paragraphs.append(textwrap.fill(CLONES_TEXT, 79))
    return '\n\n'.join(paragraphs) + '\n'


def _stores(result: Result) -> list[str]:
    """Return the table of the sizes of whole stores."""
    rule = '  '.join('=' * width for width in STORE_WIDTHS)
    lines = [rule, _cells(STORE_WIDTHS, 'the whole history', 'size', 'ratio')]
    lines.append(rule)
    for label, variant in STORES:
        if SIZE in result.cells.get(variant, {}):
            size = _figure(result.cells[variant][SIZE].median, SIZE)
            ratio = result.ratio(variant, SIZE)
            shown = '' if ratio is None else f'{ratio:.2f}'
            lines.append(_cells(STORE_WIDTHS, label, size, shown))
    return [*lines, rule]


def _clones(result: Result) -> list[str]:
    """Return the table of the ways to clone, with figures and no ratios."""
    widths = [WAY_WIDTH, *(width for _name, _metric, width in CLONE_COLUMNS)]
    names = [name for name, _metric, _width in CLONE_COLUMNS]
    rule = '  '.join('=' * width for width in widths)
    lines = [rule, _cells(widths, 'clone over HTTP', *names), rule]
    for label, variant in CLONES:
        cells = result.cells.get(variant, {})
        figures = [
            _figure(cells[metric].median, metric) if metric in cells else '-'
            for _name, metric, _width in CLONE_COLUMNS
        ]
        if cells:
            lines.append(_cells(widths, label, *figures))
    return [*lines, rule]


def _table(rows: Mapping[str, Result]) -> Iterator[str]:
    for label, start, variant, metric in LINES:
        for name, result in rows.items():
            if not name.startswith(start):
                continue
            ratio = result.ratio(variant, metric)
            if ratio is None:
                continue
            first = next(iter(result.row.variants))
            yield _line(
                label,
                _figure(result.cells[first][metric].median, metric),
                _figure(result.cells[variant][metric].median, metric),
                f'{ratio:.2f}',
            )


def _line(*cells: str) -> str:
    return _cells(WIDTHS, *cells)


def _cells(widths: Sequence[int], *cells: str) -> str:
    """Return a line of a table; all columns but the first are to the right."""
    label, *figures = (
        f'{cell:{width}}' if not column else f'{cell:>{width}}'
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return '  '.join([label, *figures]).rstrip()


def _figure(value: float, metric: str) -> str:
    """Return a value with its unit, rounded for readers."""
    unit = metric.rpartition(' ')[2]
    if unit == 's' and value < 1:
        return f'{value * 1000:.0f} ms'
    return f'{value:.2f} {unit}' if value < 10 else f'{value:.0f} {unit}'
