# SPDX-License-Identifier: GPL-2.0-or-later
"""Lazy clones: what is kept of the data that arrives, and what is refused."""

from __future__ import annotations

import errno
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
from helpers import wireprotov2_conversation as conversation
from helpers.packs import STORAGES
from helpers.wireprotov2_conversation import URL, check, open_repo, run
from mercurial import context, localrepo
from mercurial import vfs as vfsmod
from mercurial.node import nullid
from mercurial.utils import urlutil

from hgext3rd.sqlitestore.repacking import automatic
from hgext3rd.wireprotov2 import compat
from hgext3rd.wireprotov2.proto.errors import CBORError
from hgext3rd.wireprotov2.pull import (
    arriving,
    fillsegments,
    records,
    textrequests,
)
from hgext3rd.wireprotov2.segments import stored
from hgext3rd.wireprotov2.shallow import absence, demand, texts

BACKENDS = pytest.mark.parametrize('sqlite', [False, True])

NODE = b'\1' * 20
OTHER = b'\2' * 20

#: How many changesets and files the server has.
CHANGESETS = 6
PATHS = [b'%d' % number for number in range(8)]


# -- the texts that arrived later


def late_texts(path: pathlib.Path) -> texts.LateTexts:
    return texts.LateTexts(vfsmod.vfs(os.fsencode(path)))


def test_texts_are_kept(tmp_path: pathlib.Path) -> None:
    kept = late_texts(tmp_path)
    assert NODE not in kept
    assert kept.read(NODE) is None
    kept.add(NODE, b'text')
    assert kept.read(NODE) == b'text'
    assert NODE not in late_texts(tmp_path)
    kept.flush()
    assert kept.read(NODE) == b'text'
    assert late_texts(tmp_path).read(NODE) == b'text'


def test_two_processes_keep_texts(tmp_path: pathlib.Path) -> None:
    one, two = late_texts(tmp_path), late_texts(tmp_path)
    one.add(NODE, b'text')
    two.add(NODE, b'text')
    two.add(OTHER, b'')
    one.flush()
    two.flush()
    assert one.read(OTHER) == b''
    assert two.read(NODE) == b'text'
    # It is there once.
    size = (tmp_path / 'shallow' / 'texts.i').stat().st_size
    assert size == 2 * 32


@pytest.mark.parametrize('cut', [1, 12, 31])
def test_an_entry_that_was_cut_short(tmp_path: pathlib.Path, cut: int) -> None:
    kept = late_texts(tmp_path)
    kept.add(NODE, b'text')
    kept.flush()
    path = tmp_path / 'shallow' / 'texts.i'
    os.truncate(path, cut)
    again = late_texts(tmp_path)
    assert again.read(NODE) is None
    again.add(OTHER, b'other')
    again.flush()
    again.add(NODE, b'text')
    again.flush()
    assert late_texts(tmp_path).read(OTHER) == b'other'
    assert late_texts(tmp_path).read(NODE) == b'text'


@pytest.mark.parametrize('size', [0, 1, 10])
def test_data_that_was_cut_short(tmp_path: pathlib.Path, size: int) -> None:
    kept = late_texts(tmp_path)
    kept.add(NODE, b'text' * 100)
    kept.flush()
    os.truncate(tmp_path / 'shallow' / 'texts.d', size)
    again = late_texts(tmp_path)
    assert again.read(NODE) is None
    again.add(NODE, b'text' * 100)
    again.flush()
    assert late_texts(tmp_path).read(NODE) == b'text' * 100


def test_a_hard_link_is_not_written_to(tmp_path: pathlib.Path) -> None:
    kept = late_texts(tmp_path)
    kept.add(NODE, b'text')
    kept.flush()
    linked = tmp_path / 'linked' / 'shallow'
    linked.mkdir(parents=True)
    for name in ('texts.i', 'texts.d'):
        os.link(tmp_path / 'shallow' / name, linked / name)
    copy = late_texts(tmp_path / 'linked')
    copy.add(OTHER, b'other')
    copy.flush()
    assert copy.read(NODE) == b'text'
    assert OTHER not in late_texts(tmp_path)


