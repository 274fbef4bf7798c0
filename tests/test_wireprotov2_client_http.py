# SPDX-License-Identifier: GPL-2.0-or-later
"""Requests, retries and responses over a simulated transport."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from mercurial import ui as uimod

from hgext3rd.wireprotov2.client import exchange as exchanges
from hgext3rd.wireprotov2.client import failures, http
from hgext3rd.wireprotov2.client.exchange import CommandCall, Exchange, call
from hgext3rd.wireprotov2.client.http import HTTPClient
from hgext3rd.wireprotov2.proto import cbor, frames

OK = cbor.encode({b'status': b'ok'})


def response(*bodies: bytes) -> bytes:
    """Return the wire form of responses with these bodies."""
    wire = b''
    for number, body in enumerate(bodies):
        wire += frames.build(
            2 * number + 1,
            2 * number + 2,
            frames.STREAM_BEGIN | frames.STREAM_END,
            frames.COMMAND_RESPONSE,
            frames.EOS,
            OK + body,
        )
    return wire


class Response:
    """An HTTP response in chunks; exceptions among them are raised."""

    def __init__(self, *chunks: bytes | Exception) -> None:
        self.chunks = list(chunks)
        self.closed: str | None = None

    def read1(self, size: int) -> bytes:
        chunk = self.chunks.pop(0) if self.chunks else b''
        if isinstance(chunk, Exception):
            raise chunk
        return chunk

    read = read1

    def close(self) -> None:
        self.closed = 'reusable'

    def close_connection(self) -> None:
        self.closed = 'dropped'


class Opener:
    receivedbytescount = 0
    handlers = ()


class ScriptedClient(HTTPClient):
    """A client that gets ``answers`` without a network.

    ``requests`` are the names of the requests so far.
    """

    def __init__(self, ui: Any, answers: list[Response | Exception]) -> None:
        super().__init__(ui, Opener(), None, b'http://u:p@h/api/x')
        self.requests: list[bytes] = []
        self.pauses: list[float] = []
        self._answers = answers

    def post(self, name: bytes, body: bytes) -> Response:
        self.requests.append(name)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


Make = Callable[..., ScriptedClient]


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Make:
    """Return a function that makes a client from its responses."""
    pauses: list[float] = []
    monkeypatch.setattr(time, 'sleep', pauses.append)

    def make(*responses: Response | Exception, **config: Any) -> ScriptedClient:
        ui = uimod.ui.load()
        ui.setconfig(b'wireprotov2', b'retry', config.get('retry', b'2'))
        ui.setconfig(b'wireprotov2', b'retry.delay', b'1')
        ui.setconfig(b'ui', b'quiet', b'yes')
        http = ScriptedClient(ui, list(responses))
        http.pauses = pauses
        return http

    return make


def test_values_of_a_response_in_single_bytes(make: Make) -> None:
    wire = response(cbor.encode([b'x']))
    reply = Response(*(wire[i : i + 1] for i in range(len(wire))))
    http = make(reply)
    assert call(http, b'heads', {}) == [[b'x']]
    assert http.requests == [b'heads']
    assert reply.closed == 'reusable'
    assert http._opener.receivedbytescount == len(wire)


def test_several_commands(make: Make) -> None:
    reply = Response(response(b'\x01', b'\x02\x03'))
    http = make(reply)
    exchange = Exchange(http, CommandCall(b'heads'), CommandCall(b'known'))
    assert list(exchange.values(0)) == [1]
    assert list(exchange.values(1)) == [2, 3]
    exchange.finish()
    assert http.requests == [b'multirequest']


def test_broken_response_is_continued(make: Make) -> None:
    wire = response(b'\x01\x02\x03\x04')
    head = frames.build(1, 2, 1, frames.COMMAND_RESPONSE, 1, OK + b'\x01\x02')
    http = make(
        Response(head, OSError('reset')),
        failures.ConnectionFailure(b'u', b'refused'),
        Response(head, b''),
        Response(wire),
        retry=b'3',
    )
    exchange = Exchange(http, CommandCall(b'heads'))
    assert list(exchange.values(0)) == [1, 2, 3, 4]
    # Attempts without new values are counted; new values reset the count.
    assert len(http.requests) == 4
    assert len(http.pauses) == 3


def test_gives_up_after_all_attempts(make: Make) -> None:
    http = make(*[failures.ConnectionFailure(b'u', b'refused')] * 3)
    with pytest.raises(failures.ConnectionFailure):
        Exchange(http, CommandCall(b'heads'))
    assert 0.75 <= http.pauses[0] <= 1.25
    assert 1.5 <= http.pauses[1] <= 2.5


def test_no_retries(make: Make) -> None:
    http = make(failures.ConnectionFailure(b'u', b'refused'), retry=b'0')
    with pytest.raises(failures.ConnectionFailure):
        Exchange(http, CommandCall(b'heads'))
    assert not http.pauses


def test_response_that_is_shorter_the_second_time(make: Make) -> None:
    head = frames.build(1, 2, 1, frames.COMMAND_RESPONSE, 1, OK + b'\x01\x02')
    http = make(Response(head, OSError('reset')), Response(response(b'\x01')))
    exchange = Exchange(http, CommandCall(b'heads'))
    with pytest.raises(failures.RemoteFailure, match='shorter'):
        list(exchange.values(0))


def test_refused_command(make: Make) -> None:
    wire = frames.build(
        1,
        2,
        1,
        frames.COMMAND_RESPONSE,
        frames.EOS,
        cbor.encode(
            {
                b'status': b'error',
                b'error': {b'message': b'no %s', b'args': [b'x\x07']},
            }
        ),
    )
    reply = Response(wire)
    with pytest.raises(failures.CommandRefused, match='no x') as caught:
        call(make(reply), b'heads', {})
    assert b'\x07' not in caught.value.message
    assert b'h/api' in caught.value.message
    assert b'p@' not in caught.value.message
    assert reply.closed == 'dropped'


def test_malformed_response_is_not_requested_again(make: Make) -> None:
    reply = Response(b'\xff' * 100)
    with pytest.raises(failures.RemoteFailure) as caught:
        call(make(reply), b'heads', {})
    assert not isinstance(caught.value, failures.ConnectionFailure)
    assert reply.closed == 'dropped'


def test_redirect_that_was_not_allowed(make: Make) -> None:
    location = {b'url': b'http://evil/', b'mediatype': b'x'}
    wire = frames.build(
        1,
        2,
        1,
        frames.COMMAND_RESPONSE,
        frames.EOS,
        cbor.encode({b'status': b'redirect', b'location': location}),
    )
    with pytest.raises(failures.RemoteFailure, match='did not allow redirects'):
        call(make(Response(wire)), b'heads', {})


def test_buffer_for_later_responses_is_bounded(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchanges, 'MAX_BUFFERED', 1000)
    later = frames.build(
        3, 4, 1, frames.COMMAND_RESPONSE, 1, OK + cbor.encode(b'x' * 2000)
    )
    exchange = Exchange(
        make(Response(later)), CommandCall(b'heads'), CommandCall(b'known')
    )
    with pytest.raises(failures.RemoteFailure, match='order of their commands'):
        list(exchange.values(0))


def test_body_that_goes_on_after_the_response(make: Make) -> None:
    reply = Response(response(b'\x01'), b'more')
    assert call(make(reply), b'heads', {}) == [1]
    assert reply.closed == 'dropped'


@pytest.mark.parametrize(
    ('header', 'least', 'most'),
    [
        (None, 0, 0),
        ('', 0, 0),
        (' 20 ', 20, 20),
        ('99999999999', 300, 300),
        ('-5', 0, 0),
        ('soon', 0, 0),
        ('Fri, 31 Dec 1999 23:59:59 GMT', 0, 0),
        ('Fri, 31 Dec 2199 23:59:59 GMT', 1e9, 1e10),
    ],
)
def test_retry_after(header: str | None, least: float, most: float) -> None:
    assert least <= http.retry_after(header) <= most
