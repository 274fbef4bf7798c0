# SPDX-License-Identifier: GPL-2.0-or-later
"""The connection over ssh that versions 1 and 2 share."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from helpers import wireprotov2_conversation as conversation

from hgext3rd.wireprotov2.client import failures, ssh
from hgext3rd.wireprotov2.proto import tunnel

ANSWER = b''.join(tunnel.answer([b'first', b'second']))


class Pipe:
    """A pipe from a server that sends ``parts`` and then ends."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts

    def unbufferedread(self, size: int) -> bytes:
        return next(self._parts, b'')


class Peer:
    """A peer whose server answers the requests with ``answers``."""

    def __init__(self, *answers: Any) -> None:
        self.ui = conversation.make_ui()
        self._answers = list(answers)
        self.requests: list[bytes] = []
        self.closed = 0
        self._subprocess = self._pipeo = self._pipei = self._pipee = object()
        self._caps: set[bytes] = set()

    def url(self) -> bytes:
        return b'ssh://server/repo'

    def _cleanup(self) -> None:
        self.closed += 1

    def send_version2(self, body: bytes) -> Pipe:
        self.requests.append(body)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return Pipe(iter([answer] if isinstance(answer, bytes) else answer))


def connected(*answers: Any) -> tuple[Peer, ssh.SSHClient, list[Peer]]:
    """Return a peer, a client on its connection, and the peers made later."""
    peer = Peer(*answers)
    made: list[Peer] = []

    def connect() -> Peer:
        made.append(Peer())
        return made[-1]

    return peer, ssh.SSHClient(ssh.SSHLink(peer, connect)), made


def everything(client: ssh.SSHClient, response: Any) -> bytes:
    """Read a response to its end."""
    found = b''
    while data := client.read_some(response, 100):
        found += data
    return found


def test_one_request_after_the_other() -> None:
    """A response that was read leaves the connection to the next request."""
    peer, client, made = connected(ANSWER, [b'ok', b'\n3\nab', b'c0', b'\n'])
    for expected in (b'firstsecond', b'abc'):
        response = client.post(b'heads', expected)
        assert everything(client, response) == expected
        response.close()
    assert peer.requests == [b'firstsecond', b'abc']
    assert not made
    assert not peer.closed


def test_an_abandoned_response() -> None:
    """The connection is renewed before it is used again, and only once."""
    peer, client, made = connected([b'ok\n', b'3\nabc'], ANSWER)
    client.post(b'heads', b'').close_connection()
    link = client._link
    link.prepare()
    link.prepare()
    assert len(made) == 1
    assert peer.closed == 1
    assert peer._pipei is not None
    # The new peer must not close it when it is collected.
    assert made[0]._pipei is None
    response = client.post(b'heads', b'')
    assert everything(client, response) == b'firstsecond'


def test_a_response_that_was_not_closed_in_time() -> None:
    """Version 1 waits until another thread has done with its response."""
    peer, client, _made = connected(ANSWER)
    response = client.post(b'heads', b'')
    ready = threading.Event()

    def wait() -> None:
        client._link.prepare()
        ready.set()

    thread = threading.Thread(target=wait)
    thread.start()
    assert not ready.is_set()
    everything(client, response)
    response.close()
    assert ready.wait(60)
    thread.join()
    assert not peer.closed


@pytest.mark.parametrize(
    'answer', [BrokenPipeError(), ValueError('closed file'), [], [b'o']]
)
def test_a_connection_that_breaks(answer: Any) -> None:
    """The request can be sent again over a new connection."""
    _peer, client, made = connected(answer, ANSWER)
    with pytest.raises(failures.ConnectionFailure):
        client.post(b'heads', b'')
    response = client.post(b'heads', b'')
    assert everything(client, response) == b'firstsecond'
    assert len(made) == 1


def test_a_connection_that_breaks_in_a_response() -> None:
    """An incomplete response is a lost connection, not a short response."""
    _peer, client, made = connected([b'ok\n5\nfi'])
    response = client.post(b'heads', b'')
    assert client.read_some(response, 100) == b'fi'
    with pytest.raises(failures.ConnectionFailure, match='incomplete'):
        client.read_some(response, 100)
    response.close_connection()
    client._link.prepare()
    assert len(made) == 1


def test_busy() -> None:
    """A busy server says when to ask again; the connection stays."""
    _peer, client, made = connected(tunnel.busy(10), tunnel.busy(10**9))
    for wait in (10, 300):
        with pytest.raises(failures.Busy) as caught:
            client.post(b'heads', b'')
        assert caught.value.wait == wait
    assert not made


@pytest.mark.parametrize('answer', [tunnel.refusal(b'too large'), b'0\n'])
def test_other_answers(answer: bytes) -> None:
    """Everything else is a failure for which version 1 can be used."""
    _peer, client, _made = connected(answer)
    with pytest.raises(failures.RemoteFailure) as caught:
        client.post(b'heads', b'')
    assert not isinstance(caught.value, failures.ConnectionFailure)
    client._link.prepare()


def test_unknown_versions() -> None:
    """A server that offers other versions only is asked with version 1."""
    assert ssh.offered(b'ssh://server', b'3,4') is None
    api = ssh.offered(b'ssh://server', b'1,3')
    assert api is not None
    assert api.has_argument(b'segments', b'known')
    assert b'filesdata' not in api.commands
    api = ssh.offered(b'ssh://server', b'1,2,3')
    assert api is not None
    assert b'filesdata' in api.commands
