# SPDX-License-Identifier: GPL-2.0-or-later
"""One request: its wire frames to commands, their responses to wire frames.

Knows the server's end of the protocol and what may run; ``dispatch`` runs single
commands. The transports are ``wsgi`` and ``ssh``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..access.requester import Requester
from ..proto.assembly import RequestLimits
from ..proto.errors import LimitError, ProtocolError
from ..proto.events import CommandReceived
from ..proto.server import ServerConnection
from . import dispatch, load
from .commands.registry import API, Command, Request
from .errors import HTTPError

SECTION = b'wireprotov2'

#: The name in the address of a request with any number of commands.
MULTIREQUEST = b'multirequest'

#: hgweb's check of a permission; raises ``ErrorResponse`` if it is denied.
CheckPerm = Callable[[Any, Any, bytes], None]

#: Returns the requester who runs the command of a name.
Identify = Callable[[bytes], Requester]


class ServedExchange:
    """The commands of one request and their responses.

    First ``receive`` reads the request to the repository with the
    configuration ``ui``. Then the caller checks ``permissions``, and sends what
    ``respond`` yields.
    """

    def __init__(
        self,
        ui: Any,
        api: API,
        identify: Identify,
        permit: load.Permit,
        report: dispatch.Report,
    ) -> None:
        self._identify = identify
        self._api = api
        self._permit = permit
        self._report = report
        self._conn = ServerConnection(
            api.framing,
            RequestLimits(
                command_size=ui.configbytes(SECTION, b'limit.command-size'),
                commands=ui.configint(SECTION, b'limit.commands'),
            ),
        )
        self._calls: list[tuple[CommandReceived, Command]] = []

    def receive(
        self,
        body: Iterable[bytes],
        name: bytes,
        readonly: bool,
        offered: dict[bytes, Command],
    ) -> None:
        """Read the request and check its commands; nothing has run yet.

        ``name`` is the command in the address, ``readonly`` says whether the
        address is for commands that change nothing. Raises ``HTTPError`` unless
        all commands may run.
        """
        received = self._read(body)
        if not received:
            raise HTTPError(400, b'request has no command\n')
        if name != MULTIREQUEST:
            if len(received) > 1:
                raise HTTPError(
                    400, b'multiple commands cannot be issued to this URL\n'
                )
            if received[0].name != name:
                raise HTTPError(
                    400, b'command in frame must match command in URL\n'
                )
        for event in received:
            command = offered.get(event.name)
            if command is None:
                raise HTTPError(
                    400,
                    b'wire protocol command not available: %s\n'
                    % event.name[:100],
                )
            if readonly and command.permission != b'pull':
                raise HTTPError(
                    403,
                    b'insufficient permissions to execute command: %s\n'
                    % command.name,
                )
            self._calls.append((event, command))

    def _read(self, body: Iterable[bytes]) -> list[CommandReceived]:
        """Return the commands in the body of the request."""
        found: list[CommandReceived] = []
        try:
            for data in body:
                for event in self._conn.feed(data):
                    if isinstance(event, CommandReceived):
                        found.append(event)
            self._conn.finish()
        except LimitError as e:
            raise HTTPError(413, e.message + b'\n') from None
        except ProtocolError as e:
            raise HTTPError(400, e.message + b'\n') from None
        return found

    def permissions(self) -> set[bytes]:
        """Return the permissions that the commands need."""
        return {command.permission for _event, command in self._calls}

    def respond(self) -> Iterator[bytes]:
        """Run the commands; return the wire frames of their responses.

        Raises ``load.Refused`` if the first of them that computes something may
        not do so now.
        """
        frames = self._frames()
        # What is refused must be known before the status of the response.
        first = next(frames, b'')
        return _continued(first, frames)

    def _frames(self) -> Iterator[bytes]:
        begun = False
        try:
            for index, (event, command) in enumerate(self._calls, 1):
                self._permit.last = index == len(self._calls)
                for frame in self._respond(event, command):
                    yield frame
                    begun = True
        except load.Refused:
            if not begun:
                raise
            # The response is incomplete, so the client requests the rest again.
        finally:
            self._permit.release()

    def _respond(
        self, event: CommandReceived, command: Command
    ) -> Iterator[bytes]:
        """Run one command; yield the wire frames of its response."""
        return dispatch.respond(
            self._conn,
            event,
            command,
            Request(self._identify(command.name), self._api),
            self._permit,
            self._report,
        )


def _continued(first: bytes, frames: Iterator[bytes]) -> Iterator[bytes]:
    """Yield a wire frame that was taken out of ``frames``, then the others."""
    yield first
    yield from frames
