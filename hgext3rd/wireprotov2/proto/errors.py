# SPDX-License-Identifier: GPL-2.0-or-later
"""Errors of the protocol package.

All derive from ``ProtocolError``; ``str(e)`` and ``e.message`` (bytes) are one
line fit for the peer and for a log. None of them quotes received data at
length.
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
    """A frame is malformed, or not allowed where it arrived."""


class CBORError(ProtocolError):
    """Data that is not CBOR, or CBOR outside the protocol's subset."""


class StreamError(ProtocolError):
    """A stream was misused, or its content encoding is broken or unknown."""


class LimitError(ProtocolError):
    """A named cap was exceeded. ``limit`` is the cap's name."""

    def __init__(self, limit: str, message: bytes) -> None:
        super().__init__(message)
        self.limit = limit


class CommandError(ProtocolError):
    """A command cannot be answered; the exchange as a whole goes on.

    ``message`` may hold ``%s`` for each of ``args`` (bytes): clients translate
    the one and fill in the other.
    """

    def __init__(self, message: bytes, args: Sequence[bytes] = ()) -> None:
        super().__init__(message)
        self.messageargs = tuple(args)


class ServerFailure(ProtocolError):
    """A command failed for a reason that is not the client's.

    ``message`` goes to the client; details belong into the server's log.
    """
