# SPDX-License-Identifier: GPL-2.0-or-later
"""What a server process needs before its first request.

Mercurial imports lazily, and its lazy modules are not safe against two threads
using them first at the same moment: requests then fail at random.
"""

from __future__ import annotations

import contextlib
import importlib.util
import re
import socket
import sys
import threading
import time
from typing import Any

from mercurial import demandimport

from .. import compat

_lock = threading.Lock()
_loaded = False

# A length as HTTP has it, within what an integer of 64 bits holds.
_DIGITS = re.compile('[0-9]{1,18}')

# Seconds a connection is kept for a client that sends more than is wanted.
_LINGER = 2.0

# Mercurial's modules that only requests import, the larger of which import
# many more.
_NEEDED = (
    'mercurial.bundle2',
    'mercurial.changegroup',
    'mercurial.exchange',
    *compat.SERVING_MODULES,
    'mercurial.hgweb.webcommands',
    'mercurial.narrowspec',
    'mercurial.profiling',
    'mercurial.streamclone',
    'mercurial.templatefilters',
    'mercurial.templatekw',
    'mercurial.wireprotov1server',
    'hgext3rd.wireprotov2.server.wsgi',
    'hgext3rd.wireprotov2.cache.directory',
    'hgext3rd.wireprotov2.cache.memory',
)


def load_modules() -> None:
    """Import all that requests use, once; threads wait for the one that does.

    A module that cannot be imported here is left to those who use it.
    """
    global _loaded
    if _loaded:
        return
    with _lock, demandimport.deactivated():
        if _loaded:
            return
        for name in _NEEDED:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
        lazy = importlib.util._LazyModule  # type: ignore[attr-defined]
        # loading one may add more to the list; these are loaded eagerly
        for module in list(sys.modules.values()):
            if type(module) is lazy:
                # any attribute makes it load
                with contextlib.suppress(Exception):
                    module.__doc__  # noqa: B018
        _loaded = True


def do_hgweb(orig: Any, handler: Any) -> None:
    """Pass a request on to hgweb, if its body has a length or none.

    ``hg serve`` fails on lengths that are no numbers, and closes connections
    so that clients may lose the answer to what they are still sending.
    """
    if '/api/' not in handler.path:
        orig(handler)
        return
    # frames are sent one by one: small ones must not wait to be acknowledged
    with contextlib.suppress(OSError):
        handler.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    lengths = handler.headers.get_all('Content-Length') or []
    if len(lengths) > 1 or not all(_DIGITS.fullmatch(n) for n in lengths):
        handler.close_connection = True
        handler.log_error('wireprotov2: bad request: no valid Content-Length')
        handler.send_response(400)
        body = b'Content-Length MUST be one number\n'
        handler.send_header('Content-Type', 'text/plain')
        handler.send_header('Content-Length', str(len(body)))
        handler.send_header('Connection', 'close')
        handler.end_headers()
        handler.wfile.write(body)
    else:
        orig(handler)
    if handler.close_connection:
        _linger(handler.connection)


def _linger(sock: socket.socket) -> None:
    """End a connection, but let the client read the answer before a reset.

    Takes what it still sends, in vain, for a while.
    """
    if type(sock) is not socket.socket:
        # TLS has its own way to end
        return
    deadline = time.monotonic() + _LINGER
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_WR)
        sock.settimeout(_LINGER)
        while time.monotonic() < deadline and sock.recv(65536):
            pass
