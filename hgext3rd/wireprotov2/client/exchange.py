# SPDX-License-Identifier: GPL-2.0-or-later
"""Commands sent in one request, and the decoded values of their responses.

``proto.client`` implements the protocol. A request that fails for a reason that
may pass is sent again. A response that breaks off is requested again and
continued where it broke off. That is safe because all commands sent from here
only read. Nothing here knows what the commands mean.
"""

from __future__ import annotations

import collections
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mercurial import error
from mercurial.i18n import _
from mercurial.utils import stringutil

from ..proto import cbor, events, responses
from ..proto import client as protoclient
from ..proto.errors import ProtocolError
from . import failures
from .transport import Transport

# Bytes requested in one read: two wire frames, so that values can be used
# while a slow server is still working on the next.
READ_SIZE = 65536

# The most bytes of later responses that are kept while an earlier response is
# read. Servers answer in the order of the commands, so this normally holds
# short ends only. Without a limit, a server that mixes responses could fill
# the client's memory.
MAX_BUFFERED = 64 * 1024 * 1024

# The most progress bars of a server that are shown at once. The server chooses
# their names, so it could make any number of them.
MAX_PROGRESS_BARS = 100


@dataclass(frozen=True)
class CommandCall:
    """A command to run.

    The fields are the arguments of ``proto.client.ClientConnection.command``.
    """

    name: bytes
    args: Mapping[bytes, Any] = field(default_factory=dict)
    chunked: bool = False
    redirect: events.AcceptedRedirects | None = None
    limits: cbor.Limits | None = None


def call(
    client: Transport, name: bytes, args: Mapping[bytes, Any]
) -> list[Any]:
    """Run one command and return all values of its response.

    Raises ``failures.RemoteFailure``.
    """
    exchange = Exchange(client, CommandCall(name, args))
    values = list(exchange.values(0))
    exchange.finish()
    return values


