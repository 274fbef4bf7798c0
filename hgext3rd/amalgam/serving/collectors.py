# SPDX-License-Identifier: GPL-2.0-or-later
"""The functions with which extensions measure repositories for monitoring.

An extension registers a function that returns the ``metrics.Sample`` objects of
a repository. Whoever serves metrics asks all of them, and decides who may see
the result. Imported whenever an extension is loaded: keep it light.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .metrics import Sample

#: Measures a repository. It is called with every scrape, so it has to be cheap.
#: It may raise anything; the other collectors run nevertheless.
Collector = Callable[[Any], 'Iterable[Sample]']

_collectors: dict[str, Collector] = {}


def register(name: str, collector: Collector) -> None:
    """Let ``collector`` measure repositories; ``name`` is for messages.

    It takes the place of an earlier collector of that name.
    """
    _collectors[name] = collector


def collectors() -> Iterator[tuple[str, Collector]]:
    """Yield the name of each collector and the collector."""
    yield from _collectors.items()
