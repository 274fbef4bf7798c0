# SPDX-License-Identifier: GPL-2.0-or-later
"""Fetching content that the server redirected to a target it had announced.

A server may answer a command with the location of the response instead of the
response. The client goes there over a separate connection, without cookies,
passwords or its usual headers. The content must have the announced length and
hash. Every failure is a ``RedirectFailure``, after which the caller can still
ask the server itself. Knows nothing of what the content means.
"""

from __future__ import annotations

import hashlib
import ssl
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from mercurial import error, keepalive, pycompat, url, util
from mercurial.i18n import _
from mercurial.utils import stringutil, urlutil

from ..proto import events
from . import failures, pace
from .offer import OfferedAPI, OfferedTarget

urlerr = util.urlerr
urlreq = util.urlreq

# The hashes this client verifies, strongest first.
HASHES = (b'sha512', b'sha384', b'sha256', b'sha1')

READ_SIZE = 65536

_PORTS = {b'http': b'80', b'https': b'443'}


class RedirectFailure(failures.RemoteFailure):
    """The content cannot be fetched, or is not what was announced."""


class WrongContent(RedirectFailure):
    """The content is not what was announced."""


class BrokenOff(RedirectFailure):
    """The connection broke."""


class NoRange(RedirectFailure):
    """The target does not send a part of the content."""


def acceptable(api: OfferedAPI, secure: bool) -> tuple[OfferedTarget, ...]:
    """Return the targets of ``api`` that this client can and may follow.

    ``secure`` says that the server itself was reached over https; then targets
    over http are refused.
    """
    found = []
    versions = {
        version.encode('ascii')
        for version, have in (
            ('1.2', ssl.HAS_TLSv1_2),
            ('1.3', ssl.HAS_TLSv1_3),
        )
        if have
    }
    for target in api.targets:
        if target.protocol == b'http' and secure:
            continue
        if target.protocol not in _PORTS:
            continue
        if target.snirequired and not ssl.HAS_SNI:
            continue
        if target.tlsversions and not versions.intersection(target.tlsversions):
            continue
        found.append(target)
    return tuple(found)


def argument(
    targets: Sequence[OfferedTarget],
) -> events.AcceptedRedirects | None:
    """Return the ``redirect`` argument of a command, None without targets."""
    if not targets:
        return None
    return events.AcceptedRedirects(
        tuple(target.name for target in targets), HASHES, fullhashes=True
    )


def _origin(parsed: Any) -> tuple[bytes | None, bytes | None, bytes | None]:
    """Return scheme, host and port of a parsed URL."""
    return parsed.scheme, parsed.host, parsed.port or _PORTS.get(parsed.scheme)


def is_advertised(location: bytes, targets: Sequence[OfferedTarget]) -> bool:
    """Return whether a URL lies below one of the targets' URIs."""
    parsed = urlutil.url(location)
    if parsed.user or parsed.passwd or parsed.fragment:
        return False
    path = parsed.path or b''
    if b'..' in path.split(b'/'):
        return False
    for target in targets:
        if parsed.scheme != target.protocol:
            continue
        for uri in target.uris:
            base = urlutil.url(uri)
            prefix = (base.path or b'').rstrip(b'/')
            if _origin(parsed) == _origin(base) and (
                not prefix or path == prefix or path.startswith(prefix + b'/')
            ):
                return True
    return False


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Turns redirects of HTTP itself (status 301 and so on) into errors."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


if url.has_https:

    class _Anonymous(url.httpshandler):
        """Sends no client certificate, whatever [auth] says about the host.

        Sends the headers meant for a proxy to the proxy only.
        """

        def https_open(self, req: Any) -> Any:
            self.auth = None
            return self.do_open(self._makeconnection, req)

        def _start_transaction(self, connection: Any, req: Any) -> Any:
            url._generic_start_transaction(self, connection, req)
            # Mercurial has copied what the CONNECT request needs; what is
            # left in these headers would go to the server.
            for headers in (req.headers, req.unredirected_hdrs):
                for name in list(headers):
                    if name.lower().startswith('proxy-'):
                        del headers[name]
            return keepalive.KeepAliveHandler._start_transaction(
                self, connection, req
            )


