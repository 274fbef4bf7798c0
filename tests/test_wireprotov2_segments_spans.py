# SPDX-License-Identifier: GPL-2.0-or-later
"""Spans: which segments are joined, and what becomes of them later."""

from __future__ import annotations

import os
import pathlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mercurial import commands, extensions, obsolete, phases, repair
from mercurial import ui as uimod
from mercurial.revlogutils import constants

from hgext3rd.amalgam.packs import decoder
from hgext3rd.amalgam.packs.contents import Changesets, Index
from hgext3rd.wireprotov2 import censoring
from hgext3rd.wireprotov2.access import requester
from hgext3rd.wireprotov2.cache import factory
from hgext3rd.wireprotov2.segments import bundle, cut, listing, spans
from hgext3rd.wireprotov2.segments.cut import Segment
from hgext3rd.wireprotov2.segments.history import History
from hgext3rd.wireprotov2.server import warm

try:
    from mercurial.repo.factory import repository
except ImportError:  # hg <= 7.1
    from mercurial.hg import repository

#: Changesets of the repository: a span of four segments, one more segment, and
#: an open segment. Each segment has two.
COUNT = 11

sizes = st.lists(st.integers(0, spans.MOST_BYTES // 3), max_size=200)


@given(sizes)
def test_every_segment_is_in_one_span(found: list[int]) -> None:
    covered = spans.cover(found)
    assert [n for start, stop in covered for n in range(start, stop)] == list(
        range(len(found))
    )
    assert all(
        sum(found[start:stop]) <= spans.MOST_BYTES for start, stop in covered
    )


@given(sizes, sizes)
def test_full_spans_stay(found: list[int], more: list[int]) -> None:
    """A span that a segment did not fit into is never changed again."""
    before = spans.cover(found)
    after = spans.cover(found + more)
    for (start, stop), (_next, end) in zip(before, before[1:], strict=False):
        if sum(found[start:stop]) + found[stop] > spans.MOST_BYTES and (
            sum(found[start:end]) > spans.MOST_BYTES
        ):
            assert (start, stop) in after


def test_a_segment_that_is_larger_than_a_span() -> None:
    large = spans.MOST_BYTES + 1
    assert spans.cover([large, 1, large]) == [(0, 1), (1, 2), (2, 3)]


@pytest.mark.parametrize('count', [1, 3, 4, 5, 20, 63, 64, 85])
def test_number_of_spans(count: int) -> None:
    """It grows with the logarithm, and each has a power of segments."""
    digits = []
    rest = count
    while rest:
        digits.append(rest % spans.FANOUT)
        rest //= spans.FANOUT
    covered = spans.cover([1] * count)
    assert [stop - start for start, stop in covered] == [
        digit * spans.FANOUT**power
        for power, digit in reversed(list(enumerate(digits)))
        if digit
    ]


def test_how_often_a_segment_is_packed_again() -> None:
    count = 256
    packed = [0] * count
    seen: set[tuple[int, int]] = set()
    for length in range(1, count + 1):
        for start, stop in set(spans.cover([1] * length)) - seen:
            seen.add((start, stop))
            for n in range(start, stop):
                packed[n] += 1
    # log4(256) powers, less than 4 times for each.
    assert max(packed) <= 4 * (spans.FANOUT - 1) + 1


def segment(number: int) -> Segment:
    node = bytes([number]) * 20
    return Segment(node, ((number, number + 1),), (node,), 1, 10, node)


def test_joined() -> None:
    one, two, three = map(segment, (1, 2, 3))
    assert spans.join([one]) == one
    span = spans.join([one, two, three])
    assert span.ranges == ((1, 4),)
    assert span.heads == (one.name, two.name, three.name)
    assert (span.changesets, span.size, span.last) == (3, 30, three.last)
    assert span.name not in (one.name, two.name, three.name)
    assert span.name != spans.join([one, three, two]).name


@pytest.fixture
def repo(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> Any:
    ui = uimod.ui.load()
    for section, name, value in (
        (b'ui', b'username', b'test'),
        (b'ui', b'quiet', b'yes'),
        (b'extensions', b'wireprotov2', b''),
        (b'experimental', b'evolution', b'all'),
        (b'wireprotov2', b'cacher', b'directory'),
    ):
        ui.setconfig(section, name, value)
    monkeypatch.setattr(factory, '_shared', {})
    monkeypatch.setattr(cut, 'LEAST_CHANGESETS', 2)
    extensions.loadall(ui)
    made = repository(ui, os.fsencode(tmp_path / 'repo'), create=True)
    for number in range(COUNT):
        with open(made.wjoin(b'file'), 'ab') as stream:
            stream.write(b'this is line %d\n' % number)
        commands.commit(
            ui, made, addremove=True, message=b'%d' % number, date=b'0 0'
        )
    with made.lock(), made.transaction(b'publish') as tr:
        phases.advanceboundary(made, tr, phases.public, made.heads())
    return made


def history(repo: Any) -> History:
    repo.invalidateall()
    return History(requester.served(repo))


def packed(found: History, part: Segment) -> tuple[list[bytes], list[int]]:
    """Return the changesets and the flags of files in the pack of a segment."""
    nodes: list[bytes] = []
    flags: list[int] = []
    with found.payload(part, bundle.LEVEL_AHEAD).stream as stream:
        for event in decoder.Decoder(stream).events():
            if isinstance(event, Changesets):
                nodes += event.nodes
            elif isinstance(event, Index) and event.lines[0].name:
                flags += event.lines[0].flags
    return nodes, flags


def test_span_and_its_parts_are_found(repo: Any) -> None:
    found = history(repo)
    [(first, span), (second, single)] = found.joined()
    assert (first, second) == (0, 4)
    closed = found.segments().closed
    node = repo.changelog.node
    assert single == closed[4]
    assert found.find(span.name) == span
    assert packed(found, span)[0] == [node(rev) for rev in range(8)]
    for number, part in enumerate(closed):
        assert found.find(part.name) == part
        assert packed(found, part)[0] == [
            node(rev) for rev in (2 * number, 2 * number + 1)
        ]
    assert found.find(b'\1' * 20) is None


def test_history_is_summed_only_when_it_doubled(
    repo: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a push takes does not grow with history."""
    assert len(history(repo).segments().closed) == 5
    sums: list[int] = []

    def store_size(repo: Any) -> int:
        sums.append(len(repo.changelog))
        return 1000

    monkeypatch.setattr(listing, '_store_size', store_size)
    for number in range(10):
        with open(repo.wjoin(b'file'), 'ab') as stream:
            stream.write(b'this is later line %d\n' % number)
        commands.commit(repo.ui, repo, message=b'more', date=b'0 0')
        history(repo).segments()
    assert len(history(repo).segments().closed) == 10
    # The eighth segment ended there.
    assert sums == [16]


def test_spans_are_listed_when_they_are_built(repo: Any) -> None:
    assert history(repo).spans() == []
    outcome = warm.warm(repo.ui, repo)
    assert (outcome.built, outcome.present) == (3, 0)
    found = history(repo)
    assert found.spans() == [(0, found.joined()[0][1])]
    outcome = warm.warm(repo.ui, repo)
    assert (outcome.built, outcome.present) == (0, 3)


def hide(repo: Any) -> None:
    """Hide the last changeset of the span, with its descendants."""
    retract(repo, phases.draft)
    # The parent of the working copy is always visible.
    commands.update(repo.ui, repo, b'0')
    gone = [repo[rev] for rev in range(7, COUNT)]
    obsolete.createmarkers(repo, [((ctx,), ()) for ctx in gone])
    assert list(repo.filtered(b'served')) == list(range(7))


def retract(repo: Any, phase: int) -> None:
    with repo.lock(), repo.transaction(b'retract') as tr:
        phases.retractboundary(repo, tr, phase, [repo[7].node()])


def strip(repo: Any) -> None:
    with repo.wlock(), repo.lock():
        repair.strip(repo.ui, repo, [repo[7].node()], backup=False)


@pytest.mark.parametrize(
    'change',
    [
        hide,
        strip,
        lambda repo: retract(repo, phases.draft),
        lambda repo: retract(repo, phases.secret),
    ],
    ids=['hidden', 'stripped', 'draft', 'secret'],
)
def test_span_with_a_changeset_that_is_not_public_any_more(
    repo: Any, change: Any
) -> None:
    # Otherwise drafts are served as public.
    repo.ui.setconfig(b'phases', b'publish', b'no')
    warm.warm(repo.ui, repo)
    found = history(repo)
    span = found.joined()[0][1]
    first, last = found.segments().closed[2:4]
    gone = repo[7].node()
    change(repo)
    repo = repo.unfiltered()
    found = history(repo)
    assert found.find(span.name) is None
    assert found.find(last.name) is None
    assert found.key_state(span.name) is None or change is strip
    # The segments before it are as they were.
    assert found.find(first.name) == first
    assert len(found.segments().closed) == 3
    for part in found.segments().segments():
        assert gone not in packed(found, part)[0]
    for _start, part in found.joined():
        assert gone not in packed(found, part)[0]
        assert part.name != span.name
    assert found.spans() == []


def test_censored_revision_in_a_span(repo: Any) -> None:
    warm.warm(repo.ui, repo)
    before = history(repo)
    span = before.joined()[0][1]
    assert set(packed(before, span)[1]) == {0}
    with repo.lock(), repo.transaction(b'censor') as tr:
        storage = repo.unfiltered().file(b'file')
        node = storage.node(3)
        storage.censorrevision(tr, [node], b'')
        censoring.record(repo, b'file', {node})
    found = history(repo)
    # The pack that shows it has another name, and its key is another.
    assert found.find(span.name) is None
    assert found.spans() == []
    again = found.joined()[0][1]
    assert again.ranges == span.ranges
    assert packed(found, again)[1] == [
        constants.REVIDX_ISCENSORED if rev == 3 else 0 for rev in range(8)
    ]
    assert warm.warm(repo.ui, repo).built == 3
