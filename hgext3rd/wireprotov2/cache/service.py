# SPDX-License-Identifier: GPL-2.0-or-later
"""Answer a request from a cacher, or compute the response and keep it.

This is what command dispatch calls. It knows keys, entries and cachers, but
neither what commands compute nor how responses are framed. Every request is
answered, whatever the cacher does: its failures are misses and warnings.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

from ..proto import cbor
from ..proto.events import AcceptedRedirects, Location
from . import admission, base, entry, keys
from .events import (
    CacheHit,
    CacheMiss,
    ComputingFailed,
    EntryDeclined,
    EntryStored,
    Observer,
    RedirectSent,
)
from .flight import Flight, Flights

#: Seconds for which a cacher that failed is not asked: an unreachable store
#: must not add its time-out to every request.
PENALTY = 10.0

Produce = Callable[[], Iterable[bytes]]


@dataclass(slots=True)
class Body:
    """The body of a response: encoded bytes in chunks of any size.

    ``size`` is their sum, or None if it is not known yet. ``hit`` tells whether
    they come from the cache.
    """

    chunks: Iterable[bytes | memoryview]
    size: int | None
    hit: bool


class SharedCache:
    """A cacher and the computations under way, shared by all threads."""

    def __init__(self, cacher: base.Cacher) -> None:
        self.cacher = cacher
        self.flights = Flights()
        self.demand = admission.Demand()
        self._lock = threading.Lock()
        self._penalty_until = 0.0

    def available(self) -> bool:
        """Return whether the cacher may be asked: not soon after a failure."""
        return time.monotonic() >= self._penalty_until

    def usage(self) -> base.Usage | None:
        """Return what the cacher holds; None if it does not tell.

        It is not asked soon after a failure. Raises ``CacherError``.
        """
        if not self.available():
            return None
        try:
            return self.cacher.usage()
        except base.CacherError:
            self.punish()
            raise

    def punish(self) -> None:
        """Leave the cacher alone for ``PENALTY`` seconds."""
        with self._lock:
            self._penalty_until = time.monotonic() + PENALTY


class ResponseCache:
    """The cache as one request sees it.

    ``limit`` is the most bytes of a response that is cached. ``warn`` takes one
    line about a cache that does not work; without it nothing is reported, and a
    failure does not make other requests avoid the cacher. A response is kept
    when it was asked for ``admit_after`` times.
    """

    def __init__(
        self,
        shared: SharedCache,
        limit: int,
        warn: Callable[[str], None] | None,
        admit_after: int = 1,
    ) -> None:
        self._shared = shared
        self._limit = limit
        self._warn = warn
        self._admit_after = admit_after

    def targets(self) -> tuple[base.Target, ...]:
        """Return the places to which clients may be redirected."""
        return self._shared.cacher.targets()

    def file_store(self) -> base.FileStore | None:
        """Return where files for clients can be kept, None if nowhere."""
        cacher = self._shared.cacher
        if isinstance(cacher, base.FileStore) and cacher.reachable:
            return cacher
        return None

    def key(self, state: keys.KeyState) -> bytes | None:
        """Return the key of a request, or None if it cannot be cached here.

        Where clients fetch bodies themselves, knowing the key may be all it
        takes to read one, and keys can be computed. So only what everybody may
        see is kept there.
        """
        if not state.for_everybody and self._shared.cacher.targets():
            return None
        return keys.derive(state)

    def may_redirect(self, redirect: AcceptedRedirects | None) -> bool:
        """Return whether a request that accepts ``redirect`` may be redirected.

        The body must then have no content encoding.
        """
        if redirect is None:
            return False
        return any(t.name in redirect.targets for t in self.targets())

    def respond(
        self,
        key: bytes,
        produce: Produce,
        observe: Observer,
        redirect: AcceptedRedirects | None = None,
        at_once: bool = False,
    ) -> Body | Location:
        """Answer from the cache, or from ``produce`` and cache that.

        ``produce`` runs at most once, and to its end before this returns. If it
        yields more than the limit, the rest is produced while the chunks are
        taken, and nothing is cached. Its exceptions pass through. ``redirect``
        says which redirects the client follows. With it, the result may be a
        ``Location``, where the client fetches the body. With ``at_once``, the
        response is kept however often it was asked for.
        """
        location = self._locate(key, redirect)
        if location is not None:
            observe(CacheHit(key, location.size or 0))
            observe(RedirectSent(key, location.url))
            return location
        found = self.peek(key)
        if found is None:
            observe(CacheMiss(key))
            if at_once or self._admit_after <= 1:
                return self._miss(key, produce, observe, lambda: True)
            demand = self._shared.demand
            demand.note(key)
            return self._miss(
                key,
                produce,
                observe,
                lambda: demand.of(key) >= self._admit_after,
            )
        observe(CacheHit(key, found.header.size))
        return _whole(found.body, True)

    def peek(self, key: bytes, quiet: bool = False) -> entry.Entry | None:
        """Return the sound entry under ``key``, or None.

        ``quiet`` is for callers that have warned of an unsound entry before.
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

    def has(self, key: bytes, quality: int) -> bool:
        """Return whether there is an entry at least as good as ``quality``."""
        data = self._ask(self._shared.cacher.head, key, entry.HEADER_SIZE)
        if data is None:
            return False
        try:
            return entry.decode_header(key, data).quality >= quality
        except entry.EntryError:
            return False

    def fill(
        self, key: bytes, produce: Callable[[], bytes], quality: int
    ) -> bool:
        """Put ``produce()`` under ``key`` unless an entry as good is there.

        One process does it while others wait. Returns whether the entry was
        put. Raises ``CacherError`` if the cacher does not work.
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
        """Keep ``body`` under ``key``; return the bytes of the entry."""
        data = entry.encode(key, body, quality)
        self._ask(self._shared.cacher.put, key, data)
        return data

    def _ask(self, method: Callable[..., Any], *args: Any) -> Any:
        """Call a method of the cacher; return None if it fails."""
        if not self._shared.available():
            return None
        try:
            return method(*args)
        # A cacher of somebody else may raise what it should not.
        except Exception as e:
            if self._warn is not None:
                self._shared.punish()
                told = e if isinstance(e, base.CacherError) else repr(e)
                self._warn(f'cacher is not available: {told}')
            return None

    def _locate(
        self, key: bytes, redirect: AcceptedRedirects | None
    ) -> Location | None:
        """Return where the client may fetch the body, or None."""
        if redirect is None or not self.may_redirect(redirect):
            return None
        found = self._ask(self._shared.cacher.locate, key)
        if found is None:
            return None
        # Mercurial to 6.0 refuses redirects with hashes over the whole body.
        hashes = None
        if redirect.fullhashes:
            hashes = ((b'sha256', found.sha256),)
        return Location(found.url, cbor.MEDIA_TYPE, found.size, hashes)

    def _miss(
        self,
        key: bytes,
        produce: Produce,
        observe: Observer,
        admitted: Callable[[], bool],
    ) -> Body:
        """Compute a response, or wait for another thread that does."""
        while True:
            with self._shared.flights.join(key) as (flight, leads):
                if leads:
                    return self._lead(flight, key, produce, observe, admitted)
                if flight.result is not None:
                    return _whole(flight.result, True)
                if not flight.done.is_set():
                    # The other thread takes too long to wait for.
                    return Body(_observed(produce(), observe), None, False)

    def _lead(
        self,
        flight: Flight,
        key: bytes,
        produce: Produce,
        observe: Observer,
        admitted: Callable[[], bool],
    ) -> Body:
        """Compute a response while other threads wait."""
        with ExitStack() as stack:
            # Processes need not wait for each other if the response is not kept.
            if admitted() and self._shared.available():
                stack.enter_context(self._shared.cacher.lease(key))
                # Another process may have been faster.
                found = self.peek(key, quiet=True)
                if found is not None:
                    flight.result = found.body
                    return _whole(found.body, True)
            chunks: list[bytes] = []
            size = 0
            produced = _observed(produce(), observe)
            for chunk in produced:
                chunks.append(chunk)
                size += len(chunk)
                if size > self._limit:
                    return Body(_chained(chunks, produced), None, False)
            joined = b''.join(chunks)
            chunks.clear()
            body: bytes | memoryview = joined
            # Threads that wait have asked meanwhile.
            if admitted():
                observe(EntryStored(key, size))
                data = self.store(key, joined)
                body = memoryview(data)[entry.HEADER_SIZE :]
            else:
                observe(EntryDeclined(key, size))
            flight.result = body
        return _whole(body, False)


def _whole(body: bytes | memoryview, hit: bool) -> Body:
    """Return a body that is in memory."""
    return Body([body], len(body), hit)


def _observed(produced: Iterable[bytes], observe: Observer) -> Iterator[bytes]:
    """Yield ``produced``, and report that it failed if it does."""
    try:
        yield from produced
    except Exception:
        observe(ComputingFailed())
        raise


def _chained(
    chunks: list[bytes], rest: Iterator[bytes]
) -> Iterator[bytes | memoryview]:
    """Yield the buffered chunks, releasing each of them, then the rest."""
    chunks.reverse()
    while chunks:
        yield chunks.pop()
    yield from rest
