# SPDX-License-Identifier: GPL-2.0-or-later
"""The server as a WSGI application: routes, permissions, views, bad input.

Whatever arrives gets a 4xx or a protocol error; nothing shows a traceback to
the client, and nothing is found out without the permission to.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

# newer versions of Mercurial want this before anything else
with contextlib.suppress(ImportError):
    importlib.import_module('mercurial.initialization').init()

from mercurial import extensions, hg, phases
from mercurial import ui as uimod
from mercurial.hgweb import hgweb

from hgext3rd.wireprotov2.commands.apis import APIS
from hgext3rd.wireprotov2.proto import cbor, frames, streams

API3 = '/api/exp-http-v2-0003/'
MEDIA5 = 'application/mercurial-exp-framing-0005'
MEDIA6 = 'application/mercurial-exp-framing-0006'

HGRC = """\
[extensions]
wireprotov2 =
[wireprotov2]
limit.request-size = 200 KB
limit.command-size = 100 KB
limit.commands = 20
"""


class Answer:
    """What a request led to: ``errors`` is what the server logged."""

    def __init__(
        self, status: str, headers: dict[str, str], body: bytes, errors: str
    ) -> None:
        self.code = int(status.split()[0])
        self.status = status
        self.headers = headers
        self.body = body
        self.errors = errors
        assert b'Traceback' not in body

    @property
    def frames(self) -> list[frames.Frame]:
        assert self.code == 200, (self.status, self.body)
        parser = frames.FrameParser()
        found = parser.feed(self.body)
        parser.finish()
        return found

    @property
    def values(self) -> dict[int, list[Any]]:
        """Values of each response without the status, by request id."""
        found: dict[int, bytes] = {}
        for frame in self.frames:
            if frame.typeid == frames.COMMAND_RESPONSE:
                data = found.get(frame.requestid, b'')
                found[frame.requestid] = data + frame.payload
        return {i: cbor.decode_all(data) for i, data in found.items()}

    @property
    def error(self) -> bytes | None:
        """The message of the only response if that is an error."""
        for frame in self.frames:
            if frame.typeid == frames.ERROR_RESPONSE:
                value: Any = cbor.decode_all(frame.payload)[0]
                return b'%s: %s' % (
                    value[b'type'],
                    value[b'message'][0][b'msg'],
                )
        status = self.values[1][0]
        if status[b'status'] == b'ok':
            return None
        details = status[b'error']
        return details[b'message'] % tuple(details.get(b'args', ()))


Call = Callable[..., Answer]


class Server:
    """A repository behind hgweb.

    ``nodes`` are its changesets: two public, a draft one, and a secret one
    that has the files "secret" and "a", the latter changed.
    """

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self.ui = uimod.ui.load()
        repo = hg.repository(self.ui, bytes(path), create=True)
        self.write('')
        self.nodes = []
        for name, text in (('a', '1'), ('b', '1'), ('c', '1'), ('a', '2')):
            (path / name).write_text(text)
            if len(self.nodes) == 3:
                (path / 'secret').write_text('s')
                added = [b'secret']
            else:
                added = [name.encode()] if len(self.nodes) < 3 else []
            with repo.wlock():
                with repo.dirstate.changing_files(repo):
                    repo[None].add(added)
                self.nodes.append(repo.commit(name.encode(), user=b'test'))
        with repo.lock(), repo.transaction(b'phase') as tr:
            phases.advanceboundary(repo, tr, phases.public, [self.nodes[1]])
            phases.retractboundary(repo, tr, phases.secret, [self.nodes[3]])
        repo = hg.repository(self.ui, bytes(path))
        self.manifests = [repo[n].manifestnode() for n in self.nodes]
        self.secret_a = repo[self.nodes[3]][b'a'].filenode()
        self.secret = repo[self.nodes[3]][b'secret'].filenode()
        self.public_a = repo[self.nodes[0]][b'a'].filenode()

    def write(self, extra: str) -> None:
        """Write the configuration; a new application reads it."""
        (self.path / '.hg' / 'hgrc').write_text(
            HGRC + '[phases]\npublish = no\n' + extra
        )
        self.app = hgweb(bytes(self.path))

    def call(
        self,
        path: str,
        body: bytes = b'',
        method: str = 'POST',
        query: str = '',
        user: str | None = None,
        drop: tuple[str, ...] = (),
        **extra: Any,
    ) -> Answer:
        media = MEDIA5 if '0002' in path else MEDIA6
        errors = io.StringIO()
        env = {
            'REQUEST_METHOD': method,
            'SCRIPT_NAME': '',
            'PATH_INFO': path,
            'QUERY_STRING': query,
            'SERVER_NAME': 'localhost',
            'SERVER_PORT': '80',
            'SERVER_PROTOCOL': 'HTTP/1.1',
            'REMOTE_ADDR': '127.0.0.1',
            'REMOTE_HOST': '127.0.0.1',
            'HTTP_ACCEPT': media,
            'CONTENT_TYPE': media,
            'CONTENT_LENGTH': str(len(body)),
            'wsgi.url_scheme': 'http',
            'wsgi.input': io.BytesIO(body),
            'wsgi.errors': errors,
        }
        if user:
            env['REMOTE_USER'] = user
        env.update(extra)
        for name in drop:
            del env[name]
        started: list[Any] = []

        def start(status: str, headers: Any, exc_info: Any = None) -> Any:
            started[:] = [status, headers]
            return lambda data: None

        data = b''.join(self.app(env, start))
        return Answer(started[0], dict(started[1]), data, errors.getvalue())

    def command(
        self, name: str, args: Any = None, user: str | None = None, **kw: Any
    ) -> Answer:
        """Run one command of API 0003."""
        half = 'rw/' if name == 'pushkey' else 'ro/'
        body = request(name.encode(), args)
        return self.call(API3 + half + name, body, user=user, **kw)

    def result(self, name: str, args: Any = None, **kw: Any) -> list[Any]:
        """Return the values a command answers."""
        status, *values = self.command(name, args, **kw).values[1]
        assert status == {b'status': b'ok'}
        return values


def request(
    name: bytes, args: Any = None, requestid: int = 1, begin: bool = True
) -> bytes:
    value = {b'name': name}
    if args is not None:
        value[b'args'] = args
    return frame(cbor.encode(value), requestid, begin=begin)


def frame(
    payload: bytes,
    requestid: int = 1,
    streamid: int = 1,
    begin: bool = True,
    typeid: int = 1,
    flags: int = 1,
    more: int = 0,
) -> bytes:
    return frames.build(
        requestid, streamid, int(begin) | more, typeid, flags, payload
    )


@pytest.fixture(scope='module')
def built(tmp_path_factory: pytest.TempPathFactory) -> Server:
    patch = pytest.MonkeyPatch()
    with patch.context() as m:
        m.setenv('HGRCPATH', '')
        m.setenv('HGUSER', 'test')
        return Server(tmp_path_factory.mktemp('server') / 'repo')


@pytest.fixture
def server(built: Server) -> Iterator[Server]:
    yield built
    built.write('')


# routes


def test_list_of_apis(server: Server) -> None:
    for path in ('/api', '/api/'):
        answer = server.call(path, method='GET')
        assert answer.code == 200
        assert answer.body.endswith(b'\n\nexp-http-v2-0002\nexp-http-v2-0003')
    answer = server.call('/api/exp-http-v2-0003', method='GET')
    assert answer.code == 200


@pytest.mark.parametrize(
    ('path', 'method', 'code'),
    [
        ('/api/unknown', 'GET', 404),
        ('/api/unknown/ro/heads', 'POST', 404),
        ('/api/exp-http-v2-0003/ro', 'POST', 404),
        ('/api/exp-http-v2-0003/xx/heads', 'POST', 404),
        ('/api/exp-http-v2-0003/ro/unknown', 'POST', 404),
        ('/api/exp-http-v2-0003/ro/heads/more', 'POST', 404),
        ('/api/exp-http-v2-0003/ro/heads', 'GET', 405),
        ('/api/exp-http-v2-0003/ro/heads', 'HEAD', 405),
        ('/api/exp-http-v2-0003/ro/heads', 'PUT', 405),
        ('/api/exp-http-v2-0003/ro/unknown', 'GET', 405),
        # of the other generation
        ('/api/exp-http-v2-0003/ro/rawstorefile', 'POST', 404),
        ('/api/exp-http-v2-0002/ro/filesdata', 'POST', 404),
    ],
)
def test_unknown_urls(
    server: Server, path: str, method: str, code: int
) -> None:
    answer = server.call(path, request(b'heads'), method)
    assert answer.code == code
    assert answer.headers['Content-Type'] == 'text/plain'
    if code == 405:
        assert answer.headers['Allow'] == 'POST'


def test_media_types(server: Server) -> None:
    path, body = API3 + 'ro/heads', request(b'heads')
    for accept in ('', 'invalid', 'text/html, */*', MEDIA5):
        answer = server.call(path, body, HTTP_ACCEPT=accept)
        assert answer.code == 406
        assert MEDIA6.encode() in answer.body
    assert server.call(path, body, drop=('HTTP_ACCEPT',)).code == 406
    for content in ('', 'invalid', MEDIA5, f'{MEDIA6}, {MEDIA6}'):
        assert server.call(path, body, CONTENT_TYPE=content).code == 415
    assert server.call(path, body, drop=('CONTENT_TYPE',)).code == 415
    # what a proxy may add
    answer = server.call(
        path,
        body,
        HTTP_ACCEPT=f'text/html, {MEDIA6};q=0.5',
        CONTENT_TYPE=f'{MEDIA6}; charset=utf-8',
    )
    assert answer.values[1][1] == [server.nodes[2]]


def test_switched_off(server: Server) -> None:
    server.write('[wireprotov2]\nserve = no\n')
    assert server.call('/api', method='GET').code == 400
    assert server.call(API3 + 'ro/heads', request(b'heads')).code == 400
    assert b'apis' not in handshake(server).body
    server.write('[wireprotov2]\napis = exp-http-v2-0002\n')
    answer = server.call(API3 + 'ro/heads', request(b'heads'))
    assert answer.code == 404
    assert b'not enabled' in answer.body
    answer = server.call('/api/exp-http-v2-0002/ro/heads', request(b'heads'))
    assert answer.values[1][1] == [server.nodes[2]]
    # enabled elsewhere in the process, not for this repository
    server.write('[extensions]\nwireprotov2 = !\n')
    assert server.call('/api', method='GET').code == 400


# the handshake


def handshake(
    server: Server,
    upgrade: str = 'exp-http-v2-0003 exp-http-v2-0002 other',
    proto: str = 'cbor 0.1',
    **kw: Any,
) -> Answer:
    return server.call(
        '/',
        method='GET',
        query='cmd=capabilities',
        HTTP_X_HGUPGRADE_1=upgrade,
        HTTP_X_HGPROTO_1=proto,
        **kw,
    )


def test_handshake(server: Server) -> None:
    answer = handshake(server)
    assert answer.headers['Content-Type'] == 'application/mercurial-cbor'
    (value,) = cbor.decode_all(answer.body)
    assert isinstance(value, dict)
    assert value[b'apibase'] == b'api/'
    v1 = server.call('/', method='GET', query='cmd=capabilities')
    assert value[b'v1capabilities'].split() == v1.body.split()
    for name, described in value[b'apis'].items():
        api = APIS[name]
        assert set(described[b'commands']) <= set(api.commands)
        for command, details in described[b'commands'].items():
            args = api.commands[command].args
            assert {
                arg for arg, d in details[b'args'].items() if d[b'required']
            } == {arg for arg, d in args.items() if d.describe()[b'required']}
    assert set(value[b'apis']) == set(APIS)
    # the same as the command
    (described,) = server.result('capabilities')
    assert described == value[b'apis'][b'exp-http-v2-0003']
    # parts of long headers
    answer = handshake(
        server, 'exp-http-', HTTP_X_HGUPGRADE_2='v2-0003', proto='cbor'
    )
    (value,) = cbor.decode_all(answer.body)
    assert isinstance(value, dict)
    assert set(value[b'apis']) == {b'exp-http-v2-0003'}


@pytest.mark.parametrize(
    ('upgrade', 'proto'),
    [('exp-http-v2-0003', '0.1 0.2'), ('other', 'cbor'), ('', '')],
)
def test_no_upgrade(server: Server, upgrade: str, proto: str) -> None:
    answer = handshake(server, upgrade, proto)
    assert answer.headers['Content-Type'] == 'application/mercurial-0.1'
    assert b'getbundle' in answer.body


# permissions


@pytest.mark.parametrize(
    ('config', 'user', 'code'),
    [
        ('deny_read = *', 'alice', 401),
        ('deny_read = alice', 'alice', 401),
        ('allow_read = bob', 'alice', 401),
        ('allow_read = bob', None, 401),
        ('allow-pull = no', 'alice', 401),
        ('deny_read = bob', 'alice', 200),
        ('allow_read = alice', 'alice', 200),
    ],
)
def test_permission_to_read(
    server: Server, config: str, user: str | None, code: int
) -> None:
    server.write(f'[web]\n{config}\n')
    body = request(b'heads')
    answers = [
        server.call(API3 + 'ro/heads', body, user=user),
        server.call(API3 + 'ro/multirequest', body, user=user),
        server.call('/api/exp-http-v2-0002/ro/heads', body, user=user),
        handshake(server, user=user),
    ]
    assert [a.code for a in answers] == [code] * 4
    if code != 200:
        # not even what exists is told
        assert server.call(API3 + 'ro/unknown', body, user=user).code == code
        unread = io.BytesIO(body)
        server.call(
            API3 + 'ro/heads', body, user=user, **{'wsgi.input': unread}
        )
        if answers[0].code != 200:
            assert server.nodes[0] not in answers[0].body


PUSHKEY = {b'namespace': b'bookmarks', b'key': b'm', b'old': b''}


def test_permission_to_write(server: Server) -> None:
    args = {**PUSHKEY, b'new': server.nodes[0].hex().encode()}
    body = request(b'pushkey', args)
    push = '[web]\npush_ssl = no\nallow-push = alice\n'
    for config, user, code in (
        ('', 'alice', 403),
        ('[web]\npush_ssl = no\n', 'alice', 401),
        (push, None, 401),
        (push, 'bob', 401),
        (push + 'deny_push = alice\n', 'alice', 401),
        (push + 'deny_read = alice\n', 'alice', 401),
    ):
        server.write(config)
        for path in ('rw/pushkey', 'rw/multirequest'):
            assert server.call(API3 + path, body, user=user).code == code
    server.write(push)
    # the read-only half cannot be used to write, whoever it is
    for path in ('ro/pushkey', 'ro/multirequest'):
        answer = server.call(API3 + path, body, user='alice')
        assert answer.code == 403
    both = request(b'heads') + request(b'pushkey', args, 3, False)
    assert server.call(API3 + 'ro/multirequest', both).code == 403
    assert server.result('listkeys', {b'namespace': b'bookmarks'}) == [{}]
    assert server.result('pushkey', args, user='alice') == [True]
    keys = server.result('listkeys', {b'namespace': b'bookmarks'})
    assert keys == [{b'm': args[b'new']}]
    args = {**PUSHKEY, b'old': args[b'new'], b'new': b''}
    both = request(b'heads') + request(b'pushkey', args, 3, False)
    answer = server.call(API3 + 'rw/multirequest', both, user='alice')
    assert answer.values[3] == [{b'status': b'ok'}, True]


def test_permission_comes_before_the_cache(server: Server) -> None:
    args = {b'nodes': [server.manifests[0]], b'tree': b''}
    cached = '[wireprotov2]\ncacher = memory\n'
    server.write(cached)
    for _time in range(2):
        server.result('manifestdata', args, user='alice')
    server.write(cached + '[web]\nallow_read = alice\n')
    assert server.command('manifestdata', args, user='bob').code == 401
    body = request(b'manifestdata', args)
    answer = server.call(API3 + 'ro/multirequest', body, user='bob')
    assert answer.code == 401


# views


def explicit(*nodes: bytes) -> dict[bytes, Any]:
    return {
        b'revisions': [{b'type': b'changesetexplicit', b'nodes': list(nodes)}]
    }


def test_secret_changesets_do_not_exist(server: Server) -> None:
    secret = server.nodes[3]
    assert server.result('heads') == [[server.nodes[2]]]
    assert server.result('heads', {b'publiconly': True}) == [[server.nodes[1]]]
    assert server.result('known', {b'nodes': server.nodes}) == [b'1110']
    assert secret not in server.command('branchmap').body
    for key in (secret.hex().encode(), b'tip'):
        answer = server.command('lookup', {b'key': key})
        assert secret not in answer.body
    for command, args in (
        ('changesetdata', explicit(secret)),
        ('filesdata', explicit(secret)),
        ('manifestdata', {b'nodes': [server.manifests[3]], b'tree': b''}),
        ('filedata', {b'nodes': [server.secret], b'path': b'secret'}),
        ('filedata', {b'nodes': [server.secret_a], b'path': b'a'}),
    ):
        error = server.command(command, args).error
        assert error is not None
        assert error.startswith((b'unknown node', b'unknown file node'))
    for command in ('changesetdata', 'filesdata'):
        args = {
            b'revisions': [
                {
                    b'type': b'changesetdagrange',
                    b'roots': [],
                    b'heads': [secret],
                }
            ]
        }
        assert b'unknown node' in (server.command(command, args).error or b'')


def test_secret_files_shared_with_visible_changesets(server: Server) -> None:
    args = {b'nodes': [server.public_a], b'path': b'a'}
    args[b'fields'] = [b'linknode']
    total, record = server.result('filedata', args)
    assert record == {b'node': server.public_a, b'linknode': server.nodes[0]}


def test_raw_files_show_no_secrets(server: Server) -> None:
    commands = server.result('capabilities')[0][b'commands']
    assert b'rawstorefiledata' not in commands
    path = API3 + 'ro/rawstorefiledata'
    assert server.call(path, request(b'rawstorefiledata')).code == 404
    server.write('[server]\nuncompressedallowsecret = yes\n')
    commands = server.result('capabilities')[0][b'commands']
    assert b'rawstorefiledata' in commands
    header, *files = server.result(
        'rawstorefiledata', {b'files': [b'changelog']}
    )
    assert header[b'filecount'] * 2 == len(files)
    assert header[b'totalsize'] == sum(map(len, files[1::2]))
    server.write('[server]\nuncompressedallowsecret = yes\nuncompressed = no\n')
    assert server.call(path, request(b'rawstorefiledata')).code == 404


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
    # nothing of this is read
    answer = server.call(path, HEADS, CONTENT_LENGTH=str(2**40))
    assert answer.code == 413
    # a server that knows where the body ends
    known = {'wsgi.input_terminated': True}
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
    answer = server.call(
        API3 + 'ro/heads',
        HEADS,
        drop=('CONTENT_LENGTH',),
        **{'wsgi.input': Stalled(), 'wsgi.input_terminated': True},
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
        # raw files, as there are secret changesets
        return
    assert answer.code in (200, 413)
    if answer.code == 200:
        error = answer.error
        assert error is None or not error.startswith(b'server:'), answer.errors
    assert 'Traceback' not in answer.errors


def test_failures_of_the_server_are_logged_not_shown(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hgext3rd.wireprotov2.commands import discovery

    def broken(*args: Any) -> Any:
        raise RuntimeError('details')

    monkeypatch.setattr(discovery, 'node_list', broken)
    answer = server.command('known', {b'nodes': []})
    assert answer.error == b'server: internal error in command known'
    assert b'details' not in answer.body
    assert 'RuntimeError' in answer.errors
    assert 'Traceback' in answer.errors


def test_hooks_may_refuse(server: Server) -> None:
    refuse = '[hooks]\npreoutgoing = false\n'
    args = {b'nodes': [server.manifests[0]], b'tree': b''}
    server.write('[wireprotov2]\ncacher = memory\n' + refuse)
    for command, given_args in (
        ('manifestdata', args),
        ('changesetdata', explicit(server.nodes[0])),
    ):
        error = server.command(command, given_args).error
        assert error is not None
        assert error.startswith(b'preoutgoing hook')
    server.result('heads')


def test_the_extension_is_loaded_by_the_repository_alone(
    server: Server,
) -> None:
    names = [name for name, _module in extensions.extensions(server.ui)]
    assert b'wireprotov2' not in names


def test_narrow_access_control(server: Server) -> None:
    cached = '[wireprotov2]\ncacher = memory\n'
    acl = '[narrowacl]\ndefault.includes = b\nalice.includes = *\n'
    server.write(cached + acl + '[server]\nuncompressedallowsecret = yes\n')
    data = explicit(*server.nodes[:2])

    def paths(user: str | None, **extra: Any) -> list[bytes]:
        values = server.result('filesdata', {**data, **extra}, user=user)
        return [v[b'path'] for v in values if b'path' in v]

    everything: dict[str, Any] = {'pathfilter': {b'include': [b'path:.']}}
    # whoever comes first, nobody gets what another may have
    for _time in range(2):
        assert paths('alice') == [b'a', b'b']
        assert paths('bob') == [b'b']
        assert paths(None) == [b'b']
    args = {**data, b'pathfilter': everything['pathfilter']}
    values = server.result('filesdata', args, user='bob')
    assert [v[b'path'] for v in values if b'path' in v] == [b'b']
    args = {b'nodes': [server.public_a], b'path': b'a'}
    server.result('filedata', args, user='alice')
    error = server.command('filedata', args, user='bob').error
    assert error == b'unknown file: a'
    raw = {b'files': [b'files']}
    error = server.command('rawstorefiledata', raw, user='bob').error
    assert error == b'files are not available as a whole'
    (listing,) = server.result('segments', user='bob')
    assert listing[b'totalitems'] == 0
    server.write('[narrowacl]\nalice.includes = *\n')
    error = server.command('filesdata', data, user='bob').error
    assert error == b'narrowacl configuration for user bob is empty'
