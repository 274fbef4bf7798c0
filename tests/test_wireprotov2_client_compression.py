# SPDX-License-Identifier: GPL-2.0-or-later
"""Packs, which are compressed with zstd, between repositories that are not."""

from __future__ import annotations

import os
import pathlib
from typing import Any

import pytest
from helpers import wireprotov2_conversation as conversation
from helpers.wireprotov2_conversation import URL, Outcome
from mercurial import commands, localrepo, phases

from hgext3rd.wireprotov2.segments import cut

CHANGESETS = 12

#: Settings of repositories by name.
STORAGES = {
    'revlog-zstd': {b'format.revlog-compression': b'zstd'},
    'revlog-zlib': {b'format.revlog-compression': b'zlib'},
    'revlog-none': {b'format.revlog-compression': b'none'},
    **{
        f'sqlite-{name}': {
            b'extensions.sqlitestore': b'',
            b'storage.new-repo-backend': b'sqlite',
            b'storage.sqlite.compression': name.encode(),
        }
        for name in ('zstd', 'zlib', 'none')
    },
}


def add(repo: Any, path: pathlib.Path, number: int) -> None:
    with path.joinpath('file').open('a') as stream:
        stream.write(f'this is line {number} of a file\n' * 20)
    path.joinpath(f'other{number % 3}').write_text(f'number {number}\n' * 9)
    commands.commit(
        repo.ui, repo, addremove=True, message=b'%d' % number, date=b'0 0'
    )
    with repo.lock(), repo.transaction(b'publish') as tr:
        phases.advanceboundary(repo, tr, phases.public, repo.heads())


@pytest.mark.parametrize(
    ('server', 'client'),
    [
        ('revlog-zlib', 'revlog-zlib'),
        ('revlog-zlib', 'revlog-none'),
        ('revlog-none', 'sqlite-zlib'),
        ('revlog-none', 'sqlite-none'),
        ('sqlite-zlib', 'revlog-zlib'),
        ('sqlite-zlib', 'sqlite-zstd'),
        ('sqlite-none', 'revlog-none'),
        ('sqlite-none', 'sqlite-zlib'),
    ],
)
def test_clone_and_pull(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: pathlib.Path,
    server: str,
    client: str,
) -> None:
    path = tmp_path / 'server'
    ui = conversation.make_ui(STORAGES[server])
    repo = localrepo.instance(ui, os.fsencode(path), True)
    for number in range(CHANGESETS):
        add(repo, path, number)
    path.joinpath('.hg', 'hgrc').write_text(
        '[extensions]\nwireprotov2 =\nsqlitestore =\n'
        '[wireprotov2]\ncacher = memory\n'
    )
    monkeypatch.setattr(cut, 'LEAST_CHANGESETS', 4)
    wire = conversation.connect(monkeypatch, path)
    outcome = Outcome(URL, tmp_path / 'client', STORAGES[client])
    assert outcome.error is None, outcome.output
    assert any('segmentdata' in request for request in wire.requests)
    assert outcome.check() == CHANGESETS
    for number in range(CHANGESETS, CHANGESETS + 5):
        add(repo, path, number)
    conversation.connect(monkeypatch, path)
    pulled = conversation.pull(outcome.ui, outcome.dest)
    assert conversation.check(pulled) == CHANGESETS + 5
    tip = pulled[b'tip']
    assert tip[b'file'].data() == path.joinpath('file').read_bytes()
    # What is written there later is compressed as the repository says.
    commands.update(pulled.ui, pulled, b'tip')
    add(pulled, outcome.dest, 99)
    assert conversation.check(pulled) == CHANGESETS + 6
    assert pulled[b'tip'][b'file'].data().endswith(b'line 99 of a file\n')
