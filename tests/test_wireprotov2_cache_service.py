# SPDX-License-Identifier: GPL-2.0-or-later
"""Hits, misses, failures and concurrency of the response cache."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import conftest
import pytest

from hgext3rd.wireprotov2.cache import (
    admission,
    base,
    entry,
    events,
    flight,
    keys,
    service,
)
from hgext3rd.wireprotov2.cache.memory import MemoryCacher
from hgext3rd.wireprotov2.proto import cbor
from hgext3rd.wireprotov2.proto.events import AcceptedRedirects, Location

KEY = b'0123456789' * 4


class Broken(MemoryCacher):
    """A cacher that fails on every use, and counts the uses."""

    asked = 0

    def head(self, key: bytes, size: int) -> bytes | None:
        return self.get(key)

    def get(self, key: bytes) -> bytes | None:
        self.asked += 1
        raise base.CacherError('it is broken')

    def put(self, key: bytes, data: bytes) -> None:
        self.asked += 1
        raise base.CacherError('it is broken')


class Redirecting(MemoryCacher):
    """A cacher with a redirect target."""

    def targets(self) -> tuple[base.Target, ...]:
        return (base.Target(b'cdn', b'https', (b'https://cdn.example/',)),)

    def locate(self, key: bytes) -> base.BodyLocation | None:
        if self.get(key) is None:
            return None
        return base.BodyLocation(b'https://cdn.example/' + key, 4, b'\x01' * 32)


class Setup:
    def __init__(
        self, cacher: base.Cacher, limit: int = 1000, admit_after: int = 1
    ) -> None:
        self.lines: list[bytes] = []
        self.warnings: list[str] = []
        self.shared = service.SharedCache(cacher)
        self.cache = service.ResponseCache(
            self.shared, limit, self.warnings.append, admit_after
        )

    def observe(self, event: events.CacheEvent) -> None:
        message, *args = event.line()
        self.lines.append((message % tuple(args)).rstrip(b'\n'))

    def body(self, produce: Callable[[], Any], **kwargs: Any) -> bytes:
        answer = self.cache.respond(KEY, produce, self.observe, **kwargs)
        assert isinstance(answer, service.Body)
        data = b''.join(answer.chunks)
        assert answer.size in (None, len(data))
        return data


def never() -> Iterator[bytes]:
    raise AssertionError('computed in spite of the cache')


def test_miss_then_hit() -> None:
    setup = Setup(MemoryCacher())
    assert setup.body(lambda: [b'ab', b'cd']) == b'abcd'
    assert setup.body(never) == b'abcd'
    assert setup.lines == [
        b'cache miss for ' + KEY,
        b'storing cache entry for ' + KEY,
        b'cache hit for ' + KEY,
    ]
    assert setup.warnings == []


def test_error_is_not_cached() -> None:
    setup = Setup(MemoryCacher())

    def fail() -> Iterator[bytes]:
        yield b'part'
        raise LookupError('unknown node')

    with pytest.raises(LookupError):
        setup.cache.respond(KEY, fail, setup.observe)
    assert setup.lines == [
        b'cache miss for ' + KEY,
        b'cacher exiting due to error',
    ]
    assert setup.body(lambda: [b'whole']) == b'whole'


def test_large_response_streams_uncached() -> None:
    setup = Setup(MemoryCacher(), limit=10)
    produced: list[int] = []

    def produce() -> Iterator[bytes]:
        for number in range(5):
            produced.append(number)
            yield b'%d' % number * 6

    answer = setup.cache.respond(KEY, produce, setup.observe)
    assert isinstance(answer, service.Body)
    assert answer.size is None
    assert produced == [0, 1]
    assert b''.join(answer.chunks) == b'000000111111222222333333444444'
    assert setup.lines == [b'cache miss for ' + KEY]
    assert setup.cache.peek(KEY) is None


@pytest.mark.parametrize(
    'damage',
    [
        lambda data: data[:-1],
        lambda data: data[:20],
        lambda data: b'',
        lambda data: data[:-1] + b'\x00',
        lambda data: data[:4] + b'\x7f' + data[5:],
    ],
)
def test_corrupt_entry_is_a_miss_and_replaced(
    damage: Callable[[bytes], bytes],
) -> None:
    cacher = MemoryCacher()
    setup = Setup(cacher)
    cacher.put(KEY, damage(entry.encode(KEY, b'body')))
    assert setup.body(lambda: [b'body']) == b'body'
    assert setup.warnings[0].startswith('ignoring cache entry 0123')
    assert setup.body(never) == b'body'


def test_a_broken_cacher_is_not_asked_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, 'monotonic', lambda: now)
    cacher = Broken()
    setup = Setup(cacher)
    for _request in range(3):
        assert setup.body(lambda: [b'body']) == b'body'
    assert cacher.asked == 1
    assert setup.warnings == ['cacher is not available: it is broken']
    now += service.PENALTY
    assert setup.body(lambda: [b'body']) == b'body'
    assert cacher.asked == 2


def concurrently(count: int, work: Callable[[int], None]) -> None:
    threads = [
        threading.Thread(target=work, args=(number,)) for number in range(count)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(conftest.PATIENCE)
    assert not any(thread.is_alive() for thread in threads)


class Waiters:
    """Knows how many threads wait for a computation in another thread."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        waiting = self._waiting = threading.Semaphore(0)

        class Event(threading.Event):
            def wait(self, timeout: float | None = None) -> bool:
                waiting.release()
                return super().wait(timeout)

        orig = flight.Flight
        monkeypatch.setattr(flight, 'Flight', lambda: orig(done=Event()))

    def wait(self, count: int) -> None:
        """Return when ``count`` more threads wait."""
        for _number in range(count):
            assert self._waiting.acquire(timeout=conftest.PATIENCE)


