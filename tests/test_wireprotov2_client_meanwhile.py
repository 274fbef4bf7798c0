# SPDX-License-Identifier: GPL-2.0-or-later
"""Clones from servers whose history changes between two requests.

After each request of a clone in turn, changesets are added, stripped, hidden
from the client or replaced by others, or the whole repository is removed. A
clone may succeed or fail, but its repository is valid and its changesets belong
to one of the histories.
"""

from __future__ import annotations

import os
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import pytest
from helpers import wireprotov2_conversation as conversation
from helpers.wireprotov2_conversation import URL, Outcome, check, nodes, pull
from mercurial import commands, localrepo, phases, repair
from mercurial import ui as uimod

from hgext3rd.wireprotov2.segments import cut

PER_SEGMENT = 4
TOTAL = 14
# More requests than a clone makes.
MOST_REQUESTS = 30


def open_server(path: pathlib.Path) -> Any:
    ui = uimod.ui.load()
    ui.setconfig(b'ui', b'username', b'test')
    ui.setconfig(b'ui', b'quiet', b'yes')
    return localrepo.instance(ui, os.fsencode(path), False).unfiltered()


def add(path: pathlib.Path, count: int = 3, text: str = 'more') -> None:
    repo = open_server(path)
    for number in range(count):
        (path / 'f').write_text(f'{text} {number}')
        commands.commit(
            repo.ui, repo, addremove=True, message=b'%d' % number, date=b'0 0'
        )


def strip(path: pathlib.Path, first: int = TOTAL // 2) -> None:
    repo = open_server(path)
    with repo.wlock(), repo.lock():
        commands.update(repo.ui, repo, rev=b'%d' % (first - 1), clean=True)
        repair.strip(repo.ui, repo, [repo[first].node()], backup=False)


def replace(path: pathlib.Path) -> None:
    strip(path, 2)
    add(path, TOTAL, 'other')


def hide(path: pathlib.Path) -> None:
    repo = open_server(path)
    with repo.lock(), repo.transaction(b'secret') as tr:
        phases.retractboundary(repo, tr, phases.secret, [repo[5].node()])


def remove(path: pathlib.Path) -> None:
    shutil.rmtree(path / '.hg')


@pytest.fixture(scope='module')
def template(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    path = tmp_path_factory.mktemp('meanwhile') / 'repo'
    localrepo.instance(conversation.make_ui(), os.fsencode(path), True)
    (path / '.hg' / 'hgrc').write_text('[extensions]\nwireprotov2 =\n')
    add(path, TOTAL, 'text')
    return path


def served(path: pathlib.Path) -> list[bytes]:
    changelog = open_server(path).filtered(b'served').changelog
    return [changelog.node(rev) for rev in changelog]


def clone(
    change: Callable[[pathlib.Path], None],
    place: int,
    server: pathlib.Path,
    wire: conversation.Wire,
    dest: pathlib.Path,
) -> bool:
    """Change a server after request number ``place`` of a clone.

    Return False if the clone made fewer requests.
    """

    def edit(_request: str, body: bytes) -> bytes:
        if len(wire.requests) == place:
            change(server)
        return body

    wire.live = True
    wire.edit = edit
    before = served(server)
    outcome = Outcome(URL, dest, connections=b'1')
    if len(wire.requests) < place:
        return False
    after = before if change is remove else served(server)
    if not dest.exists():
        assert outcome.error is not None
        return True
    outcome.check()
    found = set(nodes(outcome.repo))
    assert found <= {*before, *after}
    if outcome.error is None:
        # What was fetched before the change is kept.
        assert found >= set(before) or found >= set(after)
    if change is add:
        wire.restart()
        pull(outcome.ui, dest)
        check(outcome.repo)
        assert nodes(outcome.repo) == after
    return True


@pytest.mark.parametrize('change', [add, strip, replace, hide, remove])
@pytest.mark.parametrize('segments', [True, False])
def test_history_changes_during_a_clone(
    change: Callable[[pathlib.Path], None],
    segments: bool,
    template: pathlib.Path,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if segments:
        monkeypatch.setattr(cut, 'LEAST_CHANGESETS', PER_SEGMENT)
    for place in range(1, MOST_REQUESTS):
        server = tmp_path / f'server{place}'
        shutil.copytree(template, server)
        with monkeypatch.context() as patch:
            wire = conversation.connect(patch, server)
            dest = tmp_path / f'clone{place}'
            if not clone(change, place, server, wire, dest):
                break
    else:
        pytest.fail('no clone made all its requests')
    # Otherwise the test would have tried nothing.
    assert place > 3
