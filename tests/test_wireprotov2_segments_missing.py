# SPDX-License-Identifier: GPL-2.0-or-later
"""How many changesets of each segment a client lacks."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest
from helpers import packs
from helpers import wireprotov2_conversation as conversation
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mercurial import changelog

from hgext3rd.wireprotov2.access import requester
from hgext3rd.wireprotov2.segments import cut
from hgext3rd.wireprotov2.segments.history import History

TOTAL = 40


@pytest.fixture(scope='module')
def path(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A repository whose history has branches and merges."""
    path = tmp_path_factory.mktemp('missing') / 'repo'
    packs.make_history(path, 2, TOTAL)
    return path


@pytest.fixture
def history(monkeypatch: pytest.MonkeyPatch, path: pathlib.Path) -> History:
    monkeypatch.setattr(cut, 'LEAST_CHANGESETS', 3)
    repo = conversation.open_repo(conversation.make_ui(), path)
    return History(requester.served(repo))


@settings(
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(known=st.sets(st.integers(0, TOTAL - 1)))
def test_what_is_missing(
    history: History, path: pathlib.Path, known: set[int]
) -> None:
    repo = conversation.open_repo(conversation.make_ui(), path)
    log = repo.changelog
    has = {*known, *log.ancestors(known)}
    nodes = [log.node(rev) for rev in known]
    segments = history.segments().segments()
    assert len(segments) > 10
    # Nodes that the server does not have make no difference.
    assert history.missing([*nodes, b'\x42' * 20]) == [
        len(set(segment.revs()) - has) for segment in segments
    ]


def test_a_small_pull_does_not_walk_all_of_history(
    history: History, path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = conversation.open_repo(conversation.make_ui(), path)
    log = repo.changelog
    (last,) = log.parentrevs(TOTAL - 1)[:1]
    known = [log.node(head) for head in [*log.headrevs(), last]]
    known.remove(log.tip())
    assert len(history.segments().segments()) > 10
    walked: list[int] = []
    original = changelog.changelog.parentrevs

    def parentrevs(self: Any, rev: int) -> Any:
        walked.append(rev)
        return original(self, rev)

    monkeypatch.setattr(changelog.changelog, 'parentrevs', parentrevs)
    assert sum(history.missing(known)) == 1
    assert walked
    assert len(walked) < 5
