# SPDX-License-Identifier: GPL-2.0-or-later
"""Clones and pulls that the network or a signal interrupts, at many places.

``AMALGAM_CUTS`` is the number of places that each test tries; "all" tries every
byte. By default, the tests try as many as a test run has time for.
"""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from helpers import wireprotov2_conversation as conversation
from helpers.packs import STORAGES
from helpers.sqlitestore_crashes import Steps
from helpers.wireprotov2_conversation import (
    ERRORS,
    URL,
    Outcome,
    Wire,
    check,
    nodes,
    recover_without_extension,
    run_apart,
)
from mercurial import commands, localrepo, phases

from hgext3rd.wireprotov2.pull import catchup
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


@pytest.mark.parametrize('storage', STORAGES)
def test_interrupted_clones_continue(
    wire: Wire,
    tmp_path: pathlib.Path,
    fetched: list[tuple[bytes, ...]],
    storage: str,
) -> None:
    def clone(dest: pathlib.Path) -> Outcome:
        return Outcome(URL, dest, STORAGES[storage], connections=b'1')

    first = clone(tmp_path / 'whole')
    assert first.error is None
    total = wire.sent
    assert first.check() == TOTAL
    expected = nodes(first.repo)
    kept = set()
    for limit in places(total, 125):
        dest = tmp_path / f'd{limit}'
        wire.restart()
        wire.limit = limit
        wire.reset = bool(limit % 2)
        outcome = clone(dest)
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


@pytest.mark.parametrize('storage', STORAGES)
@pytest.mark.parametrize('in_segments', [False, True])
def test_interrupted_pulls(
    wire: Wire,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    in_segments: bool,
    storage: str,
) -> None:
    """A pull brings all changesets or none; in segments, it keeps whole ones."""
    if not in_segments:
        monkeypatch.setattr(catchup, 'suitable', lambda *args: False)
    base = tmp_path / 'base'
    ui = conversation.make_ui(STORAGES[storage])
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
    lengths = set()
    for limit in places(total, 50):
        wire.restart()
        wire.limit = limit
        wire.reset = bool(limit % 2)
        dest = tmp_path / f'd{limit}'
        assert pull(dest) is not None, limit
        repo = conversation.open_repo(ui, dest)
        found = nodes(repo)
        assert found == expected[: len(found)], limit
        assert in_segments or len(found) == 6, limit
        lengths.add(len(found))
        assert not repo.svfs.exists(b'journal')
        if limit % 5 == 0:
            check(repo)
            wire.restart()
            conversation.run(b'pull', repo, URL)
            assert nodes(conversation.open_repo(ui, dest)) == expected, limit
        shutil.rmtree(dest)
    assert len(lengths) > 1 or not in_segments
    ui.popbuffer()


class Watch(Steps):
    """Notes before each step which files tell how far the clone ``dest`` is."""

    def __init__(self, dest: pathlib.Path) -> None:
        super().__init__(None, 0)
        self._files = (dest / '.hg' / 'hgrc', dest / MARKER)
        self.seen: list[list[int]] = []

    def step(self) -> None:
        super().step()
        self.seen.append(
            [f.stat().st_size if f.exists() else -1 for f in self._files]
        )


@pytest.mark.parametrize('storage', STORAGES)
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGKILL])
def test_clones_continue_after_signals(
    wire: Wire,
    tmp_path: pathlib.Path,
    fetched: list[tuple[bytes, ...]],
    number: int,
    storage: str,
) -> None:
    """Whatever a kill leaves is valid, or is repaired; ``hg pull`` continues.

    A signal comes before steps that change files or the database.
    """

    def clone(dest: pathlib.Path) -> Outcome:
        return Outcome(URL, dest, STORAGES[storage], connections=b'1')

    expected = nodes(clone(tmp_path / 'whole').repo)
    watch = Watch(tmp_path / 'watched')
    report = tmp_path / 'report'

    def watched() -> None:
        clone(tmp_path / 'watched')
        report.write_text(json.dumps(watch.seen))

    run_apart(watch, watched)
    seen = json.loads(report.read_text())
    # Before this step, the repository is being created.
    first = next(n for n, sizes in enumerate(seen) if max(sizes) >= 0)
    # All steps after which the mark or the default path has changed.
    changes = {n for n in range(1, len(seen)) if seen[n - 1] != seen[n]}
    kept = set()
    for place in sorted({*places(len(seen), 14), *changes}):
        dest = tmp_path / f'd{place}'
        run_apart(Steps(place, number), lambda: clone(dest))  # noqa: B023
        ui = conversation.make_ui(STORAGES[storage])
        if place < first:
            # "hg init" would leave the same.
            assert not (dest / MARKER).exists()
            continue
        if not dest.exists():
            # A clone that has no segment is removed when it fails. So is one
            # that is interrupted when it is complete and has no mark any more.
            assert number == signal.SIGINT
            continue
        if not (dest / '.hg' / 'hgrc').exists():
            # The pull has ended; "hg clone" is about to write its hgrc.
            assert check(conversation.open_repo(ui, dest)) == TOTAL, place
            assert not (dest / MARKER).exists(), place
            continue
        shutil.copytree(dest, tmp_path / 'copy', symlinks=True)
        count = recover_without_extension(ui, tmp_path / 'copy')
        shutil.rmtree(tmp_path / 'copy')
        assert check(conversation.open_repo(ui, dest)) == count, place
        assert count == TOTAL or count % PER_SEGMENT == 0, place
        kept.add(count)
        fetched.clear()
        repo = conversation.pull(ui, dest)
        assert nodes(repo) == expected, place
        # Segments that were applied are not fetched again.
        assert len(fetched) == max(0, SEGMENTS - count // PER_SEGMENT), place
        assert not (dest / MARKER).exists()
        shutil.rmtree(dest)
    assert len(kept) >= SEGMENTS
