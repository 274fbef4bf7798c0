# SPDX-License-Identifier: GPL-2.0-or-later
"""What a command is, and how its arguments are checked.

No command is named here; the tables of commands are in ``apis``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...access.requester import Requester
from ...cache.keys import KeyState
from ...proto.errors import CommandError
from ...proto.frames import CONTINUATION, Framing

_TYPES: Mapping[bytes, type[Any]] = {
    b'bytes': bytes,
    b'int': int,
    b'list': list,
    b'dict': dict,
    b'set': set,
    b'bool': bool,
}

#: The default of an argument that has no default.
REQUIRED = object()


def _as_set(name: bytes, value: Iterable[Any]) -> set[bytes]:
    if not all(isinstance(member, bytes) for member in value):
        raise CommandError(b'argument %s must hold bytestrings', (name,))
    return set(value)


@dataclass(frozen=True)
class Argument:
    """The declaration of an argument.

    ``type`` is the name that capabilities give it, ``values`` are the members a
    set may have.
    """

    type: bytes
    default: Any = REQUIRED
    values: frozenset[bytes] | None = None

    def describe(self) -> dict[bytes, Any]:
        """Return what capabilities say about this argument."""
        described: dict[bytes, Any] = {
            b'type': self.type,
            b'required': self.default is REQUIRED,
        }
        if self.default is not REQUIRED:
            described[b'default'] = self.default
        if self.values is not None:
            described[b'validvalues'] = self.values
        return described

    def check(self, name: bytes, value: Any) -> Any:
        """Return ``value`` in the form in which a command gets it.

        Raises ``CommandError`` for a value the argument cannot have.
        """
        if value is None and self.default is None:
            return None
        wanted: type[Any] = _TYPES[self.type]
        # Clients may send sets as lists.
        if wanted is set and isinstance(value, list):
            value = _as_set(name, value)
        # bool is a subclass of int, but not in CBOR.
        if not isinstance(value, wanted) or (
            wanted is int and isinstance(value, bool)
        ):
            raise CommandError(
                b'argument %s must be of type %s', (name, self.type)
            )
        if self.values is not None:
            unknown = _as_set(name, value) - self.values
            if unknown:
                raise CommandError(
                    b'unsupported value for argument %s: %s',
                    (name, b', '.join(sorted(unknown))),
                )
        return value


@dataclass(frozen=True)
class Request:
    """What a command gets besides its arguments: the requester and the API."""

    requester: Requester
    api: API

    @property
    def repo(self) -> Any:
        """The repository as this requester may see it."""
        return self.requester.repo


# Runs a command: takes a request and the checked arguments, and yields the CBOR
# of the response's values in chunks of any size. Raises CommandError for the
# client.
Run = Callable[..., Iterator[bytes]]


@dataclass(frozen=True)
class Command:
    """The declaration of a command.

    ``permission`` is ``pull`` or ``push``. ``outgoing`` commands send data of
    the repository and run the ``preoutgoing`` hooks. ``compressed`` says that a
    content encoding would not make the response smaller. ``data_flags`` are the
    flags of the wire frames with the response's data. ``capabilities`` returns
    further entries for the description of the command. ``available`` tells
    whether a repository offers the command at all. ``key_state`` returns what a
    response depends on, for commands that do not follow ``cache.policy``.
    ``quick`` says that computing a response needs no slot, see ``server.load``.
    ``lasting`` says that responses are kept in the cache when they are first
    asked for. ``shorten`` makes the response that the arguments ask for of the
    whole one, which is what ``run`` yields and the cache keeps.
    """

    name: bytes
    run: Run
    args: Mapping[bytes, Argument] = field(default_factory=dict)
    permission: bytes = b'pull'
    outgoing: bool = False
    compressed: bool = False
    quick: bool = False
    lasting: bool = False
    data_flags: int = CONTINUATION
    capabilities: Callable[[Any], dict[bytes, Any]] | None = None
    available: Callable[[Any], bool] | None = None
    key_state: Callable[[Request, dict[bytes, Any]], KeyState | None] | None = (
        None
    )
    shorten: (
        Callable[
            [dict[bytes, Any], Iterable[bytes | memoryview]],
            Iterable[bytes | memoryview],
        ]
        | None
    ) = None

    def check_args(self, given: Mapping[bytes, Any]) -> dict[bytes, Any]:
        """Return all arguments with defaults filled in.

        Raises ``CommandError`` for unknown, missing and mistyped arguments.
        """
        extra = set(given) - set(self.args)
        if extra:
            raise CommandError(
                b'unsupported argument to command: %s',
                (b', '.join(sorted(extra)),),
            )
        missing = [
            name
            for name, arg in self.args.items()
            if arg.default is REQUIRED and name not in given
        ]
        if missing:
            raise CommandError(
                b'missing required arguments: %s' % b', '.join(sorted(missing))
            )
        return {
            name: arg.check(name, given[name]) if name in given else arg.default
            for name, arg in self.args.items()
        }

    def describe(self, repo: Any) -> dict[bytes, Any]:
        """Return what capabilities say about this command."""
        described = {
            b'args': {n: arg.describe() for n, arg in self.args.items()},
            b'permissions': [self.permission],
        }
        if self.capabilities is not None:
            described.update(self.capabilities(repo))
        return described


@dataclass(frozen=True)
class API:
    """A generation of the protocol: its framing and its commands.

    ``lists_compression`` and ``redirects`` say whether its capabilities have
    the keys ``compression`` and ``redirect``.
    """

    name: bytes
    framing: Framing
    commands: Mapping[bytes, Command]
    lists_compression: bool
    redirects: bool

    def offered(self, repo: Any) -> dict[bytes, Command]:
        """Return the commands ``repo`` offers, by name."""
        return {
            name: command
            for name, command in self.commands.items()
            if command.available is None or command.available(repo)
        }
