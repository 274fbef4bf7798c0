# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests of hgext3rd.amalgam, the package that the three extensions share."""

from __future__ import annotations

import contextlib
import errno
import os
import pathlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgext3rd.amalgam import durable, options, sidefiles
from hgext3rd.amalgam.lru import LRU


def test_the_least_recently_used_entry_is_dropped_first() -> None:
    cache: LRU[str, int] = LRU(10)
    cache.put('a', 1, 4)
    cache.put('b', 2, 4)
    assert cache.get('a') == 1
    cache.put('c', 3, 4)
    assert 'b' not in cache
    assert cache.peek('a') == 1
    assert cache.used == 8


def test_peek_does_not_count_as_a_use() -> None:
    cache: LRU[str, int] = LRU(2)
    cache.put('a', 1, 1)
    cache.put('b', 2, 1)
    assert cache.peek('a') == 1
    assert 'a' in cache
    cache.put('c', 3, 1)
    assert 'a' not in cache


def test_the_newest_entry_stays_even_if_it_exceeds_the_limit() -> None:
    cache: LRU[str, int] = LRU(10)
    cache.put('small', 1, 5)
    cache.put('large', 2, 50)
    assert len(cache) == 1
    assert cache.get('large') == 2
    cache.put('small', 1, 5)
    assert cache.get('large') is None


def test_the_oldest_entry_can_be_dropped() -> None:
    cache: LRU[str, int] = LRU(10)
    cache.put('a', 1, 4)
    cache.put('b', 2, 3)
    cache.get('a')
    cache.drop_oldest()
    assert 'b' not in cache
    assert cache.used == 4
    cache.drop_oldest()
    with pytest.raises(KeyError):
        cache.drop_oldest()


operations = st.lists(
    st.tuples(
        st.sampled_from(['put', 'get', 'pop', 'clear']),
        st.integers(0, 6),
        st.integers(0, 12),
    )
)


@given(operations)
def test_the_used_size_is_the_sum_of_costs_and_stays_within_the_limit(
    steps: list[tuple[str, int, int]],
) -> None:
    cache: LRU[int, int] = LRU(20)
    costs: dict[int, int] = {}
    for what, key, cost in steps:
        if what == 'put':
            cache.put(key, key, cost)
            costs[key] = cost
        elif what == 'get':
            assert cache.get(key) in (None, key)
        elif what == 'pop':
            cache.pop(key)
            assert key not in cache
        else:
            cache.clear()
        held = [key for key in costs if key in cache]
        assert len(held) == len(cache)
        assert cache.used == sum(costs[key] for key in held)
        assert cache.used <= 20 or len(cache) == 1


@pytest.mark.parametrize('kind', [bytes, str])
def test_a_database_is_removed_with_all_its_side_files(
    kind: type, tmp_path: pathlib.Path
) -> None:
    path = str(tmp_path / 'x.sqlite')
    other = tmp_path / 'x.sqlite2'
    other.touch()
    given: Any = path.encode() if kind is bytes else path
    names = [str(tmp_path / f'x.sqlite{end}') for end in ('', '-wal', '-shm')]
    found = [
        name.decode() if isinstance(name, bytes) else name
        for name in sidefiles.files_of(given)
    ]
    assert found == names
    for name in (*names[:2], path + '-journal'):
        pathlib.Path(name).touch()
    sidefiles.remove(given)
    assert [p.name for p in tmp_path.iterdir()] == ['x.sqlite2']


def test_syncing_a_missing_file_is_an_error(tmp_path: pathlib.Path) -> None:
    (tmp_path / 'a').write_bytes(b'1')
    durable.sync_file(tmp_path.as_posix() + '/a')
    durable.sync_directory(bytes(tmp_path))
    with pytest.raises(FileNotFoundError):
        durable.sync_file(bytes(tmp_path / 'b'))


@pytest.mark.parametrize(
    ('code', 'raised'), [(errno.EINVAL, False), (errno.EIO, True)]
)
def test_a_directory_that_cannot_be_synced_is_no_error_but_a_failure_is(
    code: int,
    raised: bool,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(fd: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, 'fsync', fail)
    with pytest.raises(OSError) if raised else contextlib.nullcontext():
        durable.sync_directory(str(tmp_path))


EXAMPLES = (
    options.Option('x', 'on', True, 'boolean', 'Whether it is on.'),
    options.Option('x', 'names', (b'a', b'b'), 'list', 'Its\nnames.'),
    options.Option(
        'x', 'store:.*', None, 'text', 'More.', shown='store:NAME', pattern=True
    ),
)


def test_the_table_of_options_has_their_names_and_defaults() -> None:
    table = options.register(EXAMPLES)
    assert set(table) == {b'x'}
    items = table[b'x']
    assert items[b'on'].default is True
    first, second = items[b'names'].default(), items[b'names'].default()
    assert first == second == [b'a', b'b']
    assert first is not second
    assert items[b'store:.*'].generic


def test_the_help_text_has_each_option_once_with_its_default() -> None:
    assert options.help_text(EXAMPLES) == (
        '``x.on``\n  Whether it is on. (default: yes)\n'
        '\n``x.names``\n  Its\n  names. (default: a, b)\n'
        '\n``x.store:NAME``\n  More. (default: none)\n'
    )
