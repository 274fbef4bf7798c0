# SPDX-License-Identifier: GPL-2.0-or-later
"""The state of a pull is in its session, and gone when the session ends."""

from __future__ import annotations

import os
import pathlib
import shutil
from typing import Any

import pytest
from helpers import wireprotov2_conversation as conversation
from helpers.wireprotov2_conversation import URL
from mercurial import hg, localrepo

from hgext3rd.wireprotov2.pull import resume
from hgext3rd.wireprotov2.pull.session import PullSession


@pytest.fixture
def repo(tmp_path: pathlib.Path) -> Any:
    """An empty repository."""
    ui = conversation.make_ui()
    return localrepo.instance(ui, os.fsencode(tmp_path / 'repo'), True)


@pytest.fixture
def remote(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An HTTP peer whose server has version 2."""
    path = tmp_path / 'server'
    localrepo.instance(conversation.make_ui(), os.fsencode(path), True)
    (path / '.hg' / 'hgrc').write_text('[extensions]\nwireprotov2 =\n')
    conversation.connect(monkeypatch, path)
    return hg.peer(conversation.make_ui(), {}, URL)


def test_session_is_found_by_its_peer_while_it_runs(
    repo: Any, remote: Any
) -> None:
    assert PullSession.of(remote) is None
    with PullSession(repo, remote) as session:
        assert session.endpoint is remote.endpoint
        assert PullSession.of(remote) is session
        assert PullSession.of(object()) is None
        with PullSession(repo, remote) as inner:
            assert PullSession.of(remote) is inner
        assert PullSession.of(remote) is session
    assert PullSession.of(remote) is None


def test_nothing_is_left_after_a_failure(repo: Any, remote: Any) -> None:
    """The repository has its class again, and the peer has no new attribute."""
    kind = type(repo.unfiltered())
    attributes = set(vars(remote))
    with pytest.raises(OSError), PullSession(repo, remote) as session:
        assert type(repo.unfiltered()) is not kind
        session.heads = [b'\1' * 20]
        with session.transaction():
            assert PullSession.any_parents_checked()
            raise OSError
    assert PullSession.of(remote) is None
    assert not PullSession.any_parents_checked()
    assert type(repo.unfiltered()) is kind
    assert set(vars(remote)) == attributes


def test_session_without_version_2_changes_no_repository(repo: Any) -> None:
    kind = type(repo.unfiltered())
    with PullSession(repo, object()) as session:
        assert session.endpoint is None
        assert type(repo.unfiltered()) is kind


@pytest.mark.parametrize('folder', ['', '.hg'])
@pytest.mark.parametrize('kept', [True, False])
def test_only_marked_repositories_are_kept(
    repo: Any, folder: str, kept: bool
) -> None:
    """The destination of a clone, or the ``.hg`` in it, is spared if marked."""
    if kept:
        resume.Resumption(repo).begin()
    path = os.path.join(repo.root, os.fsencode(folder))
    resume.remove_unless_kept(shutil.rmtree, path, True)
    assert os.path.exists(path) is kept
