# SPDX-License-Identifier: GPL-2.0-or-later
"""Counters of what a server answers, for Prometheus.

Needs the package ``prometheus-client`` and the option ``wireprotov2.metrics``;
without either everything here does nothing. A process may serve many
repositories, and who may see one must learn nothing of the others: samples
carry a digest of the repository's path, by which they are selected and which
is left out of what is shown.

WSGI workers are separate processes: with ``PROMETHEUS_MULTIPROC_DIR`` set, all
of them are summed, as the documentation of ``prometheus-client`` describes.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Counter, Histogram

# Names the repository of a sample; never shown.
_REPOSITORY = 'repository'

# Messages of the cache (see ``cache.service``) and what they are counted as.
_CACHE_EVENTS = (
    (b'cache hit for', 'hit'),
    (b'cache miss for', 'miss'),
    (b'storing cache entry for', 'store'),
    (b'sending content redirect for', 'redirect'),
    (b'cacher exiting due to error', 'error'),
)

# Seconds; from an answer out of the cache to the clone of a large repository.
_BUCKETS = (0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0, 600.0)


@dataclass(frozen=True)
class _Meters:
    """What is counted, in a registry of its own."""

    registry: CollectorRegistry
    seconds: Histogram
    sent: Counter
    errors: Counter
    cache: Counter


_lock = threading.Lock()
_meters: _Meters | None = None


def available() -> bool:
    """Whether the package this depends on is installed."""
    return importlib.util.find_spec('prometheus_client') is not None


def enabled(ui: Any) -> bool:
    return ui.configbool(b'wireprotov2', b'metrics') and available()


def observed(
    repo: Any, api: bytes, command: bytes, frames: Iterable[bytes]
) -> Iterator[bytes]:
    """Yield the frames of a response, counting it once it ends."""
    if not enabled(repo.ui):
        yield from frames
        return
    meters = _get_meters()
    labels = (_label(repo), api.decode(), command.decode())
    start = time.monotonic()
    sent = 0
    try:
        for frame in frames:
            sent += len(frame)
            yield frame
    finally:
        # also when the client went away in the middle
        meters.seconds.labels(*labels).observe(time.monotonic() - start)
        meters.sent.labels(*labels).inc(sent)


def count_error(repo: Any, api: bytes, command: bytes) -> None:
    """Count a command that was answered with an error."""
    if enabled(repo.ui):
        labels = (_label(repo), api.decode(), command.decode())
        _get_meters().errors.labels(*labels).inc()


def count_cache(repo: Any, message: bytes) -> None:
    """Count what a message of the cache's log says."""
    if not enabled(repo.ui):
        return
    for prefix, event in _CACHE_EVENTS:
        if message.startswith(prefix):
            _get_meters().cache.labels(_label(repo), event).inc()


def exposition(repo: Any) -> tuple[bytes, bytes]:
    """Return what is to be shown of one repository, and its media type."""
    import prometheus_client

    text = prometheus_client.generate_latest(
        _Selection(_collected(), _label(repo))
    )
    return text, prometheus_client.CONTENT_TYPE_LATEST.encode()


@dataclass(frozen=True)
class _Selection:
    """The samples of one repository, as a registry."""

    registry: CollectorRegistry
    label: str

    def collect(self) -> Iterator[Any]:
        for metric in self.registry.collect():
            metric.samples = [
                sample._replace(
                    labels={
                        name: value
                        for name, value in sample.labels.items()
                        if name != _REPOSITORY
                    }
                )
                for sample in metric.samples
                if sample.labels.get(_REPOSITORY) == self.label
            ]
            yield metric


def _collected() -> CollectorRegistry:
    """Return the registry to show: of this process, or of all workers."""
    own = _get_meters().registry
    if 'PROMETHEUS_MULTIPROC_DIR' not in os.environ:
        return own
    from prometheus_client import CollectorRegistry, multiprocess

    together = CollectorRegistry()
    multiprocess.MultiProcessCollector(together)
    return together


def _label(repo: Any) -> str:
    return hashlib.sha256(repo.root).hexdigest()[:16]


def _get_meters() -> _Meters:
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
            'What the cache did: hit, miss, store, redirect, error.',
            (_REPOSITORY, 'event'),
            registry=registry,
        ),
    )
