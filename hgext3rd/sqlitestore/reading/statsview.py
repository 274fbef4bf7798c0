# SPDX-License-Identifier: GPL-2.0-or-later
"""Show the figures of ``admin::sqlite-stats``: as text or by a template.

The page of hgweb shows the same ``figures``. Knows nothing of the database.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from mercurial import util
from mercurial.i18n import _

from . import stats

_BAR_WIDTH = 40

# The longest suffix of a file that counts as its kind, with the dot.
_LONGEST_KIND = 12

NO_KIND = b'(none)'


def figures(found: stats.Stats, limit: int) -> dict[str, Any]:
    """Return the figures as programs get them, with the biggest paths.

    Names of paths are bytes. There are at most ``limit`` of them.
    """
    paths = [file for file in found.files if file.visible]
    return {
        'size': found.size,
        'wal': found.wal,
        'free': found.free,
        'raw': found.raw,
        'stored': round(found.frame_stored + found.loose_stored),
        'files': len(found.files) - found.manifests,
        'manifests': found.manifests,
        'revisions': found.revisions,
        'loose': found.loose,
        'framecount': found.frame_count,
        'unused': found.unused,
        'tables': [
            {
                'name': table.name.encode('ascii'),
                'rows': table.rows,
                'size': table.size,
            }
            for table in found.tables
        ],
        'deltas': _histogram(found.deltas),
        'frames': _histogram(found.frames),
        'paths': [
            {
                'path': file.path,
                'stored': round(file.stored),
                'raw': file.raw,
                'revisions': file.revisions,
            }
            for file in heapq.nsmallest(
                limit, paths, key=lambda file: (-file.stored, file.path)
            )
        ],
    }


def _histogram(counts: Mapping[int, int]) -> list[dict[str, int]]:
    return [
        {'from': low, 'to': max(low, 2 * low - 1), 'count': count}
        for low, count in counts.items()
    ]


def kinds(found: stats.Stats, limit: int) -> list[dict[str, Any]]:
    """Return figures of files by the suffix of their names, biggest first."""
    sums: dict[bytes, stats.FileSize] = {}
    counts: dict[bytes, int] = defaultdict(int)
    for file in found.files:
        if not file.is_file or not file.visible:
            continue
        kind = _kind(file.path)
        whole = sums.setdefault(kind, stats.FileSize(kind))
        whole.revisions += file.revisions
        whole.raw += file.raw
        whole.stored += file.stored
        counts[kind] += 1
    return [
        {
            'kind': whole.path,
            'files': counts[whole.path],
            'stored': round(whole.stored),
            'raw': whole.raw,
            'revisions': whole.revisions,
        }
        for whole in heapq.nsmallest(
            limit, sums.values(), key=lambda whole: (-whole.stored, whole.path)
        )
    ]


def _kind(path: bytes) -> bytes:
    """Return the suffix of a file; names that begin with a dot have another."""
    name = path.rpartition(b'/')[2]
    stem, dot, suffix = name.rpartition(b'.')
    if not stem or not suffix or len(suffix) >= _LONGEST_KIND:
        return NO_KIND
    return dot + suffix.lower()


def growth(found: stats.Stats) -> list[dict[str, Any]]:
    """Return what was added by month, the earliest first."""
    return [
        {
            'month': month.encode('ascii'),
            'revisions': added.revisions,
            'raw': added.raw,
            'stored': round(added.stored),
        }
        for month, added in found.growth.items()
    ]


def show(fm: Any, found: stats.Stats, limit: int) -> None:
    """Write the figures to a formatter, with the ``limit`` biggest paths."""
    values = figures(found, limit)
    fm.startitem()
    _totals(fm, values)
    _tables(fm, values)
    _bars(fm, b'deltas', values, _(b'deltas to apply for a revision:\n'))
    _bars(fm, b'frames', values, _(b'revisions in a frame:\n'))
    _paths(fm, values)


def _totals(fm: Any, values: dict[str, Any]) -> None:
    lines = (
        ('size', _(b'database')),
        ('wal', _(b'write-ahead log')),
        ('free', _(b'free pages')),
        ('raw', _(b'size of all texts')),
        ('stored', _(b'their stored size')),
    )
    for name, label in lines:
        value = values[name]
        text = b'' if name != 'stored' else _percent(value, values['raw'])
        fm.plain(b'%-24s %12s%s\n' % (label, util.bytecount(value), text))
        fm.data(**{name: value})
    counts = (
        ('files', _(b'files')),
        ('manifests', _(b'directories of manifests')),
        ('revisions', _(b'revisions')),
        ('loose', _(b'  loose revisions')),
        ('framecount', _(b'frames')),
        ('unused', _(b'  unused entries')),
    )
    for name, label in counts:
        fm.plain(b'%-24s %12d\n' % (label, values[name]))
        fm.data(**{name: values[name]})


def _percent(part: float, whole: float) -> bytes:
    return b'  (%.1f%%)' % (100.0 * part / whole) if whole else b''


def _nested(
    fm: Any, name: bytes, values: dict[str, Any]
) -> Iterable[dict[str, Any]]:
    """Give the items of a list to a formatter, and yield each."""
    nested = fm.nested(name)
    for item in values[name.decode('ascii')]:
        nested.startitem()
        nested.data(**item)
        yield item
    nested.end()


def _tables(fm: Any, values: dict[str, Any]) -> None:
    fm.plain(_(b'\ntable         rows         size\n'))
    for table in _nested(fm, b'tables', values):
        fm.plain(
            b'%-9s %8d %12s%s\n'
            % (
                table['name'],
                table['rows'],
                util.bytecount(table['size']),
                _percent(table['size'], values['size']),
            )
        )


def _bars(fm: Any, name: bytes, values: dict[str, Any], title: bytes) -> None:
    fm.plain(b'\n' + title)
    counts = [item['count'] for item in values[name.decode('ascii')]]
    most = max(counts, default=1)
    for item in _nested(fm, name, values):
        low, high, count = item['from'], item['to'], item['count']
        label = b'%d' % low if high == low else b'%d-%d' % (low, high)
        bar = b'#' * max(1, _BAR_WIDTH * count // most)
        fm.plain(b'%13s %8d %s\n' % (label, count, bar))


def _paths(fm: Any, values: dict[str, Any]) -> None:
    fm.plain(_(b'\nbiggest paths (stored, texts, revisions):\n'))
    for file in _nested(fm, b'paths', values):
        fm.plain(
            b'%12s %12s %8d  %s\n'
            % (
                util.bytecount(file['stored']),
                util.bytecount(file['raw']),
                file['revisions'],
                file['path'],
            )
        )
