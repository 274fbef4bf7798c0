# SPDX-License-Identifier: GPL-2.0-or-later
"""The server's end of an exchange: requests, and what it refuses."""

from __future__ import annotations

import zlib

import pytest
from helpers.wireprotov2_requests import (
    BEGIN,
    BOTH,
    CONT,
    DATA,
    ENCODED,
    END,
    HEADS,
    MORE,
    NEW,
    request,
    settings,
)
from hypothesis import given
from hypothesis import strategies as st

from hgext3rd.wireprotov2.proto import cbor, frames, streams
from hgext3rd.wireprotov2.proto.assembly import RequestLimits
from hgext3rd.wireprotov2.proto.errors import (
    CBORError,
    FrameError,
    LimitError,
    ProtocolError,
    StreamError,
)
from hgext3rd.wireprotov2.proto.events import (
    AcceptedRedirects,
    CommandReceived,
    SettingsReceived,
)
from hgext3rd.wireprotov2.proto.frames import (
    FRAMING_0005,
    FRAMING_0006,
    Framing,
)
from hgext3rd.wireprotov2.proto.server import ServerConnection


@BOTH
@given(st.lists(st.integers(0, 1000)))
def test_commands_do_not_depend_on_chunking(
    framing: Framing, cuts: list[int]
) -> None:
    encoded = cbor.encode(HEADS)
    data = (
        request({b'name': b'known'})
        # Two requests that are interleaved, on two streams.
        + request(encoded[:4], 3, 1, 0, NEW | MORE)
        + request({b'name': b'branchmap'}, 5, 3)
        + request(encoded[4:10], 3, 1, 0, CONT | MORE)
        + request(encoded[10:], 3, 3, 0, CONT)
    )
    edges = sorted({0, len(data), *(c % (len(data) + 1) for c in cuts)})
    conn = ServerConnection(framing)
    events = []
    for start, stop in zip(edges, edges[1:], strict=False):
        events += conn.feed(data[start:stop])
    conn.finish()
    assert events == [
        CommandReceived(1, b'known'),
        CommandReceived(5, b'branchmap'),
        CommandReceived(3, b'heads', {b'publiconly': True}),
    ]


def test_command_data() -> None:
    conn = ServerConnection(FRAMING_0006)
    encoded = cbor.encode({b'name': b'unbundle'})
    data = request(encoded[:3], flags=NEW | MORE | DATA)
    data += request(encoded[3:], streamflags=0, flags=CONT | DATA)
    typeid = frames.COMMAND_DATA
    data += request(b'abc', streamflags=0, flags=1, typeid=typeid)
    assert conn.feed(data) == []
    with pytest.raises(FrameError):
        conn.finish()
    data = request(b'de', streamflags=0, flags=2, typeid=typeid)
    assert conn.feed(data) == [CommandReceived(1, b'unbundle', data=b'abcde')]
    conn.finish()


def test_redirect() -> None:
    conn = ServerConnection(FRAMING_0006)
    value = {
        **HEADS,
        b'redirect': {b'targets': [b'a', b'b'], b'hashes': [b'sha256']},
    }
    (event,) = conn.feed(request(value))
    assert isinstance(event, CommandReceived)
    assert event.redirect == AcceptedRedirects((b'a', b'b'), (b'sha256',))
    value[b'redirect'] = {b'targets': [b'a'], b'fullhashes': True}
    (event,) = conn.feed(request(value, 3, streamflags=0))
    assert isinstance(event, CommandReceived)
    assert event.redirect == AcceptedRedirects((b'a',), (), True)


def test_settings() -> None:
    conn = ServerConnection(FRAMING_0006)
    assert conn.encoding == b'identity'
    encoded = cbor.encode({b'contentencodings': [b'zlib', b'identity']})
    assert conn.feed(settings(encoded[:5], frames.CONTINUATION)) == []
    with pytest.raises(FrameError):
        conn.finish()
    assert conn.feed(settings(encoded[5:], begin=0)) == [
        SettingsReceived((b'zlib', b'identity'))
    ]
    assert conn.encoding == b'zlib'
    conn.finish()
    conn = ServerConnection(FRAMING_0006)
    assert conn.feed(settings({})) == [SettingsReceived((b'identity',))]


