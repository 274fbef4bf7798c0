# SPDX-License-Identifier: GPL-2.0-or-later
"""Each check of the database that ``hg verify`` runs finds its damage."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip('mercurial')

from mercurial import transaction
from mercurial import ui as uimod
from mercurial import vfs as vfsmod

from hgext3rd.sqlitestore import compat
from hgext3rd.sqlitestore.formats import schema
from hgext3rd.sqlitestore.reading import verify
from hgext3rd.sqlitestore.reading.store import Store
from hgext3rd.sqlitestore.revlogs import filelog


@pytest.fixture
def store(tmp_path: pathlib.Path) -> Iterator[Store]:
    """Return a store with a file of loose and one of sealed revisions."""
    vfs = vfsmod.vfs(os.fsencode(tmp_path))
    store = Store(vfs.join(schema.FILENAME), 'zstd', b'off', lambda: 1 << 20)
    store.db.create()
    vfsmap = {b'plain': vfs, b'store': vfs}
    ui = uimod.ui()
    with transaction.transaction(
        ui.warn, vfs, vfsmap, b'journal', b'undo'
    ) as tr:
        sealed = filelog.SQLiteFilelog(store, vfs, b'sealed', writable=True)
        sealed._revlog.addgroup(
            incoming(sealed._revlog, [b'a' * 500, b'b' * 500]), lambda n: 0, tr
        )
        loose = filelog.SQLiteFilelog(store, vfs, b'loose', writable=True)
        parent = loose.nullid
        for number in range(3):
            text = b''.join(b'%d\n' % n for n in range(number, 300))
            parent = loose.add(text, {}, tr, number, parent, loose.nullid)
    store.forget()
    yield store
    store.db.close()


def incoming(target: Any, texts: list[bytes]) -> Iterator[Any]:
    """Yield the texts as revisions of a changegroup."""
    parent = target.nullid
    for text in texts:
        item = compat.Incoming()
        item.node = target.hash(text, parent, target.nullid)
        item.p1, item.p2 = parent, target.nullid
        item.link_node = item.node
        item.delta_base, item.delta = target.nullid, b''
        item.raw_text, item.compression = text, None
        item.flags, item.sidedata = 0, None
        yield item
        parent = item.node


def messages(store: Store) -> list[bytes]:
    """Return the messages of all problems that the checks find."""
    return [problem.message for problem in verify.check(store)]


def test_nothing_wrong(store: Store) -> None:
    assert messages(store) == []
    assert verify.unused_frames(store) == 0


@pytest.mark.parametrize(
    ('damage', 'message'),
    [
        ('DELETE FROM frame', b'refers to missing entry'),
        ("UPDATE frame SET head = x'30'", b'damaged head'),
        (
            'DELETE FROM path WHERE path = CAST("loose" AS BLOB)',
            b'unknown path',
        ),
        (
            'DELETE FROM path WHERE path = CAST("sealed" AS BLOB)',
            b'unknown path',
        ),
        ('UPDATE path SET id = 1', b'is used twice'),
        ("UPDATE idx SET data = x'00'", b'damaged index'),
        ('UPDATE rev SET base = 77 WHERE base > 0', b'dangling base'),
        ('UPDATE rev SET base = -77 WHERE base > 0', b'dangling base'),
        ('UPDATE rev SET frame = 99, base = 0', b'missing frame 99'),
        ("INSERT INTO piece VALUES (9 << 16 | 1, x'00')", b'missing frame 9'),
        ('INSERT INTO content VALUES (5, 5)', b'content index'),
        ("UPDATE counter SET value = 1 WHERE name = 'path'", b'next path id'),
        ("UPDATE counter SET value = 1 WHERE name = 'frame'", b'next frame id'),
    ],
)
def test_damage_is_found(store: Store, damage: str, message: bytes) -> None:
    assert store.db.execute(damage) > 0
    assert any(message in found for found in messages(store)), messages(store)


def test_unused_frame(store: Store) -> None:
    store.db.execute('DELETE FROM idx')
    assert verify.unused_frames(store) == 1


def test_damaged_pages(store: Store, tmp_path: pathlib.Path) -> None:
    store.db.close()
    path = tmp_path / 'history.sqlite'
    data = bytearray(path.read_bytes())
    # All pages after the header become unreadable.
    data[4096:] = b'\xa5' * (len(data) - 4096)
    path.write_bytes(data)
    assert messages(store)
