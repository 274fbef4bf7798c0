# SPDX-License-Identifier: GPL-2.0-or-later
"""The interface of everything in this package that reads received bytes.

``frames.FrameParser``, ``cbor.Decoder``, ``client.ClientConnection`` and
``server.ServerConnection`` have these two methods with these meanings, so code
that drives one of them can drive all. Inside, a method that reads one thing
returns an event, raises, or returns None if it needs more bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

Event = TypeVar('Event', covariant=True)


class ByteReader(Protocol[Event]):
    """Turns bytes that arrive in chunks of any size into events."""

    def feed(self, data: bytes) -> Iterable[Event]:
        """Return the events that ``data`` completes, in their order.

        The caller takes all of them before it feeds more. They may be made
        while they are taken, so that compressed data which expands a lot needs
        little memory. Raises ``ProtocolError``, here or while the events are
        taken. Do not use the reader after that.
        """

    def finish(self) -> None:
        """End the input.

        Raises ``ProtocolError`` if something has begun and is incomplete.
        """
