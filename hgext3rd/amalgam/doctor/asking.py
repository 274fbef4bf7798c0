# SPDX-License-Identifier: GPL-2.0-or-later
"""Requests to a server over HTTP, each of which ends in time.

A connection of its own for each request, without redirects, retries, proxies of
the environment or anything else that a client adds: what comes back is what the
servers between here and there made of it.
"""

from __future__ import annotations

import base64
import http.client
import socket
import threading
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from mercurial import error, httpconnection, sslutil
from mercurial.utils import stringutil, urlutil

#: The most bytes of a response that are read.
MOST = 1 << 20

#: A request ends after this many times the time limit for one step.
STEPS = 3


class Unanswered(Exception):
    """The server could not be reached, or did not answer in time.

    ``late`` says that the connection was open when the time was over.
    """

    def __init__(self, reason: bytes, late: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.late = late


class Answer(NamedTuple):
    """A response. The names of ``headers`` are lower-case.

    ``began`` and ``ended`` are the POSIX times of the request and of the first
    line of the response.
    """

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes
    began: float
    ended: float

    @property
    def kind(self) -> str:
        """The media type, without parameters."""
        return self.headers.get('content-type', '').partition(';')[0].strip()

    @property
    def told(self) -> bytes:
        """The status line, for messages."""
        line = f'{self.status} {self.reason}'
        return line.encode('ascii', 'replace')


class Site:
    """The address of a repository on a server.

    ``url`` may contain a login; ``shown`` does not. Raises ValueError for a URL
    that is not one of HTTP.
    """

    def __init__(self, ui: Any, url: bytes, timeout: float) -> None:
        self._ui = ui
        parsed = urlutil.url(url)
        if parsed.scheme not in (b'http', b'https') or not parsed.host:
            raise ValueError(url)
        self.timeout = timeout
        #: whether hgweb answers there; None if that is not known yet
        self.usable: bool | None = None
        self.secure = parsed.scheme == b'https'
        self._host = parsed.host.decode('idna').strip('[]')
        self._port = int(parsed.port or (443 if self.secure else 80))
        authority = parsed.host + (b':' + parsed.port if parsed.port else b'')
        self.authority = authority.decode('ascii', 'replace')
        path = (parsed.path or b'').strip(b'/')
        self._path = '/' + (
            path.decode('ascii', 'replace') + '/' if path else ''
        )
        self._login = self._find_login(parsed)
        parsed.user = parsed.passwd = parsed.query = parsed.fragment = None
        self.shown = bytes(parsed)

    def _find_login(self, parsed: Any) -> str | None:
        """Return the value of the Authorization field, None without a login."""
        user, password = parsed.user, parsed.passwd
        if password is None:
            bare = urlutil.url(bytes(parsed))
            bare.user = bare.passwd = None
            found = httpconnection.readauthforuri(self._ui, bytes(bare), user)
            if found is not None:
                user = user or found[1].get(b'username')
                password = found[1].get(b'password')
        if not user:
            return None
        pair = base64.b64encode(user + b':' + (password or b''))
        return 'Basic ' + pair.decode('ascii')

    @property
    def has_login(self) -> bool:
        """Whether requests have a user and a password."""
        return self._login is not None

    def ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b'',
        announced: int | None = None,
        anonymous: bool = False,
        timeout: float | None = None,
    ) -> Answer:
        """Return the answer to a request for ``path`` below the address.

        With ``announced``, the length of the body is said to be that, and only
        ``body`` is sent. Raises Unanswered.
        """
        limit = timeout or self.timeout
        fields = {'Host': self.authority, 'User-Agent': 'hg admin::doctor'}
        fields |= {'Connection': 'close', **(headers or {})}
        if self._login is not None and not anonymous:
            fields['Authorization'] = self._login
        if body or announced is not None or method not in ('GET', 'HEAD'):
            fields['Content-Length'] = str(
                len(body) if announced is None else announced
            )
        lines = [f'{method} {self._path}{path} HTTP/1.1']
        lines += [f'{name}: {value}' for name, value in fields.items()]
        head = ('\r\n'.join(lines) + '\r\n\r\n').encode('latin-1')
        try:
            sock: Any = socket.create_connection(
                (self._host, self._port), limit
            )
        except OSError as exc:
            raise Unanswered(_reason(exc)) from exc
        # The time limit of a socket is for each step: a server that sends byte
        # after byte would take forever.
        expired = threading.Event()

        def end() -> None:
            expired.set()
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                return

        timer = threading.Timer(limit * STEPS, end)
        timer.daemon = True
        timer.start()
        try:
            if self.secure:
                sock = self._secured(sock)
            answer = _exchange(sock, method, head, body)
            if expired.is_set():
                raise TimeoutError
            return answer
        except (OSError, http.client.HTTPException) as exc:
            late = isinstance(exc, TimeoutError) or expired.is_set()
            reason = (
                b'no answer within %d seconds' % limit if late else _reason(exc)
            )
            raise Unanswered(reason, late) from exc
        finally:
            timer.cancel()
            sock.close()

    def _secured(self, sock: Any) -> Any:
        """Return the connection with TLS. Raises OSError."""
        try:
            wrapped = sslutil.wrapsocket(
                sock, None, None, self._ui, self._host.encode('idna')
            )
            sslutil.validatesocket(wrapped)
        except OSError:
            raise
        # Mercurial's error has a hint for people who clone.
        except error.Abort as exc:
            raise OSError(stringutil.forcebytestr(exc).decode()) from exc
        return wrapped


def _reason(exc: Exception) -> bytes:
    """Return what went wrong, for messages."""
    if isinstance(exc, OSError) and exc.strerror:
        return stringutil.forcebytestr(exc.strerror)
    return stringutil.forcebytestr(exc) or type(exc).__name__.encode()


def _exchange(sock: Any, method: str, head: bytes, body: bytes) -> Answer:
    """Send a request and read the response."""
    began = time.time()
    sock.sendall(head)
    try:
        if body:
            sock.sendall(body)
    except OSError:
        # The answer may have come before the end of the body.
        pass
    response = http.client.HTTPResponse(sock, method=method)
    try:
        response.begin()
        ended = time.time()
        return Answer(
            response.status,
            response.reason,
            {name.lower(): value for name, value in response.getheaders()},
            response.read(MOST),
            began,
            ended,
        )
    finally:
        response.close()


def fetch(ui: Any, url: bytes, timeout: float) -> Answer:
    """Return the answer to a GET of ``url``, which may have a query.

    No login is sent. Raises Unanswered, or ValueError for a URL that is not one
    of HTTP.
    """
    start = urlutil.url(url)
    start.path = start.query = start.fragment = None
    scheme, _separator, rest = url.partition(b'://')
    path = rest.partition(b'/')[2]
    return Site(ui, bytes(start), timeout).ask(
        'GET', path.decode('ascii', 'replace'), anonymous=True
    )
