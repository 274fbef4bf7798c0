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
    SERVER_PEAK,
    SIZE,
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
    ('File history after a clone', 'file history', 'sqlite after clone', SIZE),
    ('File history, repacked', 'file history', 'sqlite repacked', SIZE),
    (
        'File history, repacked with ``--max``',
        'file history',
        'sqlite repacked --max',
        SIZE,
    ),
    ('``clone --stream``, 20,000 files: wall', 'clone --st', 'sqlite', WALL),
    ('``clone --pull``: CPU', 'clone --pull', 'sqlite', CPU),
    ('``clone --pull``: memory', 'clone --pull', 'sqlite', PEAK),
    ('``update`` from nothing: CPU', 'update', 'sqlite', CPU),
    ('``commit`` of one file: wall', 'commit', 'sqlite', WALL),
    ('``log -p`` of one file: CPU', 'log -p', 'sqlite', CPU),
    ('``annotate``: CPU', 'annotate', 'sqlite', CPU),
    ('``cat`` of an old revision: CPU', 'cat', 'sqlite', CPU),
    ('``verify``: CPU', 'verify', 'sqlite', CPU),
    ('HTTP clone, cached: server CPU', 'clone over', 'v2 warm', SERVER_CPU),
    ('HTTP clone, cached: bytes sent', 'clone over', 'v2 warm', DOWN),
    ('HTTP clone, cached: wall', 'clone over', 'v2 warm', WALL),
    ('HTTP clone, cached: client memory', 'clone over', 'v2 warm', PEAK),
    ('HTTP clone, cached: server memory', 'clone over', 'v2 warm', SERVER_PEAK),
    (
        'HTTP clone, cached, into SQLite: wall',
        'clone over',
        'v2 warm into sqlite',
        WALL,
    ),
    (
        'HTTP clone, cached, into SQLite: memory',
        'clone over',
        'v2 warm into sqlite',
        PEAK,
    ),
    ('HTTP clone, not cached: server CPU', 'clone over', 'v2 cold', SERVER_CPU),
    ('HTTP clone, not cached: wall', 'clone over', 'v2 cold', WALL),
    ('LFS download of 1 GiB', 'GET ', 'lfsserver', RATE),
    ('LFS upload of 1 GiB', 'PUT ', 'lfsserver', RATE),
    ('Small LFS files: ``hg clone``', 'hg clone', 'lfsserver', OBJECTS),
    ('Small LFS files: ``git-lfs fetch``', 'git-lfs', 'lfsserver', OBJECTS),
)

#: Widths of the columns.
WIDTHS = (40, 15, 14, 5)


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
    rule = '  '.join('=' * width for width in WIDTHS)
    heading = _line(
        'what', f'Mercurial {version}', 'with Amalgam', 'ratio'
    ).rstrip()
    table = _table(rows)
    return '\n'.join(
        [textwrap.fill(text, 79), '', rule, heading, rule, *table, rule, '']
    )


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
    label, *figures = (
        f'{cell:{width}}' if not column else f'{cell:>{width}}'
        for column, (cell, width) in enumerate(zip(cells, WIDTHS, strict=True))
    )
    return '  '.join([label, *figures])


def _figure(value: float, metric: str) -> str:
    """Return a value with its unit, rounded for readers."""
    unit = metric.rpartition(' ')[2]
    if unit == 's' and value < 1:
        return f'{value * 1000:.0f} ms'
    return f'{value:.2f} {unit}' if value < 10 else f'{value:.0f} {unit}'
