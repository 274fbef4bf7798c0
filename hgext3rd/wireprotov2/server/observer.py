# SPDX-License-Identifier: GPL-2.0-or-later
"""Logging and counting what happens to the requests of one repository.

The cache and command dispatch emit events; here each becomes a line in the log
of Mercurial (``hg help blackbox``) or a sample for Prometheus, or both. Nothing
here influences a response.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ..cache.events import CacheEvent
from . import metrics

#: The event of ``ui.log`` for everything that concerns the cache.
CACHE_EVENT = b'wireprotov2-cache'


@dataclass(frozen=True, slots=True)
class CommandAnswered:
    """The response to a command has ended.

    ``seconds`` is how long that took, sending included; ``sent`` is how many
    bytes of wire frames were sent. The client may have gone away before.
    """

    api: bytes
    command: bytes
    seconds: float
    sent: int


@dataclass(frozen=True, slots=True)
class ErrorAnswered:
    """A command is answered with an error."""

    api: bytes
    command: bytes


ServingEvent = CacheEvent | CommandAnswered | ErrorAnswered


class RequestObserver:
    """Receives the events of requests to one repository."""

    def __init__(self, repo: Any) -> None:
        self._repo = repo
        self._counts = metrics.enabled(repo.ui)

    def __call__(self, event: ServingEvent) -> None:
        """Log and count ``event``."""
        if isinstance(event, CommandAnswered):
            if self._counts:
                metrics.count_answer(
                    self._repo,
                    event.api,
                    event.command,
                    event.seconds,
                    event.sent,
                )
        elif isinstance(event, ErrorAnswered):
            if self._counts:
                metrics.count_error(self._repo, event.api, event.command)
        else:
            self._repo.ui.log(CACHE_EVENT, *event.line())
            if self._counts and event.counted_as is not None:
                size = getattr(event, 'size', 0)
                metrics.count_cache(self._repo, event.counted_as, size)

    def timed(
        self, api: bytes, command: bytes, frames: Iterable[bytes]
    ) -> Iterator[bytes]:
        """Yield the wire frames of a response, and report it when it ends."""
        if not self._counts:
            yield from frames
            return
        start = time.monotonic()
        sent = 0
        try:
            for frame in frames:
                sent += len(frame)
                yield frame
        finally:
            # This also runs if the client goes away in the middle.
            seconds = time.monotonic() - start
            self(CommandAnswered(api, command, seconds, sent))
