# SPDX-License-Identifier: GPL-2.0-or-later
"""Ports of this machine, and a proxy that counts bytes."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

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
    """The number of bytes that a proxy has sent to clients."""

    def __init__(self) -> None:
        self.bytes = 0


@contextmanager
def counting_proxy(port: int) -> Iterator[tuple[int, Counter]]:
    """Forward another port to ``port``; yield that port and a counter.

    The proxy takes CPU time, so runs that count bytes are not timed.
    """
    counter = Counter()
    listener = socket.create_server(('127.0.0.1', 0))

    def pump(source: socket.socket, sink: socket.socket, down: bool) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if down:
                    counter.bytes += len(data)
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(('127.0.0.1', port))
                for job in ((client, server, False), (server, client, True)):
                    threading.Thread(target=pump, args=job, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1], counter
    finally:
        with suppress(OSError):
            # This ends accept() in the thread; closing alone does not.
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
