# SPDX-License-Identifier: GPL-2.0-or-later
"""The state of what answers requests: caches, and limits of what is computed.

Repositories may share a cacher or a limit. A resource therefore says what tells
it from others, and ``scrape`` decides who may see it. Nothing here knows
permissions.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Any

from ...amalgam.serving.metrics import GAUGE, Sample
from ..cache import factory
from . import load, slots


@dataclass(frozen=True, slots=True)
class Resource:
    """Something that one repository uses, or several.

    Those with an equal ``key`` are one. ``common`` tells whether other
    repositories can use it. ``measure`` raises ``CacherError`` or ``OSError``.
    """

    key: Hashable
    common: bool
    measure: Callable[[], Iterator[Sample]]


def resources(repo: Any) -> Iterator[Resource]:
    """Yield what a repository uses to answer requests."""
    found = factory.cacher_of(repo)
    if found is not None:
        yield Resource(
            ('cacher', found.identity),
            found.common,
            lambda: _cacher_samples(found),
        )
    limit = load.limit_of(repo)
    if limit is not None:
        yield Resource(
            ('slots', limit.folder),
            limit.common,
            lambda: _load_samples(limit),
        )


def _cacher_samples(found: factory.CacherInUse) -> Iterator[Sample]:
    usage = found.shared.usage()
    if usage is None:
        return
    labels = {'cacher': found.name}
    yield Sample(
        'amalgam_cache_size_bytes',
        'Bytes that the cacher holds.',
        GAUGE,
        usage.size,
        labels,
    )
    yield Sample(
        'amalgam_cache_entries',
        'Responses that the cacher holds.',
        GAUGE,
        usage.entries,
        labels,
    )
    if usage.limit is not None:
        yield Sample(
            'amalgam_cache_limit_bytes',
            'The most bytes that the cacher holds.',
            GAUGE,
            usage.limit,
            labels,
        )


def _load_samples(limit: load.Limit) -> Iterator[Sample]:
    taken, waiting = slots.occupation(limit.folder)
    yield Sample(
        'amalgam_wire_computing',
        'Clones and pulls that are being computed now.',
        GAUGE,
        taken,
    )
    yield Sample(
        'amalgam_wire_waiting',
        'Clones and pulls that wait for their turn now.',
        GAUGE,
        waiting,
    )
    yield Sample(
        'amalgam_wire_computing_limit',
        'How many clones and pulls are computed at a time.',
        GAUGE,
        limit.count,
    )