@pytest.mark.parametrize(
    ('data', 'error'),
    [
        (settings({}, 3), FrameError),
        (settings({}, 0), FrameError),
        (settings([]), FrameError),
        (settings(b''), FrameError),
        (settings(b'\0\0'), FrameError),
        (settings(b'\x61a'), CBORError),
        (settings(b'\xa1'), CBORError),
        (settings({b'contentencodings': b'zlib'}), FrameError),
        (settings({b'contentencodings': [5]}), FrameError),
        (settings(b'a' * 5000, frames.CONTINUATION), LimitError),
        # A command between two wire frames of the settings.
        (
            settings(b'\xa0', frames.CONTINUATION)
            + request(HEADS, streamflags=0),
            FrameError,
        ),
        # Settings after commands.
        (request(HEADS) + settings({}, begin=0), FrameError),
        # Settings twice.
        (settings({}) + settings({}, begin=0), FrameError),
    ],
)
def test_bad_settings(data: bytes, error: type[ProtocolError]) -> None:
    with pytest.raises(error):
        ServerConnection(FRAMING_0006).feed(data)


def test_framing_0005_has_no_settings() -> None:
    with pytest.raises(FrameError) as e:
        ServerConnection(FRAMING_0005).feed(settings({}))
    assert b'stream-settings' in e.value.message


@BOTH
@pytest.mark.parametrize(
    ('data', 'error'),
    [
        # Streams.
        (request(HEADS, streamid=2), StreamError),
        (request(HEADS, streamid=0), StreamError),
        (request(HEADS, streamflags=0), StreamError),
        (request(HEADS) + request(HEADS, 3), StreamError),
        (
            request(HEADS, streamflags=BEGIN | END)
            + request(HEADS, 3, streamflags=0),
            StreamError,
        ),
        (request(HEADS, streamflags=BEGIN | ENCODED), StreamError),
        # Request ids.
        (request(HEADS, 2), FrameError),
        (request(HEADS, 0), FrameError),
        (request(HEADS) + request(HEADS, streamflags=0), FrameError),
        (
            request(b'', flags=NEW | MORE)
            + request(b'', streamflags=0, flags=NEW | MORE),
            FrameError,
        ),
        # Flags of requests.
        (request(HEADS, flags=0), FrameError),
        (request(HEADS, flags=NEW | CONT), FrameError),
        (request(HEADS, flags=CONT), FrameError),
        (
            request(b'', flags=NEW | MORE)
            + request(HEADS, streamflags=0, flags=CONT | DATA),
            FrameError,
        ),
        (
            request(HEADS, flags=NEW | DATA)
            + request(HEADS, streamflags=0, flags=CONT | DATA),
            FrameError,
        ),
        # Command data.
        (request(b'', flags=2, typeid=frames.COMMAND_DATA), FrameError),
        (
            request(HEADS)
            + request(b'', 3, 1, 0, 2, typeid=frames.COMMAND_DATA),
            FrameError,
        ),
        (
            request(b'', flags=NEW | MORE | DATA)
            + request(b'', 1, 1, 0, 2, typeid=frames.COMMAND_DATA),
            FrameError,
        ),
        (
            request(b'', flags=NEW | MORE)
            + request(b'', 1, 1, 0, 2, typeid=frames.COMMAND_DATA),
            FrameError,
        ),
        (
            request(HEADS, flags=NEW | DATA)
            + request(b'', 1, 1, 0, 3, typeid=frames.COMMAND_DATA),
            FrameError,
        ),
        # Types that only servers send, and unknown types.
        (request(HEADS, typeid=frames.COMMAND_RESPONSE), FrameError),
        (request(HEADS, typeid=frames.ERROR_RESPONSE), FrameError),
        (request(HEADS, typeid=4), FrameError),
        (request(HEADS, typeid=15), FrameError),
        # The messages of requests.
        (request(b''), FrameError),
        (request(b'\x01\x02'), FrameError),
        (request([]), FrameError),
        (request({}), FrameError),
        (request({b'name': 5}), FrameError),
        (request({b'name': b'a', b'args': []}), FrameError),
        (request({b'name': b'a', b'args': {5: 5}}), FrameError),
        (request({b'name': b'a', b'redirect': []}), FrameError),
        (request({b'name': b'a', b'redirect': {b'targets': 5}}), FrameError),
        (request({b'name': b'a', b'redirect': {b'hashes': [5]}}), FrameError),
        (request(b'\xa1\x64name'), CBORError),
        (request(cbor.encode(HEADS)[:-1]), CBORError),
        (request(b'\x81' * 50 + b'\0'), LimitError),
        (request(b'\x9a\xff\xff\xff\xff'), LimitError),
        # Wire frames.
        (b'\xff\xff\xff\1\0\1\1\x11', LimitError),
    ],
)
def test_bad_requests(
    framing: Framing, data: bytes, error: type[ProtocolError]
) -> None:
    with pytest.raises(error):
        ServerConnection(framing).feed(data)


