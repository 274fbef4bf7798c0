# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading responses one wire frame at a time, and showing them as text.

This does not use the client of ``proto``, because every wire frame is printed,
even if the server violates the protocol. Knows neither HTTP nor scripts.
"""

from __future__ import annotations

from typing import Any

from mercurial import error
from mercurial.i18n import _
from mercurial.utils import stringutil

from ..proto import cbor, frames, streams
from .connection import AnswerBody


def read_responses(
    ui: Any, body: AnswerBody, framing: frames.Framing
) -> dict[int, list[Any]]:
    """Read wire frames and print each; return the values by request id.

    Raises ``ProtocolError`` for what cannot be decoded, ``RepoError`` for an
    error frame, and ``Abort`` if the connection ends inside a frame.
    """
    parser = frames.FrameParser()
    decoders: dict[int, streams.ContentDecoder] = {}
    received: dict[int, cbor.Decoder] = {}
    values: dict[int, list[Any]] = {}
    while True:
        header = body.read(frames.HEADER_SIZE)
        if not header:
            return values
        size = int.from_bytes(header[:3], 'little')
        payload = body.read(size)
        if not size:
            body.peek_chunk()
        found = parser.feed(header + payload)
        if not found:
            raise error.Abort(_(b'connection ended inside a frame'))
        frame = found[0]
        ui.status(_(b'received %s\n') % frames.describe(frame, framing))
        data = frame.payload
        if frame.streamflags & frames.STREAM_ENCODED:
            data = decoders[frame.streamid].decode(data)
        if frame.typeid == framing.stream_settings:
            settings = cbor.decode_all(data)
            decoders[frame.streamid] = streams.make_decoder(
                settings[0], settings[1:]
            )
        elif frame.typeid == frames.ERROR_RESPONSE:
            raise error.RepoError(_message(cbor.decode_all(data)[0]))
        elif frame.typeid == frames.COMMAND_RESPONSE:
            decoder = received.setdefault(frame.requestid, cbor.Decoder())
            values.setdefault(frame.requestid, []).extend(decoder.feed(data))


def response_text(values: list[Any]) -> bytes:
    """Return the values of a response in the style of ``debugwireproto``.

    Raises ``RepoError`` for a response that is an error.
    """
    status = values[0] if values else {}
    if not isinstance(status, dict):
        status = {}
    if status.get(b'status') == b'redirect':
        return stringutil.pprint(status, bprefix=True, indent=2)
    if status.get(b'status') != b'ok':
        raise error.RepoError(_message(status.get(b'error')))
    return stringutil.pprint(
        (value for value in values[1:]), bprefix=True, indent=2
    )


def _message(details: Any) -> bytes:
    """Return the text of an error: a format and its arguments, or atoms."""
    if not isinstance(details, dict):
        return _(b'the server did not answer')
    message = details.get(b'message')
    if isinstance(message, bytes):
        message = [{b'msg': message, b'args': details.get(b'args', [])}]
    texts = []
    for atom in message if isinstance(message, list) else []:
        text = atom.get(b'msg', b'')
        args = tuple(atom.get(b'args', ()))
        texts.append(text % args if args else text)
    return b''.join(texts)
