# SPDX-License-Identifier: GPL-2.0-or-later
"""How the server answers bad input.

Every bad request gets a 4xx status or a protocol error, and a line in the log.
No traceback reaches the client.
"""

from __future__ import annotations

import io
from typing import Any

import pytest
from helpers.wireprotov2_wsgi import (  # noqa: F401  (two are fixtures)
    API3,
    MEDIA5,
    MEDIA6,
    Answer,
    Server,
    built_fixture,
    explicit,
    frame,
    request,
    server_fixture,
)
from hypothesis import given
from hypothesis import strategies as st
from mercurial import error

from hgext3rd.wireprotov2.proto import cbor, frames, streams
from hgext3rd.wireprotov2.server.commands.apis import APIS

# bad input


def bomb() -> bytes:
    data = b''.join(streams.encoded([bytes(2**20)] * 60, b'zstd-8mb'))
    settings = frame(b'\x48zstd-8mb', typeid=9, flags=2)
    return settings + frame(data, begin=False, more=frames.STREAM_ENCODED)


HEADS = request(b'heads')
SETTINGS = frame(b'\xa1Pcontentencodings\x81Hidentity', typeid=8, flags=2)

BAD_BODIES = {
    'nothing': (b'', 400),
    'garbage': (b'\x93\x7f' * 50, 413),
    'text': (b'GET / HTTP/1.1\r\n\r\n', 413),
    'part of a header': (HEADS[:5], 400),
    'part of a payload': (HEADS[:-3], 400),
    'part of a command': (frame(b'\xa1DnameEheads', flags=5), 400),
    'command data expected': (frame(b'\xa1DnameEheads', flags=9), 400),
    'settings alone': (SETTINGS, 400),
    'settings last': (HEADS + SETTINGS[:6] + b'\0' + SETTINGS[7:], 400),
    'settings twice': (SETTINGS + SETTINGS[:6] + b'\0' + SETTINGS[7:], 400),
    'no stream': (request(b'heads', begin=False), 400),
    'a stream of servers': (frame(b'\xa1DnameEheads', streamid=2), 400),
    'an id of servers': (request(b'heads', requestid=2), 400),
    'a used id': (HEADS + request(b'heads', begin=False), 400),
    'a response': (frame(b'\xa1DnameEheads', typeid=3), 400),
    'an unknown type': (frame(b'\xa1DnameEheads', typeid=12), 400),
    'an unknown encoding': (
        frame(b'Dlzma', typeid=9, flags=2) + request(b'heads', begin=False),
        400,
    ),
    'broken encoding': (
        frame(b'Dzlib', typeid=9, flags=2)
        + frame(b'xx', begin=False, more=frames.STREAM_ENCODED),
        400,
    ),
    'a bomb': (bomb(), 413),
    'text in CBOR': (frame(b'\xa1\x64name\x65heads'), 400),
    'broken CBOR': (frame(b'\xa1DnameEhead'), 400),
    'two values': (frame(b'\xa1DnameEheads\xa0'), 400),
    'deep CBOR': (frame(b'\x81' * 3000 + b'\0'), 413),
    'much CBOR': (frame(b'\x9b' + b'\xff' * 8), 413),
    'no name': (frame(b'\xa0'), 400),
    'a list of arguments': (request(b'heads', []), 400),
    'another command': (request(b'known'), 400),
    'two commands': (HEADS + request(b'heads', None, 3, False), 400),
    'a large frame': (b'\0\0\1\1\0\1\1\x11' + b'a' * 65536, 413),
    'large arguments': (
        frame(b'a' * 32768, flags=5)
        + frame(b'a' * 32768, flags=6, begin=False) * 4,
        413,
    ),
    'a large request': (b'a' * 300000, 413),
}


@pytest.mark.parametrize('kind', BAD_BODIES)
def test_bad_bodies(server: Server, kind: str) -> None:
    body, code = BAD_BODIES[kind]
    answer = server.call(API3 + 'ro/heads', body)
    assert answer.code == code, answer.body
    assert answer.headers['Content-Type'] == 'text/plain'
    assert answer.body.count(b'\n') == 1
    assert answer.errors.count('\n') == 1
    assert answer.errors.startswith('wireprotov2: 127.0.0.1: ')


def test_bad_multirequests(server: Server) -> None:
    path = API3 + 'ro/multirequest'
    body = HEADS + request(b'unknown', None, 3, False)
    assert server.call(path, body).code == 400
    assert server.call(path, b'').code == 400
    many = [request(b'heads', None, 2 * i + 1, not i) for i in range(21)]
    assert server.call(path, b''.join(many)).code == 413
    assert len(server.call(path, b''.join(many[:20])).values) == 20


