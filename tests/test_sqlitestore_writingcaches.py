# SPDX-License-Identifier: GPL-2.0-or-later
"""The caches of content are smaller while a transaction writes."""

from __future__ import annotations

import os
import pathlib

import pytest

pytest.importorskip('mercurial')

from hgext3rd.amalgam.codecs import chunks
from hgext3rd.sqlitestore.formats import frames
from hgext3rd.sqlitestore.formats.openframe import OpenFrame
from hgext3rd.sqlitestore.reading import contents
from hgext3rd.sqlitestore.reading.store import Store

# Two frames fit into the limit for small frames while a transaction writes.
SIZE = contents.WRITING_SMALL_FRAMES // 2 - 1024
COUNT = 5


class IdleWriter:
    """A writer that fills no frame."""

    def open_frame(self, frame_id: int) -> OpenFrame | None:
        return None


@pytest.fixture
def store(tmp_path: pathlib.Path) -> Store:
    """A store with ``COUNT`` frames of one text of ``SIZE`` bytes each."""
    store = Store(os.fsencode(tmp_path / 'files.sqlite'), 'none', b'off')
    store.db.create()
    codec = chunks.Codec('none')
    for number in range(1, COUNT + 1):
        frame = OpenFrame(number)
        frame.add(number << 32, b'%d' % number * SIZE, None)
        (data,) = frames.encode_data(frame.entries, codec)
        store.db.execute(
            'INSERT INTO frame VALUES (?, ?, ?)',
            (number, frame.encode_head(codec), data),
        )
    return store


def test_text_cache_drops_what_exceeds_a_new_limit() -> None:
    cache = frames.TextCache(30)
    for place in range(3):
        cache.keep((1, place), b'0123456789')
    cache.resize(20)
    assert cache.size == 20
    assert cache.get((1, 0)) is None
    cache.keep((1, 3), b'x' * 21)
    assert cache.get((1, 3)) is None
    cache.resize(0)
    assert cache.size == 0
    cache.resize(30)
    cache.keep((1, 3), b'x' * 21)
    assert cache.size == 21


def read_all(store: Store) -> None:
    """Read the text of each frame."""
    for number in range(1, COUNT + 1):
        assert store.sealed(number, 0)[:1] == b'%d' % number


def test_transaction_keeps_fewer_frames(store: Store) -> None:
    kept = store._contents._frames
    read_all(store)
    assert len(kept) == COUNT
    store.open_writer = IdleWriter()
    assert kept.used <= contents.WRITING_SMALL_FRAMES
    assert store._contents._texts.size <= contents.WRITING_TEXTS
    read_all(store)
    assert len(kept) == contents.WRITING_FEW_FRAMES
    assert store._contents._texts.size <= contents.WRITING_TEXTS
    store.open_writer = None
    read_all(store)
    assert len(kept) == COUNT
    store.db.close()


def test_limits_stay_small_until_the_caches_are_dropped(store: Store) -> None:
    kept = store._contents._frames
    store.open_writer = IdleWriter()
    store.open_writer = None
    store.keep_less()
    read_all(store)
    assert len(kept) == contents.WRITING_FEW_FRAMES
    store.drop_caches()
    read_all(store)
    assert len(kept) == COUNT
    store.db.close()
