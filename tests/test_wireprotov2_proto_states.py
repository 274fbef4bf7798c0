# SPDX-License-Identifier: GPL-2.0-or-later
"""The state tables of the protocol, the read contract, and the diagram."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest

from hgext3rd.wireprotov2.proto import (
    cbor,
    client,
    contract,
    frames,
    server,
    states,
)
from hgext3rd.wireprotov2.proto.errors import CBORError, FrameError
from hgext3rd.wireprotov2.proto.states import Event, Role, State

ROOT = pathlib.Path(__file__).parent.parent


def test_every_event_has_a_place_and_a_refusal() -> None:
    assert {event for _state, event in states.COMMAND} == set(Event)
    assert set(states.REFUSALS) == set(Event)
    assert {event for _state, event in states.OPENING} == set(
        states.OpeningEvent
    )


def test_every_state_is_reached_and_left() -> None:
    assert {state for state, _event in states.COMMAND} == set(State)
    assert set(states.COMMAND.values()) == set(State)
    assert {state for state, _event in states.OPENING} == set(states.Opening)
    reached = set(states.OPENING.values())
    assert reached == set(states.Opening) - {states.Opening.INITIAL}


def test_client_and_server_take_turns() -> None:
    # Once a request is complete, the client sends no more of it.
    asking = {State.IDLE, State.REQUESTING, State.SENDING_DATA}
    for state, event in states.COMMAND:
        expected = Role.CLIENT if state in asking else Role.SERVER
        assert states.sender(event) is expected


def test_a_command_from_request_to_end() -> None:
    commands = states.Commands()
    assert not commands
    assert commands.state(1) is State.IDLE
    for event in (
        Event.BEGIN,
        Event.CONTINUE,
        Event.DATA_FOLLOWS,
        Event.DATA,
        Event.END_DATA,
        Event.OUTPUT,
        Event.ACCEPT,
        Event.VALUES,
    ):
        commands.advance(1, event)
        assert commands
    assert commands.advance(1, Event.FINISH) is State.IDLE
    assert not commands


@pytest.mark.parametrize('event', list(Event))
def test_events_out_of_place_are_refused(event: Event) -> None:
    commands = states.Commands()
    for state in State:
        if (state, event) in states.COMMAND:
            continue
        commands._states = {} if state is State.IDLE else {7: state}
        with pytest.raises(FrameError):
            commands.advance(7, event)


def conversation(framing: frames.Framing) -> tuple[bytes, bytes]:
    """Return the bytes of both directions of an exchange with one command."""
    asking = client.ClientConnection(framing)
    requestid = asking.command(b'heads', {})
    request = asking.data_to_send()
    answering = server.ServerConnection(framing)
    list(answering.feed(request))
    response = b''.join(answering.respond(requestid, [cbor.encode([b'x'])]))
    return request, response


@pytest.mark.parametrize('framing', [frames.FRAMING_0005, frames.FRAMING_0006])
def test_all_readers_are_driven_alike(framing: frames.Framing) -> None:
    request, response = conversation(framing)
    value = cbor.encode([b'x'])

    def asked() -> client.ClientConnection:
        connection = client.ClientConnection(framing)
        connection.command(b'heads', {})
        return connection

    cases: list[tuple[contract.ByteReader[object], bytes]] = [
        (cbor.Decoder(), value),
        (frames.FrameParser(), request),
        (server.ServerConnection(framing), request),
        (asked(), response),
    ]
    for reader, data in cases:
        found: list[object] = []
        for position in range(len(data)):
            if position == len(data) - 1:
                with pytest.raises((FrameError, CBORError)):
                    reader.finish()
            found += reader.feed(data[position : position + 1])
        assert found
        reader.finish()


def test_a_command_is_answered_once() -> None:
    request, _response = conversation(frames.FRAMING_0006)
    connection = server.ServerConnection(frames.FRAMING_0006)
    connection.feed(request)
    list(connection.respond(1, []))
    with pytest.raises(FrameError, match='not open'):
        list(connection.respond(1, []))


def test_the_diagram_is_up_to_date(tmp_path: pathlib.Path) -> None:
    made = tmp_path / 'states.svg'
    script = ROOT / 'scripts' / 'draw_states.py'
    subprocess.run([sys.executable, script, made], check=True, cwd=ROOT)
    kept = ROOT / 'docs' / 'wireprotov2-states.svg'
    assert kept.read_text() == made.read_text(), (
        'run: python scripts/draw_states.py'
    )
