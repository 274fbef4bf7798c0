# SPDX-License-Identifier: GPL-2.0-or-later
"""Requests that are answered before their body has arrived.

Whatever the server, and whether or not nginx is in front of it, a client that
announces a body and does not send it gets its answer, and keeps no thread of
the server busy.
"""

from __future__ import annotations

import contextlib
import pathlib
import socket
from collections.abc import Iterator

import pytest
from conftest import PATIENCE
from helpers.lfsserver_http import ABSENT, GUARDED_PATH, Server, head
from helpers.nginx import nginx

FRONTS = ['serve', 'single', 'threads', 'sync', 'nginx threads', 'nginx sync']


@pytest.fixture(scope='module', params=FRONTS)
def front(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server; requests go to its ``port``, which may be that of nginx."""
    *proxy, kind = request.param.split()
    if kind in ('threads', 'sync'):
        pytest.importorskip('gunicorn')
    server = Server(kind, tmp_path_factory.mktemp(kind))
    process = server.start()
    try:
        if not proxy:
            yield server
        else:
            with nginx(server.folder, server.port) as server.port:
                server.proxied = True
                yield server
    finally:
        process.terminate()
        process.wait()
    assert 'Traceback' not in server.log.read_text()


def begin(server: Server, data: bytes) -> socket.socket:
    """Send the beginning of a request and keep the connection open."""
    sock = socket.create_connection(('127.0.0.1', server.port), PATIENCE)
    sock.sendall(data)
    return sock


def status_of(sock: socket.socket) -> int:
    """Return the status of the response, whose header has to arrive."""
    received = b''
    while b'\r\n\r\n' not in received:
        block = sock.recv(65536)
        assert block, received
        received += block
    return int(received.split()[1])


def upload(path: str, length: int) -> bytes:
    address = f'{path}/.hg/lfs/objects/{ABSENT}'
    return head('PUT', address, f'Content-Length: {length}') + b'x'


def batch(path: str, length: int, *fields: str) -> bytes:
    media = 'application/vnd.git-lfs+json'
    address = f'{path}/info/lfs/objects/batch'
    return (
        head(
            'POST',
            address,
            f'Content-Length: {length}',
            f'Content-Type: {media}',
            *fields,
        )
        + b'{'
    )


LARGE = 100_000_000

# max-object-size is 1 MB.
OPEN = [
    (upload('/open', LARGE), 413),
    (batch('/open', LARGE, 'Accept: text/plain'), 406),
    (batch('/open', 1000, 'Accept: text/plain'), 406),
]
# Anonymous users may neither push to "guarded" nor pull from it.
GUARDED = [
    (upload(GUARDED_PATH, LARGE), 401),
    (batch(GUARDED_PATH, 1000), 401),
    (upload('/nowhere', LARGE), 404),
]


def test_refused_at_once(front: Server) -> None:
    """Silent clients are answered, and others are served beside them."""
    requests = OPEN if front.kind == 'single' else OPEN + GUARDED
    with contextlib.ExitStack() as stack:
        for data, status in requests:
            sock = stack.enter_context(begin(front, data))
            assert status_of(sock) == status
        assert front.request('GET', '/open/info/lfs/locks').status == 200


def test_small_rest_is_drained(front: Server) -> None:
    """A connection can be used again if the rest of the body arrives."""
    if front.kind == 'single':
        path, status = '/open', 415
    else:
        path, status = GUARDED_PATH, 401
    request = head(
        'POST', f'{path}/info/lfs/objects/batch', 'Content-Length: 5000'
    )
    with begin(front, request) as sock:
        assert status_of(sock) == status
        sock.sendall(bytes(5000))
        if front.kind == 'sync' or front.proxied:
            # These close a connection whose request was answered early.
            return
        sock.sendall(head('GET', '/open/info/lfs/locks'))
        received = b''
        while b'"locks"' not in received:
            block = sock.recv(65536)
            assert block, received
            received += block


def test_answer_outlives_the_connection(front: Server) -> None:
    """A client that sends on reads the answer when it has sent everything."""
    if front.kind == 'single':
        request, status = upload('/open', 3_000_000), 413
    else:
        request, status = upload(GUARDED_PATH, 3_000_000), 401
    with begin(front, request) as sock:
        with contextlib.suppress(ConnectionError):
            sock.sendall(bytes(40_000))
        assert status_of(sock) == status


def test_silence_after_permission(tmp_path: pathlib.Path) -> None:
    """A request that is allowed must arrive within the timeout."""
    pytest.importorskip('gunicorn')
    server = Server('threads', tmp_path, timeout=1)
    process = server.start()
    try:
        with contextlib.ExitStack() as stack:
            silent = [
                stack.enter_context(begin(server, data))
                for data in (batch('/open', 1000), upload('/open', 1000))
            ]
            for sock in silent:
                assert status_of(sock) == 408
            assert server.request('GET', '/open/info/lfs/locks').status == 200
    finally:
        process.terminate()
        process.wait()
    assert 'Traceback' not in server.log.read_text()