def test_lengths(server: Server) -> None:
    path = API3 + 'ro/heads'
    answer = server.call(path, HEADS, drop=('CONTENT_LENGTH',))
    assert answer.code == 411
    assert answer.errors
    answer = server.call(path, HEADS, CONTENT_LENGTH=str(len(HEADS) + 5))
    assert answer.code == 400
    # None of this is read.
    answer = server.call(path, HEADS, CONTENT_LENGTH=str(2**40))
    assert answer.code == 413
    # A WSGI server that knows where the body ends.
    known: Any = {'wsgi.input_terminated': True}
    answer = server.call(path, HEADS, drop=('CONTENT_LENGTH',), **known)
    assert answer.values[1][1] == [server.nodes[2]]
    body = b'a' * 300000
    answer = server.call(path, body, drop=('CONTENT_LENGTH',), **known)
    assert answer.code == 413


class Stalled(io.BytesIO):
    """The body of a client that stops sending."""

    def read(self, size: int | None = -1) -> bytes:
        raise TimeoutError('timed out')


def test_stalled_clients(server: Server) -> None:
    environ: Any = {'wsgi.input': Stalled(), 'wsgi.input_terminated': True}
    answer = server.call(
        API3 + 'ro/heads',
        HEADS,
        drop=('CONTENT_LENGTH',),
        **environ,
    )
    assert answer.code == 408
    assert answer.errors


@pytest.mark.parametrize(
    ('command', 'args', 'message'),
    [
        ('heads', {b'x': 1, b'a': 1}, b'unsupported argument to command: a, x'),
        ('lookup', {}, b'missing required arguments: key'),
        ('manifestdata', {}, b'missing required arguments: nodes, tree'),
        ('lookup', {b'key': b'nothing'}, b"unknown revision 'nothing'"),
        ('lookup', {b'key': b'\xff\0'}, b"unknown revision '\xff\0'"),
        ('changesetdata', {b'revisions': []}, None),
        ('changesetdata', {b'revisions': [5]}, b'revision specifier must'),
        ('changesetdata', {b'revisions': [{}]}, b'type key not present'),
        (
            'changesetdata',
            {b'revisions': [{b'type': b'x'}]},
            b'unknown revision specifier type: x',
        ),
        (
            'changesetdata',
            {b'revisions': [{b'type': [b'x']}]},
            b'unknown revision specifier type',
        ),
        (
            'changesetdata',
            {b'revisions': [{b'type': b'changesetexplicit'}]},
            b'nodes key not present in changesetexplicit',
        ),
        (
            'changesetdata',
            {b'revisions': [{b'type': b'changesetdagrange', b'heads': []}]},
            b'roots key not present in changesetdagrange',
        ),
        (
            'changesetdata',
            {
                b'revisions': [
                    {
                        b'type': b'changesetdagrange',
                        b'roots': [],
                        b'heads': [],
                    }
                ]
            },
            b'heads key in changesetdagrange cannot be empty',
        ),
        ('changesetdata', explicit(b'a' * 20), b'unknown node: 6161'),
        ('changesetdata', explicit(b'\0' * 20), b'unknown node: 0000'),
        ('changesetdata', explicit(b'a'), b'unknown node: 61'),
        (
            'changesetdata',
            {b'revisions': [], b'fields': [b'x', b'phase']},
            b'unsupported value for argument fields: x',
        ),
        ('filedata', {b'nodes': [], b'path': b'x'}, b'unknown file: x'),
        ('filedata', {b'nodes': [], b'path': b'../x'}, b'unknown file: ../x'),
        ('filedata', {b'nodes': [], b'path': b'/etc'}, b'unknown file: /etc'),
        ('filedata', {b'nodes': [], b'path': b''}, b'unknown file: '),
        (
            'filedata',
            {b'nodes': [b'x'], b'path': b'a'},
            b'unknown file node: 78',
        ),
        (
            'filedata',
            {b'nodes': [b'\0' * 20], b'path': b'a'},
            b'unknown file node: 0000',
        ),
        (
            'manifestdata',
            {b'nodes': [b'x' * 20], b'tree': b''},
            b'unknown node: x',
        ),
        ('manifestdata', {b'nodes': [], b'tree': b'x'}, b'unknown tree: x'),
        (
            'filesdata',
            {b'revisions': [], b'pathfilter': {b'include': [b're:.*']}},
            b'include pattern must begin with `path:` or `rootfilesin:`; got re',
        ),
        (
            'filesdata',
            {b'revisions': [], b'pathfilter': {b'exclude': b'path:a'}},
            b'exclude must be a list of bytestrings',
        ),
        (
            'filesdata',
            {
                b'revisions': [],
                b'pathfilter': {b'include': [b'path:a'] * 10001},
            },
            b'too many include patterns',
        ),
        ('segmentdata', {b'name': b'x'}, b'unknown segment'),
    ],
)
def test_bad_arguments(
    server: Server, command: str, args: Any, message: bytes | None
) -> None:
    server.write(
        '[wireprotov2]\nlimit.command-size = 1 MB\nlimit.request-size = 1 MB\n'
    )
    body = cbor.encode({b'name': command.encode(), b'args': args})
    parts = [body[i : i + 32768] for i in range(0, len(body), 32768)]
    data = b''
    for number, part in enumerate(parts):
        flags = (2 if number else 1) | (4 if number < len(parts) - 1 else 0)
        data += frame(part, begin=not number, flags=flags)
    answer = server.call(API3 + 'ro/' + command, data)
    if message is None:
        assert answer.error is None
    else:
        assert answer.error is not None
        assert answer.error.startswith(message)
    assert 'Traceback' not in answer.errors


