# SPDX-License-Identifier: GPL-2.0-or-later
"""Hundreds of aborted requests leave a server as it was.

Clients of every kind go away in the middle of a response or request. Open
files are compared exactly, with garbage collection off in the server, so that
nothing is left to it. Memory is compared between one hundred requests and all,
with garbage collection.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pathlib
import random
import socket
import struct
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from conftest import PATIENCE, ROOT, accepts, free_port, wait_for
from helpers.wireprotov2_wsgi import API3, MEDIA6, request
from mercurial import hg
from mercurial import ui as uimod

# Bytes of the large file in the repository, which cannot be compressed. A
# response with it does not fit into the buffers of a connection.
BIG = 8 << 20

# Clients at the same time.
CLIENTS = 6

# How many requests are aborted between two looks at the memory.
ABORTS = int(os.environ.get('AMALGAM_ABORTS', '200'))

# Bytes by which the memory of a server may grow from the first hundred aborted
# requests to the last, however many they are: the content of six responses. Each of the repository objects that hgweb pools has caches that fill
# up, in Mercurial as well.
GROWTH = 6 * BIG

HGRC = """\
[extensions]
lfsserver =
sqlitestore =
wireprotov2 =
[server]
uncompressed = yes
compressionengines = none
[web]
allow-push = *
push_ssl = no
[wireprotov2]
cacher = directory
"""

pytestmark = pytest.mark.skipif(
    not os.path.exists('/proc/self/statm'),
    reason='open files and memory are counted in /proc',
)


@dataclass
class Served:
    """A running server: its process, its port and requests with long answers.

    ``kept_files`` is how many files it may have open between requests.
    """

    pid: int
    port: int
    requests: list[bytes]
    kept_files: int

    def files(self) -> int:
        """Count open files, without connections."""
        folder = f'/proc/{self.pid}/fd'
        names = []
        for number in os.listdir(folder):
            with contextlib.suppress(FileNotFoundError):
                names.append(os.readlink(f'{folder}/{number}'))
        return sum(name.startswith('/') for name in names)

    def memory(self) -> int:
        statm = pathlib.Path(f'/proc/{self.pid}/statm').read_text()
        return int(statm.split()[1]) * os.sysconf('SC_PAGE_SIZE')

    def connections(self) -> int:
        folder = f'/proc/{self.pid}/fd'
        found = 0
        for number in os.listdir(folder):
            with contextlib.suppress(FileNotFoundError):
                found += os.readlink(f'{folder}/{number}').startswith('socket:')
        return found

    def abort(self, count: int) -> None:
        """Send ``count`` requests of all kinds in turn, and abort each."""
        left = [self.requests[n % len(self.requests)] for n in range(count)]
        failures: list[BaseException] = []

        def client() -> None:
            with contextlib.suppress(IndexError):
                while not failures:
                    try:
                        self._abort_one(left.pop())
                    except OSError as exc:
                        failures.append(exc)

        idle = self.connections()
        threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures
        wait_for(lambda: self.connections() <= idle, 'the ends of requests')

    def _abort_one(self, data: bytes) -> None:
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
            sock.settimeout(PATIENCE)
            sock.connect(('127.0.0.1', self.port))
            sock.sendall(data)
            if not data.startswith(b'PUT'):
                assert b' 200 ' in sock.recv(1000).splitlines()[0]
            # Half of the clients reset the connection.
            if len(data) % 2:
                linger = struct.pack('ii', 1, 0)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


def make_repository(path: pathlib.Path, storage: str) -> list[bytes]:
    """Create a repository; return requests whose answers take long to send."""
    ui = uimod.ui.load()
    if storage == 'sqlite':
        ui.setconfig(b'storage', b'new-repo-backend', b'sqlite')
        ui.setconfig(b'extensions', b'sqlitestore', b'')
        from mercurial import extensions

        extensions.loadall(ui, [b'sqlitestore'])
        extensions.populateui(ui)
    repo = hg.repository(ui, bytes(path), create=True)
    noise = random.Random(5).randbytes(BIG)
    (path / 'big').write_bytes(noise)
    with repo.wlock():
        with repo.dirstate.changing_files(repo):
            repo[None].add([b'big'])
        repo.commit(b'big', user=b'test')
    repo.close()
    uses = 'sqlitestore-v3\n' in (path / '.hg/store/requires').read_text()
    assert uses == (storage == 'sqlite')
    oid = hashlib.sha256(noise).hexdigest()
    blobs = path / '.hg/store/lfs/objects' / oid[:2]
    blobs.mkdir(parents=True)
    (blobs / oid[2:]).write_bytes(noise)
    node = repo[0].node()
    bundle = (
        f'/?cmd=getbundle&common={"0" * 40}&heads={node.hex()}'
        '&bundlecaps=HG20%2Cbundle2%3DHG20%250Achangegroup%253D01%252C02'
    )
    revisions = [{b'type': b'changesetexplicit', b'nodes': [node]}]
    filenode = repo[0][b'big'].filenode()
    return [
        _get(bundle),
        _get(bundle + '%250Astream%253Dv2&stream=1'),
        _get('/?cmd=stream_out'),
        _get('/raw-file/tip/big'),
        _get(f'/.hg/lfs/objects/{oid}'),
        _put(f'/.hg/lfs/objects/{"1" * 64}'),
        _call(
            'filesdata',
            {b'revisions': revisions, b'fields': {b'revision'}},
        ),
        _call(
            'filedata',
            {b'path': b'big', b'nodes': [filenode], b'fields': {b'revision'}},
        ),
        _call(
            'rawstorefiledata',
            {b'files': [b'changelog', b'manifestlog', b'files']},
        ),
        _call('segments', None),
    ]


def _get(target: str) -> bytes:
    return f'GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n'.encode()


def _put(target: str) -> bytes:
    head = f'PUT {target} HTTP/1.1\r\nHost: localhost\r\n'
    return f'{head}Content-Length: {BIG}\r\n\r\n'.encode() + bytes(100_000)


def _call(name: str, args: object) -> bytes:
    body = request(name.encode(), args)
    head = (
        f'POST {API3}ro/{name} HTTP/1.1\r\nHost: localhost\r\n'
        f'Accept: {MEDIA6}\r\nContent-Type: {MEDIA6}\r\n'
        f'Content-Length: {len(body)}\r\n\r\n'
    )
    return head.encode() + body


@pytest.fixture
def served(
    request: pytest.FixtureRequest, tmp_path: pathlib.Path
) -> Iterator[Served]:
    """Run a server; the parameter is (server, storage, collects garbage)."""
    kind, storage, collects = request.param
    path = tmp_path / 'repo'
    requests = make_repository(path, storage)
    (tmp_path / 'hgrc').write_text(HGRC)
    port = free_port()
    env = {
        **os.environ,
        'PYTHONPATH': str(ROOT),
        'HGRCPATH': str(tmp_path / 'hgrc'),
        # The default is 8 arenas for each core, which fill up one by one.
        'MALLOC_ARENA_MAX': '2',
    }
    for name in ('GLIBC_TUNABLES', 'MALLOC_MMAP_THRESHOLD_'):
        env.pop(name, None)
    setup = '' if collects else 'import gc\ngc.disable()\n'
    if kind == 'serve':
        (tmp_path / 'setup.py').write_text(setup)
        command = [
            str(pathlib.Path(sys.executable).with_name('hg')),
            *('serve', '-R', str(path), '-p', str(port), '-a', '127.0.0.1'),
            *('--config', f'extensions.setup={tmp_path}/setup.py'),
        ]
    else:
        pytest.importorskip('gunicorn')
        (tmp_path / 'app.py').write_text(
            'from mercurial.hgweb import hgweb\n'
            f'{setup}application = hgweb({bytes(path)!r})\n'
        )
        command = [
            *(sys.executable, '-m', 'gunicorn', '--threads', '4'),
            *('-b', f'127.0.0.1:{port}', '--chdir', str(tmp_path)),
            *('--timeout', str(PATIENCE), 'app:application'),
        ]
    process = subprocess.Popen(
        command,
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=(tmp_path / 'log').open('wb'),
    )
    try:
        wait_for(lambda: accepts(port), kind, process)
        pid = process.pid
        if kind == 'gunicorn':
            children = pathlib.Path(f'/proc/{pid}/task/{pid}/children')
            wait_for(lambda: bool(children.read_text()), 'a worker', process)
            pid = int(children.read_text())
        threads = 4 if (kind, storage) == ('gunicorn', 'sqlite') else 0
        served = Served(pid, port, requests, 2 * threads + bool(threads))
        served.abort(4 * len(requests))
        yield served
        # It still answers: no lock and no slot is held.
        for target in ('?cmd=heads', 'raw-file/tip/big'):
            address = f'http://127.0.0.1:{port}/{target}'
            with urllib.request.urlopen(address, timeout=PATIENCE) as answer:
                assert answer.read()
        assert 'Traceback' not in (tmp_path / 'log').read_text()
    finally:
        process.terminate()
        process.wait()


def every_server(collects: bool) -> pytest.MarkDecorator:
    """Run a test with each server and storage."""
    return pytest.mark.parametrize(
        'served',
        [
            pytest.param((kind, storage, collects), id=f'{kind}-{storage}')
            for kind in ('serve', 'gunicorn')
            for storage in ('sqlite', 'revlog')
        ],
        indirect=True,
    )


@every_server(collects=False)
def test_files(served: Served) -> None:
    before = served.files()
    served.abort(10 * len(served.requests))
    # A thread that waits for the next request may keep a database open: two
    # files, and one for all.
    assert served.files() <= before + served.kept_files


@every_server(collects=True)
def test_memory(served: Served) -> None:
    served.abort(60)
    before = lowest_memory(served)
    served.abort(ABORTS)
    assert lowest_memory(served) < before + GROWTH


def lowest_memory(served: Served) -> int:
    """Abort 40 requests or more; return the least memory between them.

    What waits for the garbage collection is not counted.
    """
    found = []
    for _ in range(max(4, ABORTS // 200)):
        served.abort(10)
        found.append(served.memory())
    return min(found)
