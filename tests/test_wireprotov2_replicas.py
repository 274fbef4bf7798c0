# SPDX-License-Identifier: GPL-2.0-or-later
"""What the primary remembers of a replica, and when it tries again."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest
from helpers import packs
from helpers import wireprotov2_conversation as conversation

from hgext3rd.wireprotov2.replicas import state
from hgext3rd.wireprotov2.replicas.state import ReplicaState

URL = b'http://user:secret@replica/'


@pytest.fixture(scope='module')
def path(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    path = tmp_path_factory.mktemp('replicas') / 'repo'
    packs.make_history(path, 2, 5)
    return path


@pytest.fixture
def repo(path: pathlib.Path) -> Any:
    return conversation.open_repo(conversation.make_ui(), path)


def test_stored(repo: Any, path: pathlib.Path) -> None:
    """A state is read as it was stored, without the password of the URL."""
    heads = list(repo.filtered(b'served').heads())
    found = state.load(repo, b'eu', URL).confirmed(5, heads, 'x')
    with state.locked(repo, b'eu', b'turn', wait=True):
        state.save(repo, b'eu', found)
    assert state.load(repo, b'eu', URL) == found
    assert found.has_confirmed('x')
    assert not found.has_confirmed('y')
    assert state.missing(repo, found) == []
    text = (path / '.hg' / 'replicas' / 'eu.json').read_text()
    assert 'secret' not in text


def test_another_machine(repo: Any) -> None:
    """A state belongs to a URL."""
    before = state.load(repo, b'us', URL).confirmed(5, [], 'x')
    with state.locked(repo, b'us', b'turn', wait=True):
        state.save(repo, b'us', before)
    assert state.load(repo, b'us', b'http://other/').offered == ''


@pytest.mark.parametrize(
    'text',
    [
        '',
        '[]',
        '{}',
        '{"version": 1, "heads": 5, "url": "http://user:***@replica/"}',
        '{"version": 99, "heads": [], "url": "http://user:***@replica/"}',
        '{"version": 1, "heads": ["z"], "url": "http://user:***@replica/"}',
        '{"version": 1, "heads": [], "url": 5}',
        '{"version": 1, "heads": [], "url": "http://user:***@replica/",'
        ' "attempt": 1e999}',
        '{"version": 1, "heads": [], "url": "http://user:***@replica/",'
        ' "failures": "2"}',
        '{"version": 1, "heads": [], "url": "http://user:***@replica/",'
        ' "surplus": 1}',
        '\x00\xff',
    ],
)
def test_damaged(repo: Any, path: pathlib.Path, text: str) -> None:
    """A damaged state counts as none."""
    folder = path / '.hg' / 'replicas'
    folder.mkdir(exist_ok=True)
    (folder / 'eu.json').write_text(text, encoding='latin-1')
    found = state.load(repo, b'eu', URL)
    assert found == ReplicaState('http://user:***@replica/')
    assert len(state.missing(repo, found)) == 5


def test_delays() -> None:
    found = ReplicaState('x')
    delays = []
    for _ in range(12):
        found = found.failed(1, 100, None, b'reason')
        delays.append(found.next - 100)
    assert delays == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
    assert found.behind == 1


def test_one_holds_a_lock(repo: Any) -> None:
    with state.locked(repo, b'eu', b'next', wait=False) as first:
        assert first
        with state.locked(repo, b'eu', b'next', wait=False) as second:
            assert not second
        with state.locked(repo, b'eu', b'turn', wait=False) as other:
            assert other
    with state.locked(repo, b'eu', b'next', wait=False) as again:
        assert again
