# SPDX-License-Identifier: GPL-2.0-or-later
"""Clones by spans, and what must not be in packs."""

from __future__ import annotations

import io
import os
import pathlib
import shutil
import signal
import threading
from typing import Any

import pytest
from helpers import packs
from helpers import wireprotov2_conversation as conversation
from helpers.packs import STORAGES
from helpers.sqlitestore_crashes import Steps
from helpers.wireprotov2_conversation import (
    URL,
    Outcome,
    Wire,
    check,
    nodes,
    recover_without_extension,
    run_apart,
)
from mercurial import context, localrepo, obsolete, phases

from hgext3rd.amalgam.packs import decoder
from hgext3rd.amalgam.packs.contents import Changesets, Names, PackedFrame
from hgext3rd.wireprotov2 import censoring
from hgext3rd.wireprotov2.access import requester
from hgext3rd.wireprotov2.pull import resume
from hgext3rd.wireprotov2.pull.fetch import SegmentSource
from hgext3rd.wireprotov2.segments import cut
from hgext3rd.wireprotov2.segments.history import History

PER_SEGMENT = 2
#: Segments: spans of 8 and 3.
SEGMENTS = 11
TOTAL = SEGMENTS * PER_SEGMENT
SPANS = [8 * PER_SEGMENT, 3 * PER_SEGMENT]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cut, 'LEAST_CHANGESETS', PER_SEGMENT)


def served(
    path: pathlib.Path, settings: dict[bytes, bytes] | None = None
) -> Any:
    return conversation.open_repo(conversation.make_ui(settings), path)


def warm(
    path: pathlib.Path, settings: dict[bytes, bytes] | None = None
) -> None:
    """Configure a cache for a server, and fill it."""
    with open(path / '.hg' / 'hgrc', 'a') as stream:
        stream.write(
            '[wireprotov2]\ncacher = directory\n'
            f'cacher.directory.path = {path}-cache\n'
        )
    repo = served(path, settings)
    conversation.run(b'admin::wire-warm', repo)


@pytest.fixture
def history(tmp_path: pathlib.Path) -> pathlib.Path:
    """A server whose history is in two spans."""
    path = tmp_path / 'server'
    packs.make_history(path, 5, TOTAL)
    warm(path)
    return path


