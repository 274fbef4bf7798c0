# SPDX-License-Identifier: GPL-2.0-or-later
"""Every text that is read is checked against its node."""

from __future__ import annotations

import hashlib
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip('mercurial')

from mercurial import error, transaction
from mercurial import ui as uimod
from mercurial import vfs as vfsmod
from mercurial.utils import storageutil

from hgext3rd.sqlitestore.formats import schema
from hgext3rd.sqlitestore.reading.store import Store
from hgext3rd.sqlitestore.revlogs import filelog
from hgext3rd.sqlitestore.revlogs.textreader import has_node

#: Stores texts as revisions of one file; returns the file storage.
Stored = Callable[[list[bytes]], Any]


@pytest.fixture
def stored(tmp_path: pathlib.Path) -> Iterator[Stored]:
    """Return a function that stores texts as revisions of a file.

    It returns the filelog of that file.
    """
    vfs = vfsmod.vfs(os.fsencode(tmp_path))
    store = Store(vfs.join(schema.FILENAME), 'none', b'off', lambda: 1 << 20)
    store.db.create()

    def add(texts: list[bytes]) -> Any:
        vfsmap = {b'plain': vfs, b'store': vfs}
        with transaction.transaction(
            uimod.ui().warn, vfs, vfsmap, b'journal', b'undo'
        ) as tr:
            file = filelog.SQLiteFilelog(store, vfs, b'f', writable=True)
            parent = file.nullid
            for number, text in enumerate(texts):
                parent = file.add(text, {}, tr, number, parent, file.nullid)
        store.forget()
        return filelog.SQLiteFilelog(store, vfs, b'f', writable=False)

    yield add
    store.db.close()


def test_check_agrees_with_core() -> None:
    null = b'\0' * 20
    one, two = hashlib.sha1(b'1').digest(), hashlib.sha1(b'2').digest()
    for p1, p2 in ((null, null), (one, null), (one, two), (two, one)):
        node = storageutil.hashrevisionsha1(b'text', p1, p2)
        assert has_node(node, b'text', p1, p2)
        assert not has_node(node, b'text!', p1, p2)
    assert not has_node(
        storageutil.hashrevisionsha1(b'text', one, null), b'text', two, null
    )


def test_damaged_text_is_refused_wherever_it_is_asked_for(
    stored: Stored,
) -> None:
    file = stored([b'one\n' * 30, b'one\n' * 30 + b'two\n'])
    store = file._revlog.store
    store.db.execute(
        "UPDATE rev SET data = CAST('u' || ? AS BLOB) WHERE base = 0",
        ('eno\n' * 30,),
    )
    node = file.node(0)
    message = 'integrity check failed on f:0'
    for read in (file.revision, file.read, file.rawdata):
        with pytest.raises(error.RevlogError, match=message):
            read(node)
    found = list(file.verifyintegrity({b'erroroncensored': True}))
    assert [problem.node for problem in found] == list(map(file.node, file))
    assert found[0].error.endswith(message.encode())


def test_node_of_an_attack_is_what_core_says(
    stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text of an attack has the node that core's function gives it.

    Core's function recognizes collision attacks, plain SHA-1 does not.
    """

    def safe_hash(text: bytes, p1: bytes, p2: bytes) -> bytes:
        sha = hashlib.sha1(min(p1, p2) + max(p1, p2) + text).digest()
        return hashlib.sha1(sha).digest() if b'attack' in text else sha

    monkeypatch.setattr(storageutil, 'hashrevisionsha1', safe_hash)
    file = stored([b'innocent\n', b'attack\n'])
    assert file.read(file.node(0)) == b'innocent\n'
    assert file.read(file.node(1)) == b'attack\n'
