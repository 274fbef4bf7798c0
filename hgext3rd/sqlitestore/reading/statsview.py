# SPDX-License-Identifier: GPL-2.0-or-later
"""Show the figures of ``admin::sqlite-stats``: as text or by a template.

Knows nothing of the database.
"""

from __future__ import annotations

import heapq
from typing import Any

from mercurial import util
from mercurial.i18n import _

from . import stats

_BAR_WIDTH = 40


def show(fm: Any, found: stats.Stats, limit: int) -> None:
    """Write the figures to a formatter, with the ``limit`` biggest paths."""
    fm.startitem()
    _totals(fm, found)
    _tables(fm, found)
    _histogram(
        fm, b'deltas', found.deltas, _(b'deltas to apply for a revision:\n')
    )
    _histogram(fm, b'frames', found.frames, _(b'revisions in a frame:\n'))
    _paths(fm, found, limit)


def _totals(fm: Any, found: stats.Stats) -> None:
    stored = found.frame_stored + found.loose_stored
    lines = (
        (b'size', found.size, _(b'database')),
        (b'wal', found.wal, _(b'write-ahead log')),
        (b'free', found.free, _(b'free pages')),
        (b'raw', found.raw, _(b'size of all texts')),
        (b'stored', stored, _(b'their stored size')),
    )
    for name, value, label in lines:
        text = b'' if name != b'stored' else _percent(stored, found.raw)
        fm.plain(b'%-24s %12s%s\n' % (label, util.bytecount(value), text))
        fm.data(**{name.decode('ascii'): value})
    counts = (
        (b'files', len(found.files) - found.manifests, _(b'files')),
        (b'manifests', found.manifests, _(b'directories of manifests')),
        (b'revisions', found.revisions, _(b'revisions')),
        (b'loose', found.loose, _(b'  loose revisions')),
        (b'framecount', found.frame_count, _(b'frames')),
        (b'unused', found.unused, _(b'  unused entries')),
    )
    for name, value, label in counts:
        fm.plain(b'%-24s %12d\n' % (label, value))
        fm.data(**{name.decode('ascii'): value})


def _percent(part: float, whole: float) -> bytes:
    return b'  (%.1f%%)' % (100.0 * part / whole) if whole else b''


def _tables(fm: Any, found: stats.Stats) -> None:
    fm.plain(_(b'\ntable         rows         size\n'))
    nested = fm.nested(b'tables')
    for table in found.tables:
        name = table.name.encode('ascii')
        nested.startitem()
        nested.data(name=name, rows=table.rows, size=table.size)
        fm.plain(
            b'%-9s %8d %12s%s\n'
            % (
                name,
                table.rows,
                util.bytecount(table.size),
                _percent(table.size, found.size),
            )
        )
    nested.end()


def _histogram(
    fm: Any, name: bytes, counts: dict[int, int], title: bytes
) -> None:
    fm.plain(b'\n' + title)
    nested = fm.nested(name)
    most = max(counts.values(), default=1)
    for low, count in counts.items():
        high = max(low, 2 * low - 1)
        nested.startitem()
        nested.data(count=count, **{'from': low, 'to': high})
        label = b'%d' % low if high == low else b'%d-%d' % (low, high)
        bar = b'#' * max(1, _BAR_WIDTH * count // most)
        fm.plain(b'%13s %8d %s\n' % (label, count, bar))
    nested.end()


def _paths(fm: Any, found: stats.Stats, limit: int) -> None:
    biggest = heapq.nsmallest(
        limit, found.files, key=lambda file: (-file.stored, file.path)
    )
    fm.plain(_(b'\nbiggest paths (stored, texts, revisions):\n'))
    nested = fm.nested(b'paths')
    for file in biggest:
        stored = round(file.stored)
        nested.startitem()
        nested.data(
            path=file.path,
            stored=stored,
            raw=file.raw,
            revisions=file.revisions,
        )
        fm.plain(
            b'%12s %12s %8d  %s\n'
            % (
                util.bytecount(stored),
                util.bytecount(file.raw),
                file.revisions,
                file.path,
            )
        )
    nested.end()
