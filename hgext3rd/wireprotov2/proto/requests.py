# SPDX-License-Identifier: GPL-2.0-or-later
"""The messages of a client as CBOR: settings and command requests.

Builds what ``client`` sends and reads what ``server`` received. These two check
streams, states and limits. See ``hg help internals.wireprotocolrpc``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from . import cbor, frames
from .errors import FrameError
from .events import AcceptedRedirects, CommandReceived


def build_settings(encodings: Sequence[bytes]) -> bytes:
    """Return the settings message that names the accepted encodings."""
    return cbor.encode({b'contentencodings': list(encodings)})


def read_settings(message: bytes, limits: cbor.Limits) -> tuple[bytes, ...]:
    """Return the content encodings that a settings message names.

    Raises ``FrameError`` or ``CBORError`` for any other message.
    """
    values = cbor.decode_all(message, limits)
    if len(values) != 1 or not isinstance(values[0], dict):
        raise FrameError(b'sender protocol settings must be one map')
    encodings = values[0].get(b'contentencodings', [b'identity'])
    if not _is_bytes_list(encodings):
        raise FrameError(b'contentencodings must be a list of bytestrings')
    return tuple(encodings)


def build_request(
    name: bytes,
    args: Mapping[bytes, Any],
    redirect: AcceptedRedirects | None = None,
) -> bytes:
    """Return the message that asks for a command.

    Raises ``CBORError`` if CBOR has no form for an argument.
    """
    message: dict[bytes, Any] = {b'name': name, b'args': dict(args)}
    if redirect is not None:
        message[b'redirect'] = {
            b'targets': list(redirect.targets),
            b'hashes': list(redirect.hashes),
        }
        if redirect.fullhashes:
            message[b'redirect'][b'fullhashes'] = True
    return cbor.encode(message)


def request_frames(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield flags and payload of the wire frames that carry a request."""
    size = frames.MAX_PAYLOAD
    for start in range(0, len(message), size):
        flags = frames.REQUEST_CONTINUATION if start else frames.REQUEST_NEW
        if start + size < len(message):
            flags |= frames.REQUEST_MORE
        yield flags, message[start : start + size]


def read_request(
    requestid: int, message: bytes, data: bytes | None, limits: cbor.Limits
) -> CommandReceived:
    """Return the command that a message asks for, ``data`` attached.

    Raises ``FrameError`` or ``CBORError`` for a malformed message.
    """
    values = cbor.decode_all(message, limits)
    if len(values) != 1 or not isinstance(values[0], dict):
        raise FrameError(b'command request must be one map')
    request = values[0]
    name = request.get(b'name')
    if not isinstance(name, bytes):
        raise FrameError(b'command request missing "name" field')
    args = request.get(b'args', {})
    if not isinstance(args, dict) or not _is_bytes_list(list(args)):
        raise FrameError(
            b'"args" of a command request must be a map with bytestring keys'
        )
    redirect = _read_redirect(request.get(b'redirect'))
    return CommandReceived(requestid, name, args, redirect, data)


def _read_redirect(value: object) -> AcceptedRedirects | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise FrameError(b'"redirect" of a command request must be a map')
    targets = value.get(b'targets', [])
    hashes = value.get(b'hashes', [])
    if not (_is_bytes_list(targets) and _is_bytes_list(hashes)):
        raise FrameError(b'"redirect" must hold lists of bytestrings')
    fullhashes = value.get(b'fullhashes') is True
    return AcceptedRedirects(tuple(targets), tuple(hashes), fullhashes)


def _is_bytes_list(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(v, bytes) for v in value)
