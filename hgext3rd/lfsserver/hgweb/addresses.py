# SPDX-License-Identifier: GPL-2.0-or-later
"""The address of a repository as a client sees it.

All ways into this extension get the links of their responses from here. Nothing
here knows LFS.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from mercurial.utils import urlutil

from .. import errors
from ..http import origin

# What RFC 3986 allows in a path besides letters and digits.
_PATH_SAFE = b"/-._~!$&'()*+,;=:@"


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request as it arrived at the server, perhaps from a proxy.

    ``peer`` is the IP address of the other end, or empty for a Unix socket.
    ``authority`` is that of the request. The names of ``headers`` are
    lower-case. ``app`` is the decoded path of the application, and ``name`` that
    of the repository below it, empty if the application serves only one.
    """

    peer: str
    scheme: str
    authority: str
    headers: Mapping[str, str]
    app: bytes
    name: bytes = b''


@dataclass(frozen=True, slots=True)
class Address:
    """The ``url`` of a repository, without a slash at the end.

    ``reveals`` says that sending credentials to ``url`` could reveal what the
    client sent by HTTPS.
    """

    url: str
    reveals: bool


def address_of(ui: Any, arrival: Arrival) -> Address:
    """Return the address that the client of a request uses.

    ``web.baseurl`` is the address of the application, if it is set. Raises
    BadRequest.
    """
    # Most requests have no such fields, and this costs as much as the rest.
    trusted = origin.has_proxy_fields(arrival.headers) and _is_trusted(
        ui, arrival.peer
    )
    found = origin.client_origin(
        arrival.scheme, arrival.authority, arrival.headers, trusted=trusted
    )
    scheme, authority, app = found.scheme, found.authority, arrival.app
    configured = ui.config(b'web', b'baseurl')
    if configured:
        base = urlutil.url(configured)
        app = base.path or b''
        if base.host:
            scheme = (base.scheme or scheme.encode()).decode('latin-1')
            host = base.host + (b':' + base.port if base.port else b'')
            authority = host.decode('utf-8', 'replace')
    parts = [part.strip(b'/') for part in (app, arrival.name)]
    path = b''.join(b'/' + part for part in parts if part)
    url = f'{scheme}://{authority}{quote(path, safe=_PATH_SAFE)}'
    return Address(url, found.secure and scheme != 'https')


def _is_trusted(ui: Any, peer: str) -> bool:
    proxies = ui.configlist(b'lfsserver', b'trusted-proxies')
    try:
        return origin.is_trusted(
            peer, [entry.decode('utf-8', 'replace') for entry in proxies]
        )
    except ValueError as error:
        raise errors.LfsServerError(
            'the server is not configured correctly',
            detail=f'lfsserver.trusted-proxies: {error}',
        ) from None
