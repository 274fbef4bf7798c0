# SPDX-License-Identifier: GPL-2.0-or-later
"""Samples as text in the format of Prometheus.

All samples of one metric have to stand together, whoever collected them and of
whatever repository they are. Needs ``prometheus-client``. Nothing here knows
repositories, or who may see what.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...amalgam.serving.metrics import COUNTER, Sample

# The suffix of the names of counters, which the name of the metric lacks.
_TOTAL = '_total'


class Exposition:
    """Collects samples; it has the interface of a registry."""

    def __init__(self) -> None:
        self._metrics: dict[str, Any] = {}

    def add(self, sample: Sample, labels: Mapping[str, str]) -> None:
        """Add a sample, with ``labels`` besides its own."""
        name = sample.name
        if sample.type == COUNTER:
            name = name.removesuffix(_TOTAL)
        metric = self._metric(name, sample.help, sample.type)
        suffix = _TOTAL if sample.type == COUNTER else ''
        metric.add_sample(
            name + suffix, {**labels, **sample.labels}, sample.value
        )

    def add_counted(
        self, metric: Any, sample: Any, labels: Mapping[str, str]
    ) -> None:
        """Add a sample of a metric of ``prometheus-client``."""
        kept = self._metric(metric.name, metric.documentation, metric.type)
        kept.samples.append(sample._replace(labels={**labels, **sample.labels}))

    def _metric(self, name: str, help: str, kind: str) -> Any:
        from prometheus_client.core import Metric

        if name not in self._metrics:
            self._metrics[name] = Metric(name, help, kind)
        return self._metrics[name]

    def collect(self) -> Iterator[Any]:
        """Yield all metrics, in the order of their names."""
        for _name, metric in sorted(self._metrics.items()):
            yield metric

    def text(self) -> tuple[bytes, bytes]:
        """Return all samples as text, and the media type."""
        import prometheus_client

        text = prometheus_client.generate_latest(self)
        return text, prometheus_client.CONTENT_TYPE_LATEST.encode()
