# SPDX-License-Identifier: GPL-2.0-or-later
"""What the two ends of the protocol report to the code that drives them.

Plain values without behavior. Nothing here knows how they are encoded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class AcceptedRedirects:
    """The redirects that a client follows, as its request states them.

    ``targets`` are names of redirect targets, ``hashes`` names of hash
    algorithms. ``fullhashes`` says that the client verifies a hash over the
    whole body. Mercurial does not know ``fullhashes``: versions up to 6.0
    refuse a redirect that carries such hashes, so a server sends them only if
    asked.
    """

    targets: tuple[bytes, ...] = ()
    hashes: tuple[bytes, ...] = ()
    fullhashes: bool = False


@dataclass(frozen=True)
class CommandReceived:
    """(server) A whole command arrived. ``data`` is its command data."""

    requestid: int
    name: bytes
    args: Mapping[bytes, Any] = field(default_factory=dict)
    redirect: AcceptedRedirects | None = None
    data: bytes | None = None


@dataclass(frozen=True)
class SettingsReceived:
    """(server) The client said which content encodings it can decode."""

    encodings: tuple[bytes, ...]


@dataclass(frozen=True)
class Location:
    """Where the response to a command can be fetched instead.

    ``size`` is in bytes. ``fullhashes`` holds (algorithm, digest) pairs over
    the whole body, seeded with ``fullhashseed``.
    """

    url: bytes
    mediatype: bytes
    size: int | None = None
    fullhashes: tuple[tuple[bytes, bytes], ...] | None = None
    fullhashseed: bytes | None = None
    serverdercerts: tuple[bytes, ...] | None = None
    servercadercerts: tuple[bytes, ...] | None = None


@dataclass(frozen=True)
class Atom:
    """Part of a message for people: a text with ``%s`` and its arguments."""

    message: bytes
    args: tuple[bytes, ...] = ()
    labels: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class ResponseStarted:
    """(client) The server accepted the command; values follow."""

    requestid: int


@dataclass(frozen=True)
class ResponseRedirected:
    """(client) The response is to be fetched from ``location``."""

    requestid: int
    location: Location


@dataclass(frozen=True)
class ResponseValues:
    """(client) Decoded CBOR values of a response, in their order."""

    requestid: int
    values: Sequence[Any]


@dataclass(frozen=True)
class ResponseFinished:
    """(client) The response is complete."""

    requestid: int


@dataclass(frozen=True)
class CommandFailed:
    """(client) The server rejected the command or failed to answer it.

    ``kind`` is ``command``, ``server`` or ``protocol``.
    """

    requestid: int
    kind: bytes
    atoms: tuple[Atom, ...]


@dataclass(frozen=True)
class TextReceived:
    """(client) Output for people."""

    requestid: int
    atoms: tuple[Atom, ...]


@dataclass(frozen=True)
class ProgressReceived:
    """(client) Progress of an operation on the server; ``pos`` -1 ends it."""

    requestid: int
    topic: bytes
    pos: int
    total: int
    label: bytes | None = None
    item: bytes | None = None


ServerEvent = CommandReceived | SettingsReceived
ClientEvent = (
    ResponseStarted
    | ResponseRedirected
    | ResponseValues
    | ResponseFinished
    | CommandFailed
    | TextReceived
    | ProgressReceived
)
