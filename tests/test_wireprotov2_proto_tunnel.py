# SPDX-License-Identifier: GPL-2.0-or-later
"""Exchanges of version 2 inside a command of version 1, as bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgext3rd.wireprotov2.proto import tunnel
from hgext3rd.wireprotov2.proto.errors import FrameError
from hgext3rd.wireprotov2.proto.tunnel import AnswerReader, TunnelOutcome
from hgext3rd.wireprotov2.server.commands import apis


def test_bytes() -> None:
    """What each kind of answer consists of."""
    assert b''.join(tunnel.answer([b'ab', b'', b'c' * 10])) == (
        b'ok\n2\nab10\ncccccccccc0\n'
    )
    assert tunnel.busy(10) == b'busy 10\n'
    assert tunnel.refusal(b'why') == b'refused why\n'


def test_the_table_is_what_servers_answer() -> None:
    """The commands are those of the API, with all their arguments."""
    assert set(tunnel.COMMANDS) == set(tunnel.VERSIONS)
    for commands in tunnel.COMMANDS.values():
        for name, args in commands.items():
            command = apis.API_0003.commands[name]
            assert args == frozenset(command.args)
            assert command.permission == b'pull'


@given(
    frames=st.lists(st.binary(max_size=40), max_size=6),
    size=st.integers(min_value=1, max_value=50),
)
def test_any_division(frames: list[bytes], size: int) -> None:
    """An answer is read alike in whatever parts it arrives."""
    data = b''.join(tunnel.answer(frames))
    reader = AnswerReader()
    found = b''
    for start in range(0, len(data), size):
        assert not reader.done
        found += b''.join(reader.feed(data[start : start + size]))
    assert reader.done
    assert reader.outcome is TunnelOutcome.ANSWERED
    assert found == b''.join(frames)


@pytest.mark.parametrize(
    ('data', 'outcome', 'detail'),
    [
        (tunnel.busy(7), TunnelOutcome.BUSY, b'7'),
        (tunnel.refusal(b'a reason'), TunnelOutcome.REFUSED, b'a reason'),
    ],
)
def test_other_outcomes(
    data: bytes, outcome: TunnelOutcome, detail: bytes
) -> None:
    """An answer without wire frames is one line."""
    reader = AnswerReader()
    assert reader.feed(data) == []
    assert (reader.outcome, reader.detail, reader.done) == (
        outcome,
        detail,
        True,
    )


def test_a_long_reason_is_cut() -> None:
    """A client accepts every reason that a server sends."""
    reader = AnswerReader()
    reader.feed(tunnel.refusal(b'x' * 5000))
    assert reader.done


@pytest.mark.parametrize(
    'data',
    [
        b'0\n',
        b'fine\n',
        b'ok\n-1\n',
        b'ok\n\n',
        b'ok\n12 \n',
        b'ok\n%d\n' % (tunnel.MAX_BLOCK + 1),
        b'ok\n0\n1',
        b'busy 1\nok\n',
        b'x' * (tunnel.MAX_LINE + 1),
    ],
)
def test_what_is_no_answer(data: bytes) -> None:
    """A server that says anything else is told apart at once."""
    with pytest.raises(FrameError):
        AnswerReader().feed(data)
