# SPDX-License-Identifier: GPL-2.0-or-later
"""Clones of limited depth that become ordinary repositories."""

from __future__ import annotations

import os
import pathlib
import random
from typing import Any

import pytest
from helpers import wireprotov2_conversation as conversation
from helpers.packs import STORAGES
from helpers.wireprotov2_conversation import URL, check, open_repo, run
from mercurial import commands, hg, localrepo, scmutil

from hgext3rd.wireprotov2 import compat
from hgext3rd.wireprotov2.requirements import SHALLOW
from hgext3rd.wireprotov2.shallow import absence, completion, demand

TOTAL = 8

BACKENDS = pytest.mark.parametrize('sqlite', [False, True])


def texts(number: int) -> dict[str, bytes]:
    """Return the files of a changeset: small, large, and one that grows."""
    rng = random.Random(number)
    return {
        'small': b'%d\n' % number,
        'large': rng.randbytes(300_000),
        'grows': b''.join(b'line %d\n' % i for i in range(number + 1)),
    }


class Network:
    """A server with a history, and a clone of depth 2 of it."""

    def __init__(
        self,
        folder: pathlib.Path,
        monkeypatch: pytest.MonkeyPatch,
        sqlite: bool,
    ) -> None:
        path = folder / 'server'
        repo = localrepo.instance(
            conversation.make_ui(), os.fsencode(path), True
        )
        (path / '.hg' / 'hgrc').write_text('[extensions]\nwireprotov2 =\n')
        for number in range(TOTAL):
            for name, text in texts(number).items():
                (path / name).write_bytes(text)
            commands.commit(
                repo.ui, repo, addremove=True, message=b'm', date=b'0 0'
            )
        conversation.connect(monkeypatch, path)
        settings = {b'wireprotov2.on-demand': b'no'}
        if sqlite:
            settings |= STORAGES['sqlite']
        self.ui = conversation.make_ui(settings)
        self.path = folder / 'clone'
        compat.clone_module().clone(
            self.ui,
            {},
            URL,
            dest=os.fsencode(self.path),
            pull=True,
            update=False,
            depth=b'2',
        )

    @property
    def repo(self) -> Any:
        return open_repo(self.ui, self.path)

    def deepen(self, depth: bytes = b'100') -> None:
        run(b'pull', self.repo, depth=depth)


def on_disk(repo: Any) -> set[bytes]:
    """Return the requirements that another process reads."""
    found: set[bytes] = scmutil.readrequires(repo.vfs, True)
    return found | scmutil.readrequires(repo.svfs, True)


def assert_complete(repo: Any) -> None:
    """Check that ``repo`` is an ordinary repository with all data."""
    assert SHALLOW not in on_disk(repo)
    assert not absence.is_shallow(repo)
    assert not repo.svfs.exists(b'shallow')
    assert check(repo) == TOTAL
    for number in range(TOTAL):
        for name, text in texts(number).items():
            ctx = repo[number][name.encode()]
            assert ctx.data() == text
            assert ctx.filelog()._revlog.flags(ctx.filerev()) == 0


def assert_shallow(repo: Any, present: int) -> None:
    """Check that the last ``present`` changesets have their data."""
    assert SHALLOW in on_disk(repo)
    assert check(repo) == TOTAL
    for number in range(TOTAL):
        for name, text in texts(number).items():
            ctx = repo[number][name.encode()]
            if number >= TOTAL - present:
                assert ctx.data() == text
            else:
                with pytest.raises(demand.MissingFileData):
                    ctx.data()


@BACKENDS
def test_clone_becomes_complete(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, sqlite: bool
) -> None:
    net = Network(tmp_path, monkeypatch, sqlite)
    assert_shallow(net.repo, 2)
    net.deepen(b'4')
    assert_shallow(net.repo, 4)
    net.deepen()
    assert_complete(net.repo)
    # It can be changed and copied like any repository.
    repo = net.repo
    commands.update(repo.ui, repo)
    (net.path / 'small').write_text('more')
    commands.commit(repo.ui, repo, message=b'more', date=b'0 0')
    hg.clone(
        net.ui, {}, os.fsencode(net.path), dest=os.fsencode(tmp_path / 'copy')
    )
    copy = open_repo(net.ui, tmp_path / 'copy')
    assert check(copy) == TOTAL + 1
    assert SHALLOW not in on_disk(copy)


@BACKENDS
def test_clone_that_is_complete_from_the_beginning(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, sqlite: bool
) -> None:
    net = Network(tmp_path, monkeypatch, sqlite)
    other = tmp_path / 'other'
    compat.clone_module().clone(
        net.ui,
        {},
        URL,
        dest=os.fsencode(other),
        pull=True,
        update=False,
        depth=b'%d' % TOTAL,
    )
    assert_complete(open_repo(net.ui, other))


