# SPDX-License-Identifier: GPL-2.0-or-later
"""Wait until a server accepts connections: ``waitfor.py PORT-OR-SOCKET``.

For servers that go to the background before they listen.
"""

from __future__ import annotations

import socket
import sys
import time


def accepts(address: str) -> bool:
    """Try a TCP port of the loopback interface, or a unix socket's path."""
    try:
        if address.isdigit():
            socket.create_connection(('127.0.0.1', int(address))).close()
        else:
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(address)
    except OSError:
        return False
    return True


for _ in range(600):
    if accepts(sys.argv[1]):
        sys.exit(0)
    time.sleep(0.1)
sys.exit(f'nothing listens at {sys.argv[1]}')
