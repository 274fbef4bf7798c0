# SPDX-License-Identifier: GPL-2.0-or-later
"""Clients that go away in the middle of a response: nothing stays behind."""

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
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import ROOT, accepts, free_port, wait_for
from helpers.wireprotov2_wsgi import (  # noqa: F401  (two are fixtures)
    API3,
    MEDIA6,
    Server,
    built_fixture,
    request,
    server_fixture,
)
from mercurial import hg
from mercurial import ui as uimod
from mercurial.hgweb import request as hgwebrequest

# Bytes of the file in the repository of the test with a real server.
BIG = 24 * 1024 * 1024


@pytest.mark.parametrize('version', [1, 2])
def test_body_is_closed(
    server: Server, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    """A body ends with its response, whatever else refers to it."""
    bodies: list[Any] = []
    responses: list[Any] = []

    def setbodygen(self: Any, gen: Any) -> None:
        bodies.append(gen)
        responses.append(self)
        original(self, gen)

    original = hgwebrequest.wsgiresponse.setbodygen
    monkeypatch.setattr(hgwebrequest.wsgiresponse, 'setbodygen', setbodygen)
    body = request(b'heads')
    env = {
        'REQUEST_METHOD': 'POST' if version == 2 else 'GET',
        'SCRIPT_NAME': '',
        'PATH_INFO': API3 + 'ro/heads' if version == 2 else '/',
        'QUERY_STRING': '' if version == 2 else 'cmd=getbundle',
        'SERVER_NAME': 'localhost',
        'SERVER_PORT': '80',
        'SERVER_PROTOCOL': 'HTTP/1.1',
        'HTTP_ACCEPT': MEDIA6,
        'CONTENT_TYPE': MEDIA6,
        'CONTENT_LENGTH': str(len(body)),
        'wsgi.url_scheme': 'http',
        'wsgi.input': io.BytesIO(body),
        'wsgi.errors': io.StringIO(),
    }
    sent = server.app(env, lambda *args: None)
    assert next(sent)
    (generator,) = bodies
    assert generator.gi_frame is not None
    sent.close()
    assert generator.gi_frame is None
    assert responses[0]._bodygen is None


def test_content_is_dropped(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A response does not keep its content, whatever refers to it."""
    responses: list[Any] = []

    def setbodybytes(self: Any, data: bytes) -> None:
        responses.append(self)
        original(self, data)

    original = hgwebrequest.wsgiresponse.setbodybytes
    monkeypatch.setattr(hgwebrequest.wsgiresponse, 'setbodybytes', setbodybytes)
    answer = server.call('/raw-file/0/a', method='GET')
    assert answer.body == b'1'
    (response,) = responses
    assert response._bodybytes is None


@pytest.fixture
def serving(tmp_path: pathlib.Path) -> Iterator[tuple[int, int, bytes]]:
    """Run ``hg serve``; yield its process, its port and a large request."""
    if not os.path.exists('/proc/self/statm'):
        pytest.skip('the memory of a process is measured in /proc')
    path = tmp_path / 'repo'
    repo = hg.repository(uimod.ui.load(), bytes(path), create=True)
    (path / 'big').write_bytes(os.urandom(BIG))
    with repo.wlock():
        with repo.dirstate.changing_files(repo):
            repo[None].add([b'big'])
        repo.commit(b'big', user=b'test')
    node = repo[0][b'big'].filenode()
    (path / '.hg' / 'hgrc').write_text(
        '[extensions]\nwireprotov2 =\n[wireprotov2]\ncacher = directory\n'
    )
    port = free_port()
    env = {**os.environ, 'PYTHONPATH': str(ROOT), 'HGRCPATH': ''}
    for name in ('GLIBC_TUNABLES', 'MALLOC_MMAP_THRESHOLD_'):
        env.pop(name, None)
    process = subprocess.Popen(
        [
            pathlib.Path(sys.executable).with_name('hg'),
            *('serve', '-R', path, '-p', str(port), '-a', '127.0.0.1'),
        ],
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    body = request(
        b'filedata',
        {b'path': b'big', b'nodes': [node], b'fields': {b'revision'}},
    )
    head = (
        f'POST {API3}ro/filedata HTTP/1.1\r\nHost: localhost\r\n'
        f'Accept: {MEDIA6}\r\nContent-Type: {MEDIA6}\r\n'
        f'Content-Length: {len(body)}\r\n\r\n'
    )
    try:
        wait_for(lambda: accepts(port), 'hg serve')
        yield process.pid, port, head.encode() + body
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def test_memory_and_files(serving: tuple[int, int, bytes]) -> None:
    """Memory and files are as before many aborted requests.

    Twelve clients at the same time receive the start of a large response.
    """
    pid, port, data = serving

    def files() -> int:
        return len(os.listdir(f'/proc/{pid}/fd'))

    def memory() -> int:
        pages = pathlib.Path(f'/proc/{pid}/statm').read_text().split()[1]
        return int(pages) * os.sysconf('SC_PAGE_SIZE')

    def abort_together() -> None:
        together = threading.Barrier(12)

        def abort() -> None:
            with socket.create_connection(('127.0.0.1', port), 60) as sock:
                sock.sendall(data)
                sock.recv(1000)
                with contextlib.suppress(threading.BrokenBarrierError):
                    together.wait(60)

        threads = [threading.Thread(target=abort) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        # Each connection has a thread of its own; one watches all of them.
        wait_for(
            lambda: len(os.listdir(f'/proc/{pid}/task')) <= 2, 'the threads'
        )

    before = files()
    for _ in range(4):
        abort_together()
    assert files() <= before + 2
    # One response at most, where there were twelve at a time.
    assert memory() < 90 * 1024 * 1024 + BIG
