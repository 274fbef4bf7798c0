# SPDX-License-Identifier: GPL-2.0-or-later
"""Which incoming file revisions are checked without their texts."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from hgext3rd.wireprotov2.pull import parents

NULL, PLAIN, COPY, ROOT = (bytes([n]) * 20 for n in range(4))

# rev of each node and its parents: a child of another revision, a copy (its
# first parent is null), and a root, whose parents do not tell
REVS = {NULL: -1, PLAIN: 0, COPY: 1, ROOT: 2}
PARENTS = {0: (2, -1), 1: (-1, 2), 2: (-1, -1)}

REVLOG = SimpleNamespace(
    nullid=NULL,
    index=SimpleNamespace(get_rev=REVS.get),
    parentrevs=PARENTS.__getitem__,
)


def delta(
    p1: bytes,
    p2: bytes,
    base: bytes,
    start: int = 10,
    text: bytes = b'new',
) -> SimpleNamespace:
    data = struct.pack('>lll', start, start, len(text)) + text
    return SimpleNamespace(p1=p1, p2=p2, delta_base=base, delta=data)


def checked(
    *deltas: Iterable[SimpleNamespace], trusted: bool = True
) -> list[SimpleNamespace]:
    """Return the deltas Mercurial itself is asked about."""
    asked = []

    def orig(
        revlog: Any, deltas: Iterable[SimpleNamespace]
    ) -> Iterator[SimpleNamespace]:
        for item in deltas:
            asked.append(item)
            yield item

    if trusted:
        with parents.trusted():
            found = list(parents.filter_deltas(orig, REVLOG, deltas))
    else:
        found = list(parents.filter_deltas(orig, REVLOG, deltas))
    assert found == list(deltas)
    return asked


@pytest.mark.parametrize(
    'item',
    [
        # nothing to swap
        delta(PLAIN, COPY, NULL),
        delta(NULL, NULL, NULL),
        # as its base: without metadata, with
        delta(PLAIN, NULL, PLAIN),
        delta(NULL, PLAIN, COPY),
    ],
)
def test_not_asked(item: SimpleNamespace) -> None:
    assert checked(item) == []
    assert checked(item, trusted=False) == [item]


@pytest.mark.parametrize(
    'item',
    [
        # parents that contradict the base's metadata
        delta(NULL, PLAIN, PLAIN),
        delta(COPY, NULL, COPY),
        # the first bytes change
        delta(PLAIN, NULL, PLAIN, start=1),
        # nothing known of the base
        delta(PLAIN, NULL, ROOT),
        delta(PLAIN, NULL, NULL),
        delta(PLAIN, NULL, b'?' * 20),
        SimpleNamespace(p1=PLAIN, p2=NULL, delta_base=PLAIN, delta=b''),
        SimpleNamespace(p1=PLAIN, p2=NULL, delta_base=PLAIN, delta=None),
    ],
)
def test_asked(item: SimpleNamespace) -> None:
    assert checked(item) == [item]


def test_order_is_kept() -> None:
    items = [
        delta(PLAIN, NULL, PLAIN),
        delta(NULL, PLAIN, PLAIN),
        delta(NULL, NULL, NULL),
    ]
    assert checked(*items) == items[1:2]
