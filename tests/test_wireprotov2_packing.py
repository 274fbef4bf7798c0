# SPDX-License-Identifier: GPL-2.0-or-later
"""Packs made from storage hold what those made from changegroups hold."""

from __future__ import annotations

import io
import os
import pathlib
from typing import Any

import pytest
from helpers import wireprotov2_conversation as conversation
from helpers.packs import STORAGES, make_history
from mercurial import context, filelog, mdiff, phases
from mercurial.node import nullrev
from mercurial.revlogutils import constants

from hgext3rd.amalgam.packs import decoder, layout
from hgext3rd.wireprotov2.access import requester
from hgext3rd.wireprotov2.segments import (
    bundle,
    cut,
    listing,
    packing,
    stored,
    unpacking,
)
from hgext3rd.wireprotov2.segments.cut import Segment
from hgext3rd.wireprotov2.segments.history import History

TOTAL = 60
PER_SEGMENT = 20

#: Every field of a revision but its delta, with its text instead.
Known = dict[tuple[bytes, bytes, bytes], tuple[bytes, ...]]


@pytest.fixture(params=sorted(STORAGES))
def repo(
    request: pytest.FixtureRequest,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Any:
    monkeypatch.setattr(cut, 'LEAST_CHANGESETS', PER_SEGMENT)
    return make_history(tmp_path / 'repo', 11, TOTAL, STORAGES[request.param])


def content(repo: Any, payload: bundle.Payload) -> Known:
    """Return all revisions of a pack by kind, name and node."""
    texts = packing.RepositoryTexts(repo)
    found: Known = {}
    groups = 0
    with payload.stream as stream:
        name = b''
        kind = layout.CHANGESETS
        for item in unpacking.items(decoder.Decoder(stream)):
            if item is None:
                groups += 1
                kind = layout.MANIFEST if groups == 1 else layout.FILE
            elif isinstance(item, bytes):
                name = item
            else:
                node, p1, p2, link, base, delta, flags = item
                known = b''
                if (kind, name, base) in found:
                    known = found[kind, name, base][3]
                elif base != layout.NULL:
                    known = texts.full_text(kind, name, base)
                text = bytes(mdiff.patches(known, [delta])) if delta else known
                found[kind, name, node] = (p1, p2, link, text, b'%d' % flags)
    return found


def commit_file(repo: Any, text: bytes, path: bytes) -> None:
    """Add a file in a child of changeset 3."""

    def get(repo: Any, ctx: Any, path: bytes) -> Any:
        return context.memfilectx(repo, ctx, path, b'same\n')

    parents = (repo.changelog.node(3), layout.NULL)
    repo.commitctx(context.memctx(repo, parents, text, [path], get, b'test'))


def compare(repo: Any, segment: Segment, level: int) -> Known:
    """Compare packs from a changegroup and from storage; return the latter."""
    version = listing.changegroup_version(repo)
    one, other = (
        content(repo, bundle.build(repo, segment, version, level, whole))
        for whole in (False, True)
    )
    # A changegroup repeats what came with a changeset of an earlier segment
    # that is no ancestor.
    for kind, name, node in set(one) - set(other):
        if kind == layout.FILE:
            storage = repo.file(name)
        else:
            storage = repo.manifestlog.getstorage(name)
        assert storage.linkrev(storage.rev(node)) < segment.ranges[0][0]
        del one[kind, name, node]
    assert one == other
    return other


@pytest.mark.parametrize('level', [bundle.LEVEL_NOW, bundle.LEVEL_OPEN])
def test_both_ways_give_the_same_revisions(repo: Any, level: int) -> None:
    history = History(requester.served(repo))
    found = history.segments()
    segments = [*found.segments(), *(span for _at, span in history.joined())]
    assert len(found.closed) == TOTAL // PER_SEGMENT
    for segment in segments:
        assert found.complete(segment)
        assert len(compare(repo, segment, level)) > 3 * PER_SEGMENT


def test_storage_that_is_no_revlog(
    repo: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(filelog.filelog, 'get_revlog')
    for segment in History(requester.served(repo)).segments().segments():
        assert compare(repo, segment, bundle.LEVEL_NOW)


def test_deltas_of_revisions_that_are_no_ancestors(
    tmp_path: pathlib.Path,
) -> None:
    # A receiver may not have them.
    repo = make_history(tmp_path / 'repo', 5, TOTAL)
    changelog = repo.changelog
    links = [changelog.node(rev) for rev in range(TOTAL // 2, TOTAL)]
    for path in (b'a', b'd/b', b'f', b'log'):
        storage = repo.file(path)
        log = storage.get_revlog()
        nodes = list(map(storage.node, storage))
        emitted: set[int] = set()
        for revision in stored.revisions(storage, nodes, TOTAL // 2, links):
            rev = log.rev(revision.node)
            base = log.rev(revision.base or layout.NULL)
            assert (
                base == nullrev
                or base in emitted
                or log.isancestorrev(base, rev)
            )
            emitted.add(rev)
        assert emitted == {
            rev for rev in storage if storage.linkrev(rev) >= TOTAL // 2
        }


def test_large_contents_are_read_in_batches(
    repo: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, 'BATCH_BYTES', 300)
    segment = History(requester.served(repo)).segments().closed[-1]
    assert compare(repo, segment, bundle.LEVEL_NOW)


def test_revisions_that_came_with_a_changeset_left_out(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cut, 'LEAST_CHANGESETS', 4)
    path = tmp_path / 'repo'
    repo = make_history(path, 3, 4)
    # A secret changeset, and one that is public and has the same file.
    for text in (b'secret', b'public'):
        commit_file(repo, text, b'same')
    with repo.lock(), repo.transaction(b'phases') as tr:
        secret, public = map(repo.changelog.node, (4, 5))
        phases.retractboundary(repo, tr, phases.secret, [secret])
        phases.advanceboundary(repo, tr, phases.public, [public])
    repo = conversation.open_repo(repo.ui, path)
    history = History(requester.served(repo))
    found = history.segments()
    closed, rest = found.closed[0], found.rest
    assert rest is not None and rest.ranges == ((5, 6),)
    assert found.complete(closed) and not found.complete(rest)
    with history.payload(rest, bundle.LEVEL_NOW).stream as stream:
        packed = content(
            repo,
            bundle.Payload(io.BytesIO(stream.read()), 0, b'', b''),
        )
    same = repo.file(b'same')
    assert same.linkrev(0) == 4
    assert (layout.FILE, b'same', same.node(0)) in packed


@pytest.mark.parametrize('level', [bundle.LEVEL_NOW, bundle.LEVEL_OPEN])
def test_child_of_a_censored_revision(repo: Any, level: int) -> None:
    """It is a text, since a receiver may have what the other text was."""
    storage = repo.file(b'log')
    middle = next(rev for rev in storage if storage.linkrev(rev) >= PER_SEGMENT)
    children = {
        storage.node(rev)
        for rev in storage.revs(middle)
        if middle - 1 in storage.parentrevs(rev)
    }
    node = storage.node(middle - 1)
    with repo.lock(), repo.transaction(b'censor') as tr:
        storage.censorrevision(tr, [node], b'gone')
    repo = conversation.open_repo(repo.ui, pathlib.Path(os.fsdecode(repo.root)))
    history = History(requester.served(repo))
    flags = {}
    for segment in history.segments().segments():
        version = history.changegroup_version()
        payload = bundle.build(repo, segment, version, level, True)
        with payload.stream as stream:
            for item in unpacking.items(decoder.Decoder(stream)):
                if isinstance(item, layout.Revision):
                    flags[item.node] = item.flags
                    assert item.base != node
    assert flags[node] == constants.REVIDX_ISCENSORED
    assert children and children <= set(flags)


def test_complete() -> None:
    def segment(*ranges: cut.Range) -> Segment:
        count = sum(stop - start for start, stop in ranges)
        return Segment(b'', ranges, (), count, 0, b'')

    one, two, late = segment((0, 4)), segment((4, 6)), segment((7, 9))
    found = listing.SegmentListing((one, two, late, segment((6, 7), (9, 10))))
    assert found.complete(one)
    assert found.complete(two)
    assert found.complete(segment((0, 6)))
    assert not found.complete(late)
    # Revision 6 comes after the segment before it.
    assert not any(map(found.complete, found.closed[2:]))
    assert found.complete(segment((0, 10)))
    assert not found.complete(segment((0, 11)))
