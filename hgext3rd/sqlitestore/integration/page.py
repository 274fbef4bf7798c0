# SPDX-License-Identifier: GPL-2.0-or-later
"""What the pages of hgweb show of the database: a section, and a few figures.

``figures`` measures; nothing here reads the database.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...amalgam.pages import charts, surveys, texts
from ...amalgam.pages.blocks import (
    Bar,
    Block,
    Cell,
    Chart,
    Column,
    Fact,
    Facts,
    Note,
    Section,
    Table,
)
from ...amalgam.pages.charts import Part
from ...amalgam.pages.summaries import Value
from ...amalgam.pages.units import count_text, share_text, size_text
from .. import requirements
from . import figures

# Months from which on the growth is shown by years.
_MANY_MONTHS = 360

# What the tables of the database hold.
_TABLES = {
    'frame': 'contents in frames',
    'piece': 'contents of large frames',
    'idx': 'indexes',
    'rev': 'loose revisions',
    'path': 'paths',
    'content': 'digests of large texts',
}


def section(rctx: Any) -> Section:
    """Return the section of the page ``storage``.

    Raises StoreUnavailable or CorruptStore.
    """
    repo = rctx.repo
    if not requirements.uses_sqlite(repo):
        note = Note(
            'This repository keeps its history in revlogs. '
            'hg admin::sqlite-convert moves it into a database.'
        )
        return Section('Database', (note,))
    counts = figures.counts(repo)
    survey, current = figures.survey(repo, counts)
    data: dict[str, Any] = dict(survey.data) if survey else {}
    data.update(counts)
    del data['runs']
    data['measured'] = int(survey.measured) if survey else None
    data['current'] = current
    return Section('Database', tuple(_blocks(data, survey)), data)


def values(repo: Any) -> Iterator[Value]:
    """Yield the figures for the summary of a server."""
    if not requirements.uses_sqlite(repo):
        return
    counts = figures.counts(repo)
    known = surveys.peek(repo, figures.SURVEY)
    raw = known.data.get('raw') if known else None
    yield Value('size', 'database', counts['size'] + counts['wal'], size_text)
    yield Value('raw', 'texts', raw, size_text)
    yield Value('files', 'files', counts['files'], count_text)
    yield Value('revisions', 'revisions', counts['revisions'], count_text)
    yield Value('loose', 'loose revisions', counts['loose'], count_text)


def _blocks(
    data: Mapping[str, Any], survey: surveys.Survey | None
) -> Iterator[Block]:
    yield Facts(tuple(_facts(data)))
    if survey is None:
        yield Note(
            'The other figures are being measured. '
            'Reload this page in a moment.',
            important=True,
        )
        return
    if not data['current']:
        yield Note(
            f'What follows was measured at {_time(survey.measured)}. The '
            'history has changed since then, and newer figures are prepared.',
            important=True,
        )
    if not data['revisions']:
        return
    yield from _growth(data['growth'])
    yield from _content(data)
    yield _histogram(
        'Delta chains',
        'deltas to apply',
        data['deltas'],
        'How many deltas are applied to read a revision. Reading is fast if '
        'most revisions need few.',
    )
    if data['frames']:
        yield _histogram(
            'Frames',
            'revisions in a frame',
            data['frames'],
            'How many revisions are compressed together. To read one, its '
            'frame is decompressed.',
            'frames',
        )
    yield _sizes('Biggest paths', 'path', data['paths'], data['stored'])
    yield _sizes('Kinds of files', 'kind', data['kinds'], data['stored'])


def _facts(data: Mapping[str, Any]) -> Iterator[Fact]:
    log = f'and {size_text(data["wal"])} of log' if data['wal'] else ''
    yield Fact('database', size_text(data['size']), log)
    if 'raw' in data:
        share = share_text(data['stored'], data['raw'])
        yield Fact(
            'stored contents',
            size_text(data['stored']),
            f'{share} of the texts' if share else '',
        )
        yield Fact('all texts', size_text(data['raw']))
    yield Fact('revisions', count_text(data['revisions']))
    yield Fact('files', count_text(data['files']))
    repacked = data['repacked']
    yield Fact(
        'loose revisions',
        count_text(data['loose']),
        f'last repack {_time(repacked)[:10]}' if repacked else 'never repacked',
    )


def _time(seconds: float) -> str:
    return time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime(seconds))


def _growth(months: Sequence[Mapping[str, Any]]) -> Iterator[Block]:
    if not months:
        return
    added = {month['month']: month for month in months}
    names = _months_between(months[0]['month'], months[-1]['month'])
    unit = 'month'
    if len(names) > _MANY_MONTHS:
        names, unit = sorted({name[:4] for name in names}), 'year'
    by_name: dict[str, float] = {}
    for month, found in added.items():
        name = month if unit == 'month' else month[:4]
        by_name[name] = by_name.get(name, 0) + found['stored']
    parts = []
    total = 0.0
    for name in names:
        total += by_name.get(name, 0)
        parts.append(Part(name, total, size_text(total)))
    yield Chart(
        'Growth',
        charts.area(parts, f'{unit} of the changeset', 'stored contents'),
        'Files and manifests, at the size at which they are stored today.',
    )
    years: dict[str, list[int]] = {}
    for month, found in added.items():
        sums = years.setdefault(month[:4], [0, 0, 0])
        for n, name in enumerate(('revisions', 'raw', 'stored')):
            sums[n] += found[name]
    yield Table(
        'Growth by year',
        (
            Column('year'),
            Column('revisions', True),
            Column('texts', True),
            Column('stored', True),
        ),
        tuple(
            (year, count_text(sums[0]), size_text(sums[1]), size_text(sums[2]))
            for year, sums in years.items()
        ),
        folded=True,
    )


def _months_between(first: str, last: str) -> list[str]:
    """Return all months from the first to the last."""
    begin, end = (
        int(month[:-3]) * 12 + int(month[-2:]) - 1 for month in (first, last)
    )
    return [f'{n // 12:04}-{n % 12 + 1:02}' for n in range(begin, end + 1)]


def _content(data: Mapping[str, Any]) -> Iterator[Block]:
    tables = [table for table in data['tables'] if table['rows']]
    parts = [
        Part(_TABLES[table['name']], table['size'], size_text(table['size']))
        for table in tables
    ]
    if data['free']:
        parts.append(Part('free pages', data['free'], size_text(data['free'])))
    yield Chart(
        'What the database holds',
        charts.whole(parts, 'What the database holds'),
        'Loose revisions move into frames, and free pages are given back, '
        'with a repack.',
    )
    yield Table(
        'Tables of the database',
        (
            Column('table'),
            Column('holds', minor=True),
            Column('rows', True),
            Column('size', True),
            Column('share', True),
        ),
        tuple(
            (
                table['name'],
                _TABLES[table['name']],
                count_text(table['rows']),
                size_text(table['size']),
                share_text(table['size'], data['size']),
            )
            for table in tables
        ),
        folded=True,
    )


def _histogram(
    title: str,
    axis: str,
    counts: Sequence[Mapping[str, int]],
    note: str,
    what: str = 'revisions',
) -> Chart:
    parts = []
    for found in counts:
        low, high = found['from'], found['to']
        name = str(low) if low == high else f'{low}\u2013{high}'
        count = found['count']
        parts.append(Part(name, count, f'{count_text(count)} {what}'))
    return Chart(title, charts.columns(parts, axis, what), note)


def _sizes(
    title: str, name: str, rows: Sequence[Mapping[str, Any]], total: float
) -> Table:
    most = max((row['stored'] for row in rows), default=0) or 1
    counted = 'files' if name == 'kind' else None

    def cells(row: Mapping[str, Any]) -> tuple[Cell, ...]:
        count = (count_text(row[counted]),) if counted else ()
        return (
            Bar(texts.shown(row[name]), row['stored'] / most),
            size_text(row['stored']),
            share_text(row['stored'], total),
            size_text(row['raw']),
            *count,
            count_text(row['revisions']),
        )

    return Table(
        title,
        (
            Column(name),
            Column('stored', True),
            Column('share', True, minor=True),
            Column('texts', True, minor=True),
            *([Column(counted, True)] if counted else ()),
            Column('revisions', True),
        ),
        tuple(map(cells, rows)),
    )
