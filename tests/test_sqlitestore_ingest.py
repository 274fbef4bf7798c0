# SPDX-License-Identifier: GPL-2.0-or-later
"""What happens to single revisions of a changegroup."""

from __future__ import annotations

import pytest
from mercurial.revlogutils import constants

from hgext3rd.sqlitestore.formats import index
from hgext3rd.sqlitestore.writing import ingest

TEXT = b'text'
COPY = b'\x01\ncopy: a\n\x01\ntext'


@pytest.mark.parametrize(
    ('text', 'p1', 'p2', 'swapped'),
    [
        (TEXT, -1, -1, False),
        (TEXT, -1, 5, True),
        (TEXT, 3, -1, False),
        (TEXT, 3, 5, False),
        (COPY, -1, -1, False),
        (COPY, -1, 5, False),
        (COPY, 3, -1, True),
        (COPY, 3, 5, False),
    ],
)
def test_parents_are_mended(
    text: bytes, p1: int, p2: int, swapped: bool
) -> None:
    assert ingest._swapped(text, p1, p2, 0) == swapped


@pytest.mark.parametrize(
    'flag', [constants.REVIDX_ISCENSORED, constants.REVIDX_EXTSTORED]
)
def test_parents_of_hidden_texts_stay(flag: int) -> None:
    assert not ingest._swapped(b'\x01\ncensored: \n\x01\n', 3, -1, flag)
    assert not ingest._swapped(b'version https://git-lfs', -1, 3, flag)


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
