# SPDX-License-Identifier: GPL-2.0-or-later
"""What becomes of a connection whose last response was an error."""

from __future__ import annotations

import select
import socket
import threading

import pytest

pytest.importorskip('mercurial')

from helpers.wireprotov2_conversation import make_ui
from helpers.wireprotov2_network import Listener
from mercurial import url, util

from hgext3rd.wireprotov2.client import connections, failures, http

# How long the rest of a response is on its way, in seconds. A client that does
# not wait for it is faster.
ON_ITS_WAY = 0.3


class Busy(Listener):
    """A server that refuses each request; the page of the error comes late."""

    def __init__(self, page: bytes) -> None:
        self._page = page
        #: the number of requests on each connection
        self.requests: list[int] = []
        #: whether a request came before the last response was complete
        self.hasty = False
        self._lock = threading.Lock()
        super().__init__()

    def run(self, client: socket.socket) -> None:
        """Refuse the requests of one connection."""
        with self._lock:
            number = len(self.requests)
            self.requests.append(0)
        while self._read_request(client):
            self.requests[number] += 1
            client.sendall(
                b'HTTP/1.1 503 Service Unavailable\r\nContent-Length: %d\r\n\r\n'
                % len(self._page)
            )
            if self._page and select.select([client], [], [], ON_ITS_WAY)[0]:
                self.hasty = len(client.recv(1, socket.MSG_PEEK)) > 0
            client.sendall(self._page)

    @staticmethod
    def _read_request(client: socket.socket) -> bool:
        data = b''
        while not data.endswith(b'\r\n\r\nbody'):
            more = client.recv(65536)
            if not more:
                return False
            data += more
        return True


@pytest.mark.parametrize('size', [0, 5, connections.MOST_UNWANTED])
def test_short_pages_keep_the_connection(size: int) -> None:
    server = Busy(b'x' * size)
    refuse_twice(server)
    assert server.requests == [2]
    assert not server.hasty
    server.close()


def test_long_pages_close_the_connection() -> None:
    server = Busy(b'x' * (connections.MOST_UNWANTED + 1))
    refuse_twice(server)
    assert server.requests == [1, 1]
    assert not server.hasty
    server.close()


def refuse_twice(server: Busy) -> None:
    """Send two requests, one after the other."""
    ui = make_ui()
    address = b'http://127.0.0.1:%d/' % server.port
    client = http.HTTPClient(
        ui, url.opener(ui), util.urlreq.request, address.rstrip(b'/')
    )
    for _number in range(2):
        with pytest.raises(failures.ConnectionFailure, match='503'):
            client.post(b'heads', b'body')
