# SPDX-License-Identifier: GPL-2.0-or-later
"""The interface of everything in this package that reads received bytes.

``frames.FrameParser``, ``cbor.Decoder``, ``client.ClientConnection`` and
``server.ServerConnection`` have these two methods with these meanings, so that
whoever drives one of them knows how to drive all. Inside, a method that reads
one thing returns an event, raises, or returns None for "need more".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

Event = TypeVar('Event', covariant=True)


class ByteReader(Protocol[Event]):
    """Turns bytes that arrive in chunks of any size into events."""

    def feed(self, data: bytes) -> Iterable[Event]:
        """Return the events that ``data`` completes, in their order.

        The caller takes all of them before it feeds more: they may be made
        while they are taken, so that what expands a lot needs little memory.
        Raises ``ProtocolError``, here or while the events are taken; the
        reader must not be used after that.
        """

    def finish(self) -> None:
        """Take note that no more data comes.

        Raises ``ProtocolError`` if something has begun and is incomplete.
        """
