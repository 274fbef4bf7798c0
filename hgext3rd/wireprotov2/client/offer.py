# SPDX-License-Identifier: GPL-2.0-or-later
"""What a server says about an API in the handshake, checked and easy to query.

The description has the form that the command ``capabilities`` answers. Servers
differ in their commands and in the arguments of these commands; a client has no
other way to tell servers apart. Takes decoded values; knows no connections.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..proto.errors import CBORError


@dataclass(frozen=True)
class OfferedTarget:
    """A place that the server may redirect responses to."""

    name: bytes
    protocol: bytes
    uris: tuple[bytes, ...]
    snirequired: bool = False
    tlsversions: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class OfferedAPI:
    """An API of a server: its name, URL, commands and redirect targets.

    ``formats`` are the storage formats (``rawrepoformats``) of the repository,
    ``hashes`` the hash functions the server uses for redirects.
    """

    name: bytes
    url: bytes
    commands: Mapping[bytes, Any]
    framings: tuple[bytes, ...]
    formats: frozenset[bytes] = frozenset()
    targets: tuple[OfferedTarget, ...] = ()
    hashes: tuple[bytes, ...] = ()

    def has_argument(self, command: bytes, name: bytes) -> bool:
        """Return whether ``command`` takes the argument ``name``."""
        return name in self._args(command)

    def valid_values(self, command: bytes, name: bytes) -> frozenset[bytes]:
        """Return the values an argument may have, empty if not stated."""
        argument = _map(self._args(command).get(name, {}))
        values = argument.get(b'validvalues', ())
        return frozenset(_bytestrings(values))

    def batch_size(self, command: bytes) -> int | None:
        """Return the recommended number of revisions in a request, or None."""
        size = _map(self.commands.get(command, {})).get(b'recommendedbatchsize')
        return size if type(size) is int and size > 0 else None

    def _args(self, command: bytes) -> Mapping[bytes, Any]:
        return _map(_map(self.commands.get(command, {})).get(b'args', {}))


def _map(value: Any) -> Mapping[bytes, Any]:
    """Return ``value`` if it is a map, else an empty map."""
    return value if isinstance(value, dict) else {}


def _bytestrings(value: Any) -> tuple[bytes, ...]:
    """Return the bytestrings in a list or set, empty for anything else."""
    if not isinstance(value, (list, set)):
        return ()
    return tuple(item for item in value if isinstance(item, bytes))


def parse(name: bytes, url: bytes, descriptor: Any) -> OfferedAPI:
    """Return the API that ``descriptor`` describes.

    Malformed details count as absent. Raises ``CBORError`` if the description
    is not a map with commands.
    """
    if not isinstance(descriptor, dict) or not isinstance(
        descriptor.get(b'commands'), dict
    ):
        raise CBORError(b'the description of %s is malformed' % name)
    redirect = _map(descriptor.get(b'redirect'))
    targets = redirect.get(b'targets')
    return OfferedAPI(
        name=name,
        url=url,
        commands=descriptor[b'commands'],
        framings=_bytestrings(descriptor.get(b'framingmediatypes')),
        formats=frozenset(_bytestrings(descriptor.get(b'rawrepoformats'))),
        targets=tuple(
            OfferedTarget(
                target[b'name'],
                target[b'protocol'],
                _bytestrings(target.get(b'uris')),
                target.get(b'snirequired') is True,
                _bytestrings(target.get(b'tlsversions')),
            )
            for target in (targets if isinstance(targets, list) else ())
            if isinstance(target, dict)
            and isinstance(target.get(b'name'), bytes)
            and isinstance(target.get(b'protocol'), bytes)
        ),
        hashes=_bytestrings(redirect.get(b'hashes')),
    )
