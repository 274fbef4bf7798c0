# SPDX-License-Identifier: GPL-2.0-or-later
"""Clones and pulls that the network or a signal interrupts, at many places.

``AMALGAM_CUTS`` is the number of places that each test tries; "all" tries every
byte. By default, the tests try as many as a test run has time for.
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

from hgext3rd.wireprotov2.pull.fetch import SegmentSource
from hgext3rd.wireprotov2.segments import cut

SEGMENTS = 4
PER_SEGMENT = 4
DRAFTS = 2
TOTAL = SEGMENTS * PER_SEGMENT + DRAFTS
MARKER = os.path.join('.hg', 'wireprotov2-unfinished')


def places(total: int, default: int) -> Iterator[int]:
    """Yield ``default`` places to try, or as many as the environment says."""
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
    """A repository with several segments of public history and two drafts."""
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
    monkeypatch.setattr(cut, 'LEAST_CHANGESETS', PER_SEGMENT)
    return conversation.connect(monkeypatch, history)


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bytes, ...]]:
    """The heads of each segment that was fetched."""
    heads: list[tuple[bytes, ...]] = []
    orig = SegmentSource.fetch

    def fetch(self: Any, segment: Any) -> Any:
        heads.append(segment.heads)
        return orig(self, segment)

    monkeypatch.setattr(SegmentSource, 'fetch', fetch)
    return heads


def test_interrupted_clones_continue(
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
        assert count and count % PER_SEGMENT == 0, limit
        assert b'kept %d changesets' % count in outcome.output
        have = set(nodes(outcome.repo))
        wire.restart()
        fetched.clear()
        repo = conversation.pull(outcome.ui, dest)
        assert nodes(repo) == expected, limit
        assert len(fetched) == SEGMENTS - count // PER_SEGMENT, limit
        assert not any(have.issuperset(heads) for heads in fetched)
        assert not (dest / MARKER).exists()
        shutil.rmtree(dest)
    assert kept == {PER_SEGMENT * (i + 1) for i in range(SEGMENTS)}


def test_interrupted_pulls_change_nothing(
    wire: Wire, tmp_path: pathlib.Path
) -> None:
    """A pull without segments brings all changesets or none."""
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
    """Sends a signal to this process when it opens the ``place``-th file."""

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
    """Run ``function`` in a child process and return its wait status."""
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
def test_clones_continue_after_signals(
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
            # The signal came before the first request or after the last
            # response. A process that was killed while it created the
            # repository leaves less.
            if (dest / '.hg' / 'store' / 'requires').exists():
                assert check(conversation.open_repo(ui, dest)) in (0, TOTAL)
            continue
        count = check(conversation.open_repo(ui, dest))
        kept.add(count)
        fetched.clear()
        repo = conversation.pull(ui, dest)
        assert nodes(repo) == expected, place
        # Segments that were applied are not fetched again.
        assert len(fetched) == max(0, SEGMENTS - count // PER_SEGMENT), place
        assert not (dest / MARKER).exists()
        shutil.rmtree(dest)
    assert len(kept) >= SEGMENTS
