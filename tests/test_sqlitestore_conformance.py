# SPDX-License-Identifier: GPL-2.0-or-later
"""Mercurial's own conformance tests for file storage, run on sqlitestore."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip('mercurial')

from mercurial import error, revlog, transaction
from mercurial import ui as uimod
from mercurial import vfs as vfsmod
from mercurial.testing import storage as storagetesting

from hgext3rd.sqlitestore.formats import schema
from hgext3rd.sqlitestore.reading.store import Store
from hgext3rd.sqlitestore.revlogs import filelog, sqliterevlog


@pytest.fixture(autouse=True)
def storage(
    tmp_path: pathlib.Path, request: pytest.FixtureRequest
) -> Iterator[None]:
    """Give each test a store in a directory of its own."""
    vfs = vfsmod.vfs(os.fsencode(tmp_path))
    store = Store(vfs.join(schema.FILENAME), 'zstd', b'off', lambda: 1 << 20)
    store.db.create()
    if request.instance is not None:
        request.instance.storage = (uimod.ui(), vfs, store, [])
    yield
    store.db.close()


def make_file(self: Any) -> Any:
    """Return a new, empty file."""
    _ui, vfs, store, opened = self.storage
    path = b'filelog-%d' % len(opened)
    opened.append(path)
    return filelog.SQLiteFilelog(store, vfs, path, writable=True)


def make_directory(self: Any) -> Any:
    """Return a new, empty directory of manifests, within a filelog.

    Mercurial has no such tests for manifests. The object inside both is the
    same.
    """
    _ui, vfs, store, opened = self.storage
    path = b'directory-%d/' % len(opened)
    opened.append(path)
    log = filelog.SQLiteFilelog(store, vfs, path, writable=True)
    log._revlog = sqliterevlog.SQLiteRevlog(
        store, vfs, path, writable=True, kind=schema.DIRECTORY
    )
    return log


def make_transaction(self: Any) -> Any:
    """Return a new transaction of Mercurial."""
    ui, vfs, _store, _opened = self.storage
    vfsmap = {b'plain': vfs, b'store': vfs}
    return transaction.transaction(ui.warn, vfs, vfsmap, b'journal', b'undo')


def add_raw_revision(
    self: Any,
    fl: Any,
    tr: Any,
    node: bytes,
    p1: bytes,
    p2: bytes,
    linkrev: int,
    rawtext: bytes | None = None,
    delta: Any = None,
    censored: bool = False,
    ellipsis: bool = False,
    extstored: bool = False,
) -> None:
    """Add a revision to ``fl`` whose data need not match its node."""
    flags = 0
    if censored:
        flags |= revlog.REVIDX_ISCENSORED
    if ellipsis:
        flags |= revlog.REVIDX_ELLIPSIS
    if extstored:
        flags |= revlog.REVIDX_EXTSTORED
    if rawtext is None and delta is None:
        raise error.Abort(b'must supply rawtext or delta arguments')
    fl._revlog.addrawrevision(
        rawtext, tr, linkrev, p1, p2, node, flags, cachedelta=delta
    )
    # The data may be wrong on purpose. A cached text would hide that.
    fl._revlog.clearcaches()


TestIndex = storagetesting.makeifileindextests(
    make_file, make_transaction, add_raw_revision
)
TestData = storagetesting.makeifiledatatests(
    make_file, make_transaction, add_raw_revision
)
TestMutation = storagetesting.makeifilemutationtests(
    make_file, make_transaction, add_raw_revision
)
TestDirectoryIndex = storagetesting.makeifileindextests(
    make_directory, make_transaction, add_raw_revision
)
TestDirectoryData = storagetesting.makeifiledatatests(
    make_directory, make_transaction, add_raw_revision
)
TestDirectoryMutation = storagetesting.makeifilemutationtests(
    make_directory, make_transaction, add_raw_revision
)
