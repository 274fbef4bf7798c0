# SPDX-License-Identifier: GPL-2.0-or-later
"""What a server says of one API in the handshake, checked and easy to ask.

A descriptor is what the command ``capabilities`` answers. Servers differ in
commands and in their arguments; nothing else tells them apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..proto.errors import CBORError


@dataclass(frozen=True)
class Target:
    """A place responses may be redirected to."""

    name: bytes
    protocol: bytes
    uris: tuple[bytes, ...]
    snirequired: bool = False
    tlsversions: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class API:
    """An API a server offers: its name, URL, commands and redirect targets."""

    name: bytes
    url: bytes
    commands: Mapping[bytes, Any]
    framings: tuple[bytes, ...]
    formats: frozenset[bytes] = frozenset()
    targets: tuple[Target, ...] = ()
    hashes: tuple[bytes, ...] = ()

    def has_argument(self, command: bytes, name: bytes) -> bool:
        return name in self._args(command)

    def valid_values(self, command: bytes, name: bytes) -> frozenset[bytes]:
        """Return the values an argument may have, none if not said."""
        argument = _map(self._args(command).get(name, {}))
        values = argument.get(b'validvalues', ())
        return frozenset(_texts(values))

    def batch_size(self, command: bytes) -> int | None:
        """Return how many revisions to ask for at once, if recommended."""
        size = _map(self.commands.get(command, {})).get(b'recommendedbatchsize')
        return size if type(size) is int and size > 0 else None

    def _args(self, command: bytes) -> Mapping[bytes, Any]:
        return _map(_map(self.commands.get(command, {})).get(b'args', {}))


def _map(value: Any) -> Mapping[bytes, Any]:
    return value if isinstance(value, dict) else {}


def _texts(value: Any) -> tuple[bytes, ...]:
    if not isinstance(value, (list, set)):
        return ()
    return tuple(item for item in value if isinstance(item, bytes))


def parse(name: bytes, url: bytes, descriptor: Any) -> API:
    """Read a descriptor. Raises ``CBORError``."""
    if not isinstance(descriptor, dict) or not isinstance(
        descriptor.get(b'commands'), dict
    ):
        raise CBORError(b'the description of %s is malformed' % name)
    redirect = _map(descriptor.get(b'redirect'))
    targets = redirect.get(b'targets')
    return API(
        name=name,
        url=url,
        commands=descriptor[b'commands'],
        framings=_texts(descriptor.get(b'framingmediatypes')),
        formats=frozenset(_texts(descriptor.get(b'rawrepoformats'))),
        targets=tuple(
            Target(
                target[b'name'],
                target[b'protocol'],
                _texts(target.get(b'uris')),
                target.get(b'snirequired') is True,
                _texts(target.get(b'tlsversions')),
            )
            for target in (targets if isinstance(targets, list) else ())
            if isinstance(target, dict)
            and isinstance(target.get(b'name'), bytes)
            and isinstance(target.get(b'protocol'), bytes)
        ),
        hashes=_texts(redirect.get(b'hashes')),
    )