def test_texts_stay_in_memory_where_nothing_can_be_written(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = late_texts(tmp_path)

    def refuse(path: bytes = b'') -> None:
        raise OSError(errno.EROFS, 'read-only file system')

    monkeypatch.setattr(kept._vfs, 'makedirs', refuse)
    kept.add(NODE, b'text')
    kept.flush()
    kept.add(OTHER, b'other')
    kept.flush()
    assert kept.read(NODE) == b'text'
    assert kept.read(OTHER) == b'other'
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_an_error(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = late_texts(tmp_path)

    def refuse(path: bytes = b'') -> None:
        raise OSError(errno.ENOSPC, 'no space left on device')

    monkeypatch.setattr(kept._vfs, 'makedirs', refuse)
    kept.add(NODE, b'text')
    with pytest.raises(OSError, match='no space'):
        kept.flush()


# -- clones


class Network:
    """A server and a lazy clone of it."""

    def __init__(
        self,
        tmp_path: pathlib.Path,
        monkeypatch: pytest.MonkeyPatch,
        sqlite: bool,
    ) -> None:
        path = tmp_path / 'server'
        self.server = localrepo.instance(
            conversation.make_ui(), os.fsencode(path), True
        )
        (path / '.hg' / 'hgrc').write_text('[extensions]\nwireprotov2 =\n')
        parent = nullid
        for number in range(CHANGESETS):
            parent = self.commit(parent, number)
        self.wire = conversation.connect(monkeypatch, path)
        self.wire.live = True
        settings = {b'paths.default': URL}
        if sqlite:
            settings |= STORAGES['sqlite']
        self.ui = conversation.make_ui(settings)
        self.path = tmp_path / 'clone'
        compat.clone_module().clone(
            self.ui,
            {},
            URL,
            dest=os.fsencode(self.path),
            pull=True,
            update=False,
            depth=b'lazy',
        )
        self.wire.requests.clear()

    def commit(self, parent: bytes, number: int) -> bytes:
        def file(repo: Any, ctx: Any, path: bytes) -> Any:
            text = b'%s in %d\n' % (path, number)
            return context.memfilectx(repo, ctx, path, text)

        with self.server.wlock(), self.server.lock():
            node: bytes = context.memctx(
                self.server, (parent, nullid), b'text', PATHS, file
            ).commit()
        return node

    @property
    def repo(self) -> Any:
        return open_repo(self.ui, self.path)

    def missing(self) -> int:
        repo = self.repo
        count = 0
        for path in PATHS:
            inner = absence.of_file(repo, path)
            count += sum(
                absence.is_missing(repo, inner, inner.node(rev))
                for rev in range(len(inner))
            )
        return count


@pytest.fixture(params=[False, True], ids=['revlog', 'sqlite'])
def net(
    request: pytest.FixtureRequest,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Network:
    return Network(tmp_path, monkeypatch, request.param)


def test_everything_is_missing_and_can_be_read(net: Network) -> None:
    total = CHANGESETS * len(PATHS)
    assert check(net.repo) == CHANGESETS
    assert net.missing() == total
    repo = net.repo
    for rev in repo:
        for path in PATHS:
            assert repo[rev][path].data() == b'%s in %d\n' % (path, rev)
    assert net.missing() == 0


def test_each_read_of_a_file_fetches_more_ancestors(net: Network) -> None:
    repo = net.repo
    for rev in reversed(range(CHANGESETS)):
        assert repo[rev][b'0'].data()
    sent = [name for name in net.wire.requests if '/filedata' in name]
    assert len(sent) < CHANGESETS - 1


def test_completion(net: Network) -> None:
    repo = net.repo
    run(b'admin::fetch-files', repo, rev=[b'2'])
    assert net.missing() == (CHANGESETS - 1) * len(PATHS)
    run(b'admin::fetch-files', net.repo, b'path:0', b'path:1')
    assert net.missing() == (CHANGESETS - 1) * (len(PATHS) - 2)
    run(b'admin::fetch-files', net.repo)
    repo = net.repo
    assert not absence.is_shallow(repo)
    assert not repo.svfs.exists(b'shallow')
    assert check(repo) == CHANGESETS
    assert repo[3][b'4'].data() == b'4 in 3\n'


def test_completion_continues_after_an_interruption(
    net: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hgext3rd.wireprotov2.pull import fetchfiles

    monkeypatch.setattr(fetchfiles, 'BATCH_FILES', 3)
    by_node = textrequests.by_node
    calls = 0

    def interrupted(*args: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        by_node(*args)

    monkeypatch.setattr(textrequests, 'by_node', interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(b'admin::fetch-files', net.repo)
    assert net.missing() == CHANGESETS * (len(PATHS) - 3)
    run(b'admin::fetch-files', net.repo)
    assert check(net.repo) == CHANGESETS
    assert not absence.is_shallow(net.repo)


# -- completion with segments


@pytest.fixture
def filling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let segments be worth their requests in a short history."""
    monkeypatch.setattr(fillsegments, 'LEAST_REVISIONS', 1)


@pytest.fixture(params=[False, True], ids=['revlog', 'sqlite'])
def filled(
    request: pytest.FixtureRequest,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    filling: None,
) -> Network:
    return Network(tmp_path, monkeypatch, request.param)


def complete(net: Network) -> list[str]:
    """Complete the clone; return the names of commands that were requested."""
    net.wire.requests.clear()
    run(b'admin::fetch-files', net.repo)
    repo = net.repo
    assert not absence.is_shallow(repo)
    assert not repo.vfs.exists(b'wireprotov2-parts')
    for rev in range(CHANGESETS):
        for path in PATHS:
            assert repo[rev][path].data() == b'%s in %d\n' % (path, rev)
    check(repo)
    return [name.rpartition('/')[2].rstrip('?') for name in net.wire.requests]


def test_clones_are_completed_with_segments(filled: Network) -> None:
    assert 'segmentdata' in complete(filled)


def test_what_is_there_stays_with_segments(filled: Network) -> None:
    """A local commit may be stored as a delta of a revision without data."""
    net = filled
    repo = net.repo
    assert repo[2][b'0'].data()

    def file(repo: Any, ctx: Any, path: bytes) -> Any:
        return context.memfilectx(repo, ctx, path, b'0 in 5\nand more\n')

    with repo.wlock(), repo.lock():
        node = context.memctx(
            repo, (repo[CHANGESETS - 1].node(), nullid), b'mine', [b'0'], file
        ).commit()
    assert 'segmentdata' in complete(net)
    assert net.repo[node][b'0'].data() == b'0 in 5\nand more\n'


def test_revisions_that_were_pulled_are_completed(filled: Network) -> None:
    """They are rows of their own."""
    net = filled
    tip = net.server[CHANGESETS - 1].node()
    for number in range(CHANGESETS, CHANGESETS + 3):
        tip = net.commit(tip, number)
        run(b'pull', net.repo)
    assert len(net.repo) == CHANGESETS + 3
    assert 'segmentdata' in complete(net)
    for path in PATHS:
        assert net.repo[tip][path].data() == b'%s in %d\n' % (
            path,
            CHANGESETS + 2,
        )


def test_a_segment_with_other_texts_is_not_used(
    filled: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = filled
    revisions = stored.revisions

    def lies(storage: Any, *args: Any) -> Iterator[Any]:
        for revision in revisions(storage, *args):
            yield revision._replace(
                delta=bytes(revision.delta).replace(b' in ', b' IN ')
            )

    monkeypatch.setattr(stored, 'revisions', lies)
    requested = complete(net)
    assert 'segmentdata' in requested
    # The texts themselves were requested.
    assert requested[-1] == 'multirequest'


def test_few_missing_revisions_need_no_segments(filled: Network) -> None:
    net = filled
    run(b'admin::fetch-files', net.repo, *(b'path:%s' % p for p in PATHS[:4]))
    assert 'segmentdata' not in complete(net)


def test_a_segment_is_applied_as_a_whole_or_not(
    filled: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = filled
    total = net.missing()

    def interrupted(*args: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(fillsegments, '_verify', interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(b'admin::fetch-files', net.repo)
    assert net.missing() == total
    assert 'segmentdata' in complete(net)


# -- databases


def test_texts_that_come_by_themselves_are_packed(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = Network(tmp_path, monkeypatch, sqlite=True)

    def frames() -> int:
        row = net.repo.sqlitestore.db.row('SELECT count(*) FROM frame')
        count: int = row[0]
        return count

    before = frames()
    run(b'admin::fetch-files', net.repo, b'path:0', b'path:1')
    assert net.missing() == CHANGESETS * (len(PATHS) - 2)
    # One for each file, not for each revision.
    assert frames() == before + 2
    monkeypatch.setattr(automatic, 'MIN_FRAMES', 1)
    repo = net.repo
    run(b'admin::fetch-files', repo)
    # A repack was suggested.
    assert repo.unfiltered()._repack_considered
    assert frames() == before + len(PATHS)
    run(b'admin::sqlite-repack', net.repo)
    assert frames() < before + len(PATHS)
    assert check(net.repo) == CHANGESETS


# -- servers that lie


def record(
    node: bytes, text: bytes, base: bytes = nullid
) -> records.RevisionRecord:
    delta = records.whole(text)
    return records.RevisionRecord(node, nullid, nullid, None, base, delta, 0)


def test_only_known_revisions_are_taken(net: Network) -> None:
    repo = net.repo
    node = repo[0].filenode(b'0')
    arrival = arriving.Arrival(repo, {})
    right = record(node, b'0 in 0\n')
    with pytest.raises(CBORError, match='not asked for'):
        arrival.take(b'0', iter([right, right]))
    with pytest.raises(CBORError, match='not asked for'):
        arrival.take(b'0', iter([record(OTHER, b'')]))
    with pytest.raises(CBORError, match='not asked for'):
        arrival.take(b'unknown', iter([right]))
    assert arrival.count == 1


def test_other_data_is_not_kept(net: Network) -> None:
    repo = net.repo
    node = repo[0].filenode(b'0')
    refusals: arriving.Refusals = {}
    arrival = arriving.Arrival(repo, refusals)
    arrival.take(b'0', iter([record(node, b'other')]))
    assert b'other data' in refusals[b'0', node]
    tombstone = b'\1\ncensored: by the owner\n\1\n'
    arrival.take(b'0', iter([record(node, tombstone)]))
    assert b'censored' in refusals[b'0', node]
    assert arrival.count == 0
    assert net.missing() == CHANGESETS * len(PATHS)


def test_damaged_deltas_are_refused(net: Network) -> None:
    repo = net.repo
    first, second = (repo[rev].filenode(b'0') for rev in (0, 1))
    bad = record(second, b'', first)._replace(delta=b'x' * 13)
    with pytest.raises(CBORError, match='damaged'):
        arriving.Arrival(repo, {}).take(
            b'0', iter([record(first, b'0 in 0\n'), bad])
        )


@pytest.mark.parametrize('request_name', ['by_changeset', 'by_node'])
def test_a_server_that_sends_nothing(
    net: Network, monkeypatch: pytest.MonkeyPatch, request_name: str
) -> None:
    for name in ('by_changeset', 'by_node'):
        monkeypatch.setattr(textrequests, name, lambda *args: None)
    repo = net.repo
    paths = PATHS if request_name == 'by_changeset' else PATHS[:1]
    wanted = {0: {path: [repo[0].filenode(path)] for path in paths}}
    with pytest.raises(demand.MissingFileData) as caught:
        demand.provide(repo, wanted)
    message = bytes(caught.value.message)
    assert b'0 of changeset' in message
    assert URL.rstrip(b'/') in message
    assert b'did not send it' in message


def test_the_second_path_is_asked_for_what_the_first_refuses(
    net: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = net.repo
    first = net.path.with_name('unrelated')
    localrepo.instance(net.ui, os.fsencode(first), True)
    [path] = repo.ui.paths[b'default']
    other = path.copy()
    other.rawloc = other.loc = os.fsencode(first)
    other.url = urlutil.url(other.loc)
    monkeypatch.setitem(repo.ui.paths, b'default', [other, path])
    wanted = {0: {path: [repo[0].filenode(path)] for path in PATHS}}
    demand.provide(repo, wanted)
    assert net.missing() == (CHANGESETS - 1) * len(PATHS)
