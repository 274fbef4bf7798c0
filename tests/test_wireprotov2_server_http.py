# SPDX-License-Identifier: GPL-2.0-or-later
"""The server as a WSGI application: addresses, permissions and views.

Without permission, a client must learn nothing.
"""

from __future__ import annotations

import io
import pathlib
from collections.abc import Iterator
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
from mercurial import extensions, hg, obsolete

from hgext3rd.wireprotov2.proto import cbor
from hgext3rd.wireprotov2.server import slots
from hgext3rd.wireprotov2.server.commands.apis import APIS

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
        # A command of the other API.
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
    # Proxies may add parameters.
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
    # The extension is enabled in the process, but not for this repository.
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
    # The command says the same.
    (described,) = server.result('capabilities')
    assert described == value[b'apis'][b'exp-http-v2-0003']
    # Long headers are sent in parts.
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
def test_requests_that_are_no_handshake(
    server: Server, upgrade: str, proto: str
) -> None:
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
        # Without permission, existing and unknown commands look alike.
        assert server.call(API3 + 'ro/unknown', body, user=user).code == code
        unread = io.BytesIO(body)
        environ: Any = {'wsgi.input': unread}
        server.call(API3 + 'ro/heads', body, user=user, **environ)
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
    # Nobody can write through the read-only half of the addresses.
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
    loaded = extensions.extensions(server.ui)
    names = [name for name, _module in loaded]
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
    # In any order of users, no user gets files that only another may see.
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


def test_hidden_changesets_and_the_cache(tmp_path: pathlib.Path) -> None:
    server = Server(tmp_path / 'repo')
    server.ui.setconfig(
        b'experimental', b'evolution', b'createmarkers', b'test'
    )
    repo = hg.repository(server.ui, bytes(server.path))
    # The parent of the working directory is never hidden.
    with repo.wlock(), repo.dirstate.changing_parents(repo):
        repo.dirstate.setparents(server.nodes[1])
    with repo.lock():
        obsolete.createmarkers(
            repo, [(repo[node], ()) for node in server.nodes[2:]]
        )
    server.write(
        '[wireprotov2]\ncacher = memory\n'
        '[experimental]\nserver.allow-hidden-access = alice\n'
        'evolution = createmarkers\n'
    )
    hidden = server.nodes[2]
    seeing = {'user': 'alice', 'query': 'access-hidden=1'}
    for command, args in (
        ('changesetdata', explicit(hidden)),
        ('filesdata', explicit(hidden)),
        ('manifestdata', {b'nodes': [server.manifests[2]], b'tree': b''}),
    ):
        for _time in range(2):
            # First a user who may see hidden changesets, then the same user
            # without asking for them, and users who may not see them.
            values = server.result(command, args, **seeing)
            assert values[0][b'totalitems'] >= 1
            for other in (
                {'user': 'alice'},
                {'user': 'bob', 'query': 'access-hidden=1'},
                {},
            ):
                error = server.command(command, args, **other).error
                assert error is not None
                assert error.startswith(b'unknown node')
    # For users who see the root of a range, the range is empty; for others, the
    # root is unknown and ignored. The cache keeps the two responses apart.
    args = {
        b'revisions': [
            {
                b'type': b'changesetdagrange',
                b'roots': [hidden],
                b'heads': [server.nodes[1]],
            }
        ]
    }
    for _time in range(2):
        (first,) = server.result('changesetdata', args, **seeing)
        assert first == {b'totalitems': 0}
        assert server.result('changesetdata', args)[0] == {b'totalitems': 2}


# -- the limit of what is computed at a time


LIMITED = """
[wireprotov2]
limit.computing = 1
limit.waiting = 0
metrics = yes
"""


@pytest.fixture
def busy(server: Server) -> Iterator[slots.Slot]:
    """The only slot of the server, which the test holds."""
    server.write(LIMITED)
    folder = server.path / '.hg' / 'cache' / 'wireprotov2-slots'
    slot = slots.take(bytes(folder), 1, 0)
    assert slot is not None
    yield slot
    slot.release()


def test_refused_when_busy(server: Server, busy: slots.Slot) -> None:
    answer = server.command('changesetdata', explicit(server.nodes[0]))
    assert answer.code == 503
    assert answer.headers['Retry-After'] == '10'
    assert server.command('heads').code == 200
    assert server.command('segments').code == 200
    busy.release()
    for _number in range(3):
        # Each response releases the slot at its end.
        assert server.result('changesetdata', explicit(server.nodes[0]))


def test_refused_in_the_middle_of_a_request(
    server: Server, busy: slots.Slot
) -> None:
    """The response ends where a command is refused."""
    body = request(b'heads') + request(
        b'changesetdata', explicit(server.nodes[0]), 3, begin=False
    )
    answer = server.call(API3 + 'ro/multirequest', body)
    assert answer.code == 200
    assert set(answer.values) == {1}
    busy.release()
    assert set(server.call(API3 + 'ro/multirequest', body).values) == {1, 3}


def test_a_request_takes_one_slot(server: Server, busy: slots.Slot) -> None:
    """A request that computes two responses does not wait for itself."""
    busy.release()
    body = request(b'changesetdata', explicit(server.nodes[0])) + request(
        b'changesetdata', explicit(server.nodes[1]), 3, begin=False
    )
    for _number in range(2):
        answer = server.call(API3 + 'ro/multirequest', body)
        assert set(answer.values) == {1, 3}


@pytest.mark.needs('prometheus')
def test_refusals_are_counted(server: Server, busy: slots.Slot) -> None:
    name = 'amalgam_wire_computed_total{outcome="%s"}'

    def counts() -> list[float]:
        text = server.call('/api/metrics', method='GET').body.decode()
        samples = dict(
            line.rsplit(' ', 1)
            for line in text.splitlines()
            if not line.startswith('#')
        )
        return [
            float(samples.get(name % outcome, 0))
            for outcome in ('at once', 'waited', 'refused')
        ]

    before = counts()
    server.command('changesetdata', explicit(server.nodes[0]))
    busy.release()
    server.command('changesetdata', explicit(server.nodes[0]))
    after = counts()
    assert [b - a for a, b in zip(before, after, strict=True)] == [1, 0, 1]
