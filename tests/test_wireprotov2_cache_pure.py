# SPDX-License-Identifier: GPL-2.0-or-later
"""Keys, policy and entries: bytes in, bytes or a decision out."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgext3rd.wireprotov2.access.visibility import References
from hgext3rd.wireprotov2.cache import entry, keys, policy

KEY = b'0123456789' * 4

STATE = keys.KeyState(
    api=b'exp-http-v2-0003',
    framing=b'application/mercurial-exp-framing-0006',
    command=b'manifestdata',
    args={
        b'nodes': [b'\x11' * 20, b'\x22' * 20],
        b'tree': b'',
        b'fields': {b'parents', b'revision'},
        b'haveparents': False,
    },
    encoding=b'zstd-8mb',
    repository=b'name:x',
)


def test_key_is_fixed() -> None:
    # When keys change, every filled cache becomes useless. If they have to
    # change, change VERSION too.
    assert keys.derive(STATE) == b'3eaa81785063bae854f258cd610554a36365a5fe'


def test_key_of_equal_states_is_equal() -> None:
    reordered = dict(reversed(STATE.args.items()))
    reordered[b'fields'] = {b'revision', b'parents'}
    state = dataclasses.replace(STATE, args=reordered)
    assert keys.derive(state) == keys.derive(STATE)


@pytest.mark.parametrize(
    'change',
    [
        {'api': b'exp-http-v2-0002'},
        {'framing': b'application/mercurial-exp-framing-0005'},
        {'command': b'filedata'},
        {'args': {**STATE.args, b'haveparents': True}},
        {'args': {**STATE.args, b'haveparents': 0}},
        {'args': {**STATE.args, b'nodes': [b'\x22' * 20, b'\x11' * 20]}},
        {'args': {**STATE.args, b'nodes': [b'\x11' * 20 + b'\x22' * 20]}},
        {'args': {**STATE.args, b'fields': [b'parents', b'revision']}},
        {'encoding': b'identity'},
        {'repository': b'name:y'},
        {'view': b'else'},
        {'narrow': ((), ())},
        {'narrow': ((b'path:a',), ())},
        {'narrow': ((), (b'path:a',))},
        {'censored': b'\x01'},
        {'mutable': b'\x01'},
    ],
)
def test_key_depends_on(change: dict[str, Any]) -> None:
    state = dataclasses.replace(STATE, **change)
    assert keys.derive(state) != keys.derive(STATE)


def test_every_field_is_covered() -> None:
    covered = {
        name
        for mark in test_key_depends_on.pytestmark
        for change in mark.args[1]
        for name in change
    }
    assert covered == {f.name for f in dataclasses.fields(keys.KeyState)}


@given(st.binary(max_size=300), st.integers(0, 255))
def test_entry_round_trip(body: bytes, quality: int) -> None:
    found = entry.decode(KEY, entry.encode(KEY, body, quality))
    assert bytes(found.body) == body
    assert found.header.quality == quality
    assert found.header.size == len(body)
    assert found.header.sha256 == hashlib.sha256(body).digest()


def test_entry_layout() -> None:
    # This is version 1. Readers of all versions depend on the first five bytes.
    assert (
        entry.encode(KEY, b'abc', 19)
        == bytes.fromhex(
            '414d4743'
            '01'
            '13'
            '0000'
            '0000000000000003'
            '352441c2'
            '0123456789012345678901234567890123456789'
        )
        + hashlib.sha256(b'abc').digest()
        + b'abc'
    )


@given(st.data())
def test_damaged_entry_is_refused(data: st.DataObject) -> None:
    sound = entry.encode(KEY, b'some body of an entry')
    position = data.draw(st.integers(0, len(sound) - 1))
    flip = data.draw(st.integers(1, 255))
    # Quality and padding are not checked here. Clients check the SHA-256.
    if position in (5, 6, 7) or 40 <= position < entry.HEADER_SIZE:
        return
    damaged = bytearray(sound)
    damaged[position] ^= flip
    with pytest.raises(entry.EntryError):
        entry.decode(KEY, bytes(damaged))


@given(st.integers(0, 80))
def test_cut_entry_is_refused(length: int) -> None:
    sound = entry.encode(KEY, b'body')
    if length < len(sound):
        with pytest.raises(entry.EntryError):
            entry.decode(KEY, sound[:length])


def test_longer_entry_is_refused() -> None:
    with pytest.raises(entry.EntryError):
        entry.decode(KEY, entry.encode(KEY, b'body') + b'x')


def test_entry_of_another_key_is_refused() -> None:
    with pytest.raises(entry.EntryError, match='another key'):
        entry.decode(b'f' * 40, entry.encode(KEY, b'body'))


NODE = b'\x11' * 20
OTHER = b'\x22' * 20


@pytest.mark.parametrize(
    'command, args, expected',
    [
        (b'changesetdata', {}, References()),
        (
            b'changesetdata',
            {b'noderange': [[NODE], [OTHER]], b'nodes': None},
            References(changesets=(NODE, OTHER)),
        ),
        (
            b'changesetdata',
            {
                b'revisions': [
                    {b'type': b'changesetexplicit', b'nodes': [NODE]},
                    {
                        b'type': b'changesetdagrange',
                        b'roots': [],
                        b'heads': [OTHER],
                    },
                ]
            },
            References(changesets=(NODE, OTHER)),
        ),
        (b'changesetdata', {b'revisions': b'x'}, None),
        (b'changesetdata', {b'revisions': [NODE]}, None),
        (b'changesetdata', {b'revisions': [{b'nodes': 1}]}, None),
        (b'changesetdata', {b'noderange': 3}, None),
        (b'changesetdata', {b'noderange': [NODE]}, None),
        (b'changesetdata', {b'nodes': [1]}, None),
        (
            b'manifestdata',
            {b'nodes': [NODE], b'tree': b'dir/'},
            References(manifests=((b'dir/', NODE),)),
        ),
        (
            b'manifestdata',
            {b'nodes': [], b'tree': b'', b'revisions': [{b'nodes': [NODE]}]},
            References(changesets=(NODE,)),
        ),
        (b'manifestdata', {b'nodes': [NODE]}, None),
        (
            b'filedata',
            {b'nodes': [NODE], b'path': b'a'},
            References(files=((b'a', NODE),)),
        ),
        (b'filedata', {b'nodes': NODE, b'path': b'a'}, None),
        (
            b'filesdata',
            {b'revisions': [{b'nodes': [NODE]}]},
            References(changesets=(NODE,)),
        ),
        (b'filesdata', {b'revisions': 1}, None),
    ],
)
def test_references(
    command: bytes, args: dict[bytes, Any], expected: References | None
) -> None:
    rule = policy.rule(command)
    assert rule is not None
    assert rule.references(args) == expected


@pytest.mark.parametrize(
    'command',
    [b'heads', b'known', b'capabilities', b'pushkey', b'segments', b'?'],
)
def test_never_cached(command: bytes) -> None:
    assert policy.rule(command) is None


@pytest.mark.parametrize(
    'command, fields, expected',
    [
        (b'changesetdata', {b'bookmarks', b'phase'}, True),
        (b'changesetdata', {b'phase'}, False),
        (b'changesetdata', None, False),
        (b'manifestdata', {b'bookmarks'}, False),
    ],
)
def test_responses_that_show_bookmarks(
    command: bytes, fields: Any, expected: bool
) -> None:
    rule = policy.rule(command)
    assert rule is not None
    assert policy.shows_bookmarks(rule, {b'fields': fields}) == expected