WRONG: dict[bytes, list[Any]] = {
    b'bytes': [5, [], {}, True, None],
    b'int': [b'5', [], True],
    b'list': [5, b'x', {}, True],
    b'dict': [5, b'x', [], True],
    b'set': [5, b'x', {}, True, [5], [[]]],
    b'bool': [5, b'x', [], {}],
}


@pytest.mark.parametrize('api', sorted(APIS))
def test_wrong_types(server: Server, api: bytes) -> None:
    right: dict[bytes, Any] = {
        b'bytes': b'',
        b'list': [],
        b'bool': False,
        b'set': [],
    }
    server.write(
        '[server]\nuncompressedallowsecret = yes\n'
        '[web]\npush_ssl = no\nallow-push = *\n'
    )
    for name, command in APIS[api].commands.items():
        half = 'rw' if command.permission == b'push' else 'ro'
        path = f'/api/{api.decode()}/{half}/{name.decode()}'
        for wrong, declared in command.args.items():
            for value in WRONG[declared.type]:
                args = {
                    n: right[d.type]
                    for n, d in command.args.items()
                    if d.describe()[b'required']
                }
                args[wrong] = value
                answer = server.call(path, request(name, args))
                assert answer.error is not None, (name, wrong, value)
                assert answer.error.startswith(b'argument ' + wrong)
                assert not answer.errors


junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64 - 1)
    | st.binary(max_size=25)
    | st.sampled_from([b'\0' * 20, b'path:a', b'changesetexplicitdepth']),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [b'type', b'nodes', b'depth', b'roots', b'heads', b'include']
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=6,
)


@pytest.mark.parametrize('api', sorted(APIS))
@given(data=st.data())
def test_any_arguments(server: Server, api: bytes, data: Any) -> None:
    commands = [
        c for c in APIS[api].commands.values() if c.permission == b'pull'
    ]
    command = data.draw(st.sampled_from(commands))
    by_type = {
        b'bytes': st.binary(max_size=25),
        b'int': st.integers(-(2**64), 2**64 - 1),
        b'list': st.lists(junk | st.sampled_from(server.nodes), max_size=3),
        b'dict': st.dictionaries(
            st.sampled_from([b'include', b'exclude', b'x']), junk, max_size=2
        ),
        b'bool': st.booleans(),
    }
    args = {}
    for name, declared in command.args.items():
        if declared.values:
            strategy: Any = st.lists(st.sampled_from(sorted(declared.values)))
        else:
            strategy = by_type[declared.type]
        args[name] = data.draw(strategy)
    path = f'/api/{api.decode()}/ro/{command.name.decode()}'
    answer = server.call(path, request(command.name, args))
    if answer.code == 404:
        # Raw files are refused, since there are secret changesets.
        return
    assert answer.code in (200, 413)
    if answer.code == 200:
        error = answer.error
        assert error is None or not error.startswith(b'server:'), answer.errors
    assert 'Traceback' not in answer.errors


def test_failures_of_the_server_are_logged_not_shown(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hgext3rd.wireprotov2.server.commands import discovery

    def broken(*args: Any) -> Any:
        raise RuntimeError('details')

    monkeypatch.setattr(discovery, 'node_list', broken)
    answer = server.command('known', {b'nodes': []})
    assert answer.error == b'server: internal error in command known'
    assert b'details' not in answer.body
    assert 'RuntimeError' in answer.errors
    assert 'Traceback' in answer.errors


@pytest.mark.parametrize(
    'failure',
    [
        error.Abort(b'reasons'),
        error.RepoError(b'reasons'),
        error.StorageError(b'reasons'),
    ],
)
def test_messages_of_mercurial_reach_clients(
    server: Server, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    from hgext3rd.wireprotov2.server.commands import discovery

    def refuse(*args: Any) -> Any:
        raise failure

    monkeypatch.setattr(discovery, 'node_list', refuse)
    answer = server.command('known', {b'nodes': []})
    assert answer.error == b'reasons'
    assert answer.errors == 'wireprotov2: 127.0.0.1: known: reasons\n'
