# SPDX-License-Identifier: GPL-2.0-or-later
"""Counters of what a server answers, for Prometheus.

They need the package ``prometheus-client`` and the option
``wireprotov2.metrics``; callers ask ``enabled`` first. ``observer`` decides
what is counted.

A process may serve many repositories, and a user of one must learn nothing of
the others. So every sample carries a digest of the path of its repository.
Samples are selected by it, and it is not shown. ``scrape`` decides who gets
which samples, and ``exposition`` writes them.

WSGI workers are separate processes. With ``PROMETHEUS_MULTIPROC_DIR`` set, all
of them are summed, as the documentation of ``prometheus-client`` describes.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Counter, Histogram

# The label that names the repository of a sample. It is never shown.
_REPOSITORY = 'repository'

# Seconds, from an answer out of the cache to the clone of a large repository.
_BUCKETS = (0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0, 600.0)


@dataclass(frozen=True)
class _Meters:
    """All meters, in a registry of their own."""

    registry: CollectorRegistry
    seconds: Histogram
    sent: Counter
    errors: Counter
    cache: Counter
    cache_bytes: Counter
    permits: Counter


_lock = threading.Lock()
_meters: _Meters | None = None


def _after_fork() -> None:
    """Count anew: the meters have locks, and counted for the parent."""
    global _lock, _meters
    _lock = threading.Lock()
    _meters = None


os.register_at_fork(after_in_child=_after_fork)


def available() -> bool:
    """Return whether ``prometheus-client`` is installed."""
    return importlib.util.find_spec('prometheus_client') is not None


def enabled(ui: Any) -> bool:
    """Return whether requests are counted."""
    return ui.configbool(b'wireprotov2', b'metrics') and available()


def count_answer(
    repo: Any, api: bytes, command: bytes, seconds: float, sent: int
) -> None:
    """Count a response that took ``seconds`` and sent ``sent`` bytes."""
    meters = _get_meters()
    labels = (digest(repo), api.decode(), command.decode())
    meters.seconds.labels(*labels).observe(seconds)
    meters.sent.labels(*labels).inc(sent)


def count_error(repo: Any, api: bytes, command: bytes) -> None:
    """Count a command that was answered with an error."""
    labels = (digest(repo), api.decode(), command.decode())
    _get_meters().errors.labels(*labels).inc()


def count_cache(repo: Any, event: str, size: int) -> None:
    """Count an event of the cache, named as its ``counted_as``.

    ``size`` is how many bytes it is about.
    """
    meters = _get_meters()
    labels = digest(repo), event
    meters.cache.labels(*labels).inc()
    if size:
        meters.cache_bytes.labels(*labels).inc(size)


def count_permit(repo: Any, outcome: str) -> None:
    """Count a clone or pull that was to be computed.

    ``outcome`` is ``at once``, ``waited`` or ``refused``.
    """
    _get_meters().permits.labels(digest(repo), outcome).inc()


def counted(
    wanted: Mapping[str, Sequence[str]],
) -> Iterator[tuple[Any, Any, str]]:
    """Yield the samples of some repositories.

    ``wanted`` are the names under which they are served, by ``digest``. Yields
    the metric, its sample without the digest, and a name of the repository.
    """
    for metric in _collected().collect():
        for sample in metric.samples:
            # When a counter was created says nothing that "rate" needs.
            if sample.name.endswith('_created'):
                continue
            labels = dict(sample.labels)
            for name in wanted.get(labels.pop(_REPOSITORY, ''), ()):
                yield metric, sample._replace(labels=labels), name


def digest(repo: Any) -> str:
    """Return what stands for a repository in samples."""
    return hashlib.sha256(repo.root).hexdigest()[:16]


def _collected() -> CollectorRegistry:
    """Return the registry of this process, or the sum of all workers."""
    own = _get_meters().registry
    if 'PROMETHEUS_MULTIPROC_DIR' not in os.environ:
        return own
    from prometheus_client import CollectorRegistry, multiprocess

    together = CollectorRegistry()
    multiprocess.MultiProcessCollector(together)
    return together


def _get_meters() -> _Meters:
    """Return the meters of this process; the first call makes them."""
    global _meters
    with _lock:
        if _meters is None:
            _meters = _create_meters()
        return _meters


def _create_meters() -> _Meters:
    from prometheus_client import CollectorRegistry, Counter, Histogram

    registry = CollectorRegistry()
    by_command = (_REPOSITORY, 'api', 'command')
    return _Meters(
        registry,
        Histogram(
            'amalgam_wire_command_seconds',
            'How long answering a command took, sending included.',
            by_command,
            buckets=_BUCKETS,
            registry=registry,
        ),
        Counter(
            'amalgam_wire_sent_bytes',
            'Bytes of frames sent in answer to commands.',
            by_command,
            registry=registry,
        ),
        Counter(
            'amalgam_wire_errors',
            'Commands answered with an error.',
            by_command,
            registry=registry,
        ),
        Counter(
            'amalgam_cache_events',
            'What the cache did: hit, miss, store, decline, redirect, error.',
            (_REPOSITORY, 'event'),
            registry=registry,
        ),
        Counter(
            'amalgam_cache_bytes',
            'Bytes of responses that the cache had, kept or declined.',
            (_REPOSITORY, 'event'),
            registry=registry,
        ),
        Counter(
            'amalgam_wire_computed',
            'Clones and pulls to compute, if limited: at once, waited, refused.',
            (_REPOSITORY, 'outcome'),
            registry=registry,
        ),
    )
