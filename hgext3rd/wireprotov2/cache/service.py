# SPDX-License-Identifier: GPL-2.0-or-later
"""What command dispatch calls: answer a request from a cacher or fill it.

Knows keys, entries and cachers; not what commands compute nor how responses
are framed. Whatever a cacher does, a request is answered: failures of the
cache are misses and warnings.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

from . import base, entry, keys
from .flight import Flight, Flights

MEDIA_TYPE = b'application/mercurial-cbor'

#: Seconds a cacher that failed is left alone: an unreachable store must not
#: add its time-out to every request.
PENALTY = 10.0

Log = Callable[..., None]
Produce = Callable[[], Iterable[bytes]]


@dataclass(slots=True)
class Body:
    """A response body: encoded bytes in pieces of any length.

    ``size`` is their sum, None if not known yet; ``hit`` tells whether they
    come from the cache.
    """

    chunks: Iterable[bytes | memoryview]
    size: int | None
    hit: bool


@dataclass(frozen=True, slots=True)
class Redirect:
    """A response that the client fetches itself, body and nothing else.

    ``fullhashes`` are (name, digest) pairs over the body; empty for clients
    that refuse redirects with hashes (Mercurial to 6.0).
    """

    url: bytes
    size: int
    fullhashes: tuple[tuple[bytes, bytes], ...] = ()
    mediatype: bytes = MEDIA_TYPE


class SharedCache:
    """One cacher with the computations under way: one a process."""

    def __init__(self, cacher: base.Cacher) -> None:
        self.cacher = cacher
        self.flights = Flights()
        self._lock = threading.Lock()
        self._penalty_until = 0.0

    def available(self) -> bool:
        """False for a while after the cacher failed."""
        return time.monotonic() >= self._penalty_until

    def punish(self) -> None:
        """Leave the cacher alone for ``PENALTY`` seconds."""
        with self._lock:
            self._penalty_until = time.monotonic() + PENALTY


class ResponseCache:
    """The cache as one request sees it."""

    def __init__(
        self,
        shared: SharedCache,
        limit: int,
        warn: Callable[[str], None] | None,
    ) -> None:
        """``limit`` bounds the bytes of a response that is cached.

        ``warn`` takes one line about a cache that does not work; without it
        nothing is said, and what fails is left for others to find.
        """
        self._shared = shared
        self._limit = limit
        self._warn = warn

    def targets(self) -> list[dict[bytes, Any]]:
        """Return redirect targets the way capabilities spell them."""
        return [
            {
                b'name': target.name,
                b'protocol': target.protocol,
                b'uris': list(target.uris),
            }
            for target in self._shared.cacher.targets()
        ]

    def key(self, state: keys.KeyState) -> bytes | None:
        """Return the key of a request, or None if it cannot be cached here.

        Where clients fetch bodies themselves, a name that can be computed may
        be all it takes: only what everybody may see is kept there.
        """
        private = state.view != keys.PUBLIC or state.narrow is not None
        if private and self._shared.cacher.targets():
            return None
        return keys.derive(state)

    def wants_identity(self, redirect: dict[bytes, Any] | None) -> bool:
        """True if the request may be redirected: bodies must be plain CBOR."""
        return self._accepted_target(redirect) is not None

    def respond(
        self,
        key: bytes,
        produce: Produce,
        log: Log,
        redirect: dict[bytes, Any] | None = None,
    ) -> Body | Redirect:
        """Answer from the cache, or from ``produce`` and cache that.

        ``produce`` runs at most once, and to its end before this returns
        unless it yields more than the limit; then the rest is produced while
        the chunks are taken and nothing is cached. What it raises passes
        through. ``redirect`` is the map of that name in the request.
        """
        location = self._locate(key, redirect)
        if location is not None:
            log(b'cache hit for %s\n', key)
            log(b'sending content redirect for %s to %s\n', key, location.url)
            return location
        found = self.peek(key)
        if found is None:
            log(b'cache miss for %s\n', key)
            return self._miss(key, produce, log)
        log(b'cache hit for %s\n', key)
        return Body([found.body], found.header.size, True)

    def peek(self, key: bytes, quiet: bool = False) -> entry.Entry | None:
        """Return the sound entry under ``key``, or None.

        ``quiet`` is for who has been warned of an unsound one before.
        """
        data = self._ask(self._shared.cacher.get, key)
        if data is None:
            return None
        try:
            return entry.decode(key, data)
        except entry.EntryError as e:
            if self._warn is not None and not quiet:
                self._warn(f'ignoring cache entry {key.decode("ascii")}: {e}')
            return None

    def fill(
        self, key: bytes, produce: Callable[[], bytes], quality: int
    ) -> bool:
        """Put ``produce()`` under ``key`` unless it is there as good.

        One process does it while others wait. Returns whether it was put;
        raises ``CacherError`` if the cacher does not work.
        """
        cacher = self._shared.cacher
        with cacher.lease(key):
            data = cacher.head(key, entry.HEADER_SIZE)
            if data is not None:
                with suppress(entry.EntryError):
                    if entry.decode_header(key, data).quality >= quality:
                        return False
            cacher.put(key, entry.encode(key, produce(), quality))
        return True

    def store(self, key: bytes, body: bytes, quality: int = 0) -> bytes:
        """Keep ``body`` under ``key``; return the entry's bytes."""
        data = entry.encode(key, body, quality)
        self._ask(self._shared.cacher.put, key, data)
        return data

    def _ask(self, method: Callable[..., Any], *args: Any) -> Any:
        if not self._shared.available():
            return None
        try:
            return method(*args)
        except base.CacherError as e:
            if self._warn is not None:
                self._shared.punish()
                self._warn(f'cacher is not available: {e}')
            return None

    def _accepted_target(
        self, redirect: dict[bytes, Any] | None
    ) -> base.Target | None:
        names = redirect.get(b'targets') if redirect else None
        if not isinstance(names, (list, tuple)):
            return None
        for target in self._shared.cacher.targets():
            if target.name in names:
                return target
        return None

    def _locate(
        self, key: bytes, redirect: dict[bytes, Any] | None
    ) -> Redirect | None:
        if redirect is None or self._accepted_target(redirect) is None:
            return None
        location = self._ask(self._shared.cacher.locate, key)
        if location is None:
            return None
        hashes: tuple[tuple[bytes, bytes], ...] = ()
        if redirect.get(b'fullhashes') is True:
            hashes = ((b'sha256', location.sha256),)
        return Redirect(location.url, location.size, hashes)

    def _miss(self, key: bytes, produce: Produce, log: Log) -> Body:
        while True:
            with self._shared.flights.join(key) as (flight, leads):
                if leads:
                    return self._lead(flight, key, produce, log)
                if flight.result is not None:
                    found = entry.decode(key, flight.result)
                    return Body([found.body], found.header.size, True)
                if not flight.done.is_set():
                    # its leader takes too long to wait for
                    return Body(_guarded(produce(), log), None, False)

    def _lead(
        self, flight: Flight, key: bytes, produce: Produce, log: Log
    ) -> Body:
        with ExitStack() as stack:
            if self._shared.available():
                stack.enter_context(self._shared.cacher.lease(key))
                # another process may have been faster
                found = self.peek(key, quiet=True)
                if found is not None:
                    data = found.body.obj
                    assert isinstance(data, bytes)
                    flight.result = data
                    return Body([found.body], found.header.size, True)
            chunks: list[bytes] = []
            size = 0
            produced = _guarded(produce(), log)
            for chunk in produced:
                chunks.append(chunk)
                size += len(chunk)
                if size > self._limit:
                    return Body(_chained(chunks, produced), None, False)
            log(b'storing cache entry for %s\n', key)
            data = self.store(key, b''.join(chunks))
            flight.result = data
        body = memoryview(data)[entry.HEADER_SIZE :]
        return Body([body], size, False)


def _guarded(produced: Iterable[bytes], log: Log) -> Iterator[bytes]:
    try:
        yield from produced
    except Exception:
        log(b'cacher exiting due to error\n')
        raise


def _chained(
    chunks: list[bytes], rest: Iterator[bytes]
) -> Iterator[bytes | memoryview]:
    """Yield the buffered chunks, releasing them, then the rest."""
    chunks.reverse()
    while chunks:
        yield chunks.pop()
    yield from rest
