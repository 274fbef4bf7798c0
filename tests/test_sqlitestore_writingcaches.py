# SPDX-License-Identifier: GPL-2.0-or-later
"""The caches of content are smaller while a transaction writes."""

from __future__ import annotations

import os
import pathlib

import pytest

pytest.importorskip('mercurial')

from helpers import sqlitestore_crashes as crashes
from mercurial import hg, localrepo
from mercurial import ui as uimod

from hgext3rd.amalgam.codecs import chunks
from hgext3rd.sqlitestore.formats import frames
from hgext3rd.sqlitestore.formats.openframe import OpenFrame
from hgext3rd.sqlitestore.reading import contents
from hgext3rd.sqlitestore.reading.store import Store

# Two frames fit into the limit for small frames while a transaction writes.
SIZE = contents.WRITING_FRAMES // 2 - 1024
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


def test_text_cache_keeps_many_small_texts_or_a_few_large_ones() -> None:
    cache = frames.TextCache()
    small, large = frames.USUAL_TEXTS // 64, frames.USUAL_TEXTS // 16
    assert cache.room(0) == frames.USUAL_TEXTS
    assert cache.room(small) == 64
    assert cache.room(large) == frames.FEW_TEXTS
    assert cache.room(1 << 20) == frames.TEXT_CACHE >> 20
    for size in (small, large, 1 << 20):
        for place in range(100):
            cache.keep((size, place), b'x' * size)
        assert len(cache._texts) == cache.room(size)
        assert cache.size == cache.room(size) * size


def read_all(store: Store) -> None:
    """Read the text of each frame."""
    for number in range(1, COUNT + 1):
        assert store.sealed(number, 0)[:1] == b'%d' % number


def test_transaction_keeps_fewer_frames(store: Store) -> None:
    kept = store._contents._frames
    read_all(store)
    assert len(kept) == COUNT
    store.open_writer = IdleWriter()
    assert kept.used <= contents.WRITING_FRAMES
    assert store._contents._texts.size <= contents.WRITING_TEXTS
    read_all(store)
    assert len(kept) == contents.FEW_FRAMES
    assert store._contents._texts.size <= contents.WRITING_TEXTS
    store.open_writer = None
    read_all(store)
    assert len(kept) == COUNT
    store.db.close()


def test_updating_caches_keeps_little(store: Store) -> None:
    """Afterwards, the limits are those of the transaction, if there is one."""
    kept = store._contents._frames
    with store.keeping_less():
        read_all(store)
        assert len(kept) == contents.FEW_FRAMES
        assert store._contents._texts.size <= contents.WRITING_TEXTS
    read_all(store)
    assert len(kept) == COUNT
    store.open_writer = IdleWriter()
    with pytest.raises(ZeroDivisionError), store.keeping_less():
        raise ZeroDivisionError
    read_all(store)
    assert len(kept) == contents.FEW_FRAMES
    store.open_writer = None
    store.db.close()


def test_mercurial_updates_its_caches_with_small_limits(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crashes.configure(
        tmp_path, monkeypatch, b'[storage]\nnew-repo-backend = sqlite\n'
    )
    path = os.fsencode(tmp_path / 'repo')
    code, out = crashes.hg_command(b'init', path)
    assert not code, out
    repo = hg.repository(uimod.ui.load(), path).unfiltered()
    limits = []
    monkeypatch.setattr(
        localrepo.localrepository,
        'updatecaches',
        lambda *args, **kwargs: limits.append(
            repo.sqlitestore._contents._texts.limit
        ),
    )
    repo.updatecaches()
    assert limits == [contents.WRITING_TEXTS]
    assert repo.sqlitestore._contents._texts.limit == frames.TEXT_CACHE
