# SPDX-License-Identifier: GPL-2.0-or-later
"""The client's HTTP: commands to a request, a response to decoded values.

Connections are Mercurial's (keep-alive, TLS, proxies, authentication), the
protocol is ``proto.client``'s. What fails for a reason that passes is tried
again, and a response that broke is asked for again and continued where it
broke: all commands sent from here only read. Nothing here knows what the
commands mean.
"""

from __future__ import annotations

import collections
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mercurial import error, httppeer, pycompat, util
from mercurial.i18n import _
from mercurial.utils import stringutil, urlutil

from ..proto import cbor, events, frames, responses
from ..proto import client as protoclient
from ..proto.errors import ProtocolError
from . import failures, pace

urlerr = util.urlerr
urlreq = util.urlreq

# Bytes asked for in one read: two frames, so that values flow while a slow
# server is still working on the next.
READ_SIZE = 65536

# Bytes of responses kept while an earlier command's response is read. Servers
# answer in the order asked, so this holds small tails only; the cap is what a
# server that mixes responses can make us buffer.
MAX_BUFFERED = 64 * 1024 * 1024

# The longest pause between two attempts, in seconds.
MAX_DELAY = 30.0

# Gateways say these when the server behind them is busy or being restarted.
PASSING_STATUS = frozenset((429, 502, 503, 504))


@dataclass(frozen=True)
class Command:
    """A command to run. See ``proto.client.Client.command``."""

    name: bytes
    args: Mapping[bytes, Any] = field(default_factory=dict)
    chunked: bool = False
    redirect: events.AcceptedRedirects | None = None
    limits: cbor.Limits | None = None


class HTTPClient:
    """Runs commands of one API of one repository.

    ``apiurl`` is the URL of the API ("…/api/exp-http-v2-0003"), ``opener`` and
    ``requestbuilder`` are as in ``httppeer``.
    """

    def __init__(
        self,
        ui: Any,
        opener: Any,
        requestbuilder: Any,
        apiurl: bytes,
        framing: frames.Framing = frames.FRAMING_0006,
    ) -> None:
        self.ui = ui
        self.url = urlutil.hidepassword(apiurl)
        self.framing = framing
        self._opener = opener
        self._requestbuilder = requestbuilder
        self._apiurl = apiurl
        self.attempts = 1 + max(0, ui.configint(b'wireprotov2', b'retry'))
        pace.limit(opener, ui.configwith(float, b'http', b'timeout'))
        self._delay = ui.configwith(float, b'wireprotov2', b'retry.delay')

    def start(self, *commands: Command, retry: bool = True) -> Exchange:
        """Send commands in one request; their answers come from the result.

        Without ``retry`` the caller tries again himself. Raises
        ``failures.ServerFailure``.
        """
        return Exchange(self, commands, self.attempts if retry else 1)

    def call(self, name: bytes, args: Mapping[bytes, Any]) -> list[Any]:
        """Run one command; return all values of its response."""
        exchange = self.start(Command(name, args))
        values = list(exchange.values(0))
        exchange.finish()
        return values

    def post(self, name: bytes, body: bytes) -> Any:
        """Send a request; return the response if it holds frames.

        ``name`` is what the URL ends in: a command or ``multirequest``.
        """
        mediatype = pycompat.sysstr(self.framing.mediatype)
        request = self._requestbuilder(
            pycompat.strurl(b'%s/ro/%s' % (self._apiurl, name)),
            body,
            {'Accept': mediatype, 'Content-Type': mediatype},
        )
        request.paced = True
        try:
            response = httppeer.sendrequest(self.ui, self._opener, request)
        except urlerr.httperror as exc:
            raise self._http_failure(exc) from exc
        except urlerr.urlerror as exc:
            raise self.lost(exc.reason) from exc
        except OSError as exc:
            raise self.lost(exc) from exc
        got = response.headers.get('Content-Type', '')
        if got.partition(';')[0].strip().lower() != mediatype:
            response.close_connection()
            raise failures.ServerFailure(
                self.url,
                _(b'the response has a wrong type (%s)')
                % (stringutil.escapestr(got.encode('latin-1')) or b'none'),
            )
        return response

    def received(self, size: int) -> None:
        """Count bytes for the sums that ``hg --verbose`` shows."""
        # Mercurial's response class counts in read() alone
        self._opener.receivedbytescount += size

    def _http_failure(self, exc: Any) -> failures.ServerFailure:
        exc.close()
        reason = _(b'HTTP error %d: %s') % (
            exc.code,
            stringutil.escapestr(pycompat.sysbytes(str(exc.reason))),
        )
        if exc.code in PASSING_STATUS:
            return failures.ConnectionFailure(self.url, reason)
        return failures.Unavailable(self.url, reason)

    def lost(self, exc: object) -> failures.ConnectionFailure:
        """Return the failure for a connection that broke with ``exc``."""
        if isinstance(exc, error.Abort):
            reason = exc.message
        else:
            reason = stringutil.forcebytestr(exc)
        return failures.ConnectionFailure(
            self.url, _(b'connection lost: %s') % reason
        )

    def pause(self, failed: int, reason: bytes) -> None:
        """Wait before the attempt after the one that ``failed`` (from 1).

        Pauses double, and vary so that the clients of a server that was away
        do not all return at the same moment.
        """
        delay = min(MAX_DELAY, self._delay * 2 ** (failed - 1))
        delay *= random.uniform(0.75, 1.25)
        self.ui.warn(
            _(b'(%s: %s; trying again in %.1f seconds)\n')
            % (self.url, reason, delay)
        )
        time.sleep(delay)


