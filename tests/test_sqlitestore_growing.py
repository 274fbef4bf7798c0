# SPDX-License-Identifier: GPL-2.0-or-later
"""Caches that grow when something that they dropped is read again."""

from __future__ import annotations

import pytest

from hgext3rd.amalgam import memory
from hgext3rd.sqlitestore.reading.growing import GrowingCache


def filled(count: int, *, few: int = 2) -> GrowingCache[str]:
    """Return a cache to which ``count`` values of 10 bytes were added."""
    cache = GrowingCache[str](few, 30, 60)
    for key in range(count):
        cache.keep(key, 'value', 10)
    return cache


def kept(cache: GrowingCache[str], count: int) -> list[int]:
    return [key for key in range(count) if key in cache]


def test_values_that_are_read_once_take_little() -> None:
    cache = filled(100)
    assert kept(cache, 100) == [97, 98, 99]
    assert cache.used == 30


def test_a_value_that_was_dropped_and_is_read_again_makes_room() -> None:
    cache = filled(5)
    for key in (0, 1):
        assert cache.get(key) is None
        cache.keep(key, 'value', 10)
    assert kept(cache, 5) == [0, 1, 2, 3, 4]


def test_the_cache_grows_up_to_its_limit() -> None:
    cache = filled(20)
    for _ in range(3):
        for key in range(20):
            cache.keep(key, 'value', 10)
    assert cache.used == 60


def test_a_few_values_stay_whatever_their_size() -> None:
    cache = filled(0)
    for key in range(3):
        cache.keep(key, 'value', 1000)
    assert kept(cache, 3) == [1, 2]


def test_a_value_that_is_replaced_does_not_count_twice() -> None:
    cache = filled(3)
    cache.keep(1, 'other', 10)
    assert cache.used == 30
    assert cache.get(1) == 'other'


def test_a_smaller_limit_holds_from_the_next_value_on() -> None:
    cache = filled(20)
    for key in range(20):
        cache.keep(key, 'value', 10)
    assert cache.used == 60
    cache.most = 20
    assert cache.used == 60
    cache.keep(20, 'value', 10)
    assert kept(cache, 21) == [19, 20]
    cache.most = 60
    for key in range(16, 19):
        cache.keep(key, 'value', 10)
    assert kept(cache, 21) == [16, 17, 18, 19, 20]


def test_nothing_is_remembered_after_clearing() -> None:
    cache = filled(5)
    cache.clear()
    assert not cache.used
    for key in range(5):
        cache.keep(key, 'value', 10)
    assert kept(cache, 5) == [2, 3, 4]


def test_freed_blocks_return_to_the_system_once_something_was_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[None] = []
    monkeypatch.setattr(
        memory, 'return_large_blocks', lambda: calls.append(None)
    )
    filled(3)
    assert not calls
    filled(5)
    assert len(calls) == 1
