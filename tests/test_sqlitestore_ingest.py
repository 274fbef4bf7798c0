# SPDX-License-Identifier: GPL-2.0-or-later
"""What happens to single revisions of a changegroup."""

from __future__ import annotations

import itertools

import pytest
from mercurial.revlogutils import constants, rewrite

from hgext3rd.sqlitestore import index, ingest


@pytest.mark.parametrize(
    ('meta', 'p1', 'p2'),
    list(itertools.product((False, True), (-1, 3), (-1, 5))),
)
def test_parents_are_mended_as_core_does(meta: bool, p1: int, p2: int) -> None:
    text = b'\x01\ncopy: a\n\x01\ntext' if meta else b'text'
    expected = rewrite._has_bad_parents(meta, p1, p2)
    assert ingest._swapped(text, p1, p2, 0) == expected


def test_parents_of_censored_revisions_stay() -> None:
    flags = constants.REVIDX_ISCENSORED
    assert not ingest._swapped(b'\x01\ncensored: \n\x01\n', 3, -1, flags)


def test_kept_indexes_are_bounded() -> None:
    cache = index.IndexCache(limit=10 * index.INDEX_COST)
    for path_id in range(1, 101):
        cache.keep(path_id, index.FileIndex(path_id))
    kept = [
        path_id for path_id in range(1, 101) if cache.get(path_id) is not None
    ]
    assert kept == list(range(91, 101))


def test_an_index_that_grew_counts_for_more() -> None:
    cache = index.IndexCache(limit=10 * index.INDEX_COST)
    for path_id in range(1, 6):
        cache.keep(path_id, index.FileIndex(path_id))
    large = index.FileIndex(5)
    large.append(index.Revision(b'n' * 20, -1, -1, 0, 0, 1, 0, 0))
    cache.keep(5, large)
    assert cache.get(5) is large
    assert cache.get(4) is None