class Exchange:
    """A request and the responses to its commands.

    The responses must be read in order. ``finish`` reads what is left, so that
    the connection can be used again; ``close`` abandons it.
    """

    def __init__(
        self, client: HTTPClient, commands: Sequence[Command], attempts: int
    ) -> None:
        self._client = client
        self._commands = commands
        self._attempts = attempts
        # where the responses of redirected commands are, by index
        self.locations: dict[int, events.Location] = {}
        count = len(commands)
        self._waiting: list[collections.deque[Any]] = [
            collections.deque() for _command in commands
        ]
        self._done = [False] * count
        # values handed out, to be skipped should the response be asked for
        # again
        self._taken = [0] * count
        self._skip = [0] * count
        self._current = 0
        self._buffered = 0
        self._indexes: dict[int, int] = {}
        self._response: Any = None
        self._proto = protoclient.ClientConnection(client.framing)
        self._progress: dict[tuple[int, bytes], Any] = {}
        self._failed = 0
        # of what was read, in the making
        self._events: Iterator[events.ClientEvent] = iter(())
        self._retry(self._open)

    # -- the request

    def _retry(self, step: Any) -> None:
        """Run ``step``; after a passing failure, send the request again."""
        while True:
            try:
                step()
                return
            except failures.ConnectionFailure as exc:
                self.close()
                self._failed += 1
                if self._failed >= self._attempts or self._in_pieces():
                    raise
                self._client.pause(self._failed, exc.reason)
                step = self._open

    def _in_pieces(self) -> bool:
        """Whether pieces of a bytestring were handed out: the next response
        may be cut elsewhere, and cannot be continued."""
        return any(
            command.chunked and self._taken[index]
            for index, command in enumerate(self._commands)
        )

    def _open(self) -> None:
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

        Raises ``failures.ServerFailure``; a command refused by the server is a
        ``CommandRefused``.
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
        """Read to the end of the response, which should be near."""
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
        """Give the response up; its connection cannot be used again."""
        for bar in self._progress.values():
            bar.complete()
        self._progress.clear()
        if self._response is not None:
            self._response.close_connection()
            self._response = None

    def _pump(self) -> None:
        """Process one event of the response; read if there is none."""
        if self._response is None:
            self._open()
        try:
            event = next(self._events, None)
            if event is not None:
                self._on_event(event)
                return
            data = self._read()
            if not data:
                self._cut_short()
            self._events = self._proto.feed(data)
        except ProtocolError as exc:
            self.close()
            raise failures.ServerFailure(self._client.url, exc.message) from exc
        except failures.ServerFailure:
            self.close()
            raise

    def _read(self) -> bytes:
        client = self._client
        try:
            # what is there, up to that; a full read would wait for all of it
            data: bytes = self._response.read1(READ_SIZE)
        except (OSError, util.httplib.HTTPException) as exc:
            raise client.lost(exc) from exc
        client.received(len(data))
        return data

    def _cut_short(self) -> None:
        if self._proto.waiting:
            # proxies and dying servers end a body as if it were complete
            raise self._client.lost(_(b'the response is incomplete'))
        self._proto.finish()

    def _on_event(self, event: events.ClientEvent) -> None:
        client = self._client
        index = self._indexes[event.requestid]
        if isinstance(event, events.ResponseValues):
            self._take(index, event.values)
        elif isinstance(event, events.ResponseFinished):
            if self._skip[index]:
                raise failures.ServerFailure(
                    client.url,
                    _(b'a response became shorter when it was asked for again'),
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
                raise failures.ServerFailure(
                    client.url, _(b'sent us elsewhere without being asked')
                )
            self.locations[index] = event.location

    def _take(self, index: int, values: Sequence[Any]) -> None:
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
            raise failures.ServerFailure(
                self._client.url, _(b'responses are mixed up')
            )

    def _on_progress(self, event: events.ProgressReceived) -> None:
        key = (event.requestid, event.topic)
        bar = self._progress.get(key)
        if event.pos < 0:
            if bar is not None:
                self._progress.pop(key).complete()
            return
        if bar is None:
            # a bar is cheap, but a peer names them
            if len(self._progress) >= 100:
                return
            bar = self._progress[key] = self._client.ui.makeprogress(
                stringutil.escapestr(event.topic), unit=event.label or b''
            )
        bar.update(event.pos, item=event.item or b'', total=event.total)
