# SPDX-License-Identifier: GPL-2.0-or-later
"""Single flight: of several threads that want one value, one computes it.

Knows threads, keys and nothing else. A computation that fails or takes too
long is nobody else's failure: who waited computes for itself.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class Flight:
    """One computation under way; ``result`` is None until it succeeded."""

    done: threading.Event = field(default_factory=threading.Event)
    result: bytes | None = None


class Flights:
    """The computations under way in this process, by key."""

    def __init__(self, patience: float = 60.0) -> None:
        """``patience`` is how many seconds a thread waits for another."""
        self._lock = threading.Lock()
        self._flights: dict[bytes, Flight] = {}
        self._patience = patience

    @contextmanager
    def join(self, key: bytes) -> Iterator[tuple[Flight, bool]]:
        """Enter the flight of ``key``: yields it and whether we lead it.

        The leader computes and sets ``result``. Others enter when the leader
        has left; ``result`` is then its result, or None if it had none.
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
