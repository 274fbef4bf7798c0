# SPDX-License-Identifier: GPL-2.0-or-later
"""When a repack is suggested, and what it costs each commit to find out."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

import pytest

from hgext3rd.sqlitestore.formats import statements
from hgext3rd.sqlitestore.reading.store import Store
from hgext3rd.sqlitestore.repacking import automatic


@pytest.fixture
def store(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Store]:
    monkeypatch.setattr(automatic, 'MIN_LOOSE', 10)
    monkeypatch.setattr(automatic, 'MIN_FRAMES', 5)
    monkeypatch.setattr(automatic, 'NEWEST', 8)
    found = Store(bytes(tmp_path / 'history.sqlite'), 'zstd')
    found.db.create()
    yield found
    found.db.close()


def fill(store: Store, loose: int, sealed: int, frames: list[int]) -> None:
    """Add loose revisions, sealed ones, and frames of these sizes."""
    db = store.db
    db.begin()
    for number in range(loose):
        fields = (number, b'', -1, -1, 0, 0, 0, 0, 0, b'')
        db.execute(statements.INSERT_LOOSE, fields)
    if sealed:
        db.execute(statements.INSERT_RUN, (1 << 32, sealed, b''))
    for number, size in enumerate(frames, 1):
        db.execute(statements.INSERT_FRAME, (number, b'', bytes(size)))
    db.execute(statements.COMMIT)


@pytest.mark.parametrize(
    ('loose', 'sealed', 'pays'),
    [(9, 0, False), (10, 0, True), (10, 70, True), (10, 71, False)],
)
def test_loose_revisions(
    store: Store, loose: int, sealed: int, pays: bool
) -> None:
    fill(store, loose, sealed, [])
    assert automatic.pays(store) == pays


@pytest.mark.parametrize(
    ('frames', 'pays'),
    [
        ([10] * 4, False),
        ([10] * 5, True),
        ([automatic.SMALL_FRAME] * 5, False),
        # Old frames do not count.
        ([10] * 20 + [automatic.SMALL_FRAME] * 8, False),
        ([automatic.SMALL_FRAME * 9] * 20 + [10] * 8, True),
    ],
)
def test_small_frames(store: Store, frames: list[int], pays: bool) -> None:
    fill(store, 0, 0, frames)
    assert automatic.pays(store) == pays


def test_sealed_revisions_are_not_counted_for_few_loose_ones(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store, 9, 1000, [])
    monkeypatch.setattr(statements, 'COUNT_SEALED', 'no statement')
    assert not automatic.pays(store)