@pytest.mark.parametrize('cacher', [MemoryCacher(), Broken(), MemoryCacher(0)])
def test_concurrent_misses_compute_once(
    cacher: base.Cacher, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiters = Waiters(monkeypatch)
    setup = Setup(cacher)
    computed: list[int] = []
    results: list[bytes] = []

    def work(number: int) -> None:
        def produce() -> Iterator[bytes]:
            computed.append(number)
            if len(computed) == 1:
                waiters.wait(7)
            yield b'body'

        results.append(setup.body(produce))

    concurrently(8, work)
    assert results == [b'body'] * 8
    assert len(computed) == 1


def test_a_failure_affects_no_other_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waiters = Waiters(monkeypatch)
    setup = Setup(MemoryCacher())
    outcomes: list[str] = []
    first = threading.Event()

    def work(number: int) -> None:
        def produce() -> Iterator[bytes]:
            if not first.is_set():
                first.set()
                waiters.wait(3)
                raise LookupError
            yield b'body'

        try:
            outcomes.append(setup.body(produce).decode())
        except LookupError:
            outcomes.append('error')

    concurrently(4, work)
    assert sorted(outcomes) == ['body', 'body', 'body', 'error']


def test_a_slow_computation_is_not_waited_for() -> None:
    setup = Setup(MemoryCacher())
    setup.shared.flights = flight.Flights(patience=0.05)
    begun, release = threading.Event(), threading.Event()

    def slow() -> Iterator[bytes]:
        begun.set()
        release.wait()
        yield b'slow'

    leader = threading.Thread(target=setup.body, args=(slow,))
    leader.start()
    assert begun.wait(conftest.PATIENCE)
    assert setup.body(lambda: [b'own']) == b'own'
    release.set()
    leader.join()
    assert setup.body(never) == b'slow'


def test_redirects_for_clients_that_accept_them() -> None:
    setup = Setup(Redirecting())
    accepted = AcceptedRedirects((b'cdn',), (b'sha256',))
    other = AcceptedRedirects((b'other',))
    assert setup.cache.may_redirect(accepted)
    assert not setup.cache.may_redirect(None)
    assert not setup.cache.may_redirect(other)
    assert setup.body(lambda: [b'body'], redirect=accepted) == b'body'

    answer = setup.cache.respond(KEY, never, setup.observe, accepted)
    url, kind = b'https://cdn.example/' + KEY, cbor.MEDIA_TYPE
    assert answer == Location(url, kind, 4)
    verifying = dataclasses.replace(accepted, fullhashes=True)
    answer = setup.cache.respond(KEY, never, setup.observe, verifying)
    assert answer == Location(url, kind, 4, ((b'sha256', b'\x01' * 32),))
    assert setup.lines[-2:] == [
        b'cache hit for ' + KEY,
        b'sending content redirect for %s to https://cdn.example/%s'
        % (KEY, KEY),
    ]
    assert setup.body(never, redirect=other) == b'body'
    assert setup.body(never) == b'body'


def test_events_have_fixed_lines_and_names() -> None:
    seen: list[events.CacheEvent] = [
        events.CacheAsked(b'heads'),
        events.CacheHit(KEY, 7),
        events.CacheMiss(KEY),
        events.EntryStored(KEY, 7),
        events.EntryDeclined(KEY, 7),
        events.RedirectSent(KEY, b'url'),
        events.ComputingFailed(),
    ]
    assert [(e.line(), e.counted_as) for e in seen] == [
        ((b'cacher constructed for %s\n', b'heads'), None),
        ((b'cache hit for %s\n', KEY), 'hit'),
        ((b'cache miss for %s\n', KEY), 'miss'),
        ((b'storing cache entry for %s\n', KEY), 'store'),
        ((b'not storing cache entry for %s yet\n', KEY), 'decline'),
        (
            (b'sending content redirect for %s to %s\n', KEY, b'url'),
            'redirect',
        ),
        ((b'cacher exiting due to error\n',), 'error'),
    ]


def test_cachers_with_bugs_fail_no_request() -> None:
    class Buggy(MemoryCacher):
        def get(self, key: bytes) -> bytes | None:
            raise ZeroDivisionError('a bug')

    setup = Setup(Buggy())
    assert setup.body(lambda: [b'body']) == b'body'
    assert setup.warnings == [
        "cacher is not available: ZeroDivisionError('a bug')"
    ]
    # It is not asked again for a while.
    assert setup.body(lambda: [b'body']) == b'body'
    assert len(setup.warnings) == 1


def test_admission() -> None:
    """A response is kept when it was asked for often enough."""
    setup = Setup(MemoryCacher(), admit_after=3)
    for number in range(2):
        assert setup.body(lambda: [b'body']) == b'body'
        assert setup.cache.peek(KEY) is None
        assert setup.lines[2 * number :] == [
            b'cache miss for ' + KEY,
            b'not storing cache entry for %s yet' % KEY,
        ]
    assert setup.body(lambda: [b'body']) == b'body'
    assert setup.lines[-1] == b'storing cache entry for ' + KEY
    assert setup.body(never) == b'body'


def test_lasting_responses_are_admitted_at_once() -> None:
    setup = Setup(MemoryCacher(), admit_after=100)
    assert setup.body(lambda: [b'body'], at_once=True) == b'body'
    assert setup.body(never) == b'body'
    assert setup.cache.fill(b'1' * 40, lambda: b'ahead', 19)
    assert setup.cache.peek(b'1' * 40) is not None


def test_threads_that_wait_have_asked() -> None:
    """Nobody computes again what several threads want at once."""
    setup = Setup(MemoryCacher(), admit_after=3)
    started, go = threading.Event(), threading.Event()

    def produce() -> Iterator[bytes]:
        started.set()
        assert go.wait(conftest.PATIENCE)
        yield b'body'

    bodies: list[bytes] = []

    def ask(produce: Callable[[], Iterator[bytes]]) -> None:
        bodies.append(setup.body(produce))

    threads = [threading.Thread(target=ask, args=(produce,))]
    threads[0].start()
    assert started.wait(conftest.PATIENCE)
    for _number in range(2):
        threads.append(threading.Thread(target=ask, args=(never,)))
        threads[-1].start()
    conftest.wait_for(lambda: setup.shared.demand.of(KEY) == 3, 'requests')
    go.set()
    for thread in threads:
        thread.join()
    assert bodies == [b'body'] * 3
    assert setup.body(never) == b'body'


def test_undecided_entries_hold_up_no_other_process() -> None:
    """The lease of a key is not taken for what is not kept."""
    leases: list[bytes] = []

    class Leasing(MemoryCacher):
        def lease(self, key: bytes) -> Any:
            leases.append(key)
            return super().lease(key)

    setup = Setup(Leasing(), admit_after=2)
    setup.body(lambda: [b'body'])
    assert leases == []
    setup.body(lambda: [b'body'])
    assert leases == [KEY]


def test_demand_is_counted_in_bounded_memory() -> None:
    demand = admission.Demand(most=10)
    for number in range(100):
        demand.note(b'%040x' % (number << 100))
    counts = [demand.of(b'%040x' % (n << 100)) for n in range(100)]
    assert counts == [0] * 90 + [1] * 10


def test_filling_ahead_of_time() -> None:
    cacher = MemoryCacher()
    setup = Setup(cacher)
    assert setup.body(lambda: [b'fast']) == b'fast'

    def fail() -> bytes:
        raise AssertionError

    assert setup.cache.fill(KEY, lambda: b'strong', 19)
    assert not setup.cache.fill(KEY, fail, 19)
    assert setup.body(never) == b'strong'
    cacher.put(KEY, b'damaged')
    assert setup.cache.fill(KEY, lambda: b'again', 19)
    assert setup.body(never) == b'again'
    with pytest.raises(base.CacherError):
        Setup(Broken()).cache.fill(KEY, lambda: b'body', 19)


def test_private_views_are_not_kept_in_a_store_that_clients_read() -> None:
    state = keys.KeyState(b'a', b'f', b'c', {}, b'e', b'r')
    others = (
        dataclasses.replace(state, view=b'draft'),
        dataclasses.replace(state, narrow=((), ())),
    )
    closed, public = Setup(MemoryCacher()).cache, Setup(Redirecting()).cache
    assert closed.key(state) == public.key(state) == keys.derive(state)
    for private in others:
        assert closed.key(private) == keys.derive(private)
        assert public.key(private) is None
