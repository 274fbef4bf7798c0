# SPDX-License-Identifier: GPL-2.0-or-later
"""Requests and responses over a transport that is made up."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from mercurial import ui as uimod

from hgext3rd.wireprotov2.client import failures
from hgext3rd.wireprotov2.client import http as client
from hgext3rd.wireprotov2.proto import cbor, frames

OK = cbor.encode({b'status': b'ok'})


def response(*bodies: bytes) -> bytes:
    """Return the responses to that many commands."""
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
    """A response that arrives in pieces; an exception is a piece as well."""

    def __init__(self, *pieces: bytes | Exception) -> None:
        self.pieces = list(pieces)
        self.closed: str | None = None

    def read1(self, size: int) -> bytes:
        piece = self.pieces.pop(0) if self.pieces else b''
        if isinstance(piece, Exception):
            raise piece
        return piece

    read = read1

    def close(self) -> None:
        self.closed = 'reusable'

    def close_connection(self) -> None:
        self.closed = 'dropped'


class Opener:
    receivedbytescount = 0
    handlers = ()


class ScriptedClient(client.HTTPClient):
    """A client that is answered by ``answers``, without a network.

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
    """Return a function that makes a client answered by these responses."""
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


def test_values(make: Make) -> None:
    wire = response(cbor.encode([b'x']))
    reply = Response(*(wire[i : i + 1] for i in range(len(wire))))
    http = make(reply)
    assert http.call(b'heads', {}) == [[b'x']]
    assert http.requests == [b'heads']
    assert reply.closed == 'reusable'
    assert http._opener.receivedbytescount == len(wire)


def test_several_commands(make: Make) -> None:
    reply = Response(response(b'\x01', b'\x02\x03'))
    http = make(reply)
    exchange = http.start(client.Command(b'heads'), client.Command(b'known'))
    assert list(exchange.values(0)) == [1]
    assert list(exchange.values(1)) == [2, 3]
    exchange.finish()
    assert http.requests == [b'multirequest']


def test_continues_where_it_broke(make: Make) -> None:
    wire = response(b'\x01\x02\x03\x04')
    head = frames.build(1, 2, 1, frames.COMMAND_RESPONSE, 1, OK + b'\x01\x02')
    http = make(
        Response(head, OSError('reset')),
        failures.ConnectionFailure(b'u', b'refused'),
        Response(head, b''),
        Response(wire),
        retry=b'3',
    )
    exchange = http.start(client.Command(b'heads'))
    assert list(exchange.values(0)) == [1, 2, 3, 4]
    # a second attempt that brought nothing new counts, progress starts anew
    assert len(http.requests) == 4
    assert len(http.pauses) == 3


def test_gives_up(make: Make) -> None:
    http = make(*[failures.ConnectionFailure(b'u', b'refused')] * 3)
    with pytest.raises(failures.ConnectionFailure):
        http.start(client.Command(b'heads'))
    assert 0.75 <= http.pauses[0] <= 1.25
    assert 1.5 <= http.pauses[1] <= 2.5


def test_never_tries_again(make: Make) -> None:
    http = make(failures.ConnectionFailure(b'u', b'refused'), retry=b'0')
    with pytest.raises(failures.ConnectionFailure):
        http.start(client.Command(b'heads'))
    assert not http.pauses


def test_shorter_the_second_time(make: Make) -> None:
    head = frames.build(1, 2, 1, frames.COMMAND_RESPONSE, 1, OK + b'\x01\x02')
    http = make(Response(head, OSError('reset')), Response(response(b'\x01')))
    exchange = http.start(client.Command(b'heads'))
    with pytest.raises(failures.ServerFailure, match='shorter'):
        list(exchange.values(0))


def test_refused(make: Make) -> None:
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
        make(reply).call(b'heads', {})
    assert b'\x07' not in caught.value.message
    assert b'h/api' in caught.value.message
    assert b'p@' not in caught.value.message
    assert reply.closed == 'dropped'


def test_nonsense_is_not_asked_for_again(make: Make) -> None:
    reply = Response(b'\xff' * 100)
    with pytest.raises(failures.ServerFailure) as caught:
        make(reply).call(b'heads', {})
    assert not isinstance(caught.value, failures.ConnectionFailure)
    assert reply.closed == 'dropped'


def test_redirect_nobody_asked_for(make: Make) -> None:
    location = {b'url': b'http://evil/', b'mediatype': b'x'}
    wire = frames.build(
        1,
        2,
        1,
        frames.COMMAND_RESPONSE,
        frames.EOS,
        cbor.encode({b'status': b'redirect', b'location': location}),
    )
    with pytest.raises(failures.ServerFailure, match='without being asked'):
        make(Response(wire)).call(b'heads', {})


def test_mixed_responses_are_bounded(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, 'MAX_BUFFERED', 1000)
    later = frames.build(
        3, 4, 1, frames.COMMAND_RESPONSE, 1, OK + cbor.encode(b'x' * 2000)
    )
    exchange = make(Response(later)).start(
        client.Command(b'heads'), client.Command(b'known')
    )
    with pytest.raises(failures.ServerFailure, match='mixed'):
        list(exchange.values(0))


def test_end_of_the_body_is_waited_for(make: Make) -> None:
    reply = Response(response(b'\x01'), b'more')
    assert make(reply).call(b'heads', {}) == [1]
    assert reply.closed == 'dropped'