@pytest.fixture
def wire(history: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Wire:
    return conversation.connect(monkeypatch, history)


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of changesets of each segment or span that was fetched."""
    found: list[int] = []
    orig = SegmentSource.fetch

    def fetch(self: Any, segment: Any) -> Any:
        found.append(segment.changesets)
        return orig(self, segment)

    monkeypatch.setattr(SegmentSource, 'fetch', fetch)
    return found


@pytest.mark.parametrize('storage', STORAGES)
def test_clone_takes_spans(
    wire: Wire,
    history: pathlib.Path,
    tmp_path: pathlib.Path,
    fetched: list[int],
    storage: str,
) -> None:
    """Hooks run once for each transaction, with its changesets."""
    log = tmp_path / 'log'
    hook = f'echo $HG_NODE $HG_NODE_LAST $HG_BUNDLE2 >> {log}'.encode()
    settings = {b'hooks.changegroup': hook, b'hooks.pretxnchangegroup': hook}
    outcome = Outcome(URL, tmp_path / 'd', {**STORAGES[storage], **settings})
    assert outcome.error is None
    assert fetched == SPANS
    assert outcome.check() == TOTAL
    found = nodes(outcome.repo)
    assert found == nodes(served(history))
    lines = log.read_text().splitlines()
    # Small segments have a transaction each.
    ends = [0, SPANS[0], TOTAL]
    expected = [
        f'{found[start].hex()} {found[stop - 1].hex()} 1'
        for start, stop in zip(ends, ends[1:], strict=False)
    ]
    # Those of ``changegroup`` run when the clone releases its lock.
    assert sorted(lines) == sorted(2 * expected)


@pytest.mark.parametrize('storage', STORAGES)
@pytest.mark.parametrize(
    'have, expected',
    [
        # Nothing of a span is there, less than a third of it, and more.
        (0, SPANS),
        (4, SPANS),
        (8, [2] * 4 + [6]),
        (16, [6]),
        (18, [6]),
        (20, [2]),
    ],
)
def test_pull_of_a_part_of_a_span(
    wire: Wire,
    history: pathlib.Path,
    tmp_path: pathlib.Path,
    fetched: list[int],
    have: int,
    expected: list[int],
    storage: str,
) -> None:
    """What is there already is not stored again."""
    ui = conversation.make_ui(STORAGES[storage])
    dest = tmp_path / 'd'
    repo = localrepo.instance(ui, os.fsencode(dest), True)
    if have:
        rev = [b'%d' % rev for rev in range(have)]
        conversation.run(b'pull', repo, os.fsencode(history), rev=rev)
    assert len(repo) == have
    (dest / '.hg' / 'hgrc').write_bytes(b'[paths]\ndefault = %s\n' % URL)
    resume.Resumption(repo).begin()
    repo = conversation.pull(ui, dest)
    assert sorted(fetched) == sorted(expected)
    assert check(repo) == TOTAL
    assert sorted(nodes(repo)) == sorted(nodes(served(history)))
    flog = repo.file(b'log')
    assert len({flog.node(rev) for rev in flog}) == len(flog)


@pytest.mark.parametrize('storage', STORAGES)
def test_hooks_read_what_packs_brought(
    wire: Wire, history: pathlib.Path, tmp_path: pathlib.Path, storage: str
) -> None:
    """Also if an earlier hook has read manifests and files before."""
    read: list[dict[bytes, dict[bytes, bytes]]] = []

    def hook(ui: Any, repo: Any, **kwargs: Any) -> None:
        read.append(
            {
                repo[rev].node(): {
                    path: repo[rev][path].data() for path in repo[rev]
                }
                for rev in repo
            }
        )

    settings: dict[bytes, Any] = {
        **STORAGES[storage],
        b'hooks.pretxnchangegroup': hook,
        b'hooks.pretxnclose': hook,
    }
    outcome = Outcome(URL, tmp_path / 'd', settings)
    assert outcome.error is None, outcome.output
    lengths = sorted({len(found) for found in read})
    assert lengths == [SPANS[0], TOTAL]
    server = served(history)
    for found in read:
        for node, files in found.items():
            assert files == {
                path: server[node][path].data() for path in server[node]
            }


@pytest.mark.parametrize('storage', STORAGES)
def test_segments_are_applied_in_order(
    history: pathlib.Path,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    storage: str,
) -> None:
    """The first segments arrive last."""
    shutil.rmtree(f'{history}-cache')
    conversation.connect(monkeypatch, history)
    arrived: list[Any] = []
    changed = threading.Condition()
    orig = SegmentSource.fetch
    expected = nodes(served(history))

    def fetch(self: Any, segment: Any) -> Any:
        found = orig(self, segment)
        first = expected.index(segment.heads[0]) < 2 * PER_SEGMENT
        with changed:
            # Four threads: the other two go on until they are too far ahead.
            if first:
                assert changed.wait_for(lambda: len(arrived) >= 3, 60)
            else:
                arrived.append(segment)
                changed.notify_all()
        return found

    monkeypatch.setattr(SegmentSource, 'fetch', fetch)
    outcome = Outcome(URL, tmp_path / 'd', STORAGES[storage], connections=b'4')
    assert outcome.error is None
    assert outcome.check() == TOTAL
    assert nodes(outcome.repo) == expected


@pytest.mark.parametrize('storage', STORAGES)
@pytest.mark.parametrize(
    'number, connections',
    [(signal.SIGINT, b'1'), (signal.SIGKILL, b'1'), (signal.SIGKILL, b'4')],
)
def test_clones_by_spans_continue_after_signals(
    wire: Wire,
    tmp_path: pathlib.Path,
    number: int,
    connections: bytes,
    storage: str,
) -> None:
    """A signal comes before steps that change files or the database."""

    def clone(dest: pathlib.Path) -> Outcome:
        return Outcome(URL, dest, STORAGES[storage], connections=connections)

    expected = nodes(clone(tmp_path / 'whole').repo)
    report = tmp_path / 'report'
    counted = Steps(None, 0)

    def count() -> None:
        clone(tmp_path / 'counted')
        report.write_text(str(counted.count))

    run_apart(counted, count)
    total = int(report.read_text())
    kept = set()
    for place in range(total // 20, total, total // 14):
        dest = tmp_path / f'd{place}'
        run_apart(Steps(place, number), lambda: clone(dest))  # noqa: B023
        ui = conversation.make_ui(STORAGES[storage])
        if not (dest / '.hg' / 'hgrc').exists():
            # The repository was being created, or the clone has ended.
            continue
        shutil.copytree(dest, tmp_path / 'copy', symlinks=True)
        alone = recover_without_extension(ui, tmp_path / 'copy')
        shutil.rmtree(tmp_path / 'copy')
        assert check(conversation.open_repo(ui, dest)) == alone, place
        assert alone in (0, SPANS[0], TOTAL), place
        kept.add(alone)
        repo = conversation.pull(ui, dest)
        assert nodes(repo) == expected, place
        shutil.rmtree(dest)
    # With several connections, both spans may arrive at the same time.
    assert SPANS[0] in kept or connections != b'1'


# -- what must not be in packs


def contents(path: pathlib.Path, settings: dict[bytes, bytes]) -> bytes:
    """Return everything that is in the packs of a server, decompressed."""
    history = History(requester.served(served(path, settings)))
    segments = [
        *history.segments().segments(),
        *(span for _start, span in history.joined()),
    ]
    parts = []
    for segment in segments:
        with history.payload(segment, 3).stream as stream:
            data = stream.read()
        parts.append(data)
        for event in decoder.Decoder(io.BytesIO(data)).events():
            if isinstance(event, Changesets):
                parts += event.texts
            elif isinstance(event, Names):
                parts += event.names
            elif isinstance(event, PackedFrame):
                parts += event.entries()
    assert parts
    return b'\n'.join(parts)


def append(
    repo: Any,
    path: bytes,
    text: bytes,
    parents: tuple[bytes, bytes] | None = None,
) -> bytes:
    """Commit a file and return the node of the changeset."""
    node: bytes = repo.commitctx(
        context.memctx(
            repo,
            parents or (repo[b'tip'].node(), repo[-1].node()),
            b'a description',
            [path],
            lambda r, ctx, name: context.memfilectx(r, ctx, name, text),
            user=b'test',
            date=b'0 0',
        )
    )
    return node


@pytest.mark.parametrize('server', STORAGES)
@pytest.mark.parametrize('storage', STORAGES)
def test_secret_and_hidden_changesets(
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    storage: str,
    server: str,
) -> None:
    """Neither is in any segment, nor are their files and manifests."""
    settings = {
        **STORAGES[server],
        b'experimental.evolution': b'all',
        b'phases.publish': b'no',
    }
    path = tmp_path / 'server'
    repo = packs.make_history(path, 5, TOTAL, settings)
    (path / '.hg' / 'hgrc').write_text(
        '[extensions]\nwireprotov2 =\nsqlitestore =\n'
        '[experimental]\nevolution = all\n[phases]\npublish = no\n'
    )
    repo = served(path, settings)
    secret = append(repo, b'secret-file', b'secret-text')
    parents = (repo[TOTAL - 1].node(), repo[-1].node())
    hidden = append(repo, b'hidden-file', b'hidden-text', parents)
    with repo.lock(), repo.transaction(b'phases') as tr:
        phases.retractboundary(repo, tr, phases.secret, [secret])
        phases.retractboundary(repo, tr, phases.draft, [hidden])
    with repo.lock():
        obsolete.createmarkers(repo, [(repo[hidden], ())])
    warm(path, settings)
    found = contents(path, settings)
    for word in (b'secret-', b'hidden-', secret, hidden):
        assert word not in found
    assert b'line' in found
    conversation.connect(monkeypatch, path)
    outcome = Outcome(URL, tmp_path / 'd', STORAGES[storage])
    assert outcome.error is None
    assert outcome.check() == TOTAL
    assert not outcome.repo.changelog.index.has_node(secret)
    assert not outcome.repo.changelog.index.has_node(hidden)


@pytest.mark.parametrize('recorded', [True, False])
@pytest.mark.parametrize('server', STORAGES)
@pytest.mark.parametrize('storage', STORAGES)
def test_censored_revisions(
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    storage: str,
    server: str,
    recorded: bool,
) -> None:
    """The text is in no pack, and the revision is censored in the client.

    A server that was cloned from another has no record of what was censored.
    """
    settings = {
        **STORAGES[server],
        b'extensions.censor': b'',
        b'censor.policy': b'ignore',
    }
    path = tmp_path / 'server'
    packs.make_history(path, 5, TOTAL - 3, settings)
    (path / '.hg' / 'hgrc').write_text(
        '[extensions]\nwireprotov2 =\nsqlitestore =\ncensor =\n'
    )
    repo = served(path, settings)
    append(repo, b'file', b'before\n' + b'line\n' * 50)
    wrong = append(repo, b'file', b'a-password\n' + b'line\n' * 50)
    append(repo, b'file', b'no more\n' + b'line\n' * 50)
    with repo.lock(), repo.transaction(b'publish') as tr:
        phases.advanceboundary(repo, tr, phases.public, repo.heads())
    assert b'a-password' in contents(path, settings)
    node = repo[wrong].filenode(b'file')
    monkeypatch.chdir(path)
    conversation.run(
        b'censor',
        repo,
        repo.wjoin(b'file'),
        rev=[wrong.hex().encode()],
        check_heads=False,
    )
    repo = served(path, settings)
    if recorded:
        with repo.lock():
            censoring.record(repo, b'file', {node})
    else:
        repo.svfs.tryunlink(censoring.FILE)
    warm(path, settings)
    assert b'a-password' not in contents(path, settings)
    conversation.connect(monkeypatch, path)
    outcome = Outcome(
        URL, tmp_path / 'd', {**STORAGES[storage], b'censor.policy': b'ignore'}
    )
    assert outcome.error is None, outcome.output
    assert b'not pulling in segments' not in outcome.output
    found = outcome.repo
    assert nodes(found) == nodes(served(path, settings))
    flog = found.file(b'file')
    assert flog.iscensored(flog.rev(node))
    assert found[b'tip'][b'file'].data().startswith(b'no more')
    assert outcome.check() == TOTAL
    store = tmp_path / 'd' / '.hg' / 'store'
    for file in store.rglob('*'):
        assert not file.is_file() or b'a-password' not in file.read_bytes()


@pytest.mark.parametrize('server', STORAGES)
@pytest.mark.parametrize('storage', STORAGES)
def test_tree_manifests(
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    fetched: list[int],
    storage: str,
    server: str,
) -> None:
    settings = {**STORAGES[server], b'experimental.treemanifest': b'yes'}
    path = tmp_path / 'server'
    packs.make_history(path, 5, TOTAL, settings)
    (path / '.hg' / 'hgrc').write_text(
        '[extensions]\nwireprotov2 =\nsqlitestore =\n'
    )
    warm(path, settings)
    conversation.connect(monkeypatch, path)
    outcome = Outcome(URL, tmp_path / 'd', STORAGES[storage])
    assert outcome.error is None, outcome.output
    assert fetched == SPANS
    repo = outcome.repo
    assert b'treemanifest' in repo.requirements
    assert outcome.check() == TOTAL
    expected = served(path, settings)
    assert nodes(repo) == nodes(expected)
    for rev in range(TOTAL):
        for name in expected[rev]:
            assert repo[rev][name].data() == expected[rev][name].data()
    assert any(b'd/e/c' in expected[rev] for rev in range(TOTAL))


def test_narrow_servers_offer_no_packs(
    history: pathlib.Path,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever may see some files only gets no segment, by name either."""
    names = [
        segment.name
        for _start, segment in History(
            requester.served(served(history))
        ).joined()
    ]
    assert len(names) == 2
    with open(history / '.hg' / 'hgrc', 'a') as stream:
        stream.write(
            '[extensions]\nnarrow =\n[narrowacl]\ndefault.includes = path:d\n'
        )
    settings = {
        b'extensions.narrow': b'',
        b'narrowacl.default.includes': b'path:d',
    }
    limited = History(requester.served(served(history, settings)))
    assert not limited.segments().segments()
    for name in names:
        assert limited.find(name) is None
        assert limited.key_state(name) is None
