# SPDX-License-Identifier: GPL-2.0-or-later
"""The server's end of the protocol: responses, errors, redirects."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from helpers.wireprotov2_requests import (
    BEGIN,
    ENCODED,
    END,
    HEADS,
    parsed,
    request,
)
from hypothesis import given
from hypothesis import strategies as st

from hgext3rd.wireprotov2.proto import cbor, frames, streams
from hgext3rd.wireprotov2.proto.errors import CommandError, InternalError
from hgext3rd.wireprotov2.proto.events import Location
from hgext3rd.wireprotov2.proto.frames import (
    FRAMING_0005,
    FRAMING_0006,
    Framing,
)
from hgext3rd.wireprotov2.proto.server import ServerConnection

# responses

OK = b'\xa1FstatusBok'


def received(framing: Framing, *ids: int) -> ServerConnection:
    conn = ServerConnection(framing)
    for number, requestid in enumerate(ids):
        conn.feed(request(HEADS, requestid, streamflags=0 if number else BEGIN))
    return conn


def test_response_in_framing_0005() -> None:
    conn = received(FRAMING_0005, 1, 3)
    data = b''.join(conn.respond(1, [b'\1', b'', b'\2\3']))
    assert parsed(data) == [
        (1, 2, BEGIN, 3, 1, OK),
        (1, 2, 0, 3, 1, b'\1\2\3'),
        (1, 2, 0, 3, 2, b''),
    ]
    # The next response is on the same stream.
    data = b''.join(conn.respond(3, [b'\4'], data_flags=0))
    assert parsed(data) == [
        (3, 2, 0, 3, 1, OK),
        (3, 2, 0, 3, 0, b'\4'),
        (3, 2, 0, 3, 2, b''),
    ]


def test_response_in_framing_0006() -> None:
    conn = received(FRAMING_0006, 1)
    data = b''.join(conn.respond(1, [b'\1']))
    assert parsed(data) == [
        (1, 2, BEGIN, 9, 2, b'\x48identity'),
        (1, 2, ENCODED, 3, 1, OK),
        (1, 2, ENCODED, 3, 1, b'\1'),
        (1, 2, 0, 3, 2, b''),
    ]


def test_encoded_responses_have_streams_of_their_own() -> None:
    conn = received(FRAMING_0006, 1, 3)
    for requestid, streamid in ((1, 2), (3, 4)):
        body = streams.encoded([b'abc' * 20000], b'zlib')
        data = b''.join(conn.respond(requestid, body, b'zlib'))
        head, status, *rest, eos = parsed(data)
        assert head == (requestid, streamid, BEGIN, 9, 2, b'\x44zlib')
        assert status == (requestid, streamid, 0, 3, 1, OK)
        assert eos == (requestid, streamid, END, 3, 2, b'')
        assert all(f[:5] == (requestid, streamid, ENCODED, 3, 1) for f in rest)
        payload = b''.join(f[5] for f in rest)
        assert zlib.decompress(payload) == b'abc' * 20000


def test_stream_ids_are_reused() -> None:
    ids = range(1, 2 * 130, 2)
    conn = received(FRAMING_0006, *ids)
    used = [parsed(b''.join(conn.respond(i, [b'\0'])))[0][1] for i in ids]
    assert used[:127] == list(range(2, 256, 2))
    assert used[127:] == [2, 4, 6]


@given(st.lists(st.integers(0, 100000), max_size=8))
def test_payloads_are_full(sizes: list[int]) -> None:
    conn = received(FRAMING_0005, 1)
    chunks = [bytes([n]) * size for n, size in enumerate(sizes)]
    data = b''.join(conn.respond(1, chunks))
    _status, *rest, _eos = parsed(data)
    assert b''.join(f[5] for f in rest) == b''.join(chunks)
    assert all(len(f[5]) == 32768 for f in rest[:-1])


def test_an_answered_request_id_is_free() -> None:
    conn = received(FRAMING_0006, 1)
    list(conn.respond(1, [b'\0']))
    assert conn.feed(request(HEADS, streamflags=0)) != []
    list(conn.fail(1, CommandError(b'no')))
    assert conn.feed(request(HEADS, streamflags=0)) != []
    list(conn.redirect(1, Location(b'u', b'm')))
    assert conn.feed(request(HEADS, streamflags=0)) != []


def failing(after: list[bytes], error: Exception) -> Iterator[bytes]:
    yield from after
    raise error


@pytest.mark.parametrize(
    ('error', 'expected'),
    [
        (
            CommandError(b'bad %s', [b'a']),
            (
                3,
                2,
                {
                    b'status': b'error',
                    b'error': {b'message': b'bad %s', b'args': [b'a']},
                },
            ),
        ),
        (
            CommandError(b'bad'),
            (3, 2, {b'status': b'error', b'error': {b'message': b'bad'}}),
        ),
        (
            InternalError(b'worse'),
            (5, 0, {b'type': b'server', b'message': [{b'msg': b'worse'}]}),
        ),
    ],
)
def test_errors_before_output(error: Exception, expected: Any) -> None:
    conn = received(FRAMING_0006, 1)
    typeid, flags, value = expected
    (frame,) = parsed(b''.join(conn.respond(1, failing([], error))))
    assert frame == (1, 2, BEGIN, typeid, flags, cbor.encode(value))


@pytest.mark.parametrize(
    ('error', 'expected'),
    [
        (
            CommandError(b'bad %s', [b'a']),
            {
                b'type': b'command',
                b'message': [{b'msg': b'bad %s', b'args': [b'a']}],
            },
        ),
        (
            CommandError(b'bad'),
            {b'type': b'command', b'message': [{b'msg': b'bad'}]},
        ),
        (
            InternalError(b'worse'),
            {b'type': b'server', b'message': [{b'msg': b'worse'}]},
        ),
    ],
)
def test_errors_after_output(error: Exception, expected: Any) -> None:
    conn = received(FRAMING_0006, 1, 3)
    *rest, last = parsed(b''.join(conn.respond(1, failing([b'\1'], error))))
    assert last == (1, 2, END, 5, 0, cbor.encode(expected))
    assert all(f[4] != frames.EOS for f in rest if f[3] == 3)


def test_errors_quote_little_of_the_request() -> None:
    conn = received(FRAMING_0006, 1)
    error = CommandError(b'%s', [b'a' * 100000] * 100)
    (frame,) = parsed(b''.join(conn.fail(1, error)))
    assert len(frame[5]) < 10000


def test_other_exceptions_pass_through() -> None:
    conn = received(FRAMING_0006, 1)
    with pytest.raises(KeyError):
        list(conn.respond(1, failing([], KeyError())))


def test_redirects() -> None:
    conn = received(FRAMING_0006, 1)
    location = Location(
        b'http://a/b', b'application/x', 5, ((b'sha256', b'd'),), None
    )
    first, last = parsed(b''.join(conn.redirect(1, location)))
    assert first[:5] == (1, 2, BEGIN, 3, 1)
    assert cbor.decode_all(first[5]) == [
        {
            b'status': b'redirect',
            b'location': {
                b'url': b'http://a/b',
                b'mediatype': b'application/x',
                b'size': 5,
                b'fullhashes': [[b'sha256', b'd']],
            },
        }
    ]
    assert last == (1, 2, 0, 3, 2, b'')


def test_messages_of_errors() -> None:
    assert str(CommandError(b'a\xff')) == 'a\\xff'
    assert CommandError(b'%s', [b'x']).messageargs == (b'x',)
