# SPDX-License-Identifier: GPL-2.0-or-later
"""How many indexes stay in memory."""

from __future__ import annotations

import pytest

from hgext3rd.sqlitestore.formats.index import Revision, Table
from hgext3rd.sqlitestore.reading.fileindex import (
    FIXED_BYTES,
    GROWN_BYTES,
    REVISION_BYTES,
    FileIndex,
)
from hgext3rd.sqlitestore.reading.indexcache import IndexCache

REVISION = Revision(b'n' * 20, -1, -1, 0, 0, 1, 0, 0)


def filled(limit: int, count: int) -> IndexCache:
    """Return a cache to which empty indexes were added, with ids from 1 on."""
    cache = IndexCache(limit)
    for path_id in range(1, count + 1):
        cache.keep(path_id, FileIndex(path_id))
    return cache


def kept(cache: IndexCache, count: int) -> list[int]:
    """Return the path ids of the kept indexes, without marking them as used."""
    return [
        path_id
        for path_id in range(1, count + 1)
        if cache._indexes.peek(path_id) is not None
    ]


def test_the_oldest_indexes_are_dropped() -> None:
    cache = filled(10 * FIXED_BYTES, 100)
    assert kept(cache, 100) == list(range(91, 101))


def test_an_index_that_is_used_stays() -> None:
    cache = filled(3 * FIXED_BYTES, 3)
    assert cache.get(1) is not None
    cache.keep(4, FileIndex(4))
    assert kept(cache, 4) == [1, 3, 4]


def test_an_index_counts_its_revisions() -> None:
    cache = filled(3 * FIXED_BYTES, 2)
    large = FileIndex(
        3, Table([REVISION] * (FIXED_BYTES // REVISION_BYTES + 1))
    )
    cache.keep(3, large)
    assert kept(cache, 3) == [3]


def test_an_index_that_has_grown_counts_for_more() -> None:
    cache = filled(10 * FIXED_BYTES, 5)
    grown = FileIndex(5)
    grown.append(REVISION)
    assert GROWN_BYTES > 10 * FIXED_BYTES
    cache.keep(5, grown)
    assert cache.get(5) is grown
    assert kept(cache, 5) == [5]


def test_the_newest_index_stays_even_if_it_is_too_large() -> None:
    cache = IndexCache(limit=1)
    index = FileIndex(7)
    cache.keep(7, index)
    assert cache.get(7) is index


def test_a_dropped_index_no_longer_counts() -> None:
    cache = filled(3 * FIXED_BYTES, 3)
    cache.drop(2)
    cache.drop(2)
    cache.keep(4, FileIndex(4))
    assert kept(cache, 4) == [1, 3, 4]
    cache.clear()
    assert kept(cache, 4) == []


def test_an_index_knows_its_revisions() -> None:
    revs = [
        Revision(
            bytes([n + 1]) * 20, n - 1, -1, 5 * n, n & 1, 100 + n, 7 - n, n
        )
        for n in range(5)
    ]
    index = FileIndex(1, Table(revs))
    assert [index.revision(n) for n in range(5)] == revs
    assert [index.core.rev(rev.node) for rev in revs] == list(range(5))


def test_the_memory_of_an_index_follows_its_revisions() -> None:
    index = FileIndex(1, Table([REVISION] * 10))
    assert index.memory == FIXED_BYTES + 10 * REVISION_BYTES
    index.append(REVISION, stored=1)
    assert index.memory > GROWN_BYTES


def revisions(count: int) -> list[Revision]:
    return [
        Revision(
            b'%020d' % n,
            n - 1,
            max(-1, n - 2),
            5 * n,
            (n & 1) << 15,
            100 + n,
            7,
            n,
        )
        for n in range(count)
    ]


@pytest.mark.parametrize('first', [0, 1, 3])
def test_a_compacted_index_is_the_same_and_smaller(first: int) -> None:
    revs = revisions(6)
    index = FileIndex(1, Table(revs[:first]))
    for rev in revs[first:]:
        index.append(rev)
    grown = index.memory
    index.compact()
    assert index.memory == grown - GROWN_BYTES
    assert [index.revision(n) for n in range(6)] == revs
    assert [index.core.rev(rev.node) for rev in revs] == list(range(6))
    index.append(revisions(7)[6])
    assert index.revision(6) == revisions(7)[6]


def test_an_index_that_fills_its_memory_is_not_compacted() -> None:
    index = FileIndex(1)
    for rev in revisions(GROWN_BYTES // 128 + 1):
        index.append(rev)
    core = index.core
    index.compact()
    assert index.core is core


@pytest.mark.parametrize('first', [0, 1, 3])
@pytest.mark.parametrize('grown', [False, True])
def test_an_index_is_extended_by_a_table(first: int, grown: bool) -> None:
    revs = revisions(6)
    index = FileIndex(1, Table(revs[:first]))
    if grown:
        index.append(revs[first])
        first += 1
    index.extend(Table(revs[first:]))
    assert [index.revision(n) for n in range(6)] == revs
    assert [index.core.rev(rev.node) for rev in revs] == list(range(6))
    assert list(index.frames) == [7] * 6
    assert list(index.places) == list(range(6))
