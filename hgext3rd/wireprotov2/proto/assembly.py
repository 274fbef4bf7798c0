# SPDX-License-Identifier: GPL-2.0-or-later
"""Putting commands together from the wire frames of a client.

The frames of several commands may be interleaved. ``server`` handles streams,
settings and content encodings; ``requests`` knows the form of messages.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from . import cbor, frames, requests
from .errors import FrameError, LimitError
from .events import CommandReceived
from .states import Commands, Event


@dataclass(frozen=True)
class RequestLimits:
    """The caps on what a server receives before a command runs.

    ``command_size``: bytes of all commands being received, arguments and
    command data together, since all of them are held in memory. ``commands``:
    the number of commands in one exchange. ``settings_size``: bytes of one
    settings message, which names a few encodings. ``cbor``: the limits of one
    command's arguments.
    """

    command_size: int = 32 * 1024 * 1024
    commands: int = 1000
    settings_size: int = 4096
    cbor: cbor.Limits = field(default_factory=cbor.Limits)


DEFAULT_LIMITS = RequestLimits()


class _Received:
    """The bytes of a command so far; ``data`` is None if it has no data."""

    __slots__ = ('request', 'data')

    def __init__(self, has_data: bool) -> None:
        self.request = bytearray()
        self.data: bytearray | None = bytearray() if has_data else None


class CommandAssembly:
    """The commands of one exchange that are being received.

    Advances the states of ``commands``. Its methods raise ``ProtocolError`` for
    frames that are malformed or out of place, or beyond ``limits``.
    """

    def __init__(self, commands: Commands, limits: RequestLimits) -> None:
        self._commands = commands
        self._limits = limits
        self._receiving: dict[int, _Received] = {}
        self._buffered = 0
        #: How many commands have begun so far.
        self.count = 0

    @property
    def pending(self) -> bool:
        """Whether a command has begun and is incomplete."""
        return bool(self._receiving)

    def _grow(self, size: int) -> None:
        """Count bytes that are held in memory. Raises ``LimitError``."""
        self._buffered += size
        if self._buffered > self._limits.command_size:
            raise LimitError(
                'command-size',
                b'commands are larger than %d bytes'
                % self._limits.command_size,
            )

    def add_request(
        self, frame: frames.Frame, payload: bytes
    ) -> CommandReceived | None:
        """Take a command-request frame; return the command it completes.

        ``payload`` is that of the frame, decoded.
        """
        requestid = frame.requestid
        flags = frame.flags
        new = flags & frames.REQUEST_NEW
        if bool(new) == bool(flags & frames.REQUEST_CONTINUATION):
            raise FrameError(
                b'command request frame must have either new or continuation '
                b'flag set'
            )
        has_data = bool(flags & frames.REQUEST_HAVE_DATA)
        if new:
            received = self._begin(requestid, has_data)
        else:
            self._commands.advance(requestid, Event.CONTINUE)
            received = self._receiving[requestid]
            if has_data != (received.data is not None):
                raise FrameError(
                    b'command request frames disagree whether data follows'
                )
        self._grow(len(payload))
        received.request += payload
        if flags & frames.REQUEST_MORE:
            return None
        if has_data:
            self._commands.advance(requestid, Event.DATA_FOLLOWS)
            return None
        self._commands.advance(requestid, Event.END_REQUEST)
        return self._complete(requestid)

    def _begin(self, requestid: int, has_data: bool) -> _Received:
        """Return where the frames of a new command are collected."""
        if not requestid % 2:
            raise FrameError(b'received request with even ID: %d' % requestid)
        self._commands.advance(requestid, Event.BEGIN)
        self.count += 1
        if self.count > self._limits.commands:
            raise LimitError(
                'commands',
                b'more than %d commands in a request' % self._limits.commands,
            )
        received = self._receiving[requestid] = _Received(has_data)
        return received

    def add_data(
        self, frame: frames.Frame, payload: bytes
    ) -> CommandReceived | None:
        """Take a command-data frame; return the command it completes.

        ``payload`` is that of the frame, decoded.
        """
        requestid = frame.requestid
        self._commands.advance(requestid, Event.DATA)
        if frame.flags not in (frames.CONTINUATION, frames.EOS):
            raise FrameError(
                b'command data frame must have either continuation or end of '
                b'data flag set'
            )
        self._grow(len(payload))
        data = self._receiving[requestid].data
        assert data is not None
        data += payload
        if frame.flags == frames.CONTINUATION:
            return None
        self._commands.advance(requestid, Event.END_DATA)
        return self._complete(requestid)

    def _complete(self, requestid: int) -> CommandReceived:
        """Return the command whose last frame has arrived."""
        received = self._receiving.pop(requestid)
        data = None if received.data is None else bytes(received.data)
        return requests.read_request(
            requestid, bytes(received.request), data, self._limits.cbor
        )
