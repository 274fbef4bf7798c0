# SPDX-License-Identifier: GPL-2.0-or-later
"""Errors of the protocol package.

All derive from ``ProtocolError``. ``str(e)`` and ``e.message`` (bytes) are one
line, fit for the peer and for a log; none of them quotes received data at
length. HTTP statuses and Mercurial's errors are unknown here.
"""

from __future__ import annotations

from collections.abc import Sequence


class ProtocolError(Exception):
    """The peer violated the protocol; the exchange cannot go on.

    ``message`` is ASCII bytes.
    """

    def __init__(self, message: bytes) -> None:
        super().__init__(message.decode('ascii', 'backslashreplace'))
        self.message = message


class FrameError(ProtocolError):
    """A wire frame is malformed, or not allowed where it arrived."""


class CBORError(ProtocolError):
    """The data is not CBOR, or is CBOR outside the protocol's subset."""


class StreamError(ProtocolError):
    """A stream was misused, or its content encoding is broken or unknown."""


class LimitError(ProtocolError):
    """The peer exceeded a named cap. ``limit`` is the name of the cap."""

    def __init__(self, limit: str, message: bytes) -> None:
        super().__init__(message)
        self.limit = limit


class CommandError(ProtocolError):
    """A command cannot be answered; the exchange as a whole goes on.

    ``message`` may hold one ``%s`` for each of ``args`` (bytes): clients
    translate the message and fill in the arguments.
    """

    def __init__(self, message: bytes, args: Sequence[bytes] = ()) -> None:
        super().__init__(message)
        self.messageargs = tuple(args)


class InternalError(ProtocolError):
    """A command failed, and the client is not to blame.

    ``message`` goes to the client; details belong in the server's log.
    """
