# SPDX-License-Identifier: GPL-2.0-or-later
"""Clones and pulls in which responses are spoiled at random.

A client must get the right history, or report an error in one line. After an
error, its repository must be valid, and be unchanged or have some of the new
changesets.
``AMALGAM_FUZZ`` is the number of cases, ``AMALGAM_SEED`` the first seed.
"""

from __future__ import annotations

import os
import pathlib
import random
import shutil
from typing import Any

import pytest
from helpers import wireprotov2_conversation as conversation
from helpers.wireprotov2_conversation import ERRORS, URL, Wire, nodes
from mercurial import commands, localrepo, phases

from hgext3rd.wireprotov2.proto import client as protoclient
from hgext3rd.wireprotov2.proto import frames
from hgext3rd.wireprotov2.segments import cut

COUNT = int(os.environ.get('AMALGAM_FUZZ', '100'))
SEED = int(os.environ.get('AMALGAM_SEED', '0'))
TOTAL = 11
HAVE = 4


@pytest.fixture(scope='module')
def history(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A repository with a merge, a removed file, and public and draft phases."""
    path = tmp_path_factory.mktemp('fuzz') / 'repo'
    ui = conversation.make_ui()
    repo = localrepo.instance(ui, os.fsencode(path), True)
    (path / '.hg' / 'hgrc').write_text(
        '[extensions]\nwireprotov2 =\n[phases]\npublish = no\n'
    )

    def commit(number: int) -> None:
        commands.commit(
            repo.ui,
            repo,
            addremove=True,
            message=b'c%d' % number,
            date=b'%d 0' % number,
        )

    for number in range(TOTAL - 1):
        if number == 7:
            commands.update(repo.ui, repo, rev=b'4')
        with open(path / f'f{number % 3}', 'a') as stream:
            stream.writelines(f'{i * number}\n' for i in range(40))
        if number == 5:
            (path / 'f1').unlink()
        commit(number)
    commands.merge(repo.ui, repo, rev=b'6', tool=b':local')
    commit(TOTAL - 1)
    commands.bookmark(repo.ui, repo, b'mark', rev=b'5')
    with repo.lock(), repo.transaction(b'publish') as tr:
        phases.advanceboundary(repo, tr, phases.public, [repo[8].node()])
    return path


@pytest.fixture
def wire(history: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Wire:
    monkeypatch.setattr(cut, 'LEAST_CHANGESETS', 3)
    return conversation.connect(monkeypatch, history)


def spoil(rng: random.Random, data: bytes) -> bytes:
    """Return ``data`` with some bytes changed, added, repeated or removed."""
    if not data:
        return b'\xff'
    start = rng.randrange(len(data))
    stop = min(len(data), start + rng.choice((1, 1, 2, 8, 64, 1024)))
    part = data[start:stop]
    kind = rng.randrange(8)
    if kind == 0:
        return data[:start]
    if kind == 1:
        return data[:start] + data[stop:]
    if kind == 2:
        return data[:stop] + part + data[stop:]
    if kind == 3:
        return data[:start] + rng.randbytes(len(part)) + data[stop:]
    if kind == 4:
        return data[:start] + rng.randbytes(rng.randrange(100)) + data[start:]
    if kind == 5:
        return data + rng.choice((data, rng.randbytes(50), data[:start]))
    if kind == 6:
        return data[:start] + part * rng.randrange(2, 2000) + data[stop:]
    flipped = data[start] ^ (1 << rng.randrange(8))
    return data[:start] + bytes([flipped]) + data[start + 1 :]


class Spoiler:
    """Spoils two version 2 responses; the first is number ``place``, from 0."""

    def __init__(self, rng: random.Random, place: int, what: str) -> None:
        self.rng = rng
        self.left = place
        self.what = what
        self.done = False

    def __call__(self, request: str, data: bytes) -> bytes:
        if ' /api/' not in request:
            return data
        self.left -= 1
        return self.change(data) if self.left < 0 and self.left > -3 else data

    def change(self, data: bytes) -> bytes:
        self.done = True
        rng = self.rng
        if self.what != 'frames':
            return spoil(rng, data)
        # The wire frames stay well-formed; their contents or order are wrong.
        parser = frames.FrameParser()
        found = parser.feed(data)
        index = rng.randrange(len(found))
        frame = found[index]
        kind = rng.randrange(5)
        if kind == 0:
            frame.payload = spoil(rng, frame.payload)[: frames.MAX_PAYLOAD]
        elif kind == 1:
            found.insert(rng.randrange(len(found)), frame)
        elif kind == 2:
            del found[index]
        elif kind == 3:
            rng.shuffle(found)
        else:
            field = rng.choice(('requestid', 'streamid', 'streamflags'))
            field = rng.choice((field, 'typeid', 'flags'))
            setattr(frame, field, rng.randrange(12))
        return b''.join(
            frames.build(
                f.requestid,
                f.streamid,
                f.streamflags,
                f.typeid,
                f.flags,
                f.payload,
            )
            for f in found
        )


def attempt(ui: Any, dest: pathlib.Path, action: str) -> Exception | None:
    """Run ``action`` in a repository; return its error or None."""
    repo = conversation.open_repo(ui, dest)
    repo.ui.pushbuffer(error=True)
    try:
        if action == 'incoming':
            conversation.run(b'incoming|in', repo, URL, patch=True)
        elif action == 'part':
            conversation.run(b'pull', repo, URL, rev=[b'8'])
        else:
            conversation.run(b'pull', repo, URL)
    except ERRORS as exc:
        return exc
    finally:
        repo.ui.popbuffer()
    return None


def contents(repo: Any) -> dict:
    """Return the descriptions, manifests and files of all changesets."""
    found = {}
    for rev in repo:
        ctx = repo[rev]
        for path in ctx:
            found[ctx.node(), path] = ctx[path].data()
        found[ctx.node()] = (ctx.description(), ctx.files(), ctx.manifestnode())
    return found


@pytest.mark.parametrize('encoding', ['zstd-8mb', 'identity'])
@pytest.mark.parametrize('what', ['body', 'http', 'frames'])
def test_spoiled_response(
    history: pathlib.Path,
    wire: Wire,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    encoding: str,
    what: str,
) -> None:
    orig = protoclient.ClientConnection.__init__

    def init(
        self: Any, framing: frames.Framing, accept: Any = None, **kwargs: Any
    ) -> None:
        orig(self, framing, [encoding.encode()], **kwargs)

    monkeypatch.setattr(protoclient.ClientConnection, '__init__', init)
    ui = conversation.make_ui(connections=b'1')
    empty, some = tmp_path / 'empty', tmp_path / 'some'
    for path in (empty, some):
        localrepo.instance(ui, os.fsencode(path), True)
    source = conversation.open_repo(ui, history)
    everything = contents(source)
    order = nodes(source)
    repo = conversation.open_repo(ui, some)
    rev = [b'%d' % (HAVE - 1)]
    url = os.fsencode(history)
    conversation.run(b'pull', repo, url, rev=rev)
    spoiled = 0
    for seed in range(SEED, SEED + max(1, COUNT // 6)):
        rng = random.Random(f'{seed}{encoding}{what}')
        action = rng.choice(('clone', 'part', 'pull', 'incoming'))
        base = empty if action in ('clone', 'part') else some
        before = 0 if base is empty else HAVE
        dest = tmp_path / f'd{seed}'
        shutil.copytree(base, dest)
        wire.restart()
        spoiler = Spoiler(
            rng, rng.randrange(4 if action == 'clone' else 1), what
        )
        if what == 'http':
            wire.edit_all = spoiler
        else:
            wire.edit = spoiler
        failed = attempt(ui, dest, action)
        wire.restart()
        spoiled += spoiler.done
        note = (seed, action, failed)
        repo = conversation.open_repo(ui, dest)
        count = len(repo)
        assert not repo.svfs.exists(b'journal'), note
        if failed is None:
            wanted = {'part': 7, 'incoming': HAVE}.get(action, TOTAL)
            assert count == wanted, note
        else:
            assert count == before or action == 'clone', note
            # Every error has a message.
            assert str(failed), note
        assert set(nodes(repo)) <= set(order), note
        try:
            conversation.check(repo)
        except AssertionError:
            # As with version 1, the result of a delta is verified when it is
            # read. Compressed streams have a checksum, so they never get here.
            assert encoding == 'identity', note
        else:
            found = contents(repo)
            assert found.items() <= everything.items(), note
        shutil.rmtree(dest)
    assert spoiled