@BACKENDS
def test_readers_of_the_old_files(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, sqlite: bool
) -> None:
    """Other processes have read the indexes before, and read texts after."""
    net = Network(tmp_path, monkeypatch, sqlite)
    reader = net.repo
    files = {name: reader.file(name.encode()) for name in texts(0)}
    assert all(len(file) == TOTAL for file in files.values())
    net.deepen()
    for number in range(TOTAL):
        for name, text in texts(number).items():
            node = reader[number].filenode(name.encode())
            assert files[name].read(node) == text
    # Files that the same process opens now.
    for number in range(TOTAL):
        for name, text in texts(number).items():
            assert reader[number][name.encode()].data() == text


@BACKENDS
@pytest.mark.parametrize('moment', ['fill', 'requirement', 'remove'])
def test_completion_that_fails(
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    sqlite: bool,
    moment: str,
) -> None:
    """At every step, the repository is valid, and the next pull goes on."""
    net = Network(tmp_path, monkeypatch, sqlite)
    places = {
        'fill': (completion, '_fill'),
        'requirement': (scmutil, 'writereporequirements'),
        'remove': (completion, '_touch_changelog'),
    }
    module, name = places[moment]
    real = getattr(module, name)
    calls = []

    def fail(*args: Any, **kwargs: Any) -> None:
        calls.append(args)
        if moment == 'fill' and len(calls) < 3:
            real(*args, **kwargs)
            return
        raise OSError(28, 'No space left on device')

    with monkeypatch.context() as patch:
        patch.setattr(module, name, fail)
        with pytest.raises(OSError, match='No space left'):
            net.deepen()
    assert calls
    repo = net.repo
    assert not repo.svfs.exists(b'journal')
    assert check(repo) == TOTAL
    for number in range(TOTAL):
        for path, text in texts(number).items():
            assert repo[number][path.encode()].data() == text
    assert (SHALLOW in on_disk(repo)) == (moment != 'remove')
    if moment != 'remove':
        net.deepen(b'1')
        assert_complete(net.repo)


@BACKENDS
def test_completion_that_is_killed(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, sqlite: bool
) -> None:
    net = Network(tmp_path, monkeypatch, sqlite)
    real = completion._fill
    calls = []

    def die(*args: Any) -> None:
        calls.append(args)
        real(*args)
        if len(calls) == 2:
            os._exit(9)

    child = os.fork()
    if not child:
        try:
            monkeypatch.setattr(completion, '_fill', die)
            net.deepen()
        finally:
            os._exit(1)
    _pid, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 9
    repo = net.repo
    assert repo.svfs.exists(b'journal')
    with repo.lock():
        repo.recover()
    repo = net.repo
    assert SHALLOW in on_disk(repo)
    assert check(repo) == TOTAL
    for number in range(TOTAL):
        for name, text in texts(number).items():
            assert repo[number][name.encode()].data() == text
    net.deepen(b'1')
    assert_complete(net.repo)


@BACKENDS
def test_damaged_data_that_arrived_later(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, sqlite: bool
) -> None:
    net = Network(tmp_path, monkeypatch, sqlite)
    monkeypatch.setattr(completion, 'complete', lambda repo: False)
    net.deepen()
    monkeypatch.undo()
    late = net.path / '.hg' / 'store' / 'shallow' / 'texts.d'
    late.write_bytes(late.read_bytes()[:-1])
    repo = net.repo
    with repo.lock():
        assert not completion.complete(repo)
    assert SHALLOW in on_disk(net.repo)


@BACKENDS
def test_shares(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, sqlite: bool
) -> None:
    """The store has one requirement for all working copies."""
    net = Network(tmp_path, monkeypatch, sqlite)
    share = tmp_path / 'share'
    hg.share(net.ui, os.fsencode(net.path), os.fsencode(share), update=False)
    assert absence.is_shallow(open_repo(net.ui, share))
    run(b'pull', open_repo(net.ui, share), URL, depth=b'100')
    assert_complete(open_repo(net.ui, share))
    assert_complete(net.repo)


@BACKENDS
def test_shares_with_requirements_of_their_own(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, sqlite: bool
) -> None:
    net = Network(tmp_path, monkeypatch, sqlite)
    # As created with format.use-share-safe=no.
    store = net.path / '.hg' / 'store' / 'requires'
    own = net.path / '.hg' / 'requires'
    lines = {*own.read_text().split(), *store.read_text().split()}
    own.write_text('\n'.join(sorted(lines - {'share-safe'})) + '\n')
    store.unlink()
    share = tmp_path / 'share'
    hg.share(net.ui, os.fsencode(net.path), os.fsencode(share), update=False)
    net.deepen()
    assert_complete(net.repo)
    # The share keeps the requirement that it has copied. It reads everything.
    repo = open_repo(net.ui, share)
    assert check(repo) == TOTAL
    for number in range(TOTAL):
        for name, text in texts(number).items():
            assert repo[number][name.encode()].data() == text
    # Its next pull removes the requirement.
    run(b'pull', repo, URL, depth=b'100')
    assert SHALLOW not in on_disk(open_repo(net.ui, share))
