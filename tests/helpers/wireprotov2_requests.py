# SPDX-License-Identifier: GPL-2.0-or-later
"""Build request bytes and parse response bytes, for tests of proto.server."""

from __future__ import annotations

from typing import Any

import pytest

from hgext3rd.wireprotov2.proto import cbor, frames
from hgext3rd.wireprotov2.proto.frames import FRAMING_0005, FRAMING_0006

BEGIN = frames.STREAM_BEGIN
END = frames.STREAM_END
ENCODED = frames.STREAM_ENCODED
NEW = frames.REQUEST_NEW
MORE = frames.REQUEST_MORE
CONT = frames.REQUEST_CONTINUATION
DATA = frames.REQUEST_HAVE_DATA


def request(
    payload: Any,
    requestid: int = 1,
    streamid: int = 1,
    streamflags: int = BEGIN,
    flags: int = NEW,
    typeid: int = frames.COMMAND_REQUEST,
) -> bytes:
    """Return one wire frame; a payload that is not bytes becomes CBOR."""
    if not isinstance(payload, bytes):
        payload = cbor.encode(payload)
    return frames.build(
        requestid, streamid, streamflags, typeid, flags, payload
    )


def settings(value: Any, flags: int = frames.EOS, begin: int = BEGIN) -> bytes:
    """Return one wire frame with the settings of the client's stream."""
    # 8 is the type "sender protocol settings".
    return request(value, streamflags=begin, flags=flags, typeid=8)


def parsed(data: bytes) -> list[tuple[int, int, int, int, int, bytes]]:
    """Return the fields of each wire frame in ``data``."""
    return [
        (
            f.requestid,
            f.streamid,
            f.streamflags,
            f.typeid,
            f.flags,
            f.payload,
        )
        for f in frames.FrameParser().feed(data)
    ]


HEADS = {b'name': b'heads', b'args': {b'publiconly': True}}
BOTH = pytest.mark.parametrize('framing', [FRAMING_0005, FRAMING_0006])
