# SPDX-License-Identifier: GPL-2.0-or-later
"""Lazy clones in revlogs that get their content from several packs."""

from __future__ import annotations

import os
import pathlib
import random
from typing import Any

import pytest
from helpers import wireprotov2_conversation as conversation
from helpers.wireprotov2_conversation import URL, check, open_repo, run
from mercurial import commands, context, localrepo

from hgext3rd.wireprotov2 import compat
from hgext3rd.wireprotov2.pull import delivery, fillsegments
from hgext3rd.wireprotov2.segments import cut, spans
from hgext3rd.wireprotov2.shallow import absence

CHANGESETS = 12


def contents(number: int) -> dict[str, bytes]:
    """Return the files of a changeset.

    They stay in their index, leave it soon, and leave it in the middle.
    """
    rng = random.Random(number)
    return {
        'small': b'%d\n' % number,
        'large': rng.randbytes(300_000),
        'grows': b'%d\n' % number + random.Random(0).randbytes(20_000 * number),
        'other': rng.randbytes(30_000),
    }


class Network:
    """A server of several segments, and a lazy clone of it."""

    def __init__(
        self, folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(cut, 'LEAST_BYTES', 1)
        monkeypatch.setattr(cut, 'LEAST_CHANGESETS', 3)
        monkeypatch.setattr(spans, 'MOST_BYTES', 1)
        monkeypatch.setattr(fillsegments, 'LEAST_REVISIONS', 1)
        path = folder / 'server'
        repo = localrepo.instance(
            conversation.make_ui(), os.fsencode(path), True
        )
        (path / '.hg' / 'hgrc').write_text('[extensions]\nwireprotov2 =\n')
        for number in range(CHANGESETS):
            for name, text in contents(number).items():
                (path / name).write_bytes(text)
            commands.commit(
                repo.ui, repo, addremove=True, message=b'm', date=b'0 0'
            )
        conversation.connect(monkeypatch, path)
        self.ui = conversation.make_ui({b'paths.default': URL})
        self.path = folder / 'clone'
        self.full = folder / 'full'
        self._clone(self.path, depth=b'lazy')
        self._clone(self.full)

    def _clone(self, path: pathlib.Path, **opts: Any) -> None:
        compat.clone_module().clone(
            self.ui,
            {},
            URL,
            dest=os.fsencode(path),
            pull=True,
            update=False,
            **opts,
        )

    @property
    def repo(self) -> Any:
        return open_repo(self.ui, self.path)

    def complete(self) -> None:
        run(b'admin::fetch-files', self.repo)

    def files(self, path: pathlib.Path) -> dict[str, bytes]:
        store = path / '.hg' / 'store' / 'data'
        return {
            str(file.relative_to(store)): file.read_bytes()
            for file in store.rglob('*.[di]')
        }

    def assert_complete(self) -> None:
        repo = self.repo
        assert not absence.is_shallow(repo)
        assert not repo.vfs.exists(b'wireprotov2-parts')
        check(repo)
        for number in range(CHANGESETS):
            for name, text in contents(number).items():
                assert repo[number][name.encode()].data() == text


@pytest.fixture
def net(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Network:
    return Network(tmp_path, monkeypatch)


@pytest.fixture(params=[False, True], ids=['apart', 'together'])
def together(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> bool:
    """Whether segments are applied in one transaction if they have arrived."""
    monkeypatch.setattr(
        delivery, 'LEAST_TOGETHER', 0 if request.param else 1 << 40
    )
    found: bool = request.param
    return found


def test_files_become_those_of_a_full_clone(
    net: Network, together: bool
) -> None:
    net.complete()
    net.assert_complete()
    assert net.files(net.path) == net.files(net.full)
    names = set(net.files(net.path))
    assert names >= {'small.i', 'large.d', 'grows.d'}
    assert 'small.d' not in names
    listed = (net.path / '.hg' / 'store' / 'fncache').read_bytes().split()
    assert set(listed) == {b'data/%s' % name.encode() for name in names}


@pytest.mark.parametrize('turn', range(1, 5))
def test_an_interruption(
    net: Network, together: bool, turn: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify = fillsegments._verify
    before = net.files(net.path)
    calls = 0

    def interrupted(*args: Any) -> None:
        nonlocal calls
        calls += 1
        verify(*args)
        if calls == turn:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(fillsegments, '_verify', interrupted)
        try:
            net.complete()
        except KeyboardInterrupt:
            # What was rolled back left nothing behind.
            check(net.repo)
            assert absence.is_shallow(net.repo)
            if turn == 1:
                assert net.files(net.path) == before
        else:
            assert calls < turn
    if absence.is_shallow(net.repo):
        net.complete()
    net.assert_complete()
    assert net.files(net.path) == net.files(net.full)


@pytest.mark.parametrize('name', [b'small', b'large', b'grows'])
def test_data_that_is_there_stays(net: Network, name: bytes) -> None:
    text = random.Random(b'mine').randbytes(200_000)

    def file(repo: Any, ctx: Any, path: bytes) -> Any:
        return context.memfilectx(repo, ctx, path, text)

    repo = net.repo
    with repo.wlock(), repo.lock():
        node = context.memctx(
            repo,
            (repo[CHANGESETS - 1].node(), repo.nullid),
            b'mine',
            [name],
            file,
        ).commit()
    net.complete()
    net.assert_complete()
    assert net.repo[node][name].data() == text


def test_revlogs_whose_deltas_have_no_base_of_their_own(
    net: Network, tmp_path: pathlib.Path
) -> None:
    """They are filled by Mercurial, since packs choose the bases of deltas."""
    net.ui.setconfig(b'format', b'usegeneraldelta', b'no')
    net.ui.setconfig(b'format', b'sparse-revlog', b'no')
    path = tmp_path / 'old'
    net._clone(path)
    repo = open_repo(net.ui, path)
    assert b'generaldelta' not in repo.requirements
    check(repo)
    for number in range(CHANGESETS):
        for name, text in contents(number).items():
            assert repo[number][name.encode()].data() == text
