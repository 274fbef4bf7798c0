# SPDX-License-Identifier: GPL-2.0-or-later
"""Servers whose packs are wrong, and clients with both storages.

The client names what is wrong, and nothing of the pack is in its repository.
The digest of the payload is always right: it says what the server sent.
"""

from __future__ import annotations

import os
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import pytest
from helpers import packs
from helpers import wireprotov2_conversation as conversation
from helpers.packs import STORAGES, Block, make_history
from helpers.wireprotov2_conversation import URL, Outcome, nodes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mercurial import error, localrepo, verify

from hgext3rd.amalgam.packs import layout
from hgext3rd.wireprotov2.access import requester
from hgext3rd.wireprotov2.pull import segments
from hgext3rd.wireprotov2.segments import bundle, cut
from hgext3rd.wireprotov2.segments.history import History

PER_SEGMENT = 6
TOTAL = 2 * PER_SEGMENT

NODE = b'\x42' * 20


@pytest.fixture(scope='module')
def history(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    path = tmp_path_factory.mktemp('packs') / 'repo'
    assert len(make_history(path, 3, TOTAL)) == TOTAL
    return path


@pytest.fixture
def wire(
    history: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> conversation.Wire:
    monkeypatch.setattr(cut, 'LEAST_CHANGESETS', PER_SEGMENT)
    wire = conversation.connect(monkeypatch, history)
    wire.live = True
    return wire


Lie = Callable[[list[Block]], None]


def first(found: list[Block], kind: bytes, line: bytes = b'') -> Block:
    """Return the first block of a kind; with ``line``, behind such names."""
    names = b''
    for block in found:
        if block.kind == layout.NAMES:
            names = block.parts['kind']
        if block.kind == kind and (not line or names == line):
            return block
    raise AssertionError('no such block')


def rows(
    kind: bytes, line: bytes, change: Callable[[list[list[int]]], object]
) -> Lie:
    """Return a lie that changes the main table of a block."""

    def lie(found: list[Block]) -> None:
        block = first(found, kind, line)
        count = block.numbers()[0]
        if kind == layout.INDEX:
            counts = block.table('counts', count)
            count = sum(counts[0])
        table = block.table('table', count)
        change(table)
        block.set_table('table', table)

    return lie


def column(number: int, row: int, value: int) -> Any:
    def change(table: list[list[int]]) -> None:
        table[number][row] = value

    return change


def added(number: int, row: int, value: int) -> Any:
    def change(table: list[list[int]]) -> None:
        table[number][row] += value

    return change


def values(kind: bytes, line: bytes = b'', **changed: bytes) -> Lie:
    def lie(found: list[Block]) -> None:
        first(found, kind, line).set(**changed)

    return lie


def names(change: Callable[[list[bytes]], object]) -> Lie:
    """Return a lie that changes the names of files."""

    def lie(found: list[Block]) -> None:
        block = first(found, layout.NAMES, layout.FILE)
        paths = block.text('names').split(b'\0')
        change(paths)
        block.set(head=b'%d' % len(paths), names=b'u' + b'\0'.join(paths))

    return lie


def renamed(name: bytes) -> Lie:
    def change(paths: list[bytes]) -> None:
        paths[0] = name

    return names(change)


def outside_changeset(found: list[Block]) -> None:
    found.insert(0, Block(layout.OUTSIDE, NODE))
    rows(layout.CHANGESETS, b'', column(0, 0, 1))(found)


def outside_base(found: list[Block]) -> None:
    """The first revision becomes a delta of one that nobody has."""
    frame = first(found, layout.FRAME, layout.FILE)
    count, _outside = frame.numbers()
    table = frame.table('table', count)
    table[2][0] = -1
    frame.set(head=b'%d 1' % count, nodes=NODE)
    frame.set_table('bases', [[0]])
    frame.set_table('table', table)


def other_line(found: list[Block]) -> None:
    """A delta of an outside revision of another line."""
    outside_base(found)
    frame = first(found, layout.FRAME, layout.FILE)
    frame.set_table('bases', [[1]])


def outside_parent(found: list[Block]) -> None:
    """The first revision of a file has a parent that nobody has."""
    index = first(found, layout.INDEX, layout.FILE)
    lines, _outside, unknown = index.numbers()
    counts = index.table('counts', lines)
    assert not any(counts[1])
    table = index.table('table', sum(counts[0]))
    table[1][0] = 1
    counts[1][0] = 1
    index.set(head=b'%d 1 %d' % (lines, unknown), outside=NODE)
    index.set_table('counts', counts)
    index.set_table('table', table)


def explicit(*nodes: bytes) -> Lie:
    """Return a lie that gives the revisions of one file other nodes."""

    def lie(found: list[Block]) -> None:
        index = first(found, layout.INDEX, layout.FILE)
        lines, outside, _unknown = index.numbers()
        start = 0
        for size in index.table('counts', lines)[0]:
            if size >= len(nodes):
                break
            start += size
        places = [start] + [1] * (len(nodes) - 1)
        index.set(
            head=b'%d %d %d' % (lines, outside, len(nodes)),
            explicit=b''.join(nodes),
        )
        index.set_table('places', [places])

    return lie


def data_of(line: bytes, change: Callable[[bytes], bytes]) -> Lie:
    """Return a lie that changes the content of a frame, not its size."""

    def lie(found: list[Block]) -> None:
        frame = first(found, layout.FRAME, line)
        data = frame.text('data')
        changed = change(data)
        assert len(changed) == len(data)
        frame.set(data=b'u' + changed)

    return lie


def bomb(line: bytes) -> Lie:
    """Return a lie: the content of a frame is larger than it says."""

    def lie(found: list[Block]) -> None:
        frame = first(found, layout.FRAME, line)
        data = packs.zstd_that_says(len(frame.text('data')), bytes(20 << 20))
        frame.set(data=data)

    return lie


def end(content: bytes) -> Lie:
    def lie(found: list[Block]) -> None:
        found[-1].content = content

    return lie


def texts(change: Callable[[bytes], bytes]) -> Lie:
    def lie(found: list[Block]) -> None:
        block = first(found, layout.CHANGESETS)
        block.set(texts=b'u' + change(block.text('texts')))

    return lie


def drop(kind: bytes, line: bytes = b'') -> Lie:
    def lie(found: list[Block]) -> None:
        found.remove(first(found, kind, line))

    return lie


def move(kind: bytes, line: bytes = b'') -> Lie:
    """Return a lie: a block comes behind the others."""

    def lie(found: list[Block]) -> None:
        block = first(found, kind, line)
        found.remove(block)
        found.insert(-1, block)

    return lie


C, X, F = layout.CHANGESETS, layout.INDEX, layout.FRAME
FILE, MANIFEST = layout.FILE, layout.MANIFEST

#: Lies that are found when the pack is applied, and what is said about them.
LIES: dict[str, tuple[Lie, bytes]] = {
    # Changesets.
    'a description': (
        texts(lambda t: t.replace(b'c1', b'c9', 1)),
        b'does not hold the changesets it lists',
    ),
    'a manifest': (
        texts(lambda t: NODE.hex().encode() + t[40:]),
        b'does not hold the changesets it lists',
    ),
    'a manifest that is no node': (
        texts(lambda t: b'x' * 40 + t[40:]),
        b'a node is damaged',
    ),
    'a text that is no changeset': (
        texts(lambda t: bytes(len(t))),
        b'a changeset is damaged',
    ),
    'more text': (texts(lambda t: t + b'x'), b'too large'),
    'less text': (texts(lambda t: t[:-1]), b'do not match'),
    'more changesets': (values(C, head=b'7'), b'damaged pack'),
    'fewer changesets': (values(C, head=b'5'), b'damaged pack'),
    'no changesets': (drop(C), b'the link of a manifest is out of range'),
    'flags of a changeset': (rows(C, b'', column(2, 0, 1)), b'unknown flags'),
    'a large flag': (rows(C, b'', column(2, 0, 1 << 16)), b'out of range'),
    'a parent behind': (
        rows(C, b'', column(0, 0, -1)),
        b'unknown parent',
    ),
    'a parent far outside': (rows(C, b'', column(0, 1, 99)), b'unknown parent'),
    'a parent of its own': (
        rows(C, b'', column(1, 2, 2)),
        b'does not hold the changesets it lists',
    ),
    'a parent nobody has': (outside_changeset, b'unknown parent'),
    'a negative length': (rows(C, b'', column(3, 0, -5)), b'out of range'),
    'a huge length': (rows(C, b'', column(3, 0, 1 << 60)), b'out of range'),
    # Names.
    **{
        f'the name {name!r}': (renamed(name), b'a name that no file can have')
        for name in (
            b'',
            b'/etc/passwd',
            b'../x',
            b'd/../../x',
            b'.hg/hgrc',
            b'.HG/hgrc',
            b'd/.hg/hgrc',
            b'd/',
            b'a\nb',
        )
    },
    'a name with a NUL': (
        values(layout.NAMES, FILE, names=b'ua\0b\0c'),
        b'names are missing',
    ),
    'a name in manifests': (
        data_of(MANIFEST, lambda data: data.replace(b'log', b'lag')),
        b'a node is missing',
    ),
    'a name of another file': (renamed(b'other'), b'a node is missing'),
    'a name twice': (names(lambda p: p.append(p[0])), b'a line comes twice'),
    'a name without content': (
        names(lambda p: p.append(b'z')),
        b'an index is missing',
    ),
    'a name too few': (
        names(list.pop),
        b'the line of an entry is out of range',
    ),
    'a directory': (
        values(layout.NAMES, MANIFEST, head=b'2', names=b'u\0d/'),
        b'a directory in a pack without trees',
    ),
    # Frames.
    'a base behind': (rows(F, FILE, column(2, 0, 1)), b'without its base'),
    'its own base': (rows(F, FILE, added(2, 1, -99)), b'out of range'),
    'a base nobody has': (outside_base, b'missing'),
    'a base of another line': (other_line, b'another line'),
    'another line': (
        rows(F, FILE, added(0, 1, 1)),
        b'the line of an entry is out of range',
    ),
    'no line': (rows(F, FILE, column(0, 0, 99)), b'out of range'),
    'another revision': (rows(F, FILE, added(1, 1, 1)), b'does not match'),
    'a length': (rows(F, FILE, added(3, 0, 1)), b'another size'),
    'lengths that even out': (
        rows(F, FILE, lambda t: (added(3, 0, 1)(t), added(3, 1, -1)(t))),
        b'a text has another size',
    ),
    'a negative length of an entry': (
        rows(F, FILE, column(3, 0, -9)),
        b'out of range',
    ),
    'links of manifests': (
        rows(F, MANIFEST, added(4, 1, 1)),
        b'link of a manifest is out of range',
    ),
    'links of no changeset': (
        rows(F, MANIFEST, column(4, 0, 99)),
        b'out of range',
    ),
    'no frame': (drop(F, FILE), b'does not match the frames'),
    'no frame of manifests': (drop(F, MANIFEST), b'does not match the frames'),
    'an unknown chunk': (
        values(F, FILE, data=b'Qxxx'),
        b'a frame has another size',
    ),
    'a bomb of manifests': (bomb(MANIFEST), b'damaged pack'),
    # Indexes.
    'a link of another changeset': (
        rows(X, FILE, added(0, 0, 1)),
        b'a node is missing',
    ),
    'a link of no changeset': (
        rows(X, FILE, column(0, 0, 99)),
        b'out of range',
    ),
    'a negative link': (rows(X, FILE, column(0, 0, -1)), b'out of range'),
    'a negative parent': (rows(X, FILE, column(1, 0, -1)), b'out of range'),
    'a parent of no revision': (
        rows(X, FILE, column(1, 0, 1)),
        b'an unknown parent',
    ),
    'an outside parent nobody has': (outside_parent, b'missing'),
    'flags of a file': (rows(X, FILE, column(3, 0, 1)), b'unknown flags'),
    'a size of a text': (rows(X, FILE, added(4, 0, 1)), b'another size'),
    'a huge size': (rows(X, FILE, column(4, 1, 1 << 40)), b'out of range'),
    'a frame': (rows(X, FILE, added(5, 0, 1)), b'does not match'),
    'a place': (rows(X, FILE, added(6, 1, 1)), b'does not match'),
    'no index': (drop(X, FILE), b'the end does not match'),
    'no index of manifests': (drop(X, MANIFEST), b'an index is missing'),
    'an index twice': (
        lambda found: found.insert(-1, found[-2]),
        b'does not match the frames',
    ),
    'a null node': (explicit(layout.NULL), b'comes twice'),
    'a node twice': (explicit(NODE, NODE), b'comes twice'),
    # The rest.
    'counts at the end': (end(b'1 2 3'), b'the end does not match'),
    'changesets behind files': (move(C), b'is out of range'),
    'an unknown block': (
        lambda found: found.insert(1, Block(b'Z', b'')),
        b'unknown kind of block',
    ),
    'nothing': (lambda found: found.clear(), b'cut short'),
}


def clone_of_lies(
    wire: conversation.Wire,
    dest: pathlib.Path,
    storage: str,
    monkeypatch: pytest.MonkeyPatch,
    lie: Lie,
    flags: int = 0,
) -> Outcome:
    """Clone from a server that lies about its first segment."""
    lied: list[bool] = []

    def change(data: bytes) -> bytes:
        found = packs.blocks(data)
        if lied or b'O' in [block.kind for block in found]:
            return data
        lied.append(True)
        lie(found)
        return packs.joined(found, flags)

    monkeypatch.setattr(bundle, 'build', packs.altered(change))
    outcome = Outcome(URL, dest, STORAGES[storage], connections=b'1')
    assert lied
    return outcome


@pytest.mark.parametrize('storage', STORAGES)
@pytest.mark.parametrize('name', LIES)
def test_lie(
    wire: conversation.Wire,
    history: pathlib.Path,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    storage: str,
) -> None:
    """The pack is refused with the reason, and a pull gets all changesets."""
    lie, reason = LIES[name]
    outcome = clone_of_lies(wire, tmp_path / 'd', storage, monkeypatch, lie)
    assert outcome.error is None, outcome.output
    assert b'warning: not pulling in segments: ' in outcome.output
    assert b'server.test' in outcome.output
    assert reason in outcome.output, outcome.output
    assert outcome.check() == TOTAL
    expected = nodes(conversation.open_repo(outcome.ui, history))
    assert sorted(nodes(outcome.repo)) == sorted(expected)


@pytest.mark.parametrize('storage', STORAGES)
def test_flag_for_trees(
    wire: conversation.Wire,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    storage: str,
) -> None:
    """The repository does not become one with tree manifests."""
    outcome = clone_of_lies(
        wire,
        tmp_path / 'd',
        storage,
        monkeypatch,
        lambda found: None,
        layout.TREES,
    )
    assert b'a manifest of files in other directories' in outcome.output
    assert outcome.check() == TOTAL
    assert b'treemanifest' not in outcome.repo.requirements


def later(
    wire: conversation.Wire,
    dest: pathlib.Path,
    storage: str,
    monkeypatch: pytest.MonkeyPatch,
    lie: Lie,
) -> Outcome:
    """Clone from a server that lies about its second segment."""
    lied = []

    def change(data: bytes) -> bytes:
        found = packs.blocks(data)
        if b'O' not in [block.kind for block in found]:
            return data
        lied.append(True)
        lie(found)
        return packs.joined(found)

    monkeypatch.setattr(bundle, 'build', packs.altered(change))
    outcome = Outcome(URL, dest, STORAGES[storage], connections=b'1')
    assert lied
    return outcome


def other_base_nodes(found: list[Block]) -> None:
    frame = next(b for b in found if b.kind == F and b.numbers()[1])
    count = frame.numbers()[1]
    frame.set(nodes=NODE * count)


def fewer_base_nodes(found: list[Block]) -> None:
    frame = next(b for b in found if b.kind == F and b.numbers()[1])
    frame.set(nodes=frame.parts['nodes'][1:])


def other_parents(found: list[Block]) -> None:
    index = next(b for b in found if b.kind == X and b.numbers()[1])
    index.set(outside=NODE * index.numbers()[1])


def short_changesets(found: list[Block]) -> None:
    found[0].content = found[0].content[1:]


#: Lies about revisions that the client has.
LATER: dict[str, tuple[Lie, bytes]] = {
    'other bases': (other_base_nodes, b'missing'),
    'fewer bases': (fewer_base_nodes, b'a list of nodes is cut short'),
    'other parents': (other_parents, b'missing'),
    'other changesets': (
        lambda found: setattr(found[0], 'content', NODE),
        b'unknown parent',
    ),
    'a changeset cut short': (short_changesets, b'cut short'),
    'no outside changesets': (
        drop(layout.OUTSIDE),
        b'unknown parent',
    ),
}


@pytest.mark.parametrize('storage', STORAGES)
@pytest.mark.parametrize('name', LATER)
def test_lie_about_what_is_there(
    wire: conversation.Wire,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    storage: str,
) -> None:
    lie, reason = LATER[name]
    outcome = later(wire, tmp_path / 'd', storage, monkeypatch, lie)
    assert outcome.error is None, outcome.output
    assert reason in outcome.output, outcome.output
    assert outcome.check() == TOTAL


def size_of_delta(found: list[Block]) -> None:
    """Change the size of the first text that is stored as a delta."""
    frame = first(found, F, FILE)
    distances = frame.table('table', frame.numbers()[0])[2]
    row = next(n for n, distance in enumerate(distances) if distance)

    def change(table: list[list[int]]) -> None:
        # These are differences.
        table[4][row] += 1
        table[4][row + 1] -= 1

    rows(X, FILE, change)(found)


def digit(data: bytes) -> bytes:
    """Change a digit of the last node that a manifest names."""
    changed = b'0' if data[-2:-1] != b'0' else b'1'
    assert data.endswith(b'\n')
    return data[:-2] + changed + data[-1:]


#: Lies that cannot be found without building texts.
HIDDEN: dict[str, Lie] = {
    'content': data_of(FILE, lambda data: data.replace(b'line', b'lime', 3)),
    'the end of the content': data_of(FILE, lambda data: data[:-9] + bytes(9)),
    'content of manifests': data_of(MANIFEST, digit),
    'a bomb': bomb(FILE),
    'less than it says': lambda found: first(found, F, FILE).set(
        data=packs.zstd_that_says(
            len(first(found, F, FILE).text('data')), bytes(70_000)
        )[:-1]
    ),
    'a parent': rows(X, FILE, column(1, -1, 0)),
    'the size of a delta': size_of_delta,
    'another node': explicit(NODE),
    'flags of other data': rows(X, FILE, column(3, -1, 1 << 13)),
}


@pytest.mark.parametrize('storage', STORAGES)
@pytest.mark.parametrize('name', HIDDEN)
def test_lie_that_only_reading_shows(
    wire: conversation.Wire,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    storage: str,
) -> None:
    """The clone succeeds or ends with an error; ``hg verify`` finds the lie.

    Reading what is wrong ends with an error that names it, and reading other
    revisions does not.
    """
    outcome = clone_of_lies(
        wire, tmp_path / 'd', storage, monkeypatch, HIDDEN[name]
    )
    repo = outcome.repo
    if storage == 'revlog' and name in ('a bomb', 'less than it says'):
        # Revlogs cannot take frames as they are.
        assert b'damaged pack: decompression error' in outcome.output
        assert outcome.check() == TOTAL
        return
    assert len(repo) >= PER_SEGMENT
    repo.ui.pushbuffer(error=True)
    failed = verify.verify(repo)
    output = repo.ui.popbuffer()
    assert failed, (output, outcome.output, outcome.error)
    assert b'log' in output or b'@' in output, output
    read = wrong = 0
    for rev in range(PER_SEGMENT):
        try:
            ctx = repo[rev]
            for path in ctx:
                ctx[path].data()
                read += 1
        except error.StorageError as exc:
            assert str(exc)
            wrong += 1
    assert read or wrong
    if 'content' in name or name in ('a bomb', 'less than it says'):
        assert wrong, name
    # Nothing keeps the repository from being used.
    assert not repo.svfs.exists(b'journal')


# -- anything at all


def payload(path: pathlib.Path) -> tuple[bytes, list[bytes]]:
    """Return the whole history of a repository as a pack, and its heads."""
    found = conversation.open_repo(conversation.make_ui(), path)
    history = History(requester.served(found))
    (segment,) = history.segments().segments()
    with history.payload(segment, 3).stream as stream:
        return stream.read(), list(segment.heads)


#: Several packs with the heads of their histories.
Payloads = list[tuple[bytes, list[bytes]]]

#: Which of them to change.
WHICH = st.integers(0, 2)


@pytest.fixture(scope='module')
def payloads(tmp_path_factory: pytest.TempPathFactory) -> Payloads:
    """Packs of several random histories."""
    base = tmp_path_factory.mktemp('payloads')
    found = []
    for seed in range(3):
        make_history(base / f'{seed}', seed, 10)
        found.append(payload(base / f'{seed}'))
    return found


@pytest.fixture(scope='module', params=STORAGES)
def empty(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, pathlib.Path]:
    """The configuration of a client, and an empty repository of it."""
    path = tmp_path_factory.mktemp('empty') / 'repo'
    ui = conversation.make_ui(STORAGES[request.param])
    localrepo.instance(ui, os.fsencode(path), True)
    return ui, path


def attempt(
    ui: Any, source: pathlib.Path, data: bytes, heads: list[bytes]
) -> bool:
    """Apply a pack to a copy of a repository; return whether that succeeded.

    If it did not, the copy is valid and has what it had before.
    """
    dest = source.with_name('copy')
    shutil.rmtree(dest, ignore_errors=True)
    shutil.copytree(source, dest)
    repo = conversation.open_repo(ui, dest)
    before = nodes(repo)
    repo.ui.pushbuffer(error=True)
    try:
        packs.apply(repo, heads, data)
    except (*segments.BAD_BUNDLE, error.Abort) as exc:
        assert str(exc)
        after = conversation.open_repo(ui, dest)
        assert nodes(after) == before
        assert not after.svfs.exists(b'journal')
        conversation.check(after)
        return False
    finally:
        repo.ui.popbuffer()
    after = conversation.open_repo(ui, dest)
    after.ui.pushbuffer(error=True)
    # Nothing but what verify finds may be wrong; it must come to an end.
    verify.verify(after)
    after.ui.popbuffer()
    return True


@pytest.mark.parametrize('validate', [False, True])
def test_real_packs(
    empty: tuple[Any, pathlib.Path],
    payloads: Payloads,
    tmp_path: pathlib.Path,
    validate: bool,
) -> None:
    """What the tests below change works, with Mercurial's checks too."""
    ui, path = empty
    ui = ui.copy()
    ui.setconfig(b'server', b'validate', validate)
    for data, heads in payloads:
        assert attempt(ui, path, data, heads)
        assert conversation.check(
            conversation.open_repo(ui, path.with_name('copy'))
        )


# Each example leaves the repository as it was.
RANDOM = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def test_cut_packs(empty: tuple[Any, pathlib.Path], payloads: Payloads) -> None:
    """A pack that ends early is refused wherever that is."""
    data, heads = payloads[0]
    for size in [*range(0, len(data), 97), len(data) - 1]:
        assert not attempt(*empty, data[:size], heads), size
    assert not attempt(*empty, data + b'x', heads)


@pytest.mark.parametrize('validate', [False, True])
@settings(RANDOM, max_examples=40)
@given(data=st.data())
def test_damaged_packs(
    empty: tuple[Any, pathlib.Path],
    payloads: Payloads,
    validate: bool,
    data: st.DataObject,
) -> None:
    """Bytes that are changed, removed and inserted anywhere."""
    whole, heads = payloads[data.draw(WHICH)]
    pack = bytearray(whole)
    for _change in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(pack) - 1))
        kind = data.draw(st.sampled_from(['flip', 'cut', 'insert', 'copy']))
        if kind == 'flip':
            pack[place] ^= data.draw(st.integers(1, 255))
        elif kind == 'cut':
            del pack[place : place + data.draw(st.integers(1, 30))]
        elif kind == 'insert':
            pack[place:place] = data.draw(st.binary(min_size=1, max_size=30))
        else:
            other = data.draw(st.integers(0, len(pack) - 1))
            pack[place : place + 8] = pack[other : other + 8]
        if not pack:
            return
    ui, path = empty
    ui = ui.copy()
    ui.setconfig(b'server', b'validate', validate)
    attempt(ui, path, bytes(pack), heads)


