# SPDX-License-Identifier: GPL-2.0-or-later
"""An end for connections of ``hg serve`` whose next request does not arrive.

A timeout of a socket limits each read, so that a client that sends one byte at a
time would keep a connection, and its thread, for ever. Here, the whole header of
a request has to arrive within a time that begins when the server starts to wait
for it. One thread watches all connections, since timeouts of sockets would cost
each request several system calls.

Nothing here knows Mercurial. Imported whenever a server starts.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import suppress

# Seconds between two looks at all connections.
_INTERVAL = 0.5


class Wait:
    """The time for which a server waits for a request on ``sock``."""

    __slots__ = ('_deadline', '_sock', 'expired')

    def __init__(self, sock: socket.socket, seconds: float) -> None:
        self._sock = sock
        self._deadline = time.monotonic() + seconds
        self.expired = False

    def check(self, now: float) -> None:
        """Cut the connection if the time is over."""
        if now >= self._deadline and not self.expired:
            self.expired = True
            # The method of the base class, because TLS sockets drop their state
            # here, and another thread is reading from them.
            with suppress(OSError):
                socket.socket.shutdown(self._sock, socket.SHUT_RDWR)


# Dictionaries are changed and copied atomically, so no lock is needed.
_waits: dict[Wait, None] = {}
_start = threading.Lock()
_watching = False


def _after_fork() -> None:
    """Forget the connections and the thread of the parent."""
    global _waits, _start, _watching
    _waits, _start, _watching = {}, threading.Lock(), False


os.register_at_fork(after_in_child=_after_fork)


def begin(sock: socket.socket, seconds: float | None) -> Wait | None:
    """Begin to wait for a request; None as ``seconds`` means for ever."""
    global _watching
    if seconds is None:
        return None
    wait = Wait(sock, seconds)
    _waits[wait] = None
    if not _watching:
        with _start:
            if not _watching:
                threading.Thread(target=_watch, daemon=True).start()
                _watching = True
    return wait


def end(wait: Wait | None) -> bool:
    """Stop waiting, and return whether the connection was cut."""
    if wait is None:
        return False
    _waits.pop(wait, None)
    return wait.expired


def _watch() -> None:
    while True:
        time.sleep(_INTERVAL)
        now = time.monotonic()
        for wait in list(_waits):
            wait.check(now)
