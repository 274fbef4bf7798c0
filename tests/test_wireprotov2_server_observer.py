# SPDX-License-Identifier: GPL-2.0-or-later
"""Events of serving become log lines and counts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from hgext3rd.wireprotov2.cache.events import CacheAsked, CacheHit
from hgext3rd.wireprotov2.server import metrics, observer

KEY = b'0123456789' * 4


class FakeUI:
    """Remembers what is logged; its only option is ``metrics``."""

    def __init__(self, counts: bool) -> None:
        self.counts = counts
        self.lines: list[tuple[bytes, bytes]] = []

    def configbool(self, section: bytes, name: bytes) -> bool:
        assert (section, name) == (b'wireprotov2', b'metrics')
        return self.counts

    def log(self, event: bytes, message: bytes, *args: bytes) -> None:
        self.lines.append((event, message % args))


class FakeRepo:
    def __init__(self, counts: bool) -> None:
        self.ui = FakeUI(counts)
        self.root = b'/repository'


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """The calls of the metrics functions, without the time."""
    found: list[tuple[Any, ...]] = []

    def answer(
        repo: Any, api: bytes, command: bytes, seconds: float, sent: int
    ) -> None:
        assert seconds >= 0
        found.append(('answer', api, command, sent))

    def error(repo: Any, api: bytes, command: bytes) -> None:
        found.append(('error', api, command))

    def cache(repo: Any, event: str, size: int) -> None:
        found.append(('cache', event, size))

    monkeypatch.setattr(metrics, 'available', lambda: True)
    monkeypatch.setattr(metrics, 'count_answer', answer)
    monkeypatch.setattr(metrics, 'count_error', error)
    monkeypatch.setattr(metrics, 'count_cache', cache)
    return found


@pytest.mark.parametrize('counts', [False, True])
def test_cache_events(counted: list[tuple[Any, ...]], counts: bool) -> None:
    repo = FakeRepo(counts)
    observe = observer.RequestObserver(repo)
    observe(CacheAsked(b'heads'))
    observe(CacheHit(KEY, 7))
    assert repo.ui.lines == [
        (b'wireprotov2-cache', b'cacher constructed for heads\n'),
        (b'wireprotov2-cache', b'cache hit for %s\n' % KEY),
    ]
    assert counted == ([('cache', 'hit', 7)] if counts else [])


@pytest.mark.parametrize('counts', [False, True])
def test_responses(counted: list[tuple[Any, ...]], counts: bool) -> None:
    repo = FakeRepo(counts)
    observe = observer.RequestObserver(repo)
    observe(observer.ErrorAnswered(b'api', b'known'))
    frames = observe.timed(b'api', b'heads', [b'abc', b'de'])
    assert list(frames) == [b'abc', b'de']
    assert repo.ui.lines == []
    expected = [('error', b'api', b'known'), ('answer', b'api', b'heads', 5)]
    assert counted == (expected if counts else [])


def test_clients_that_go_away_are_counted(
    counted: list[tuple[Any, ...]],
) -> None:
    observe = observer.RequestObserver(FakeRepo(True))

    def endless() -> Iterator[bytes]:
        while True:
            yield b'abc'

    frames = observe.timed(b'api', b'heads', endless())
    assert [next(frames), next(frames)] == [b'abc', b'abc']
    frames.close()  # type: ignore[attr-defined]
    assert counted == [('answer', b'api', b'heads', 6)]
