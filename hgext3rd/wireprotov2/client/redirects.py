# SPDX-License-Identifier: GPL-2.0-or-later
"""Following content redirects: only where the handshake said, and checked.

A server may say that a response is to be had elsewhere. The request goes
there without cookies, passwords or our headers, over a connection of its own;
whatever comes back must have the announced length and hash. Any failure is a
``RedirectFailure``: the server itself still has the response.
"""

from __future__ import annotations

import hashlib
import ssl
import urllib.request
from collections.abc import Iterator, Sequence
from typing import Any

from mercurial import error, keepalive, pycompat, url, util
from mercurial.i18n import _
from mercurial.utils import stringutil, urlutil

from ..proto import events
from . import failures, pace
from .offer import API, Target

urlerr = util.urlerr
urlreq = util.urlreq

# The hashes we verify, strongest first.
HASHES = (b'sha512', b'sha384', b'sha256', b'sha1')

READ_SIZE = 65536

_PORTS = {b'http': b'80', b'https': b'443'}


class RedirectFailure(failures.ServerFailure):
    """What a redirect led to could not be had, or is not what it should be."""


def acceptable(api: API, secure: bool) -> tuple[Target, ...]:
    """Return the targets we could follow; ``secure`` if https brought us here.

    Nothing that came over https may be replaced by something over http.
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


def offer(targets: Sequence[Target]) -> events.AcceptedRedirects | None:
    """Return what a command says about the redirects it may be answered by."""
    if not targets:
        return None
    return events.AcceptedRedirects(
        tuple(target.name for target in targets), HASHES, fullhashes=True
    )


def _origin(parsed: Any) -> tuple[bytes | None, bytes | None, bytes | None]:
    return parsed.scheme, parsed.host, parsed.port or _PORTS.get(parsed.scheme)


def is_advertised(location: bytes, targets: Sequence[Target]) -> bool:
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
    """Makes a redirect of HTTP's own an error."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


if url.has_https:

    class _Anonymous(url.httpshandler):
        """Shows no client certificate, whatever [auth] says of the host, and
        tells nobody but a proxy what is for the proxy."""

        def https_open(self, req: Any) -> Any:
            self.auth = None
            return self.do_open(self._makeconnection, req)

        def _start_transaction(self, connection: Any, req: Any) -> Any:
            url._generic_start_transaction(self, connection, req)
            # what CONNECT needs was copied, the rest goes to the server
            for headers in (req.headers, req.unredirected_hdrs):
                for name in list(headers):
                    if name.lower().startswith('proxy-'):
                        del headers[name]
            return keepalive.KeepAliveHandler._start_transaction(
                self, connection, req
            )


def _opener(ui: Any) -> Any:
    """Return an opener that knows no credentials and follows nothing."""
    timeout = ui.configwith(float, b'http', b'timeout')
    handlers = [_NoRedirects(), url.httphandler(timeout=timeout)]
    if url.has_https:
        handlers.append(_Anonymous(ui, timeout=timeout))
    handlers.append(url.proxyhandler(ui))
    opener = urlreq.buildopener(*handlers)
    pace.limit(opener, timeout)
    opener.addheaders = []
    # Mercurial's responses count into these
    opener.requestscount = opener.sentbytescount = 0
    opener.receivedbytescount = 0
    return opener


def fetch(
    ui: Any, location: events.Location, targets: Sequence[Target]
) -> Iterator[bytes]:
    """Yield the content of ``location``; it is good once this has ended.

    Raises ``RedirectFailure``.
    """
    where = urlutil.hidepassword(location.url.partition(b'?')[0])
    if not is_advertised(location.url, targets):
        raise RedirectFailure(where, _(b'a redirect to where none may lead'))
    hashers = []
    for name, digest in location.fullhashes or ():
        if name in HASHES:
            hasher = hashlib.new(pycompat.sysstr(name))
            hasher.update(location.fullhashseed or b'')
            hashers.append((hasher, digest))
    if not hashers:
        raise RedirectFailure(where, _(b'a redirect without a known hash'))
    size = 0
    for chunk in _read(ui, location.url, where):
        size += len(chunk)
        if location.size is not None and size > location.size:
            raise RedirectFailure(where, _(b'larger than announced'))
        for hasher, _digest in hashers:
            hasher.update(chunk)
        yield chunk
    if location.size is not None and size != location.size:
        raise RedirectFailure(where, _(b'smaller than announced'))
    for hasher, digest in hashers:
        if hasher.digest() != digest:
            raise RedirectFailure(where, _(b'the content has a wrong hash'))


def _read(ui: Any, address: bytes, where: bytes) -> Iterator[bytes]:
    opener = _opener(ui)
    request = urlreq.request(pycompat.strurl(address))
    request.paced = True
    try:
        response = opener.open(request)
        try:
            if response.code != 200 or response.geturl() != pycompat.strurl(
                address
            ):
                raise RedirectFailure(where, _(b'it leads elsewhere'))
            while chunk := response.read(READ_SIZE):
                yield chunk
        finally:
            response.close_connection()
    except urlerr.httperror as exc:
        raise RedirectFailure(where, _(b'HTTP error %d') % exc.code) from exc
    except (OSError, util.httplib.HTTPException, error.SecurityError) as exc:
        raise RedirectFailure(where, stringutil.forcebytestr(exc)) from exc
