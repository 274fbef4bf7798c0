# SPDX-License-Identifier: GPL-2.0-or-later
"""Wait until servers in the background are ready.

usage: wait_for.py WHAT...

WHAT is a TCP port or a Unix socket that must accept connections, or a file that
must have content, for instance one with a process number. The script fails
after waiting ten minutes for one of them: it never becomes ready.
"""

from __future__ import annotations

import os
import socket
import stat
import sys
import time


def is_ready(what: str) -> bool:
    """Tell whether a port, a socket or a file is ready."""
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
    deadline = time.monotonic() + 600
    while not is_ready(what):
        if time.monotonic() > deadline:
            sys.exit(f'waited in vain for {what}')
        time.sleep(0.1)
