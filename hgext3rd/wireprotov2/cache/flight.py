# SPDX-License-Identifier: GPL-2.0-or-later
"""Single flight: of several threads that want one value, one computes it.

Knows threads and keys, and nothing else. If the computation fails or takes too
long, each thread that waited computes the value itself.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class Flight:
    """A computation under way. ``result`` is None until it has succeeded."""

    done: threading.Event = field(default_factory=threading.Event)
    result: bytes | memoryview | None = None


class Flights:
    """The computations under way in this process, by key.

    ``patience`` is how many seconds a thread waits for another.
    """

    def __init__(self, patience: float = 60.0) -> None:
        self._lock = threading.Lock()
        self._flights: dict[bytes, Flight] = {}
        self._patience = patience

    @contextmanager
    def join(self, key: bytes) -> Iterator[tuple[Flight, bool]]:
        """Enter the flight of ``key``; yield it, and whether the caller leads.

        The leader computes the value and sets ``result``. The others enter when
        the leader has left; ``result`` is None if the leader failed.
        """
        with self._lock:
            flight = self._flights.get(key)
            leads = flight is None
            if flight is None:
                flight = self._flights[key] = Flight()
        if not leads:
            flight.done.wait(self._patience)
            yield flight, False
            return
        try:
            yield flight, True
        finally:
            with self._lock:
                del self._flights[key]
            flight.done.set()
