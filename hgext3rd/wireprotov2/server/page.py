# SPDX-License-Identifier: GPL-2.0-or-later
"""What the page ``storage`` of hgweb shows of segments and of the cache.

A cacher that other repositories can use is described only where a server has
no others, as in the metrics of a repository. Nothing here decides permissions.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from mercurial.node import hex

from ...amalgam.pages import charts
from ...amalgam.pages.blocks import (
    Block,
    Chart,
    Column,
    Fact,
    Facts,
    Note,
    Section,
    Table,
)
from ...amalgam.pages.charts import Part
from ...amalgam.pages.units import count_text, share_text, size_text
from ..access import requester
from ..cache import base, factory, service
from ..segments import bundle
from ..segments.cut import Segment
from ..segments.history import History
from . import metrics

# The most segments and spans that are listed, the newest ones.
_MOST = 40

# Seconds after which the cacher is not asked for more of them: an object store
# takes its time for each.
_PATIENCE = 0.3

# States of a segment in the cache.
_CACHED, _MISSING, _UNKNOWN = b'cached', b'missing', b'unknown'

# What the cache did for responses, as ``metrics`` counts it.
_EVENTS = {
    'hit': 'answered by the cache',
    'miss': 'computed',
    'redirect': 'redirected',
    'store': 'stored',
    'decline': 'not stored',
    'error': 'failures of the cacher',
}


def section(rctx: Any) -> Section:
    """Return the section of a repository."""
    repo = rctx.repo
    history = History(requester.served(repo))
    data: dict[str, Any] = {
        'segments': _segments(repo, history),
        'cacher': _cacher(repo, alone=not rctx.req.reponame),
        'cacheevents': _events(repo),
    }
    return Section('Clones and the cache', tuple(_blocks(data)), data)


def _segments(repo: Any, history: History) -> dict[str, Any] | None:
    """Return what clones fetch; None if nobody may have segments."""
    if not history.offered:
        return None
    found = history.segments()
    parts = [
        (span, bundle.LEVEL_AHEAD, False) for _start, span in history.joined()
    ]
    if found.rest is not None:
        parts.append((found.rest, 0, True))
    cache = factory.silent_for_repo(repo)
    until = time.monotonic() + _PATIENCE
    return {
        'closed': len(found.closed),
        'changesets': sum(part.changesets for part, _level, _open in parts),
        'list': [
            {
                'name': hex(part.name),
                'changesets': part.changesets,
                'size': part.size,
                'open': is_open,
                'state': _state(history, cache, part, level, until),
            }
            for part, level, is_open in reversed(parts[-_MOST:])
        ],
    }


def _state(
    history: History,
    cache: service.ResponseCache | None,
    part: Segment,
    level: int,
    until: float,
) -> bytes:
    if cache is None:
        return _MISSING
    if time.monotonic() > until:
        return _UNKNOWN
    state = history.key_state(part.name)
    key = None if state is None else cache.key(state)
    if key is None:
        return _MISSING
    return _CACHED if cache.has(key, level) else _MISSING


def _cacher(repo: Any, alone: bool) -> dict[str, Any] | None:
    """Return what the cacher holds; None if there is none, or not to be told."""
    found = factory.cacher_of(repo)
    if found is None or (found.common and not alone):
        return None
    try:
        usage = found.shared.usage()
    except (base.CacherError, OSError):
        usage = None
    return {
        'name': found.name,
        'entries': usage.entries if usage else None,
        'size': usage.size if usage else None,
        'limit': usage.limit if usage else None,
    }


def _events(repo: Any) -> dict[str, int] | None:
    """Return how often the cache did what; None if nothing is counted."""
    if not metrics.enabled(repo.ui):
        return None
    counts = dict.fromkeys(_EVENTS, 0)
    for _metric, sample, _name in metrics.counted({metrics.digest(repo): ['']}):
        if sample.name == 'amalgam_cache_events_total':
            counts[sample.labels['event']] = int(sample.value)
    return counts


def _blocks(data: Mapping[str, Any]) -> Iterator[Block]:
    segments, cacher = data['segments'], data['cacher']
    yield Facts(tuple(_facts(segments, cacher)))
    yield from _hits(data['cacheevents'])
    if segments is None:
        yield Note(
            'Clones get no segments, because access to this repository is '
            'limited or it lacks a part of the history.'
        )
    elif segments['list']:
        yield _list(segments['list'])


def _facts(
    segments: Mapping[str, Any] | None, cacher: Mapping[str, Any] | None
) -> Iterator[Fact]:
    if segments is not None:
        yield Fact(
            'closed segments',
            count_text(segments['closed']),
            f'{count_text(segments["changesets"])} public changesets',
        )
        cached = sum(part['state'] == _CACHED for part in segments['list'])
        yield Fact(
            'ready in the cache',
            f'{cached} of {len(segments["list"])}',
            'spans and open segments',
        )
    if cacher is None:
        return
    if cacher['size'] is not None:
        limit = cacher['limit']
        yield Fact(
            f'in the cache ({cacher["name"]})',
            size_text(cacher['size']),
            f'{share_text(cacher["size"], limit)} of {size_text(limit)}'
            if limit
            else '',
        )
        yield Fact('cached responses', count_text(cacher['entries']))
    else:
        yield Fact('cache', cacher['name'], 'does not tell what it holds')


def _hits(events: Mapping[str, int] | None) -> Iterator[Block]:
    if events is None:
        yield Note(
            'With wireprotov2.metrics, answers of the cache are counted.'
        )
        return
    answers = [
        Part(_EVENTS[name], events[name], count_text(events[name]))
        for name in ('hit', 'miss')
    ]
    if any(part.value for part in answers):
        yield Chart(
            'Answers',
            charts.whole(answers, 'Answers'),
            'Since the processes of the server started.',
        )
        yield Table(
            'What the cache did',
            (Column('event'), Column('times', True)),
            tuple(
                (title, count_text(events[name]))
                for name, title in _EVENTS.items()
            ),
            folded=True,
        )


def _list(listed: list[dict[str, Any]]) -> Table:
    return Table(
        'Segments',
        (
            Column('segment'),
            Column('changesets', True),
            Column('estimated size', True, minor=True),
            Column('in the cache'),
        ),
        tuple(
            (
                found['name'].decode()[:12]
                + (' (open)' if found['open'] else ''),
                count_text(found['changesets']),
                size_text(found['size']),
                {_CACHED: 'yes', _MISSING: 'no', _UNKNOWN: 'not asked'}[
                    found['state']
                ],
            )
            for found in listed
        ),
        note='What a clone fetches, the newest first. Closed segments are '
        'joined to spans. hg admin::wire-warm builds what is missing.',
        folded=True,
    )