@BOTH
@pytest.mark.parametrize(
    'data',
    [request(HEADS)[:-1], request(b'', flags=NEW | MORE), b'\0'],
)
def test_truncated_requests(framing: Framing, data: bytes) -> None:
    conn = ServerConnection(framing)
    assert conn.feed(data) == []
    with pytest.raises(FrameError):
        conn.finish()


@given(st.binary(max_size=300))
def test_garbage(data: bytes) -> None:
    conn = ServerConnection(FRAMING_0006)
    try:
        conn.feed(data)
        conn.finish()
    except ProtocolError:
        pass


def test_limits() -> None:
    limits = RequestLimits(command_size=100, commands=3)
    conn = ServerConnection(FRAMING_0006, limits)
    for requestid in (1, 3, 5):
        conn.feed(request({b'name': b'a'}, requestid, requestid, BEGIN | END))
    with pytest.raises(LimitError) as e:
        conn.feed(request({b'name': b'a'}, 7))
    assert e.value.limit == 'commands'
    conn = ServerConnection(FRAMING_0006, limits)
    conn.feed(request(b'a' * 60, flags=NEW | MORE))
    with pytest.raises(LimitError) as e:
        conn.feed(request(b'a' * 60, 3, 1, 0, NEW | MORE))
    assert e.value.limit == 'command-size'


# encoded requests


def stream_settings(
    payload: bytes, flags: int = 2, begin: int = BEGIN
) -> bytes:
    return request(payload, streamflags=begin, flags=flags, typeid=9)


def test_clients_may_encode() -> None:
    name = cbor.encode(b'zlib')
    conn = ServerConnection(FRAMING_0006)
    data = stream_settings(name[:2], frames.CONTINUATION)
    data += stream_settings(name[2:], begin=0)
    payload = zlib.compress(cbor.encode(HEADS))
    data += request(payload, streamflags=ENCODED)
    # Not all wire frames of an encoded stream have to be encoded.
    data += request({b'name': b'a'}, 3, streamflags=0)
    assert [e.name for e in conn.feed(data)] == [  # type: ignore[union-attr]
        b'heads',
        b'a',
    ]


def bomb() -> bytes:
    return b''.join(streams.encoded([bytes(2**20)] * 40, b'zstd-8mb'))


@pytest.mark.parametrize(
    ('data', 'error'),
    [
        (stream_settings(b'\x44zlib', 3), FrameError),
        (stream_settings(b''), StreamError),
        (stream_settings(cbor.encode(b'lzma')), StreamError),
        (stream_settings(cbor.encode(b'zlib') + b'\1'), StreamError),
        (request({b'name': b'a'}) + stream_settings(b'', 2, 0), StreamError),
        (
            stream_settings(cbor.encode(b'zlib'))
            + request(HEADS, streamflags=ENCODED),
            StreamError,
        ),
        (
            stream_settings(cbor.encode(b'zstd-8mb'))
            + request(bomb(), streamflags=ENCODED),
            LimitError,
        ),
        (stream_settings(b'a' * 5000, 1), LimitError),
    ],
)
def test_bad_encoded_requests(data: bytes, error: type[ProtocolError]) -> None:
    with pytest.raises(error):
        ServerConnection(FRAMING_0006).feed(data)
