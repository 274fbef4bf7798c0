# SPDX-License-Identifier: GPL-2.0-or-later
"""Connections of ``hg serve`` on which no request arrives are closed."""

from __future__ import annotations

import contextlib
import pathlib
import select
import socket
import ssl
from collections.abc import Iterator

import pytest
from conftest import PATIENCE
from helpers.lfsserver_http import Server, head, started
from helpers.nginx import certificate

WIRE = """\
[extensions]
lfsserver = !
wireprotov2 =
[wireprotov2]
limit.idle-time = 1
"""


@pytest.fixture(scope='module', params=['lfsserver', 'wireprotov2', 'both'])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    extra = {
        'lfsserver': '',
        'wireprotov2': WIRE,
        'both': WIRE.replace('lfsserver = !', ''),
    }[request.param]
    folder = tmp_path_factory.mktemp('patience')
    with started(Server('single', folder, extra, timeout=1)) as server:
        yield server
    assert 'Traceback' not in server.log.read_text()


def connect(server: Server) -> socket.socket:
    return socket.create_connection(('127.0.0.1', server.port), PATIENCE)


def ended(sock: socket.socket) -> bool:
    """Read what has arrived; return whether the server closed its end."""
    try:
        return not sock.recv(65536)
    except ConnectionError:
        return True


def test_silent(server: Server) -> None:
    with connect(server) as sock:
        assert ended(sock)


def test_incomplete_header(server: Server) -> None:
    with connect(server) as sock:
        sock.sendall(head('GET', '/open/info/lfs/locks')[:-2])
        assert ended(sock)


def test_slow_header(server: Server) -> None:
    """A client that sends a byte again and again does not keep a thread."""
    with connect(server) as sock:
        sock.sendall(b'GET /open/info/lfs/locks HTTP/1.1\r\nX-Slow: ')
        while not select.select([sock], [], [], 0.1)[0]:
            with contextlib.suppress(ConnectionError):
                sock.sendall(b'x')
        assert ended(sock)


def test_idle(server: Server) -> None:
    """A connection that is kept alive is closed, and not before it is idle."""
    with connect(server) as sock:
        for _ in range(3):
            sock.sendall(head('GET', '/open/?cmd=heads'))
            received = b''
            while not received.endswith(b'0' * 40 + b'\n'):
                block = sock.recv(65536)
                assert block
                received += block
        assert ended(sock)


def test_silent_tls(tmp_path: pathlib.Path) -> None:
    """Others are served while a client does not begin the handshake."""
    certificate(tmp_path)
    pair = (tmp_path / 'cert.pem').read_text()
    pair += (tmp_path / 'key.pem').read_text()
    (tmp_path / 'pair.pem').write_text(pair)
    extra = f'[web]\ncertificate = {tmp_path}/pair.pem\n'
    server = Server('single', tmp_path, extra, timeout=2)
    process = server.start()
    try:
        with connect(server) as silent, connect(server) as plain:
            plain.sendall(head('GET', '/open/'))
            trust = ssl.create_default_context(
                cafile=str(tmp_path / 'cert.pem')
            )
            with trust.wrap_socket(
                connect(server), server_hostname='localhost'
            ) as sock:
                sock.sendall(head('GET', '/open/info/lfs/locks'))
                assert sock.recv(65536).startswith(b'HTTP/1.1 200 ')
                assert not sock.recv(65536)
            assert ended(silent)
            while not ended(plain):
                pass
    finally:
        process.terminate()
        process.wait()
    assert 'Traceback' not in server.log.read_text()
