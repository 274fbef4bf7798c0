# SPDX-License-Identifier: GPL-2.0-or-later
"""Downloads of segments that continue at the byte where they stopped."""

from __future__ import annotations

import io
import os
import pathlib
import random
import re
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from helpers import wireprotov2_conversation as conversation
from helpers import wireprotov2_network as network
from helpers.wireprotov2_conversation import URL, Outcome, Wire, nodes
from mercurial import commands, localrepo, phases

from hgext3rd.amalgam.packs import framewriter
from hgext3rd.wireprotov2.pull import parts
from hgext3rd.wireprotov2.segments import cut

CHANGESETS = 4
#: Bytes of each file, which do not compress.
SIZE = 700_000
#: What both segments take, roughly.
TOTAL = CHANGESETS * SIZE
#: What a request may add to that: its head, and the chunks that had begun.
PER_REQUEST = 160_000


@pytest.fixture(scope='module')
def history(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A repository whose history has two large segments."""
    path = tmp_path_factory.mktemp('continued') / 'repo'
    ui = conversation.make_ui()
    repo = localrepo.instance(ui, os.fsencode(path), True)
    noise = random.Random(7)
    for number in range(CHANGESETS):
        (path / f'f{number}').write_bytes(noise.randbytes(SIZE))
        commands.commit(
            repo.ui, repo, addremove=True, message=b'%d' % number, date=b'0 0'
        )
    with repo.lock(), repo.transaction(b'publish') as tr:
        phases.advanceboundary(repo, tr, phases.public, repo.heads())
    return path


@pytest.fixture
def server(history: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Write the configuration of the server and return its repository."""
    monkeypatch.setattr(cut, 'LEAST_CHANGESETS', CHANGESETS // 2)
    configure(history, 'cacher = memory')
    return history


@pytest.fixture
def wire(server: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Wire:
    return conversation.connect(monkeypatch, server)


def configure(path: pathlib.Path, text: str) -> None:
    (path / '.hg' / 'hgrc').write_text(
        f'[extensions]\nwireprotov2 =\n[wireprotov2]\n{text}\n'
    )


def stop_after(wire: Wire, size: int) -> None:
    """End each response with a segment after ``size`` bytes."""

    def edit(request: str, response: bytes) -> bytes:
        return response[:size] if 'segmentdata' in request else response

    wire.edit_all = edit


def requests(wire: Wire) -> int:
    return sum('segmentdata' in request for request in wire.requests)


def kept(dest: pathlib.Path) -> list[pathlib.Path]:
    return list((dest / '.hg' / os.fsdecode(parts.FOLDER)).glob('*'))


@pytest.mark.parametrize('connections', [b'1', b'4'])
@pytest.mark.parametrize('size', [200_000, 333_333, 1_000_000, 1_399_900])
def test_retries_continue(
    wire: Wire, tmp_path: pathlib.Path, size: int, connections: bytes
) -> None:
    stop_after(wire, size)
    outcome = Outcome(URL, tmp_path / 'd', retry=b'1', connections=connections)
    assert outcome.error is None, outcome.output
    assert requests(wire) > 2
    # All that a request loses is a chunk of 64 kB, and one that was held back.
    assert wire.sent < TOTAL + requests(wire) * PER_REQUEST
    assert outcome.check() == CHANGESETS
    assert not kept(outcome.dest)
    assert not outcome.dest.joinpath('.hg', os.fsdecode(parts.FOLDER)).exists()


def test_retries_without_progress_end(
    wire: Wire, tmp_path: pathlib.Path
) -> None:
    stop_after(wire, 100_000)
    outcome = Outcome(URL, tmp_path / 'd', retry=b'2', connections=b'1')
    assert b'trying again' in outcome.output
    assert requests(wire) < 10


@pytest.mark.parametrize('storage', ['revlog', 'sqlite'])
def test_later_processes_continue(
    wire: Wire, tmp_path: pathlib.Path, storage: str
) -> None:
    settings = {}
    if storage == 'sqlite':
        settings = {
            b'extensions.sqlitestore': b'',
            b'storage.new-repo-backend': b'sqlite',
        }
    stop_after(wire, 400_000)
    dest = tmp_path / 'd'
    outcome = Outcome(URL, dest, settings, connections=b'1')
    assert outcome.error is not None
    assert b"kb in %s; 'hg pull' there continues" % bytes(dest) in (
        outcome.output.lower()
    )
    assert len(kept(dest)) == 1
    assert not len(outcome.repo)
    attempts = 1
    while outcome.error is not None:
        attempts += 1
        assert attempts < 20
        try:
            repo = conversation.pull(outcome.ui, dest)
            break
        except conversation.ERRORS:
            # Nothing is there twice.
            assert len(kept(dest)) == 1
    assert 6 < attempts
    assert wire.sent < TOTAL + requests(wire) * PER_REQUEST
    assert conversation.check(repo) == CHANGESETS
    assert not kept(dest)


def test_killed_processes_continue(
    wire: Wire, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL while a segment arrives, at many places."""
    whole = nodes(Outcome(URL, tmp_path / 'whole').repo)
    orig = conversation._Connection.readinto
    for number, place in enumerate(range(300_000, TOTAL, 450_000)):
        dest = tmp_path / f'd{number}'
        received = 0

        def readinto(self: Any, buffer: Any) -> int:
            nonlocal received
            size: int = orig(self, buffer)
            received += size
            if received > place:  # noqa: B023
                os.kill(os.getpid(), signal.SIGKILL)
            return size

        sys.stdout.flush()
        pid = os.fork()
        if not pid:
            conversation._Connection.readinto = readinto  # type: ignore[method-assign]
            Outcome(URL, dest, connections=b'1')
            os._exit(0)
        assert os.WIFSIGNALED(os.waitpid(pid, 0)[1])
        files = kept(dest)
        assert files, place
        have = sum(file.stat().st_size for file in files)
        count = len(conversation.open_repo(conversation.make_ui(), dest))
        assert count in (0, CHANGESETS // 2)
        wire.restart()
        repo = conversation.pull(conversation.make_ui(), dest)
        assert nodes(repo) == whole
        missing = TOTAL - count * SIZE - have
        assert wire.sent < missing + requests(wire) * PER_REQUEST
        assert conversation.check(repo) == CHANGESETS
        assert not kept(dest)


def test_interrupts_continue(
    wire: Wire, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dest = tmp_path / 'd'

    def interrupt(*_args: object) -> None:
        raise KeyboardInterrupt

    stop_after(wire, 500_000)
    with monkeypatch.context() as patches:
        # The client would wait before it asks again.
        patches.setattr(
            'hgext3rd.wireprotov2.client.http.HTTPClient.pause', interrupt
        )
        with pytest.raises(KeyboardInterrupt):
            Outcome(URL, dest, retry=b'5')
    assert kept(dest)
    wire.restart()
    repo = conversation.pull(conversation.make_ui(), dest)
    assert conversation.check(repo) == CHANGESETS
    assert wire.sent < TOTAL - 300_000


def interrupted(wire: Wire, dest: pathlib.Path) -> Outcome:
    """Return a clone with a part of the first segment."""
    stop_after(wire, 900_000)
    outcome = Outcome(URL, dest, connections=b'1')
    assert outcome.error is not None
    assert [file.stat().st_size > 600_000 for file in kept(dest)] == [True]
    wire.restart()
    return outcome


def test_server_with_other_bytes(
    server: pathlib.Path,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A segment that was built anew is fetched from its beginning."""
    configure(server, 'cacher =')
    wire = conversation.connect(monkeypatch, server)
    outcome = interrupted(wire, tmp_path / 'd')
    monkeypatch.setattr(framewriter, 'PIECE_BYTES', 300_000)
    repo = conversation.pull(outcome.ui, outcome.dest)
    assert conversation.check(repo) == CHANGESETS
    assert wire.sent > TOTAL
    assert requests(wire) == 2


@pytest.mark.parametrize('place', [0, 300_000, -1])
def test_damaged_part(wire: Wire, tmp_path: pathlib.Path, place: int) -> None:
    """Bytes on disk that changed are found, and fetched again."""
    outcome = interrupted(wire, tmp_path / 'd')
    (file,) = kept(outcome.dest)
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)
    repo = conversation.pull(outcome.ui, outcome.dest)
    assert conversation.check(repo) == CHANGESETS
    assert requests(wire) == 3
    assert not kept(outcome.dest)


@pytest.mark.parametrize(
    'change',
    [
        lambda file: file.rename(file.with_name('x-y-z')),
        lambda file: file.rename(file.with_name(file.name + '9')),
        lambda file: file.rename(re.sub('^.', 'x', file.name)),
        lambda file: file.write_bytes(b''),
        lambda file: file.write_bytes(bytes(TOTAL * 2)),
        lambda file: (file.unlink(), file.mkdir()),
    ],
)
def test_strange_files(wire: Wire, tmp_path: pathlib.Path, change: Any) -> None:
    outcome = interrupted(wire, tmp_path / 'd')
    os.chdir(tmp_path / 'd' / '.hg' / os.fsdecode(parts.FOLDER))
    change(kept(outcome.dest)[0])
    os.chdir(tmp_path)
    repo = conversation.pull(outcome.ui, outcome.dest)
    assert conversation.check(repo) == CHANGESETS
    assert not kept(outcome.dest)


def test_complete_part_is_not_trusted(
    wire: Wire, tmp_path: pathlib.Path
) -> None:
    """A process may be killed before it has checked the last byte."""
    outcome = interrupted(wire, tmp_path / 'd')
    (file,) = kept(outcome.dest)
    size = int(file.name.rpartition('-')[2])
    with file.open('ab') as stream:
        stream.write(bytes(size - file.stat().st_size))
    repo = conversation.pull(outcome.ui, outcome.dest)
    assert conversation.check(repo) == CHANGESETS


@pytest.mark.parametrize('offset', [0, 65_536, 2**32 - 1])
def test_server_that_sends_another_part(
    wire: Wire, tmp_path: pathlib.Path, offset: int
) -> None:
    """The client does not use it, and gets the changesets in another way."""
    outcome = interrupted(wire, tmp_path / 'd')
    changed = []

    def edit(request: str, body: bytes) -> bytes:
        place = body.find(b'Foffset\x1a')
        if place >= 0:
            changed.append(place)
            end = place + 12
            body = body[: end - 4] + offset.to_bytes(4, 'big') + body[end:]
        return body

    wire.edit = edit
    outcome.ui.ferr = messages = io.BytesIO()
    repo = conversation.open_repo(outcome.ui, outcome.dest)
    conversation.run(b'pull', repo)
    assert changed
    assert b'another part of a segment' in messages.getvalue()
    assert conversation.check(repo) == CHANGESETS
    assert not kept(outcome.dest)


def test_two_processes(wire: Wire, tmp_path: pathlib.Path) -> None:
    """Another process uses the part: this one fetches all of the segment."""
    outcome = interrupted(wire, tmp_path / 'd')
    (file,) = kept(outcome.dest)
    name = bytes.fromhex(file.name.partition('-')[0])
    before = file.read_bytes()
    held = parts.Parts(outcome.repo.vfs).find(name)
    assert held.received == len(before)
    content = b''.join(held.content())
    again = parts.Parts(outcome.repo.vfs).find(name)
    assert not again.received
    again.begin(held.size, held.sha256)
    again.write(b'x' * 100)
    assert b''.join(held.content()) == content == before
    held.close()
    again.close()


# -- object stores


class Store:
    """A server of the files below ``folder``.

    It sends ``most`` bytes of a file for each request, then breaks off. If
    ``ranges`` is false, it sends whole files only.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.most = 10**9
        self.ranges = True
        self.sent = 0
        self.status: list[str] = []
        self.before_part: Callable[[], None] = lambda: None

    def __call__(self, env: dict[str, Any], start_response: Any) -> Any:
        if env.get('HTTP_RANGE'):
            self.before_part()
        path = self.folder / env['PATH_INFO'].lstrip('/')
        data = path.read_bytes()
        total = len(data)
        status, start, stop = '200 OK', 0, total
        asked = re.fullmatch(
            r'bytes=(\d+)-(\d*)', env.get('HTTP_RANGE', '') or ''
        )
        headers = []
        if asked and self.ranges:
            status = '206 Partial Content'
            start = int(asked[1])
            stop = min(total, int(asked[2] or total) + 1)
            headers = [('Content-Range', f'bytes {start}-{stop - 1}/{total}')]
        data = data[start:stop]
        self.status.append(status)
        start_response(status, [*headers, ('Content-Length', str(len(data)))])
        data = data[: self.most]
        self.sent += len(data)
        return [data]


@pytest.fixture
def store(server: pathlib.Path, tmp_path: pathlib.Path) -> Iterator[Store]:
    """An object store that the server redirects to, with all segments."""
    pytest.importorskip('obstore')
    folder = tmp_path / 'store'
    folder.mkdir()
    found = Store(folder)
    web = network.Web(found)
    configure(
        server,
        'cacher = objectstore\ncacher.identity = test\n'
        f'cacher.objectstore.url = file://{folder}\n'
        'cacher.objectstore.redirect = yes\n'
        f'cacher.objectstore.public-url = {web.url.decode()}',
    )
    yield found
    web.close()


@pytest.fixture
def redirecting(store: Store, wire: Wire, tmp_path: pathlib.Path) -> Wire:
    wire.live = True
    assert Outcome(URL, tmp_path / 'first').error is None
    wire.restart()
    assert Outcome(URL, tmp_path / 'second').error is None
    assert store.status == ['200 OK'] * 2
    wire.restart()
    store.status.clear()
    store.sent = 0
    return wire


def test_redirects_continue(
    redirecting: Wire, store: Store, tmp_path: pathlib.Path
) -> None:
    store.most = 450_000
    outcome = Outcome(URL, tmp_path / 'd', retry=b'1', connections=b'1')
    assert outcome.error is None
    assert outcome.output == b''
    assert store.status.count('200 OK') == 2
    assert len(store.status) > 6
    assert store.sent < TOTAL + len(store.status) * PER_REQUEST
    # The server itself has sent locations only.
    assert redirecting.sent < 20_000
    assert outcome.check() == CHANGESETS


def test_later_processes_continue_redirects(
    redirecting: Wire, store: Store, tmp_path: pathlib.Path
) -> None:
    """Without retries, the server itself is asked for the rest."""
    store.most = 450_000
    outcome = Outcome(URL, tmp_path / 'd', retry=b'0', connections=b'1')
    assert outcome.error is None
    assert outcome.output.count(b'fetching from the server itself') == 2
    assert redirecting.sent + store.sent < TOTAL + 4 * PER_REQUEST
    assert outcome.check() == CHANGESETS


def test_stores_without_ranges(
    redirecting: Wire, store: Store, tmp_path: pathlib.Path
) -> None:
    """They are asked for the rest, and then for the whole."""
    store.ranges = False
    store.most = 900_000
    outcome = Outcome(URL, tmp_path / 'd', retry=b'1', connections=b'1')
    assert outcome.error is None
    # A download does not get further than the one before, so the server is
    # asked for the rest.
    assert outcome.output.count(b'fetching from the server itself') == 2
    assert outcome.check() == CHANGESETS


@pytest.mark.parametrize('what', ['map', 'chunk', 'begin'])
def test_stores_with_another_object(
    redirecting: Wire, store: Store, tmp_path: pathlib.Path, what: str
) -> None:
    """A wrong object is not applied, wherever it differs."""
    bodies = sorted(store.folder.glob('bodies/*'))
    bodies = [body for body in bodies if body.stat().st_size > SIZE]
    assert len(bodies) == 2
    store.most = 700_000
    changed: list[pathlib.Path] = []

    def change() -> None:
        if changed:
            return
        for body in bodies:
            data = bytearray(body.read_bytes())
            place = {
                'map': data.index(b'Fsha256') + 9,
                'begin': 100_000,
                'chunk': 1_000_000,
            }[what]
            data[place] ^= 1
            body.write_bytes(data)
            changed.append(body)

    store.before_part = change
    outcome = Outcome(URL, tmp_path / 'd', retry=b'1', connections=b'1')
    assert changed
    assert outcome.error is None
    assert outcome.check() == CHANGESETS
    assert not kept(outcome.dest)
