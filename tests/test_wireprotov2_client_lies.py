# SPDX-License-Identifier: GPL-2.0-or-later
"""Servers whose responses are well-formed but wrong.

A client reports the server and the reason in one line, and its repository does
not change.
"""

from __future__ import annotations

import io
import itertools
import os
import pathlib
import shutil
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from helpers import wireprotov2_conversation as conversation
from helpers.wireprotov2_conversation import URL, nodes
from mercurial import commands, error, localrepo, phases, util

from hgext3rd.amalgam.lru import LRU
from hgext3rd.wireprotov2.proto import cbor, frames
from hgext3rd.wireprotov2.proto import client as protoclient
from hgext3rd.wireprotov2.proto.errors import CBORError
from hgext3rd.wireprotov2.pull import listing as segment_list
from hgext3rd.wireprotov2.pull import records
from hgext3rd.wireprotov2.segments import cut
from hgext3rd.wireprotov2.segments import listing as segment_cache

HAVE = 2
TOTAL = 5


@pytest.fixture(scope='module')
def history(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    path = tmp_path_factory.mktemp('lies') / 'repo'
    ui = conversation.make_ui()
    repo = localrepo.instance(ui, os.fsencode(path), True)
    (path / '.hg' / 'hgrc').write_text(
        '[extensions]\nwireprotov2 =\n[phases]\npublish = no\n'
    )
    for number in range(TOTAL):
        for name in ('f', f'g{number % 2}'):
            with open(path / name, 'a') as stream:
                stream.writelines(f'{i * number}\n' for i in range(30))
        commands.commit(
            repo.ui, repo, addremove=True, message=b'%d' % number, date=b'0 0'
        )
    with repo.lock(), repo.transaction(b'publish') as tr:
        phases.advanceboundary(repo, tr, phases.public, [repo[3].node()])
    commands.bookmark(repo.ui, repo, b'mark', rev=b'3')
    return path


@pytest.fixture
def wire(
    history: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> conversation.Wire:
    # Without compression, the tests can change what is sent.
    orig = protoclient.ClientConnection.__init__

    def init(
        self: Any, framing: frames.Framing, accept: Any = None, **kwargs: Any
    ) -> None:
        orig(self, framing, [b'identity'], **kwargs)

    monkeypatch.setattr(protoclient.ClientConnection, '__init__', init)
    return conversation.connect(monkeypatch, history)


def read(body: bytes) -> list[list[Any]]:
    """Return the decoded values of each response in ``body``."""
    found: dict[int, bytes] = {}
    for frame in frames.FrameParser().feed(body):
        if frame.typeid == frames.COMMAND_RESPONSE:
            data = found.get(frame.requestid, b'')
            found[frame.requestid] = data + frame.payload
    return [cbor.decode_all(data) for _id, data in sorted(found.items())]


def write(responses: list[list[Any]]) -> bytes:
    wire = b''
    for number, values in enumerate(responses):
        data = b''.join(map(cbor.encode, values))
        parts = [
            data[i : i + frames.MAX_PAYLOAD]
            for i in range(0, len(data), frames.MAX_PAYLOAD)
        ]
        for index, part in enumerate(parts):
            last = index == len(parts) - 1
            wire += frames.build(
                2 * number + 1,
                2 * number + 2,
                (not index) * frames.STREAM_BEGIN + last * frames.STREAM_END,
                frames.COMMAND_RESPONSE,
                frames.EOS if last else frames.CONTINUATION,
                part,
            )
    return wire


# The responses to a pull. The first values of each are a status and a header.
CHANGESETS, MANIFESTS, FILES, BOOKMARKS, PHASES = range(5)

Lie = Callable[[list[list[Any]]], None]


def change(response: int, place: int, **fields: Any) -> Lie:
    """Return a lie that changes fields of a map."""

    def lie(responses: list[list[Any]]) -> None:
        for key, value in fields.items():
            responses[response][place][key.encode()] = value

    return lie


def replace(response: int, place: int, value: Any) -> Lie:
    def lie(responses: list[list[Any]]) -> None:
        responses[response][place] = value

    return lie


def repeat(
    response: int, start: int, stop: int, times: int, *counts: tuple[int, int]
) -> Lie:
    """Return a lie that repeats values.

    ``counts`` are the places of headers to adjust, and by how much.
    """

    def lie(responses: list[list[Any]]) -> None:
        values = responses[response]
        values[stop:stop] = values[start:stop] * times
        for place, added in counts:
            values[place][b'totalitems'] += added * times

    return lie


def drop(response: int, start: int, stop: int) -> Lie:
    def lie(responses: list[list[Any]]) -> None:
        del responses[response][start:stop]

    return lie


def key(response: int, name: bytes, value: bytes) -> Lie:
    def lie(responses: list[list[Any]]) -> None:
        responses[response][1][name] = value

    return lie


NODE = b'\x42' * 20
LIES: dict[str, tuple[Lie, str]] = {
    # Wrong counts.
    'changesets announced': (change(CHANGESETS, 1, totalitems=99), 'fewer'),
    'changesets sent': (change(CHANGESETS, 1, totalitems=1), 'more'),
    'negative': (change(CHANGESETS, 1, totalitems=-1), 'missing'),
    'not a number': (change(MANIFESTS, 1, totalitems=b'2'), 'missing'),
    'manifests announced': (
        change(MANIFESTS, 1, totalitems=2**63),
        'too early',
    ),
    'manifests sent': (change(MANIFESTS, 1, totalitems=1), 'more'),
    'paths announced': (change(FILES, 1, totalpaths=9), 'too early'),
    'paths sent': (change(FILES, 1, totalpaths=1), 'more'),
    'files announced': (change(FILES, 2, totalitems=2**62), ''),
    # Responses without end.
    'a changeset again': (
        repeat(CHANGESETS, 2, 4, 9999, (1, 1)),
        'a changeset comes twice',
    ),
    'a manifest again': (
        repeat(MANIFESTS, 2, 4, 9999, (1, 1)),
        'a manifest that was not asked for',
    ),
    'a file again': (
        repeat(FILES, 3, 5, 9999, (2, 1)),
        'a file of a changeset twice',
    ),
    # Wrong hashes, sizes and relations.
    'a changeset of another hash': (change(CHANGESETS, 2, node=NODE), ''),
    'a changeset without parents': (
        change(CHANGESETS, 2, parents=[NODE, b'\0' * 20]),
        '',
    ),
    'a changeset that is no map': (replace(CHANGESETS, 3, b'x'), 'announced'),
    'a manifest of no changeset': (
        change(MANIFESTS, 2, node=NODE),
        'not asked for',
    ),
    'a size': (
        change(FILES, 3, fieldsfollowing=[[b'revision', 5]]),
        'not what was announced',
    ),
    'a field': (change(FILES, 3, fieldsfollowing=[[b'other', 5]]), ''),
    'a base': (change(FILES, 3, deltabasenode=NODE), ''),
    'a malformed base': (change(FILES, 3, deltabasenode=b'x'), ''),
    'a link': (change(FILES, 3, linknode=NODE), 'not asked for'),
    'a malformed link': (change(FILES, 3, linknode=5), 'linknode'),
    'flags': (change(FILES, 3, flags=2**16), 'flags'),
    'unknown flags': (change(FILES, 3, flags=1), 'flags'),
    'a path': (change(FILES, 2, path=b'../../etc/passwd'), 'no changeset'),
    'no path': (change(FILES, 2, path=b''), 'path'),
    'not a map': (replace(FILES, 2, [1, 2]), 'missing'),
    'a missing end': (drop(FILES, -1, 10**6), ''),
    # Wrong pushkey namespaces.
    'a phase': (key(PHASES, b'nonsense', b'1'), 'phase'),
    'a phase of an unknown node': (key(PHASES, b'42' * 20, b'x'), 'phase'),
    'a key with a line break': (key(PHASES, b'a\nb', b'1'), 'control'),
    'a bookmark': (key(BOOKMARKS, b'mark', b'nonsense'), 'bookmark'),
    'a long bookmark': (key(BOOKMARKS, b'm' * 70000, b'42' * 20), ''),
    'no keys': (replace(PHASES, 1, 5), 'listkeys'),
}


@pytest.fixture(scope='module')
def base(
    history: pathlib.Path, tmp_path_factory: pytest.TempPathFactory
) -> pathlib.Path:
    """A repository with the first changesets of the history."""
    path = tmp_path_factory.mktemp('base') / 'repo'
    ui = conversation.make_ui()
    repo = localrepo.instance(ui, os.fsencode(path), True)
    rev = [b'%d' % (HAVE - 1)]
    conversation.run(b'pull', repo, os.fsencode(history), rev=rev)
    return path


class Unbuffered:
    """Like ``util.chunkbuffer``, but does not read ahead."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._held = b''

    def read(self, size: int | None = None) -> bytes:
        if size is None:
            self._held += b''.join(self._chunks)
            size = len(self._held)
        while len(self._held) < size:
            chunk = next(self._chunks, None)
            if chunk is None:
                break
            self._held += chunk
        data, self._held = self._held[:size], self._held[size:]
        return data


@pytest.mark.parametrize('when', ['before', 'during'])
@pytest.mark.parametrize('name', LIES)
def test_wrong_response(
    wire: conversation.Wire,
    base: pathlib.Path,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    when: str,
) -> None:
    """A client that notices the error before it applied data uses version 1."""
    lie, reason = LIES[name]
    if when == 'during':
        monkeypatch.setattr(util, 'chunkbuffer', Unbuffered)
    asked = []

    def edit(request: str, body: bytes) -> bytes:
        if 'multirequest' not in request:
            return body
        responses = read(body)
        if len(responses) == 3:
            # The list of what is missing; the pull proper follows.
            return body
        assert len(responses) == 5
        asked.append(request)
        lie(responses)
        return write(responses)

    wire.edit = edit
    ui = conversation.make_ui()
    ui.ferr = messages = io.BytesIO()
    dest = tmp_path / 'd'
    shutil.copytree(base, dest)
    repo = conversation.open_repo(ui, dest)
    before = nodes(repo)
    assert len(before) == HAVE
    repo.ui.pushbuffer(error=True)
    failed = None
    try:
        conversation.run(b'pull', repo, URL)
    except error.Abort as exc:
        failed = exc
    repo.ui.popbuffer()
    output = messages.getvalue().decode()
    assert len(asked) == 1
    repo = conversation.open_repo(ui, dest)
    if failed is None:
        assert output.count('warning: falling back') == 1
        message = output
        assert len(repo) == TOTAL
    else:
        assert 'warning' not in output
        message = failed.message.decode()
        assert nodes(repo) == before
        assert not repo.svfs.exists(b'journal')
    assert 'server.test' in message
    assert reason in message
    conversation.check(repo)


def test_values_without_revisions_are_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(records, 'MAX_SKIPPED', 100)
    endless = itertools.repeat({b'node': NODE, b'bookmarks': []})
    with pytest.raises(CBORError, match='more than announced'):
        next(records.changesets(endless, 1))


def segment(**fields: Any) -> dict[bytes, Any]:
    value = {
        b'name': b'n',
        b'changesets': 1,
        b'estimate': 1,
        b'heads': [NODE],
        b'final': True,
    }
    return value | {name.encode(): field for name, field in fields.items()}


def listing(total: int, values: Any) -> Any:
    head = {b'version': 1, b'totalitems': total, b'cgversion': b'02'}
    return segment_list.parse(itertools.chain([head], values))


def test_lists_of_segments_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(listing(2, [segment(), segment()]).segments) == 2
    for total, values in (
        (2**63, itertools.repeat(segment())),
        (5, itertools.repeat(segment())),
        (5, [segment()]),
        (1, [segment(name=b'n' * 1000)]),
        (1, [segment(heads=[])]),
        (1, [segment(changesets=-1)]),
        (1, [5]),
    ):
        with pytest.raises(CBORError):
            listing(total, values)
    monkeypatch.setattr(segment_list, 'MAX_HEADS', 10)
    with pytest.raises(CBORError, match='too many heads'):
        listing(9, itertools.repeat(segment(heads=[NODE] * 3)))


def test_segments_that_differ_from_their_list(
    wire: conversation.Wire,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The segment is refused, and an ordinary pull gets the changesets."""
    monkeypatch.setattr(cut, 'LEAST_CHANGESETS', 2)
    # Earlier tests have asked for the segments.
    monkeypatch.setattr(segment_cache, '_listings', LRU(1))
    whole = conversation.Outcome(URL, tmp_path / 'whole', connections=b'1')
    expected = nodes(whole.repo)

    def other_heads(values: list[Any]) -> None:
        values[2][b'heads'] = [NODE]

    def other_order(values: list[Any]) -> None:
        values[2], values[3] = values[3], values[2]

    def no_segments(values: list[Any]) -> None:
        del values[2:]

    def other_names(values: list[Any]) -> None:
        values[2][b'name'] = b'x' * 20

    for lie in (other_heads, other_order, no_segments, other_names):

        def edit(request: str, body: bytes) -> bytes:
            if not request.endswith('/multirequest?'):
                return body
            values, *others = read(body)
            if b'cgversion' in values[1]:
                lie(values)  # noqa: B023
            return write([values, *others])

        wire.restart()
        wire.edit = edit
        dest = tmp_path / lie.__name__
        outcome = conversation.Outcome(URL, dest, connections=b'1')
        assert outcome.error is None, (lie, outcome.error)
        assert b'warning: ' in outcome.output
        assert nodes(outcome.repo) == expected
        assert outcome.check() == TOTAL
