# SPDX-License-Identifier: GPL-2.0-or-later
"""Repositories that several users of one group serve."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator

import pytest
from mercurial import hg, ui, util

from hgext3rd.lfsserver.stores import configured, database
from hgext3rd.lfsserver.stores.local import LocalStore


@contextlib.contextmanager
def umask(value: int) -> Iterator[None]:
    before, known = os.umask(value), util.umask
    util.umask = value
    try:
        yield
    finally:
        os.umask(before)
        util.umask = known


@pytest.mark.parametrize('shared', [True, False])
def test_modes(shared: bool, tmp_path: pathlib.Path) -> None:
    """Everything that a server creates has the mode of the repository."""
    with umask(0o022):
        root = tmp_path / 'repo'
        subprocess.check_call(
            [pathlib.Path(sys.executable).with_name('hg'), 'init', root]
        )
        if shared:
            for path in [*root.rglob('*'), root]:
                if path.is_dir():
                    path.chmod(0o2775)
        before = set(root.rglob('*'))
        repo = hg.repository(ui.ui.load(), os.fsencode(root))
        configuration = [('store', b'local'), ('signed-links', False)]
        for name, value in configuration:
            repo.ui.setconfig(b'lfsserver', name.encode(), value)
        configured.lock_store(repo).create('a', None, 'alice', 1.0)
        oid = hashlib.sha256(b'x').hexdigest()
        configured.promise_store(repo).renew([oid], 1.0)
        roles = configured.blob_store(repo)
        assert isinstance(roles.blobs, LocalStore)
        roles.blobs.put(oid, [b'x'], 1)
        roles.blobs._verdicts.flush()
        begun = hashlib.sha256(b'begun').hexdigest()
        assert roles.partials is not None
        roles.partials.append(begun, 5, 0, [b'be'])
        made = sorted(set(root.rglob('*')) - before)
        names = {path.name for path in made}
        assert {
            'locks.sqlite',
            'promised.sqlite',
            'lfs-verified.sqlite',
            oid[2:],
        } <= names
        assert any(name.startswith('.upload-part-') for name in names)
        assert any(name.endswith('-wal') for name in names)
        for path in made:
            if path.is_dir():
                expected = 0o2775 if shared else 0o755
            else:
                expected = 0o664 if shared else 0o644
            assert path.stat().st_mode & 0o7777 == expected, path
        for path in made:
            if path.suffix == '.sqlite':
                database.forget(str(path))
