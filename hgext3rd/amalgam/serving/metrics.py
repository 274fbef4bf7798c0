# SPDX-License-Identifier: GPL-2.0-or-later
"""Samples of the state of repositories, which extensions offer to a server.

An extension registers a function that measures a repository. Whoever serves
metrics asks all of them, and decides who may see the result. Nothing here knows
what a sample means or how it is shown. Imported whenever an extension is
loaded: keep it light.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

GAUGE = 'gauge'
COUNTER = 'counter'


class Sample(NamedTuple):
    """One value of a metric.

    ``type`` is ``GAUGE`` or ``COUNTER``; the name of a counter ends with
    ``_total``. All samples of a name have the same help and type. Labels must
    not name the repository: the server does.
    """

    name: str
    help: str
    type: str
    value: float
    labels: Mapping[str, str] = {}


#: Measures a repository. It is called with every scrape, so it has to be cheap.
#: It may raise anything; the other collectors run nevertheless.
Collector = Callable[[Any], Iterable[tuple[Any, ...]]]

_collectors: dict[str, Collector] = {}


def register(name: str, collector: Collector) -> None:
    """Let ``collector`` measure repositories; ``name`` is for messages.

    It takes the place of an earlier collector of that name.
    """
    _collectors[name] = collector


def collectors() -> Iterator[tuple[str, Collector]]:
    """Yield the name of each collector and the collector."""
    yield from _collectors.items()
