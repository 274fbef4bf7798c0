# SPDX-License-Identifier: GPL-2.0-or-later
"""The states of an exchange, as one table that both ends share.

An exchange has two machines. The *opening* says what a client may send first:
settings, then commands. Every *command* then runs through a machine of its own,
from its request to the end of its response, under a request id that is free
again afterwards. Both ends follow the same tables. The sender and the receiver
of a frame advance the machine in the same way, so a receiver refuses exactly
the events that a sender may not send.

Only the tables and their lookup live here. This module must know neither frames
nor CBOR: ``client`` and ``server`` decide which event a frame is. The diagram
``docs/wireprotov2-states.svg`` is drawn from these tables by
``scripts/draw_states.py``.

The enumerations are strings because their members are hashed for every frame,
and a plain ``Enum`` hashes in Python code.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from .errors import FrameError


class Role(str, enum.Enum):
    """One end of an exchange."""

    CLIENT = 'client'
    SERVER = 'server'


class Opening(str, enum.Enum):
    """How far the client has come in an exchange."""

    INITIAL = 'initial'
    #: A settings message has begun and continues in the next frame.
    SETTINGS = 'settings'
    COMMANDS = 'commands'


class OpeningEvent(str, enum.Enum):
    """Frames of the client as the opening sees them."""

    SETTINGS_CONTINUE = 'settings, more follow'
    SETTINGS_END = 'last settings'
    REQUEST = 'command-request'
    DATA = 'command-data'


#: All allowed pairs; every other pair is an error of the client.
OPENING: Mapping[tuple[Opening, OpeningEvent], Opening] = {
    (Opening.INITIAL, OpeningEvent.SETTINGS_CONTINUE): Opening.SETTINGS,
    (Opening.INITIAL, OpeningEvent.SETTINGS_END): Opening.COMMANDS,
    (Opening.INITIAL, OpeningEvent.REQUEST): Opening.COMMANDS,
    (Opening.SETTINGS, OpeningEvent.SETTINGS_CONTINUE): Opening.SETTINGS,
    (Opening.SETTINGS, OpeningEvent.SETTINGS_END): Opening.COMMANDS,
    (Opening.COMMANDS, OpeningEvent.REQUEST): Opening.COMMANDS,
    (Opening.COMMANDS, OpeningEvent.DATA): Opening.COMMANDS,
}


class State(str, enum.Enum):
    """How far one command has come."""

    #: No command has this request id, or the last one is answered in full.
    IDLE = 'idle'
    #: Part of the request has been sent.
    REQUESTING = 'requesting'
    #: The request is complete, and command data follows it.
    SENDING_DATA = 'sending data'
    #: Everything has been sent; the response has not begun.
    REQUESTED = 'requested'
    #: The status was "ok"; the values of the response follow.
    ANSWERING = 'answering'
    #: The status was "redirect"; nothing but the end follows.
    REDIRECTED = 'redirected'


class Event(str, enum.Enum):
    """What frames mean for one command.

    One frame can be two events in a row: the only frame of a short request is
    ``BEGIN`` and ``END_REQUEST``.
    """

    # sent by the client
    BEGIN = 'first request frame'
    CONTINUE = 'further request frame'
    END_REQUEST = 'request complete'
    DATA_FOLLOWS = 'request complete, data follows'
    DATA = 'command data'
    END_DATA = 'command data complete'
    # sent by the server
    ACCEPT = 'status ok'
    REDIRECT = 'status redirect'
    REJECT = 'status error'
    VALUES = 'values'
    OUTPUT = 'text or progress'
    FAIL = 'error-response frame'
    FINISH = 'end of response'


_CLIENT_EVENTS = frozenset(
    (
        Event.BEGIN,
        Event.CONTINUE,
        Event.END_REQUEST,
        Event.DATA_FOLLOWS,
        Event.DATA,
        Event.END_DATA,
    )
)


def sender(event: Event) -> Role:
    """Return the end that may send ``event``."""
    return Role.CLIENT if event in _CLIENT_EVENTS else Role.SERVER


#: All allowed pairs; every other pair is an error of the sender.
COMMAND: Mapping[tuple[State, Event], State] = {
    (State.IDLE, Event.BEGIN): State.REQUESTING,
    (State.REQUESTING, Event.CONTINUE): State.REQUESTING,
    (State.REQUESTING, Event.END_REQUEST): State.REQUESTED,
    (State.REQUESTING, Event.DATA_FOLLOWS): State.SENDING_DATA,
    (State.SENDING_DATA, Event.DATA): State.SENDING_DATA,
    (State.SENDING_DATA, Event.END_DATA): State.REQUESTED,
    (State.REQUESTED, Event.ACCEPT): State.ANSWERING,
    (State.REQUESTED, Event.REDIRECT): State.REDIRECTED,
    (State.REQUESTED, Event.REJECT): State.IDLE,
    (State.REQUESTED, Event.OUTPUT): State.REQUESTED,
    (State.REQUESTED, Event.FAIL): State.IDLE,
    (State.ANSWERING, Event.VALUES): State.ANSWERING,
    (State.ANSWERING, Event.OUTPUT): State.ANSWERING,
    (State.ANSWERING, Event.FAIL): State.IDLE,
    (State.ANSWERING, Event.FINISH): State.IDLE,
    (State.REDIRECTED, Event.OUTPUT): State.REDIRECTED,
    (State.REDIRECTED, Event.FAIL): State.IDLE,
    (State.REDIRECTED, Event.FINISH): State.IDLE,
}

#: Looking up a member of an enumeration takes longer than looking up a name.
_IDLE = State.IDLE

_NOT_OPEN = b'frame for request %(id)d, which is not open'

#: The error message for an event in a state that does not allow it.
REFUSALS: Mapping[Event, bytes] = {
    Event.BEGIN: b'request with ID %(id)d already received',
    Event.CONTINUE: (
        b'received continuation of request %(id)d, which is not being received'
    ),
    Event.END_REQUEST: _NOT_OPEN,
    Event.DATA_FOLLOWS: _NOT_OPEN,
    Event.DATA: b'received data for request %(id)d, which expects none',
    Event.END_DATA: _NOT_OPEN,
    Event.ACCEPT: _NOT_OPEN,
    Event.REDIRECT: _NOT_OPEN,
    Event.REJECT: _NOT_OPEN,
    Event.VALUES: b'data follows a response without a body',
    Event.OUTPUT: _NOT_OPEN,
    Event.FAIL: _NOT_OPEN,
    Event.FINISH: b'response has no status',
}


class Commands:
    """The states of all commands of one exchange, by request id."""

    __slots__ = ('_states',)

    def __init__(self) -> None:
        # A command that is idle has no entry.
        self._states: dict[int, State] = {}

    def __bool__(self) -> bool:
        """Return whether any command is not answered in full."""
        return bool(self._states)

    def state(self, requestid: int) -> State:
        """Return the state of a command."""
        return self._states.get(requestid, _IDLE)

    def advance(self, requestid: int, event: Event) -> State:
        """Return the state of a command after ``event``.

        Raises FrameError if the event is not allowed in its present state.
        """
        states = self._states
        following = COMMAND.get((states.get(requestid, _IDLE), event))
        if following is None:
            raise FrameError(REFUSALS[event] % {b'id': requestid})
        if following is _IDLE:
            del states[requestid]
        else:
            states[requestid] = following
        return following
