# SPDX-License-Identifier: GPL-2.0-or-later
"""Clones and pulls cut off at every kind of place, by the network or a signal.

``AMALGAM_CUTS`` says how many places each test tries, "all" tries every byte;
the default is what a test run has time for.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from helpers import wireprotov2_conversation as conversation
from helpers.wireprotov2_conversation import (
    ERRORS,
    URL,
    Outcome,
    Wire,
    check,
    nodes,
)
from mercurial import commands, localrepo, phases, vfs

from hgext3rd.wireprotov2.pull import fetch as pull_pieces
from hgext3rd.wireprotov2.segments import cut

PIECES = 4
PER_PIECE = 4
DRAFTS = 2
TOTAL = PIECES * PER_PIECE + DRAFTS
MARKER = os.path.join('.hg', 'wireprotov2-unfinished')


def places(total: int, default: int) -> Iterator[int]:
    """Yield the places to try, from 0 to ``total``."""
    asked = os.environ.get('AMALGAM_CUTS', '')
    count = total if asked == 'all' else int(asked or default)
    seen = -1
    for number in range(count):
        place = number * total // count
        if place != seen:
            yield place
        seen = place


@pytest.fixture(scope='module')
def history(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A repository of several public pieces and two drafts."""
    path = tmp_path_factory.mktemp('cuts') / 'repo'
    ui = conversation.make_ui()
    repo = localrepo.instance(ui, os.fsencode(path), True)
    (path / '.hg' / 'hgrc').write_text(
        '[extensions]\nwireprotov2 =\n[phases]\npublish = no\n'
    )
    for number in range(TOTAL):
        with open(path / f'f{number % 5}', 'a') as stream:
            stream.writelines(f'{i * number}\n' for i in range(60))
        if number % 7 == 6:
            (path / 'f1').unlink()
        commands.commit(
            repo.ui,
            repo,
            addremove=True,
            message=b'c%d' % number,
            date=b'%d 0' % number,
        )
    with repo.lock(), repo.transaction(b'publish') as tr:
        public = [repo[TOTAL - DRAFTS - 1].node()]
        phases.advanceboundary(repo, tr, phases.public, public)
    return path


@pytest.fixture
def wire(history: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Wire:
    monkeypatch.setattr(cut, 'LEAST_CHANGESETS', PER_PIECE)
    return conversation.connect(monkeypatch, history)


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bytes, ...]]:
    """The pieces asked for so far, by their heads."""
    heads: list[tuple[bytes, ...]] = []
    orig = pull_pieces.Source.fetch

    def fetch(self: Any, piece: Any) -> Any:
        heads.append(piece.heads)
        return orig(self, piece)

    monkeypatch.setattr(pull_pieces.Source, 'fetch', fetch)
    return heads


def test_clones(
    wire: Wire, tmp_path: pathlib.Path, fetched: list[tuple[bytes, ...]]
) -> None:
    first = Outcome(URL, tmp_path / 'whole', connections=b'1')
    assert first.error is None
    total = wire.sent
    assert first.check() == TOTAL
    expected = nodes(first.repo)
    kept = set()
    for limit in places(total, 250):
        dest = tmp_path / f'd{limit}'
        wire.restart()
        wire.limit = limit
        wire.reset = bool(limit % 2)
        outcome = Outcome(URL, dest, connections=b'1')
        assert outcome.error is not None, limit
        if not dest.exists():
            continue
        count = outcome.check()
        kept.add(count)
        assert count and count % PER_PIECE == 0, limit
        assert b'kept %d changesets' % count in outcome.output
        have = set(nodes(outcome.repo))
        wire.restart()
        fetched.clear()
        repo = conversation.pull(outcome.ui, dest)
        assert nodes(repo) == expected, limit
        assert len(fetched) == PIECES - count // PER_PIECE, limit
        assert not any(have.issuperset(heads) for heads in fetched)
        assert not (dest / MARKER).exists()
        shutil.rmtree(dest)
    assert kept == {PER_PIECE * (i + 1) for i in range(PIECES)}


def test_pulls(wire: Wire, tmp_path: pathlib.Path) -> None:
    """Changesets that come by the data commands: all of them or none."""
    base = tmp_path / 'base'
    ui = conversation.make_ui()
    repo = localrepo.instance(ui, os.fsencode(base), True)
    conversation.run(b'pull', repo, URL, rev=[b'5'])
    assert len(repo) == 6
    wire.restart()

    def pull(dest: pathlib.Path) -> BaseException | None:
        shutil.copytree(base, dest)
        repo = conversation.open_repo(ui, dest)
        try:
            conversation.run(b'pull', repo, URL)
        except ERRORS as exc:
            return exc
        return None

    ui.pushbuffer(error=True)
    assert pull(tmp_path / 'whole') is None
    expected = nodes(conversation.open_repo(ui, tmp_path / 'whole'))
    total = wire.sent
    for limit in places(total, 100):
        wire.restart()
        wire.limit = limit
        wire.reset = bool(limit % 2)
        dest = tmp_path / f'd{limit}'
        assert pull(dest) is not None, limit
        repo = conversation.open_repo(ui, dest)
        assert nodes(repo) == expected[:6], limit
        assert not repo.svfs.exists(b'journal')
        if limit % 5 == 0:
            check(repo)
        shutil.rmtree(dest)
    ui.popbuffer()


class Fuse:
    """Sends this process a signal when it opens its ``place``th file."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.place: int | None = None
        self.signal = 0
        orig = vfs.vfs.__call__

        def call(vfs: Any, *args: Any, **kwargs: Any) -> Any:
            self.count += 1
            if self.count == self.place:
                os.kill(os.getpid(), self.signal)
            return orig(vfs, *args, **kwargs)

        monkeypatch.setattr(vfs.vfs, '__call__', call)


def run_apart(function: Callable[[], object]) -> int:
    """Run ``function`` in another process; return its status."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return os.waitpid(pid, 0)[1]
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        function()
    except BaseException:
        os._exit(1)
    os._exit(0)


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGKILL])
def test_signals(
    wire: Wire,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    fetched: list[tuple[bytes, ...]],
    number: int,
) -> None:
    fuse = Fuse(monkeypatch)
    fuse.signal = number
    first = Outcome(URL, tmp_path / 'whole', connections=b'1')
    total = fuse.count
    expected = nodes(first.repo)
    kept = set()
    for place in places(total, 40):
        dest = tmp_path / f'd{place}'
        fuse.count = 0
        fuse.place = place + 1
        run_apart(lambda: Outcome(URL, dest, connections=b'1'))  # noqa: B023
        fuse.place = None
        ui = conversation.make_ui()
        if not (dest / '.hg' / 'hgrc').exists():
            # before the first request or after the last response
            if (dest / '.hg' / 'store').exists():
                assert check(conversation.open_repo(ui, dest)) in (0, TOTAL)
            continue
        count = check(conversation.open_repo(ui, dest))
        kept.add(count)
        fetched.clear()
        repo = conversation.pull(ui, dest)
        assert nodes(repo) == expected, place
        # none that was there already
        assert len(fetched) == max(0, PIECES - count // PER_PIECE), place
        assert not (dest / MARKER).exists()
        shutil.rmtree(dest)
    assert len(kept) >= PIECES
