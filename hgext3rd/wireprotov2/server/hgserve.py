# SPDX-License-Identifier: GPL-2.0-or-later
"""What a serving process needs besides answering requests.

Modules are loaded before the first request, and the HTTP server of ``hg serve``
is corrected where it is wrong for this protocol; ``hooks`` installs the
corrections. Nothing here knows what a request asks for.
"""

from __future__ import annotations

import contextlib
import re
import socket
import time
from typing import Any

from ...amalgam import loading
from ...amalgam.serving import patience

# A length as HTTP has it, limited to what fits into 64 bits.
_DIGITS = re.compile('[0-9]{1,18}')

# Seconds for which a connection is kept after an answer that came before the
# request was read.
_LINGER = 2.0

# Modules that only requests import, also those of a repository that lacks data
# and of hooks that pull or push. Most of them import further modules.
REQUEST_MODULES = (
    'hgext3rd.wireprotov2.cache.directory',
    'hgext3rd.wireprotov2.cache.memory',
    'hgext3rd.wireprotov2.client.connections',
    'hgext3rd.wireprotov2.client.handshake',
    'hgext3rd.wireprotov2.client.pace',
    'hgext3rd.wireprotov2.peer',
    'hgext3rd.wireprotov2.pull.ondemand',
    'hgext3rd.wireprotov2.pull.parents',
    'hgext3rd.wireprotov2.pull.resume',
    'hgext3rd.wireprotov2.pull.steps',
    'hgext3rd.wireprotov2.server.load',
    'hgext3rd.wireprotov2.server.page',
    'hgext3rd.wireprotov2.server.pullbundles',
    'hgext3rd.wireprotov2.server.wsgi',
    'hgext3rd.wireprotov2.shallow.account',
    'hgext3rd.wireprotov2.shallow.reading',
    'hgext3rd.wireprotov2.shallow.repo',
)


def load_modules() -> None:
    """Load all modules that requests use, once per process.

    Mercurial imports lazily. If two threads are the first to use a lazy module,
    at the same moment, requests fail at random.
    """
    loading.stop_lazy_loading(REQUEST_MODULES)


def do_hgweb(orig: Any, handler: Any) -> None:
    """Pass a request on to hgweb unless the length of its body is invalid.

    By itself ``hg serve`` fails on such a length. It also closes connections in
    a way that makes clients lose an answer while they are still sending.
    """
    if '/api/' not in handler.path:
        orig(handler)
        return
    # Wire frames are sent one by one. Small ones must not wait until earlier
    # ones are acknowledged.
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


def do_write(orig: Any, handler: Any) -> None:
    """Answer a request; end the connection if the client stops reading.

    By itself ``hg serve`` logs a traceback, and sends an error behind the part
    of the answer that was sent. It says nothing of clients that disconnect, and
    neither does this.
    """
    try:
        orig(handler)
    except TimeoutError:
        handler.close_connection = True
        handler.log_error(
            'wireprotov2: connection closed: the client was idle for %s '
            'seconds',
            handler.timeout,
        )
    except ConnectionError:
        handler.close_connection = True


def handle_one_request(orig: Any, handler: Any) -> None:
    """Handle one request; end the connection if the client has reset it.

    Between two requests, ``hg serve`` prints a traceback of that. The header of
    a request has to arrive within the timeout of the handler.
    """
    handler.wire_wait = patience.begin(handler.connection, handler.timeout)
    try:
        orig(handler)
    except ConnectionError:
        handler.close_connection = True
    finally:
        patience.end(handler.wire_wait)


def parse_request(orig: Any, handler: Any) -> bool:
    """Read the header of a request, unless it took too long to arrive."""
    complete: bool = orig(handler)
    if patience.end(handler.wire_wait):
        handler.close_connection = True
        return False
    return complete


def _linger(sock: socket.socket) -> None:
    """Close a connection after the client had time to read the answer.

    What the client still sends is read and ignored for a while. Without that,
    the connection would be reset, and the client would lose the answer.
    """
    if type(sock) is not socket.socket:
        # TLS connections are closed in their own way.
        return
    deadline = time.monotonic() + _LINGER
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_WR)
        sock.settimeout(_LINGER)
        while time.monotonic() < deadline and sock.recv(65536):
            pass
