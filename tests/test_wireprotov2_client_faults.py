# SPDX-License-Identifier: GPL-2.0-or-later
"""Clones over connections that break or change bytes.

A real server runs in a process of its own. The clones run in this process, so
that a test can make hundreds of them.
"""

from __future__ import annotations

import contextlib
import io
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import conftest
import pytest
from helpers.wireprotov2_conversation import (
    V1_ERRORS,
    Outcome,
    check,
    make_ui,
    nodes,
    open_repo,
    pull,
)
from mercurial import commands, error, localrepo, phases, verify

from hgext3rd.wireprotov2.proto import client as protoclient
from hgext3rd.wireprotov2.proto import frames
from hgext3rd.wireprotov2.pull.fetch import SegmentSource

HG = str(pathlib.Path(sys.executable).with_name('hg'))
ROOT = pathlib.Path(__file__).resolve().parent.parent
SEGMENTS = 6
PER_SEGMENT = 4
#: A function that changes the bytes of a response.
Edit = Callable[[bytes], bytes]


class Proxy:
    """Forwards TCP connections until it has sent ``limit`` bytes of responses.

    ``edit(data)`` may change the bytes of responses. ``sent`` counts them.
    """

    def __init__(self, target: int) -> None:
        self.limit: int | None = None
        self.sent = 0
        self.edit: Edit | None = None
        self._lock = threading.Lock()
        self._target = target
        self._server = socket.create_server(('127.0.0.1', 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> bytes:
        return b'http://127.0.0.1:%d/' % self.port

    def reset(self, limit: int | None = None, edit: Edit | None = None) -> None:
        with self._lock:
            self.limit, self.sent, self.edit = limit, 0, edit

    def _accept(self) -> None:
        while True:
            client, _address = self._server.accept()
            upstream = socket.create_connection(('127.0.0.1', self._target))
            for args in ((client, upstream, False), (upstream, client, True)):
                threading.Thread(
                    target=self._pump, args=args, daemon=True
                ).start()

    def _pump(
        self, source: socket.socket, sink: socket.socket, response: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                size = len(data)
                if response:
                    with self._lock:
                        if self.edit is not None:
                            data = self.edit(data)
                        if self.limit is not None:
                            size = min(len(data), self.limit - self.sent)
                        self.sent += size
                sink.sendall(data[:size])
                if size < len(data):
                    break
        for sock in (source, sink):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()


@pytest.fixture(scope='module')
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a server whose history has several segments."""
    base = tmp_path_factory.mktemp('faults')
    path = base / 'repo'
    env = dict(os.environ, HGRCPATH='', HGUSER='test', PYTHONPATH=str(ROOT))
    small = base / 'small.py'
    small.write_text(
        'from hgext3rd.wireprotov2.segments import cut\n'
        f'cut.LEAST_CHANGESETS = {PER_SEGMENT}\n'
    )
    ui = make_ui()
    repo = localrepo.instance(ui, os.fsencode(path), True)
    for number in range(SEGMENTS * PER_SEGMENT):
        with open(path / f'f{number % 5}', 'a') as stream:
            stream.writelines(f'{i * number}\n' for i in range(200))
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
        phases.advanceboundary(repo, tr, phases.public, repo.heads())
    port = conftest.free_port()
    process = subprocess.Popen(
        [
            HG,
            '-R',
            str(path),
            'serve',
            '-p',
            str(port),
            '-a',
            '127.0.0.1',
            '--config',
            'extensions.wireprotov2=',
            '--config',
            f'extensions.small={small}',
        ],
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    conftest.wait_for(lambda: conftest.accepts(port), 'hg serve', process)
    yield port
    process.terminate()
    process.wait()


@pytest.fixture(scope='module')
def proxy(server: int) -> Proxy:
    return Proxy(server)


@pytest.fixture(autouse=True)
def whole(request: pytest.FixtureRequest) -> None:
    """Begin every test with a proxy that forwards everything."""
    if 'proxy' in request.fixturenames:
        request.getfixturevalue('proxy').reset()


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


def test_clone_continues_after_the_connection_breaks(
    proxy: Proxy, tmp_path: pathlib.Path, fetched: list[tuple[bytes, ...]]
) -> None:
    first = Outcome(proxy.url, tmp_path / 'whole')
    assert first.error is None
    total = proxy.sent
    assert first.check() == SEGMENTS * PER_SEGMENT
    expected = nodes(first.repo)
    partial = 0
    # test_wireprotov2_client_cuts.py tries more places, without a network. The
    # last bytes are left out because the total differs a little each time.
    for number, limit in enumerate(range(1, total * 9 // 10, total // 12)):
        dest = tmp_path / f'd{number}'
        proxy.reset(limit)
        outcome = Outcome(proxy.url, dest)
        assert outcome.error is not None, limit
        if not dest.exists():
            continue
        count = outcome.check()
        assert count and count % PER_SEGMENT == 0
        assert b'kept %d changesets' % count in outcome.output
        partial += 1
        proxy.reset()
        fetched.clear()
        have = set(nodes(outcome.repo))
        repo = pull(outcome.ui, dest)
        assert nodes(repo) == expected
        assert len(fetched) == SEGMENTS - count // PER_SEGMENT
        assert not any(have.issuperset(heads) for heads in fetched)
    assert partial > 2


def test_request_is_repeated_when_the_connection_breaks(
    proxy: Proxy, tmp_path: pathlib.Path
) -> None:
    lost: list[bool] = []

    def edit(data: bytes) -> bytes:
        # The response with a segment breaks, once.
        if not lost and b'HGPK\x02' in data:
            lost.append(True)
            raise OSError('cut')
        return data

    proxy.reset(edit=edit)
    outcome = Outcome(proxy.url, tmp_path / 'd', retry=b'2')
    assert outcome.error is None
    assert lost
    assert b'trying again' in outcome.output
    assert outcome.check() == SEGMENTS * PER_SEGMENT


def test_damaged_segment_is_fetched_again(
    proxy: Proxy, tmp_path: pathlib.Path
) -> None:
    damaged: list[int] = []

    def edit(data: bytes) -> bytes:
        place = data.find(b'HGPK\x02')
        if place >= 0 and not damaged:
            damaged.append(place)
            data = data[: place + 60] + b'!!!!' + data[place + 64 :]
        return data

    proxy.reset(edit=edit)
    outcome = Outcome(proxy.url, tmp_path / 'd')
    assert damaged
    assert outcome.error is None
    assert b'is damaged; fetching it from the server again' in outcome.output
    assert outcome.check() == SEGMENTS * PER_SEGMENT


def test_pull_replaces_segments_that_stay_damaged(
    proxy: Proxy, tmp_path: pathlib.Path
) -> None:
    def edit(data: bytes) -> bytes:
        return data.replace(b'HGPK\x02', b'HG99\x01')

    proxy.reset(edit=edit)
    outcome = Outcome(proxy.url, tmp_path / 'd')
    assert outcome.error is None
    assert b'warning: not pulling in segments' in outcome.output
    assert outcome.check() == SEGMENTS * PER_SEGMENT


# How a pull with a damaged response may end: with an abort that names the
# server, or with an error of version 1, which discovery uses.
EXPECTED = (error.Abort, *V1_ERRORS)


@pytest.mark.parametrize('encoding', [b'identity', b'zstd-8mb'])
def test_damaged_response_brings_everything_or_nothing(
    server: int,
    proxy: Proxy,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    encoding: bytes,
) -> None:
    orig = protoclient.ClientConnection.__init__

    def init(
        self: Any, framing: frames.Framing, accept: Any = None, **kwargs: Any
    ) -> None:
        orig(self, framing, [encoding], **kwargs)

    monkeypatch.setattr(protoclient.ClientConnection, '__init__', init)
    marker = b'\x01\x00\x02\x01'  # the first wire frame with data
    seen = {'place': 0, 'passed': 0, 'begun': 0}

    def edit(data: bytes) -> bytes:
        if seen['begun'] or marker in data:
            start = 0
            if not seen['begun']:
                seen['begun'] = 1
                start = data.index(marker)
            place = seen['place'] - seen['passed'] + start
            seen['passed'] += len(data) - start
            if start <= place < len(data):
                changed = bytes([data[place] ^ 0x15])
                data = data[:place] + changed + data[place + 1 :]
        return data

    # test_wireprotov2_client_fuzz.py makes other kinds of damage.
    for place in range(0, 12000, 1597):
        seen.update(place=place, passed=0, begun=0)
        proxy.reset(edit=edit)
        dest = tmp_path / f'd{place}'
        ui = make_ui()
        repo = localrepo.instance(ui, os.fsencode(dest), True)
        repo.ui.ferr = io.BytesIO()
        try:
            # With --rev, so that the pull does not use segments.
            commands.pull(
                repo.ui, repo, proxy.url, rev=[b'20'], remote_hidden=False
            )
        except EXPECTED as exc:
            assert not isinstance(exc, error.ProgrammingError)
        if seen['passed'] <= place:
            break
        repo = localrepo.instance(ui, os.fsencode(dest), False)
        # As with version 1, the result of a delta is verified when it is read.
        assert len(repo) in (0, 21), place
        if not len(repo):
            repo.ui.pushbuffer(error=True)
            assert verify.verify(repo) == 0
            repo.ui.popbuffer()


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGKILL])
def test_killed_clone_continues(
    proxy: Proxy, tmp_path: pathlib.Path, number: int
) -> None:
    stalled, release = threading.Event(), threading.Event()

    def edit(data: bytes) -> bytes:
        # Forward some segments, then nothing more.
        if proxy.sent > 14000:
            stalled.set()
            release.wait()
            raise OSError('cut')
        return data

    proxy.reset(edit=edit)
    dest = tmp_path / 'd'
    env = dict(os.environ, HGRCPATH='', PYTHONPATH=str(ROOT))
    process = subprocess.Popen(
        [HG, '--config', 'extensions.wireprotov2=', 'clone', '-q', '-U']
        # With one connection, the segments arrive one after the other.
        + ['--config', 'wireprotov2.connections=1']
        + [proxy.url.decode(), str(dest)],
        env=env,
        stderr=subprocess.PIPE,
        # Processes in the background ignore this signal by default.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        assert stalled.wait(conftest.PATIENCE)
        # Wait until some of the segments are applied. The process may be killed
        # while it applies another.
        store = dest / '.hg' / 'store'
        conftest.wait_for(
            lambda: (
                store.joinpath('00changelog.i').exists()
                and not store.joinpath('journal').exists()
            ),
            'applying segments',
            process,
        )
        process.send_signal(number)
        # It must end although the connection hangs.
        _out, err = process.communicate(timeout=conftest.PATIENCE)
    finally:
        process.kill()
        release.set()
    assert process.returncode
    assert dest.exists(), err
    proxy.reset()
    ui = make_ui()
    # Opening the repository as commands do repairs it, in reposetup().
    count = check(open_repo(ui, dest))
    assert count and count % PER_SEGMENT == 0
    assert len(pull(ui, dest)) == SEGMENTS * PER_SEGMENT
    assert not (dest / '.hg' / 'wireprotov2-unfinished').exists()
