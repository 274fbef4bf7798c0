# SPDX-License-Identifier: GPL-2.0-or-later
"""A proxy that cuts uploads, for tests of resuming.

    cutting_proxy.py PORT TARGET LOG BYTES...

Forwards connections on PORT to the port TARGET. The Nth PATCH request is cut
after the Nth number of BYTES of its body; further ones pass. The client notices
when TARGET has taken these bytes, and gets no answer. A line of LOG says at which
offset each PATCH began. The process prints its id when it listens,
and goes on in the background.
"""

from __future__ import annotations

import os
import re
import socket
import sys
import threading
from contextlib import suppress

LOCK = threading.Lock()


def copy(
    source: socket.socket, target: socket.socket, cut: threading.Event
) -> None:
    """Forward what ``source`` sends, unless ``cut``, until one of both closes."""
    with suppress(OSError):
        while data := source.recv(65536):
            if not cut.is_set():
                target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def serve(client: socket.socket, port: int, log: str, cuts: list[int]) -> None:
    """Forward a connection, and cut the PATCH requests on it."""
    server = socket.create_connection(('127.0.0.1', port))
    cut = threading.Event()
    back = threading.Thread(
        target=copy, args=(server, client, cut), daemon=True
    )
    back.start()
    left: int | None = None
    with client, server, suppress(OSError):
        while data := client.recv(65536):
            if data.startswith(b'PATCH '):
                while b'\r\n\r\n' not in data:
                    data += client.recv(65536)
                found = re.search(rb'(?i)upload-offset: *(\d+)', data)
                assert found is not None
                header = data.index(b'\r\n\r\n') + 4
                with LOCK:
                    left = cuts.pop(0) + header if cuts else None
                    with open(log, 'a', encoding='ascii') as file:
                        file.write(f'PATCH from {int(found[1])}\n')
            if left is not None:
                data = data[:left]
                left -= len(data)
            server.sendall(data)
            if left == 0:
                cut.set()
                server.shutdown(socket.SHUT_WR)
                back.join()
                client.shutdown(socket.SHUT_RDWR)
                return
        server.shutdown(socket.SHUT_WR)


def main() -> None:
    port, target, log, *cuts = sys.argv[1:]
    remaining = [int(cut) for cut in cuts]
    listener = socket.create_server(('127.0.0.1', int(port)))
    child = os.fork()
    if child:
        print(child)
        return
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    while True:
        client, _address = listener.accept()
        threading.Thread(
            target=serve,
            args=(client, int(target), log, remaining),
            daemon=True,
        ).start()


if __name__ == '__main__':
    main()
