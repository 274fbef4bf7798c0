# SPDX-License-Identifier: GPL-2.0-or-later
"""The handshake of an HTTP peer, which asks for both versions in one request.

Mercurial's own handshake runs, since it handles redirects, errors and old
servers. Its version 1 request gets headers that ask for version 2 as well. If
the server answers in version 2, Mercurial receives the version 1 capabilities
that this answer contains. Nothing here knows commands.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mercurial import pycompat, util
from mercurial.i18n import _
from mercurial.utils import stringutil, urlutil

from ..proto import cbor, frames
from ..proto.errors import CBORError
from . import connections, failures, offer

# The APIs this client can use, best first.
APIS = (b'exp-http-v2-0003',)

# The most bytes of an answer. It is held in memory before anything is known
# about the server; Mercurial 6.0 needs 4 kB.
MAX_HANDSHAKE = 4 * 1024 * 1024

UPGRADE_HEADERS = {
    'X-HgProto-1': 'cbor',
    'X-HgUpgrade-1': pycompat.sysstr(b' '.join(APIS)),
    'Vary': 'X-HgProto-1,X-HgUpgrade-1',
}

# The media types of answers to a handshake.
_KINDS = re.compile(r'application/mercurial-(cbor|\d+\.\d+)')


class Capabilities(set[bytes]):
    """Version 1 capabilities, and the API offered by the same handshake."""

    api: offer.OfferedAPI | None = None


def perform(
    orig: Any, ui: Any, url: bytes, opener: Any, requestbuilder: Any
) -> Any:
    """Run Mercurial's ``performhandshake`` (``orig``), asking for version 2.

    Returns what ``orig`` does; the capabilities in it are ``Capabilities``.
    Falls back to version 1 if the server's answer is malformed.
    """

    def upgrading(url: str, data: Any, headers: dict[str, str]) -> Any:
        return requestbuilder(url, data, {**headers, **UPGRADE_HEADERS})

    upgrade = _UpgradingOpener(opener)
    try:
        respurl, info = orig(ui, url, upgrade, upgrading)
    except failures.ConnectionFailure:
        raise
    except failures.RemoteFailure as exc:
        failures.warn_fallback(ui, exc)
        return orig(ui, url, opener, requestbuilder)
    except util.urlerr.httperror as exc:
        if failures.may_pass(exc.code):
            raise
        connections.dismiss(exc)
        # Some proxies allow certain headers only, and some servers fail because
        # of the additional ones. If they were not the cause, the same error
        # comes again.
        return orig(ui, url, opener, requestbuilder)
    caps = Capabilities(info[b'v1capabilities'])
    if upgrade.answer is not None:
        try:
            caps.api = choose(respurl, upgrade.answer)
        except CBORError as exc:
            safe = urlutil.hidepassword(respurl)
            failures.warn_fallback(
                ui, failures.RemoteFailure(safe, exc.message)
            )
    info[b'v1capabilities'] = caps
    return respurl, info


def choose(
    baseurl: bytes, answer: Mapping[bytes, Any]
) -> offer.OfferedAPI | None:
    """Return the best API in ``answer`` that this client can use, or None.

    ``baseurl`` is the URL of the repository. Raises ``CBORError``.
    """
    apis = answer.get(b'apis')
    base = answer.get(b'apibase')
    if not isinstance(apis, dict) or not isinstance(base, bytes):
        raise CBORError(b'the handshake names no APIs')
    for name in APIS:
        if name not in apis:
            continue
        # The base is relative to the repository: it cannot lead elsewhere.
        path = b'/'.join(p for p in base.split(b'/') if p not in (b'', b'..'))
        url = b'%s/%s/%s' % (baseurl.rstrip(b'/'), path, name)
        found = offer.parse(name, url, apis[name])
        if frames.FRAMING_0006.mediatype in found.framings:
            return found
    return None


class _UpgradingOpener:
    """An opener that shows a version 2 answer as one of version 1.

    ``answer`` is the decoded version 2 answer, None if there was none.
    """

    def __init__(self, opener: Any) -> None:
        self._opener = opener
        self.answer: Any = None

    def open(self, request: Any) -> Any:
        """Return the response to ``request``.

        Raises ``failures.RemoteFailure`` if the response is malformed.
        """
        request.paced = True
        response = self._opener.open(request)
        url = urlutil.hidepassword(pycompat.bytesurl(response.geturl()))
        kind = response.headers.get('Content-Type', '').partition(';')[0]
        if not _KINDS.fullmatch(kind.strip()):
            length = response.headers.get('Content-Length')
            if length != '0' and not response.peek(1):
                # The headers are incomplete. Mercurial would take the other
                # side for a server of static files and fail with a less clear
                # message.
                raise failures.ConnectionFailure(
                    url, _(b'connection lost: the response is incomplete')
                )
            return response
        if kind.strip() != cbor.MEDIA_TYPE.decode():
            return response
        body = _read_body(url, response)
        try:
            values = cbor.decode_all(body)
            if len(values) != 1 or not isinstance(values[0], dict):
                raise CBORError(b'the handshake is not a map')
            self.answer = values[0]
            v1 = self.answer.get(b'v1capabilities')
            if not isinstance(v1, bytes):
                raise CBORError(b'the handshake has no version 1 capabilities')
        except CBORError as exc:
            raise failures.RemoteFailure(url, exc.message) from exc
        return _Version1Response(response, v1)


class _Version1Response:
    """A version 1 handshake response made from a version 2 response.

    ``body`` holds the version 1 capabilities.
    """

    def __init__(self, response: Any, body: bytes) -> None:
        self._body: bytes | None = body
        self._url = response.geturl()
        self.status = response.status
        self.headers = {'content-type': 'application/mercurial-0.1'}

    def geturl(self) -> str:
        return self._url

    def getheader(self, name: str, default: str = '') -> str:
        return self.headers.get(name.lower(), default)

    def read(self, size: int | None = None) -> bytes:
        body, self._body = self._body or b'', b''
        return body

    def close(self) -> None:
        pass


def _read_body(url: bytes, response: Any) -> bytes:
    """Return the complete body of a handshake response.

    Raises ``failures.RemoteFailure``.
    """
    try:
        body: bytes = response.read(MAX_HANDSHAKE + 1)
        # Reading to the end lets the connection be used again.
        if len(body) > MAX_HANDSHAKE or response.read(1):
            raise failures.RemoteFailure(url, _(b'the handshake is too large'))
    except (OSError, util.httplib.HTTPException) as exc:
        raise failures.ConnectionFailure(
            url, _(b'connection lost: %s') % stringutil.forcebytestr(exc)
        ) from exc
    response.close()
    expected = response.headers.get('Content-Length')
    if expected is not None and expected != '%d' % len(body):
        raise failures.ConnectionFailure(
            url, _(b'connection lost: the response is incomplete')
        )
    return body