class Exchange:
    """One request with some commands, and the responses to them.

    Creating an exchange sends the request. Read the responses in the order of
    the commands. Then call ``finish``, which reads the rest so that the
    connection can be used again, or ``close``, which abandons the connection.
    With ``retry=False`` nothing is sent again; the caller may retry.

    Raises ``failures.RemoteFailure``, as all methods do.
    """

    def __init__(
        self, client: Transport, *commands: CommandCall, retry: bool = True
    ) -> None:
        self._client = client
        self._commands = commands
        self._attempts = client.attempts if retry else 1
        #: where redirected responses are, by the index of the command
        self.locations: dict[int, events.Location] = {}
        count = len(commands)
        # Values that have arrived and were not handed out yet.
        self._waiting: list[collections.deque[Any]] = [
            collections.deque() for _command in commands
        ]
        self._done = [False] * count
        # The number of values handed out, and how many of these to skip because
        # the response was requested again.
        self._taken = [0] * count
        self._skip = [0] * count
        self._current = 0
        self._buffered = 0
        # From the request ids of the protocol to the indexes of commands.
        self._indexes: dict[int, int] = {}
        self._response: Any = None
        self._proto = protoclient.ClientConnection(client.framing)
        self._progress: dict[tuple[int, bytes], Any] = {}
        # Failures since the last progress.
        self._failed = 0
        # The events in the bytes read last; decoded while it is iterated.
        self._events: Iterator[events.ClientEvent] = iter(())
        self._retry(self._open)

    # -- the request

    def _retry(self, step: Any) -> None:
        """Run ``step``; after a failure that may pass, send the request again.

        Raises the last failure when there were too many.
        """
        while True:
            try:
                step()
                return
            except failures.ConnectionFailure as exc:
                self.close()
                self._failed += 1
                if self._failed >= self._attempts or self._in_chunks():
                    raise
                self._client.pause(self._failed, exc)
                step = self._open

    def _in_chunks(self) -> bool:
        """Return whether chunks of a bytestring were handed out.

        The next response may be divided into other chunks, so the first one
        cannot be continued.
        """
        return any(
            command.chunked and self._taken[index]
            for index, command in enumerate(self._commands)
        )

    def _open(self) -> None:
        """Send the commands whose responses are not complete."""
        self._proto = proto = protoclient.ClientConnection(self._client.framing)
        self._indexes = {}
        self._buffered = 0
        self._events = iter(())
        names = []
        for index, command in enumerate(self._commands):
            if self._done[index] and not self._waiting[index]:
                continue
            self._waiting[index].clear()
            self._done[index] = False
            self._skip[index] = self._taken[index]
            requestid = proto.command(
                command.name,
                command.args,
                redirect=command.redirect,
                chunked=command.chunked,
                limits=command.limits,
            )
            self._indexes[requestid] = index
            names.append(command.name)
        name = names[0] if len(names) == 1 else b'multirequest'
        self._client.ui.debug(b'sending %s\n' % b', '.join(names))
        self._response = self._client.post(name, proto.data_to_send())

    # -- the responses

    def values(self, index: int) -> Iterator[Any]:
        """Yield the values of the response to the command at ``index``.

        Raises ``CommandRefused`` if the server answers with an error.
        """
        self._current = index
        self._buffered = 0
        waiting = self._waiting[index]
        while True:
            while waiting:
                self._taken[index] += 1
                yield waiting.popleft()
            if self._done[index]:
                return
            self._retry(self._pump)

    def finish(self) -> None:
        """Read the rest of all responses, which should be short."""
        while not all(self._done):
            self._retry(self._pump)
        if self._response is not None:
            try:
                if any(self._events) or self._response.read(READ_SIZE):
                    self.close()
                    return
            except (error.PeerTransportError, OSError, ProtocolError):
                self.close()
                return
            self._response.close()
            self._response = None

    def close(self) -> None:
        """Abandon the response and its connection."""
        for bar in self._progress.values():
            bar.complete()
        self._progress.clear()
        if self._response is not None:
            self._response.close_connection()
            self._response = None

    def _pump(self) -> None:
        """Process the next event of the response, or read more bytes of it."""
        if self._response is None:
            self._open()
        try:
            event = next(self._events, None)
            if event is not None:
                self._on_event(event)
                return
            data = self._client.read_some(self._response, READ_SIZE)
            if not data:
                self._on_end()
            self._events = self._proto.feed(data)
        except ProtocolError as exc:
            self.close()
            raise failures.RemoteFailure(self._client.url, exc.message) from exc
        except failures.RemoteFailure:
            self.close()
            raise

    def _on_end(self) -> None:
        """Check that the body may end here."""
        if self._proto.waiting:
            # Proxies and servers that die end a body as if it were complete.
            raise self._client.connection_lost(_(b'the response is incomplete'))
        self._proto.finish()

    def _on_event(self, event: events.ClientEvent) -> None:
        client = self._client
        index = self._indexes[event.requestid]
        if isinstance(event, events.ResponseValues):
            self._take(index, event.values)
        elif isinstance(event, events.ResponseFinished):
            if self._skip[index]:
                raise failures.RemoteFailure(
                    client.url,
                    _(
                        b'a response was shorter when it was requested a '
                        b'second time'
                    ),
                )
            self._done[index] = True
        elif isinstance(event, events.CommandFailed):
            name = self._commands[index].name
            raise failures.CommandRefused(
                client.url,
                _(b'%s failed: %s')
                % (name, responses.format_atoms(event.atoms).rstrip()),
            )
        elif isinstance(event, events.TextReceived):
            text = responses.format_atoms(event.atoms)
            for line in text.splitlines():
                client.ui.status(_(b'remote: %s\n') % line)
        elif isinstance(event, events.ProgressReceived):
            self._on_progress(event)
        elif isinstance(event, events.ResponseRedirected):
            if self._commands[index].redirect is None:
                raise failures.RemoteFailure(
                    client.url,
                    _(b'redirected a command that did not allow redirects'),
                )
            self.locations[index] = event.location

    def _take(self, index: int, values: Sequence[Any]) -> None:
        """Keep values that have arrived until they are asked for."""
        skip = min(self._skip[index], len(values))
        self._skip[index] -= skip
        fresh = values[skip:] if skip else values
        if not fresh:
            return
        self._failed = 0
        self._waiting[index].extend(fresh)
        if index == self._current:
            return
        for value in fresh:
            if isinstance(value, cbor.BytesChunk):
                value = value.data
            self._buffered += len(value) if isinstance(value, bytes) else 256
        if self._buffered > MAX_BUFFERED:
            raise failures.RemoteFailure(
                self._client.url,
                _(b'responses do not come in the order of their commands'),
            )

    def _on_progress(self, event: events.ProgressReceived) -> None:
        """Show a progress report of the server."""
        key = (event.requestid, event.topic)
        bar = self._progress.get(key)
        if event.pos < 0:
            if bar is not None:
                self._progress.pop(key).complete()
            return
        if bar is None:
            if len(self._progress) >= MAX_PROGRESS_BARS:
                return
            bar = self._progress[key] = self._client.ui.makeprogress(
                stringutil.escapestr(event.topic), unit=event.label or b''
            )
        bar.update(event.pos, item=event.item or b'', total=event.total)
