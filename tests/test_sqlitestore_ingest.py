# SPDX-License-Identifier: GPL-2.0-or-later
"""How the order of parents is fixed in revisions of a changegroup."""

from __future__ import annotations

import pytest
from mercurial.revlogutils import constants

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
def test_wrong_order_of_parents_is_recognized(
    text: bytes, p1: int, p2: int, swapped: bool
) -> None:
    assert ingest._swapped(text, p1, p2, 0) == swapped


@pytest.mark.parametrize(
    'flag', [constants.REVIDX_ISCENSORED, constants.REVIDX_EXTSTORED]
)
def test_parents_stay_if_the_raw_text_stands_for_another(flag: int) -> None:
    assert not ingest._swapped(b'\x01\ncensored: \n\x01\n', 3, -1, flag)
    assert not ingest._swapped(b'version https://git-lfs', -1, 3, flag)
