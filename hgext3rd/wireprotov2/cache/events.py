# SPDX-License-Identifier: GPL-2.0-or-later
"""What the cache does for a request, as values that an observer receives.

Each event has the line that is logged and the name under which it is counted.
The lines are fixed: tests outside this project read them in the blackbox.
Nothing here logs or counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class CacheAsked:
    """The cache is asked for the response to ``command``."""

    command: bytes
    counted_as: ClassVar[str | None] = None

    def line(self) -> tuple[bytes, ...]:
        """Return the format of the logged line and its arguments."""
        return b'cacher constructed for %s\n', self.command


@dataclass(frozen=True, slots=True)
class CacheHit:
    """The cache has the response, which takes ``size`` bytes."""

    key: bytes
    size: int
    counted_as: ClassVar[str | None] = 'hit'

    def line(self) -> tuple[bytes, ...]:
        """Return the format of the logged line and its arguments."""
        return b'cache hit for %s\n', self.key


@dataclass(frozen=True, slots=True)
class CacheMiss:
    """The cache does not have the response; it is computed."""

    key: bytes
    counted_as: ClassVar[str | None] = 'miss'

    def line(self) -> tuple[bytes, ...]:
        """Return the format of the logged line and its arguments."""
        return b'cache miss for %s\n', self.key


@dataclass(frozen=True, slots=True)
class EntryStored:
    """The computed response, of ``size`` bytes, is handed to the cacher."""

    key: bytes
    size: int
    counted_as: ClassVar[str | None] = 'store'

    def line(self) -> tuple[bytes, ...]:
        """Return the format of the logged line and its arguments."""
        return b'storing cache entry for %s\n', self.key


@dataclass(frozen=True, slots=True)
class EntryDeclined:
    """The computed response is not kept: it was not asked for often enough."""

    key: bytes
    size: int
    counted_as: ClassVar[str | None] = 'decline'

    def line(self) -> tuple[bytes, ...]:
        """Return the format of the logged line and its arguments."""
        return b'not storing cache entry for %s yet\n', self.key


@dataclass(frozen=True, slots=True)
class RedirectSent:
    """The client is told to fetch the response at ``url``."""

    key: bytes
    url: bytes
    counted_as: ClassVar[str | None] = 'redirect'

    def line(self) -> tuple[bytes, ...]:
        """Return the format of the logged line and its arguments."""
        return b'sending content redirect for %s to %s\n', self.key, self.url


@dataclass(frozen=True, slots=True)
class ComputingFailed:
    """Computing the response raised an error; nothing is cached."""

    counted_as: ClassVar[str | None] = 'error'

    def line(self) -> tuple[bytes, ...]:
        """Return the format of the logged line and its arguments."""
        return (b'cacher exiting due to error\n',)


CacheEvent = (
    CacheAsked
    | CacheHit
    | CacheMiss
    | EntryStored
    | EntryDeclined
    | RedirectSent
    | ComputingFailed
)

#: Receives the events of one request.
Observer = Callable[[CacheEvent], None]
