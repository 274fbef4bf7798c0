# SPDX-License-Identifier: GPL-2.0-or-later
"""The figures of the README: a few ratios out of all results.

They stand between two comments; everything between these is replaced.
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

BEGIN = '.. figures of "make bench" begin\n'
END = '.. figures of "make bench" end\n'

#: What a line says -> the start of a row's name without that of its history,
#: and the variant and metrics whose ratios it gives.
Line = tuple[str, str, str, tuple[str, ...]]
STORAGE: Sequence[Line] = (
    (
        'File history after a clone, bytes',
        'file history',
        'sqlite after clone',
        (SIZE,),
    ),
    (
        '... after ``hg admin::sqlite-repack``',
        'file history',
        'sqlite repacked',
        (SIZE,),
    ),
    ('... with ``--max``', 'file history', 'sqlite repacked --max', (SIZE,)),
    (
        "... for comparison: git's tightest pack",
        'file history',
        'git, blobs',
        (SIZE,),
    ),
    (
        '``hg clone --stream`` of many small files, wall',
        'clone --stream',
        'sqlite',
        (WALL,),
    ),
    ('``hg clone --pull``, CPU, memory', 'clone --pull', 'sqlite', (CPU, PEAK)),
    ('``hg update`` from nothing, CPU', 'update', 'sqlite', (CPU,)),
    ('``hg commit`` of one file, wall', 'commit', 'sqlite', (WALL,)),
    ('``hg log -p`` of one file, CPU', 'log -p', 'sqlite', (CPU,)),
    ('``hg annotate``, CPU', 'annotate', 'sqlite', (CPU,)),
    ('``hg cat`` of an old revision, CPU', 'cat', 'sqlite', (CPU,)),
    ('``hg verify``, CPU', 'verify', 'sqlite', (CPU,)),
)
WIRE: Sequence[Line] = (
    (
        'Clone over HTTP, warm cache: server CPU',
        'clone over',
        'v2 warm',
        (SERVER_CPU,),
    ),
    ('... bytes', 'clone over', 'v2 warm', (DOWN,)),
    ('... client CPU, wall', 'clone over', 'v2 warm', (CPU, WALL)),
    (
        '... client CPU, wall, into SQLite',
        'clone over',
        'v2 warm into sqlite',
        (CPU, WALL),
    ),
    (
        '... memory of client, server',
        'clone over',
        'v2 warm',
        (PEAK, SERVER_PEAK),
    ),
    (
        'Clone over HTTP, nothing cached: server CPU',
        'clone over',
        'v2 cold',
        (SERVER_CPU,),
    ),
)
LFS: Sequence[Line] = (
    (
        'LFS download of one large blob: throughput, server CPU',
        'GET ',
        'lfsserver',
        (RATE, SERVER_CPU),
    ),
    (
        'LFS upload of one large blob: throughput, server CPU',
        'PUT ',
        'lfsserver',
        (RATE, SERVER_CPU),
    ),
    (
        'Small LFS blobs a second: ``hg clone``',
        'hg clone',
        'lfsserver',
        (OBJECTS,),
    ),
    ('... ``git-lfs fetch``', 'git-lfs', 'lfsserver', (OBJECTS,)),
)


def rewrite(
    readme: pathlib.Path, results: Sequence[Result], history: History | None
) -> None:
    """Replace the figures; those of ``history`` where there are several.

    Raises ValueError if the file has no place for them.
    """
    text = readme.read_text(encoding='utf-8')
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f'{readme.name} has no place for figures')
    readme.write_text(
        f'{before}{BEGIN}\n{figures(results, history)}\n{END}{after}',
        encoding='utf-8',
    )


def figures(results: Sequence[Result], history: History | None) -> str:
    """Return the figures as reStructuredText."""
    rows = {}
    for result in results:
        owner, _, name = result.row.name.rpartition(': ')
        if not owner or (history is not None and owner == history.name):
            rows[name] = result
    version = importlib.metadata.version('mercurial')
    text = f'Ratios to Mercurial {version} without the extensions'
    if history is not None:
        text += f', on the history of {history.name}'
        text += f' ({history.changesets} changesets)'
    text += f', {os.cpu_count()} cores; less is better, except for rates.'
    text = textwrap.fill(text, 80) + '\n'
    for lines in (STORAGE, WIRE, LFS):
        table = list(_table(lines, rows))
        if table:
            rule = f'{"=" * 61}  {"=" * 12}'
            text += '\n'.join(['', rule, *table, rule, ''])
    return text


def _table(lines: Sequence[Line], rows: Mapping[str, Result]) -> Iterator[str]:
    for label, start, variant, metrics in lines:
        for name, result in rows.items():
            if not name.startswith(start):
                continue
            ratios = [result.ratio(variant, metric) for metric in metrics]
            if None not in ratios:
                yield f'{label:61}  {", ".join(map(_figure, ratios))}'


def _figure(ratio: float | None) -> str:
    assert ratio is not None
    return f'{ratio:.2f}' if ratio < 2 else f'{ratio:.1f}'
