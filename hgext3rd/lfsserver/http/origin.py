# SPDX-License-Identifier: GPL-2.0-or-later
"""The scheme and the authority that a client used, also through proxies.

Sources: RFC 7239 (Forwarded), RFC 9110 (Host), and the fields X-Forwarded-Proto
and X-Forwarded-Host, which no standard defines. Everything here is a pure
function of header fields.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from .. import errors
from .fields import MAX_FIELD

SCHEMES = ('http', 'https')

# The fields by which proxies say what the client used.
PROXY_FIELDS = ('forwarded', 'x-forwarded-proto', 'x-forwarded-host')

# A host name, an IPv4 address or an IPv6 address in brackets, and a port. This
# is more than DNS allows, and nothing that ends an authority.
_AUTHORITY = re.compile(
    r"(?:\[[0-9A-Za-z:.%_~-]+\]|[0-9A-Za-z._~!$&'()*+;=%-]+)(?::[0-9]{0,5})?"
)
MAX_AUTHORITY = 512

# A parameter of an element of Forwarded, or a comma or semicolon after one.
_PARAMETER = re.compile(
    r'\s*(?:([!#$%&\'*+.^_`|~0-9A-Za-z-]+)='
    r'("(?:[^"\\]|\\.)*"|[^\s,;"]*))?\s*([,;]|\Z)'
)


@dataclass(frozen=True, slots=True)
class Origin:
    """What links to the server begin with.

    ``scheme`` is "http" or "https", ``authority`` a host with an optional port.
    ``secure`` says that the client has, or may have, used HTTPS for this
    request, whatever ``scheme`` is: its credentials must not be sent by HTTP.
    """

    scheme: str
    authority: str
    secure: bool

    def __str__(self) -> str:
        return f'{self.scheme}://{self.authority}'


def is_authority(text: str) -> bool:
    """Return whether ``text`` can follow "http://" and end before a path."""
    return len(text) <= MAX_AUTHORITY and bool(_AUTHORITY.fullmatch(text))


def has_proxy_fields(headers: Mapping[str, str]) -> bool:
    """Return whether a proxy, or a client, has said what the client used."""
    return any(name in headers for name in PROXY_FIELDS)


def server_authority(scheme: str, name: str, port: str) -> str:
    """Return the authority of a server, for requests that do not name one."""
    host = f'[{name}]' if ':' in name and not name.startswith('[') else name
    default = '443' if scheme == 'https' else '80'
    return host if port in ('', default) else f'{host}:{port}'


def client_origin(
    scheme: str, authority: str, headers: Mapping[str, str], *, trusted: bool
) -> Origin:
    """Return the origin that a client used.

    ``scheme`` and ``authority`` are those of the request as it arrived, and the
    names of ``headers`` are lower-case. Fields of proxies count if the peer is
    ``trusted``. If there are several proxies, the host of the first one counts,
    and HTTPS if any of them says so. Raises BadRequest if ``authority`` is none.
    """
    if not is_authority(authority):
        raise errors.BadRequest('the host of the request is invalid')
    if not has_proxy_fields(headers):
        return Origin(scheme, authority, scheme == 'https')
    protos, hosts = _forwarded(headers.get('forwarded', ''))
    protos += _elements(headers.get('x-forwarded-proto', ''))
    hosts += _elements(headers.get('x-forwarded-host', ''))
    schemes = [proto for proto in map(str.lower, protos) if proto in SCHEMES]
    secure = scheme == 'https' or 'https' in schemes
    if trusted:
        if schemes:
            scheme = 'https' if 'https' in schemes else 'http'
        authority = next(filter(is_authority, hosts), authority)
    return Origin(scheme, authority, secure)


def _elements(text: str) -> list[str]:
    if len(text) > MAX_FIELD:
        return []
    return [element.strip() for element in text.split(',')]


def _forwarded(text: str) -> tuple[list[str], list[str]]:
    """Return all values of "proto" and "host" in a Forwarded field.

    Returns none if the field is malformed or overlong.
    """
    values: dict[str, list[str]] = {'proto': [], 'host': []}
    position = 0
    while position < len(text) <= MAX_FIELD:
        match = _PARAMETER.match(text, position)
        if match is None:
            return [], []
        name, value, _end = match.groups()
        if name is not None and name.lower() in values:
            if value.startswith('"'):
                value = re.sub(r'\\(.)', r'\1', value[1:-1])
            values[name.lower()].append(value)
        position = match.end()
    return values['proto'], values['host']


@lru_cache(maxsize=16)
def _networks(
    entries: tuple[str, ...],
) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(ipaddress.ip_network(entry, strict=False) for entry in entries)


def is_trusted(peer: str, proxies: Sequence[str]) -> bool:
    """Return whether the peer at an IP address is one of ``proxies``.

    These are addresses and networks. A peer without an IP address has connected
    through a Unix socket, and is trusted: the permissions of the socket decide
    who can do that. Raises ValueError for an entry that is no address.
    """
    networks = _networks(tuple(proxies))
    try:
        address = ipaddress.ip_address(peer.partition('%')[0])
    except ValueError:
        return True
    mapped = getattr(address, 'ipv4_mapped', None)
    return any((mapped or address) in network for network in networks)
