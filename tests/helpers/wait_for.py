# SPDX-License-Identifier: GPL-2.0-or-later
"""Wait for servers that go to the background before they are ready.

``wait_for.py WHAT...``: ports or sockets that are to accept connections, and
files, such as those with their process numbers, that are to be written.
"""

from __future__ import annotations

import os
import socket
import stat
import sys
import time


def is_ready(what: str) -> bool:
    """Try a TCP port of the loopback interface, a unix socket or a file."""
    try:
        if what.isdigit():
            socket.create_connection(('127.0.0.1', int(what))).close()
            return True
        found = os.stat(what)
        if not stat.S_ISSOCK(found.st_mode):
            return found.st_size > 0
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(what)
    except OSError:
        return False
    return True


for what in sys.argv[1:]:
    for _ in range(600):
        if is_ready(what):
            break
        time.sleep(0.1)
    else:
        sys.exit(f'waited in vain for {what}')
