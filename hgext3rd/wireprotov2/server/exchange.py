# SPDX-License-Identifier: GPL-2.0-or-later
"""One request over HTTP: its body to commands, their responses to a body.

Knows requests of hgweb and the server's end of the protocol. ``wsgi`` handles
addresses and permissions, ``dispatch`` single commands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from mercurial.hgweb import common as hgwebcommon

from ..access import requester
from ..proto.assembly import RequestLimits
from ..proto.errors import LimitError, ProtocolError
from ..proto.events import CommandReceived
from ..proto.server import ServerConnection
from . import dispatch, frontends, load
from .commands.registry import API, Command, Request
from .errors import HTTPError

SECTION = b'wireprotov2'

#: The name in the address of a request with any number of commands.
MULTIREQUEST = b'multirequest'

# Bytes that are read from the client at a time.
_READ_SIZE = 65536

#: hgweb's check of a permission; raises ``ErrorResponse`` if it is denied.
CheckPerm = Callable[[Any, Any, bytes], None]


class ServedExchange:
    """The commands of one request and their responses.

    First ``receive`` reads the request. Then the caller checks
    ``permissions``, and sends what ``respond`` yields.
    """

    def __init__(
        self,
        rctx: Any,
        req: Any,
        api: API,
        permit: load.Permit,
        report: dispatch.Report,
    ) -> None:
        ui = rctx.repo.ui
        self._repo = rctx.repo
        self._req = req
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
        self, name: bytes, readonly: bool, offered: dict[bytes, Command]
    ) -> None:
        """Read the request and check its commands; nothing has run yet.

        ``name`` is the command in the address, ``readonly`` says whether the
        address is for commands that change nothing. Raises ``HTTPError`` unless
        all commands may run.
        """
        received = self._read()
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

    def _read(self) -> list[CommandReceived]:
        """Return the commands in the body of the request."""
        req = self._req
        limit = self._repo.ui.configbytes(SECTION, b'limit.request-size')
        too_large = HTTPError(413, b'request is larger than %d bytes\n' % limit)
        length = req.headers.get(b'Content-Length')
        if length is None and not req.rawenv.get(b'wsgi.input_terminated'):
            frontends.abandon_body(req)
            raise HTTPError(411, b'client MUST send Content-Length header\n')
        if length is not None and int(length) > limit:
            frontends.abandon_body(req)
            raise too_large
        found: list[CommandReceived] = []
        size = 0
        try:
            while True:
                data = req.bodyfh.read(_READ_SIZE)
                if not data:
                    break
                size += len(data)
                if size > limit:
                    frontends.abandon_body(req)
                    raise too_large
                for event in self._conn.feed(data):
                    if isinstance(event, CommandReceived):
                        found.append(event)
            if length is not None and size < int(length):
                raise HTTPError(
                    400, b'request body is shorter than announced\n'
                )
            self._conn.finish()
        except LimitError as e:
            raise HTTPError(413, e.message + b'\n') from None
        except ProtocolError as e:
            raise HTTPError(400, e.message + b'\n') from None
        except OSError:
            frontends.abandon_body(req)
            raise HTTPError(
                408, b'request was not received in time\n'
            ) from None
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
        who = requester.for_command(
            self._repo,
            command.name,
            self._req.remoteuser,
            hgwebcommon.hashiddenaccess(self._repo, self._req),
        )
        return dispatch.respond(
            self._conn,
            event,
            command,
            Request(who, self._api),
            self._permit,
            self._report,
        )


def _continued(first: bytes, frames: Iterator[bytes]) -> Iterator[bytes]:
    """Yield a wire frame that was taken out of ``frames``, then the others."""
    yield first
    yield from frames
