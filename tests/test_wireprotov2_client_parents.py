# SPDX-License-Identifier: GPL-2.0-or-later
"""Which incoming file revisions can be checked without their texts."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from hgext3rd.wireprotov2.pull import parents
from hgext3rd.wireprotov2.pull.session import PullSession

NULL, PLAIN, COPY, ROOT = (bytes([n]) * 20 for n in range(4))

# The revision numbers of some nodes, and their parents: a child of another
# revision, a copy (its first parent is null), and a root, whose parents do not
# tell whether it has metadata.
REVS = {NULL: -1, PLAIN: 0, COPY: 1, ROOT: 2}
PARENTS = {0: (2, -1), 1: (-1, 2), 2: (-1, -1)}

# An empty repository.
REPO = SimpleNamespace(unfiltered=list, heads=list)

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
    *deltas: Iterable[SimpleNamespace], parents_checked: bool = True
) -> list[SimpleNamespace]:
    """Return the deltas that Mercurial itself has to check."""
    asked = []

    def orig(
        revlog: Any, deltas: Iterable[SimpleNamespace]
    ) -> Iterator[SimpleNamespace]:
        for item in deltas:
            asked.append(item)
            yield item

    if parents_checked:
        with PullSession(REPO, None) as session:
            session.parents_checked = True
            found = list(parents.filter_deltas(orig, REVLOG, deltas))
    else:
        found = list(parents.filter_deltas(orig, REVLOG, deltas))
    assert found == list(deltas)
    return asked


@pytest.mark.parametrize(
    'item',
    [
        # There is nothing to swap.
        delta(PLAIN, COPY, NULL),
        delta(NULL, NULL, NULL),
        # Like its base: without metadata, with metadata.
        delta(PLAIN, NULL, PLAIN),
        delta(NULL, PLAIN, COPY),
    ],
)
def test_checked_without_text(item: SimpleNamespace) -> None:
    assert checked(item) == []
    assert checked(item, parents_checked=False) == [item]


@pytest.mark.parametrize(
    'item',
    [
        # The parents contradict the metadata of the base.
        delta(NULL, PLAIN, PLAIN),
        delta(COPY, NULL, COPY),
        # The delta changes the first bytes.
        delta(PLAIN, NULL, PLAIN, start=1),
        # Nothing is known about the base.
        delta(PLAIN, NULL, ROOT),
        delta(PLAIN, NULL, NULL),
        delta(PLAIN, NULL, b'?' * 20),
        SimpleNamespace(p1=PLAIN, p2=NULL, delta_base=PLAIN, delta=b''),
        SimpleNamespace(p1=PLAIN, p2=NULL, delta_base=PLAIN, delta=None),
    ],
)
def test_checked_by_mercurial(item: SimpleNamespace) -> None:
    assert checked(item) == [item]


def test_order_is_kept() -> None:
    items = [
        delta(PLAIN, NULL, PLAIN),
        delta(NULL, PLAIN, PLAIN),
        delta(NULL, NULL, NULL),
    ]
    assert checked(*items) == items[1:2]