def _opener(ui: Any) -> Any:
    """Return an opener without credentials that follows no HTTP redirect."""
    timeout = ui.configwith(float, b'http', b'timeout')
    handlers = [_NoRedirects(), url.httphandler(timeout=timeout)]
    if url.has_https:
        handlers.append(_Anonymous(ui, timeout=timeout))
    handlers.append(url.proxyhandler(ui))
    opener = urlreq.buildopener(*handlers)
    pace.limit(opener, timeout)
    opener.addheaders = []
    # Mercurial's responses add to these counters.
    opener.requestscount = opener.sentbytescount = 0
    opener.receivedbytescount = 0
    return opener


def fetch(
    ui: Any,
    location: events.Location,
    targets: Sequence[OfferedTarget],
    start: int = 0,
    known: Iterable[bytes] = (),
) -> Iterator[bytes]:
    """Yield the content of ``location`` in chunks, from byte ``start`` on.

    ``known`` are the bytes before. The whole is verified after the last chunk.
    Do not use any of it before the iteration has ended. Raises
    ``RedirectFailure``, which is ``NoRange`` if only the whole can be fetched.
    """
    where = _checked(location, targets)
    hashers = []
    for name, digest in location.fullhashes or ():
        if name in HASHES:
            hasher = hashlib.new(pycompat.sysstr(name))
            hasher.update(location.fullhashseed or b'')
            hashers.append((hasher, digest))
    if not hashers:
        raise RedirectFailure(
            where, _(b'redirected without a hash that can be verified')
        )
    size = 0
    for chunk in known:
        size += len(chunk)
        for hasher, _digest in hashers:
            hasher.update(chunk)
    for chunk in _read(ui, location.url, where, start):
        size += len(chunk)
        if location.size is not None and size > location.size:
            raise WrongContent(
                where, _(b'the content is larger than announced')
            )
        for hasher, _digest in hashers:
            hasher.update(chunk)
        yield chunk
    if location.size is not None and size != location.size:
        # Servers and proxies that die may end a body as if it were complete.
        raise BrokenOff(where, _(b'the content is smaller than announced'))
    for hasher, digest in hashers:
        if hasher.digest() != digest:
            raise WrongContent(where, _(b'the content has a wrong hash'))


def beginning(
    ui: Any,
    location: events.Location,
    targets: Sequence[OfferedTarget],
    size: int,
) -> bytes:
    """Return the first ``size`` bytes of ``location``, which are not verified.

    Raises ``RedirectFailure``.
    """
    where = _checked(location, targets)
    found = b''.join(_read(ui, location.url, where, 0, size))
    if len(found) > size:
        raise NoRange(where, _(b'the target sends more than it was asked for'))
    return found


def _checked(
    location: events.Location, targets: Sequence[OfferedTarget]
) -> bytes:
    """Return how messages name ``location``, which must be below a target."""
    where: bytes = urlutil.hidepassword(location.url.partition(b'?')[0])
    if not is_advertised(location.url, targets):
        raise RedirectFailure(
            where, _(b'redirected to a target the server did not announce')
        )
    return where


def _read(
    ui: Any,
    address: bytes,
    where: bytes,
    start: int = 0,
    size: int | None = None,
) -> Iterator[bytes]:
    """Yield the body of a GET request for ``address``, or a part of it.

    ``start`` and ``size`` ask for a part. Raises ``RedirectFailure``, whose
    message shows the address as ``where``.
    """
    opener = _opener(ui)
    request = urlreq.request(pycompat.strurl(address))
    request.paced = True
    status = 200
    if start or size is not None:
        status = 206
        last = '' if size is None else str(start + size - 1)
        request.add_header('Range', f'bytes={start}-{last}')
    try:
        response = opener.open(request)
        try:
            if response.geturl() != pycompat.strurl(address) or (
                response.code not in (200, status)
            ):
                raise RedirectFailure(
                    where,
                    _(b'the target does not answer with the whole content'),
                )
            if response.code != status or (
                status == 206
                and not response.headers.get('Content-Range', '').startswith(
                    f'bytes {start}-'
                )
            ):
                raise NoRange(
                    where, _(b'the target does not send a part of the content')
                )
            while chunk := response.read(READ_SIZE):
                yield chunk
        finally:
            response.close_connection()
    except urlerr.httperror as exc:
        kind = NoRange if exc.code == 416 else RedirectFailure
        raise kind(where, _(b'HTTP error %d') % exc.code) from exc
    except (OSError, util.httplib.HTTPException, error.SecurityError) as exc:
        raise BrokenOff(where, stringutil.forcebytestr(exc)) from exc
