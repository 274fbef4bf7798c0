# SPDX-License-Identifier: GPL-2.0-or-later
"""Servers that drip, in every part of a response; by a clock that is made up.

Sockets are real, since what matters is that no read escapes.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
import types
from typing import Any, Protocol

import pytest
from mercurial import ui as uimod
from mercurial import url as urlmod
from mercurial import util

from hgext3rd.wireprotov2.client import pace

TIMEOUT = 60
STATUS = b'HTTP/1.1 200 OK\r\n'
CHUNKED = b'Transfer-Encoding: chunked\r\n'


class Server:
    """Answers one connection with ``response``, as fast as it is read."""

    def __init__(self, response: bytes) -> None:
        self._response = response
        self._socket = socket.create_server(('127.0.0.1', 0))
        self.url = 'http://127.0.0.1:%d/' % self._socket.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            client, _address = self._socket.accept()
            client.recv(65536)
            client.sendall(self._response)
            client.close()


class Read(Protocol):
    def __call__(
        self,
        response: bytes,
        seconds: float,
        paced: bool = True,
        timeout: float = TIMEOUT,
    ) -> bytes: ...


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Read:
    """Return a function that reads a response of ``seconds`` a byte."""
    clock = types.SimpleNamespace(now=0.0, step=0.0)
    monkeypatch.setattr(time, 'monotonic', lambda: clock.now)
    # no read gets more than a byte, and each takes its time
    real = socket.SocketIO.readinto

    def readinto(self: socket.SocketIO, buffer: Any) -> int | None:
        clock.now += clock.step
        with memoryview(buffer) as view:
            return real(self, view[:1] if clock.step else view)

    monkeypatch.setattr(socket.SocketIO, 'readinto', readinto)

    def read(
        response: bytes,
        seconds: float,
        paced: bool = True,
        timeout: float = TIMEOUT,
    ) -> bytes:
        clock.step = seconds
        opener = urlmod.opener(uimod.ui.load())
        pace.limit(opener, timeout)
        request = util.urlreq.request(Server(response).url)
        request.paced = paced
        return opener.open(request).read()

    return read


DRIPS = {
    'status line': b'HTTP/1.1 200 ' + b'O' * 2000,
    'headers': STATUS + b'X: x\r\n' * 90,
    'header': STATUS + b'X: ' + b'x' * 2000,
    'continue': b'HTTP/1.1 100 Continue\r\n\r\n' * 20,
    'chunk size': STATUS + CHUNKED + b'\r\n1;' + b'x' * 2000,
    'chunks': STATUS + CHUNKED + b'\r\n' + b'1\r\nx\r\n' * 400,
    'content': STATUS + b'Content-Length: 2000\r\n\r\n' + b'x' * 2000,
}


@pytest.mark.parametrize('name', DRIPS)
def test_drip(read: Read, name: str) -> None:
    with pytest.raises((pace.TooSlow, util.urlerr.urlerror)) as caught:
        read(DRIPS[name], 1)
    assert 'less than 1024 bytes in 60 seconds' in str(caught.value)


def test_fast_enough(read: Read) -> None:
    response = STATUS + b'Content-Length: 5000\r\n\r\n' + b'x' * 5000
    assert len(read(response, TIMEOUT / 2000)) == 5000


def test_only_where_asked(read: Read) -> None:
    response = STATUS + b'Content-Length: 200\r\n\r\n' + b'x' * 200
    assert len(read(response, 1, paced=False)) == 200
    assert len(read(response, 1, timeout=0)) == 200


def test_short_responses_may_take_as_long_as_the_timeout(read: Read) -> None:
    response = STATUS + b'Content-Length: 2\r\n\r\nxx'
    assert read(response, (TIMEOUT - 1) / len(response)) == b'xx'
