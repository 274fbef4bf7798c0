# SPDX-License-Identifier: GPL-2.0-or-later
"""Ports of this machine, and proxies that count bytes or slow a line down."""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from benchmarks.processes import CommandError


def free_port() -> int:
    """Return a TCP port on which nothing listens at the moment."""
    with socket.socket() as sock:
        sock.bind(('127.0.0.1', 0))
        port: int = sock.getsockname()[1]
    return port


def wait_for(port: int) -> None:
    """Return as soon as something listens on a port of this machine.

    Raises CommandError after a minute.
    """
    for _ in range(600):
        with suppress(OSError):
            socket.create_connection(('127.0.0.1', port)).close()
            return
        time.sleep(0.1)
    raise CommandError('the server did not start')


class Counter:
    """The number of bytes that proxies have sent to clients."""

    def __init__(self) -> None:
        self.bytes = 0


class Line:
    """One direction of a line: bytes a second, and seconds of delay.

    All connections over the line share its speed.
    """

    def __init__(self, speed: float, delay: float) -> None:
        self._speed = speed
        self._delay = delay
        self._free = 0.0
        self._lock = threading.Lock()

    def arrival(self, size: int) -> float:
        """Send ``size`` bytes now; return when they arrive."""
        with self._lock:
            start = max(time.monotonic(), self._free)
            self._free = start + size / self._speed
            return self._free + self._delay


@dataclass(frozen=True)
class Link:
    """Both directions of a line."""

    up: Line
    down: Line


#: A usual connection: megabits a second, and seconds for a round trip.
MEGABITS = 50
ROUND_TRIP = 0.03


def usual_link() -> Link:
    """Return a line of 50 Mbit/s and 30 ms that nobody uses yet."""
    speed = MEGABITS * 1e6 / 8
    return Link(Line(speed, ROUND_TRIP / 2), Line(speed, ROUND_TRIP / 2))


#: Bytes read at once, and how many such reads are on a slow line at most.
BLOCK = 1 << 16
SLOW_BLOCK = 1 << 14
MOST_BLOCKS = 64


def _pump(
    source: socket.socket, sink: socket.socket, counter: Counter | None
) -> None:
    """Forward bytes at once, until the source ends."""
    with suppress(OSError):
        while data := source.recv(BLOCK):
            if counter is not None:
                counter.bytes += len(data)
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def _pump_slowly(
    source: socket.socket,
    sink: socket.socket,
    counter: Counter | None,
    line: Line,
) -> None:
    """Forward bytes over a line, until the source ends."""
    under_way: queue.Queue[tuple[float, bytes]] = queue.Queue(MOST_BLOCKS)

    def deliver() -> None:
        while True:
            when, data = under_way.get()
            time.sleep(max(when - time.monotonic(), 0))
            with suppress(OSError):
                if not data:
                    sink.shutdown(socket.SHUT_WR)
                    return
                sink.sendall(data)

    threading.Thread(target=deliver, daemon=True).start()
    with suppress(OSError):
        while data := source.recv(SLOW_BLOCK):
            if counter is not None:
                counter.bytes += len(data)
            under_way.put((line.arrival(len(data)), data))
    under_way.put((line.arrival(0), b''))


@contextmanager
def proxy(
    port: int, counter: Counter, link: Link | None = None
) -> Iterator[int]:
    """Forward another port to ``port``; yield that port.

    With a ``link``, bytes and new connections take as long as on such a line.
    Without, the proxy costs some CPU time only, so runs that count bytes are
    not timed.
    """
    listener = socket.create_server(('127.0.0.1', 0))

    def connect(client: socket.socket) -> None:
        with suppress(OSError):
            server = socket.create_connection(('127.0.0.1', port))
            if link is None:
                up = (client, server, None)
                down = (server, client, counter)
                threading.Thread(target=_pump, args=up, daemon=True).start()
                _pump(*down)
                return
            # The handshake of TCP.
            time.sleep(ROUND_TRIP)
            job = (client, server, None, link.up)
            threading.Thread(target=_pump_slowly, args=job, daemon=True).start()
            _pump_slowly(server, client, counter, link.down)

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                job = (client,)
                threading.Thread(target=connect, args=job, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        with suppress(OSError):
            # This ends accept() in the thread; closing alone does not.
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