@pytest.mark.parametrize('validate', [False, True])
@settings(RANDOM, max_examples=60)
@given(data=st.data())
def test_packs_with_other_values(
    empty: tuple[Any, pathlib.Path],
    payloads: Payloads,
    validate: bool,
    data: st.DataObject,
) -> None:
    """Any numbers and bytes in tables and texts, which then decode."""
    pack, heads = payloads[data.draw(WHICH)]
    found = packs.blocks(pack)
    for _change in range(data.draw(st.integers(1, 2))):
        block = found[data.draw(st.integers(0, len(found) - 2))]
        name = data.draw(st.sampled_from(sorted(block.parts)))
        value = block.parts[name]
        if name == 'head':
            numbers = block.numbers()
            place = data.draw(st.integers(0, len(numbers) - 1))
            numbers[place] = data.draw(st.integers(0, 12))
            block.set(head=b' '.join(b'%d' % number for number in numbers))
        elif name in ('table', 'counts', 'bases', 'places') and value:
            try:
                count = block.numbers()[0]
                if block.kind == X and name == 'table':
                    count = sum(block.table('counts', count)[0])
                elif block.kind == X and name == 'places':
                    count = block.numbers()[2]
                elif name == 'bases':
                    count = block.numbers()[1]
                table = block.table(name, count)
            except ValueError:
                # The count was changed before.
                continue
            if not table[0]:
                continue
            values = table[data.draw(st.integers(0, len(table) - 1))]
            place = data.draw(st.integers(0, len(values) - 1))
            values[place] += data.draw(
                st.one_of(st.integers(-3, 3), st.integers(-(1 << 62), 1 << 62))
            )
            block.set_table(name, table)
        elif value:
            whole = name in ('texts', 'names', 'data')
            content = bytearray(block.text(name) if whole else value)
            place = data.draw(st.integers(0, len(content) - 1))
            content[place] = data.draw(st.integers(0, 255))
            block.set(**{name: b'u' * whole + bytes(content)})
    ui, path = empty
    ui = ui.copy()
    ui.setconfig(b'server', b'validate', validate)
    attempt(ui, path, packs.joined(found), heads)
