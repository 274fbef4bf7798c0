# SPDX-License-Identifier: GPL-2.0-or-later
"""The endpoint over HTTP, below hg serve and below gunicorn.

Every request must be answered with LFS JSON or LFS content, whatever it is;
none may leave a traceback in the log of the server or a file on its disk.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import json
import os
import pathlib
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import ROOT, accepts, free_port, wait_for

from hgext3rd.lfsserver.endpoint import MAX_DOCUMENT

MEDIA = 'application/vnd.git-lfs+json'
JSON_FIELDS = {'Accept': MEDIA, 'Content-Type': MEDIA}
ABSENT = '1' * 64

HGRC = f"""\
[extensions]
lfsserver =
basicauth = {ROOT}/tests/testlib/basicauth.py
[web]
push_ssl = no
allow-push = *
[lfsserver]
max-batch = 20
max-object-size = 1MB
timeout = 2
"""

GUARDED = """\
[web]
allow-push = alice, bob
allow_read = alice, bob, carol
"""


def oid_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Answer:
    """A response that has been read."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self) -> Any:
        assert self.headers['Content-Type'] == MEDIA
        return json.loads(self.body)

    @property
    def message(self) -> str:
        text = self.json['message']
        assert isinstance(text, str) and text
        return text


class Server:
    """A running server with the repositories "open" and "guarded"."""

    def __init__(self, kind: str, folder: pathlib.Path) -> None:
        self.kind = kind
        self.folder = folder
        self.port = free_port()
        self.log = folder / 'errors.log'

    def start(self) -> subprocess.Popen[bytes]:
        hg = pathlib.Path(sys.executable).with_name('hg')
        hgrc = self.folder / 'hgrc'
        hgrc.write_text(HGRC)
        env = dict(
            os.environ,
            HGRCPATH=str(hgrc),
            PYTHONPATH=str(ROOT),
            HOME=str(self.folder),
        )
        for name in ('open', 'guarded', 'broken'):
            subprocess.check_call(
                [hg, 'init', str(self.folder / name)], env=env
            )
        (self.folder / 'guarded' / '.hg' / 'hgrc').write_text(GUARDED)
        (self.folder / 'broken' / '.hg' / 'hgrc').write_text(
            '[lfsserver]\nstore = gopher://nowhere\n'
        )
        conf = self.folder / 'web.conf'
        conf.write_text(
            '[paths]\n'
            f'open = {self.folder}/open\n'
            f'nested/guarded = {self.folder}/guarded\n'
            f'broken = {self.folder}/broken\n'
        )
        if self.kind == 'serve':
            command = [hg, 'serve', '-p', str(self.port), '--webdir-conf']
            command += [str(conf), '-E', str(self.log)]
            command += ['-A', str(self.folder / 'access.log')]
        else:
            app = self.folder / 'app.py'
            app.write_text(
                'from mercurial.hgweb import hgweb\n'
                f'application = hgweb({os.fsencode(conf)!r})\n'
            )
            command = [sys.executable, '-m', 'gunicorn', '--threads', '4']
            command += ['-b', f'127.0.0.1:{self.port}', '--chdir']
            command += [str(self.folder), '--log-file', str(self.log)]
            command += ['app:application']
        process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL)
        wait_for(lambda: accepts(self.port), self.kind)
        return process

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        user: str | None = None,
    ) -> Answer:
        """One request on a connection of its own; ``body`` may be JSON."""
        fields = dict(headers or {})
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
            fields = {**JSON_FIELDS, **fields}
        if user is not None:
            pair = base64.b64encode(f'{user}:secret'.encode()).decode()
            fields['Authorization'] = f'Basic {pair}'
        connection = http.client.HTTPConnection(
            '127.0.0.1', self.port, timeout=60
        )
        with contextlib.closing(connection):
            connection.request(method, path, body, fields)
            return Answer(connection.getresponse())

    def raw(self, data: bytes, shut: bool = False) -> bytes:
        """What comes back until the server closes the connection."""
        with socket.create_connection(('127.0.0.1', self.port), 60) as sock:
            sock.sendall(data)
            if shut:
                sock.shutdown(socket.SHUT_WR)
            received = b''
            with contextlib.suppress(ConnectionError):
                while piece := sock.recv(65536):
                    received += piece
            return received

    def batch(self, document: Any, repo: str = 'open', **kwargs: Any) -> Answer:
        path = f'/{repo}/.git/info/lfs/objects/batch'
        return self.request('POST', path, document, **kwargs)

    def put(self, data: bytes, oid: str | None = None, **kwargs: Any) -> Answer:
        path = f'/open/.hg/lfs/objects/{oid or oid_of(data)}'
        return self.request('PUT', path, data, **kwargs)

    def get(self, oid: str, **headers: str) -> Answer:
        fields = {key.replace('_', '-'): v for key, v in headers.items()}
        return self.request(
            'GET', f'/open/.hg/lfs/objects/{oid}', headers=fields
        )

    def files(self) -> set[str]:
        """All files of the LFS stores."""
        return {
            str(path.relative_to(self.folder))
            for name in ('open', 'guarded')
            for path in (self.folder / name / '.hg' / 'store').rglob('lfs/**/*')
            if path.is_file() and not path.name.startswith('locks.sqlite')
        }


@pytest.fixture(scope='module', params=['serve', 'gunicorn'])
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    if request.param == 'gunicorn':
        pytest.importorskip('gunicorn')
    server = Server(request.param, tmp_path_factory.mktemp(request.param))
    process = server.start()
    try:
        yield server
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def server(running: Server) -> Iterator[Server]:
    yield running
    log = running.log.read_text() if running.log.exists() else ''
    running.log.write_text('')
    assert 'Traceback' not in log


@pytest.fixture
def untouched(server: Server) -> Iterator[None]:
    """Holds a test to leave all stores as they were."""
    before = server.files()
    yield
    assert server.files() == before


# Content ---------------------------------------------------------------------


@pytest.mark.parametrize('size', [0, 1, 262144, 1000000])
def test_round_trip(server: Server, size: int) -> None:
    data = os.urandom(size)
    oid = oid_of(data)
    assert server.put(data).status in (200, 201)
    assert server.put(data).status == 200
    answer = server.get(oid)
    assert (answer.status, answer.body) == (200, data)
    assert answer.headers['Content-Length'] == str(size)
    assert answer.headers['ETag'] == f'"{oid}"'
    assert answer.headers['Accept-Ranges'] == 'bytes'
    head = server.request('HEAD', f'/open/.hg/lfs/objects/{oid}')
    assert (head.status, head.body) == (200, b'')
    assert head.headers['Content-Length'] == str(size)


CONTENT = bytes(range(256)) * 40


@pytest.fixture
def stored(server: Server) -> str:
    assert server.put(CONTENT).status in (200, 201)
    return oid_of(CONTENT)


@pytest.mark.parametrize(
    'field, start, stop',
    [
        ('bytes=0-0', 0, 1),
        ('bytes=100-', 100, 10240),
        ('bytes=100-10239', 100, 10240),
        ('bytes=100-99999', 100, 10240),
        ('bytes=-100', 10140, 10240),
        ('bytes=-99999', 0, 10240),
    ],
)
def test_range(
    server: Server, stored: str, field: str, start: int, stop: int
) -> None:
    answer = server.get(stored, Range=field)
    assert answer.status == 206
    assert answer.body == CONTENT[start:stop]
    assert answer.headers['Content-Range'] == f'bytes {start}-{stop - 1}/10240'
    head = server.request(
        'HEAD', f'/open/.hg/lfs/objects/{stored}', headers={'Range': field}
    )
    assert head.status == 206
    assert head.headers['Content-Length'] == str(stop - start)


@pytest.mark.parametrize(
    'field', ['bytes=5-2', 'bytes=-', 'lines=1-2', 'bytes=0-1,4-5', 'x' * 2000]
)
def test_range_ignored(server: Server, stored: str, field: str) -> None:
    answer = server.get(stored, Range=field)
    assert (answer.status, answer.body) == (200, CONTENT)


@pytest.mark.parametrize('field', ['bytes=10240-', 'bytes=99999-999999'])
def test_range_outside(server: Server, stored: str, field: str) -> None:
    answer = server.get(stored, Range=field)
    assert answer.status == 416
    assert answer.headers['Content-Range'] == 'bytes */10240'
    assert '10240' in answer.message


def test_conditions(server: Server, stored: str) -> None:
    etag = f'"{stored}"'
    date = server.get(stored).headers['Last-Modified']
    for fields in (
        {'If-None-Match': etag},
        {'If-None-Match': f'"other", W/{etag}'},
        {'If-None-Match': '*'},
        {'If-Modified-Since': date},
    ):
        answer = server.get(stored, **fields)
        assert (answer.status, answer.body) == (304, b'')
        assert answer.headers['ETag'] == etag
    for fields in (
        {'If-None-Match': '"other"'},
        {'If-None-Match': '"other"', 'If-Modified-Since': date},
        {'If-Match': etag},
        {'If-Modified-Since': 'Thu, 01 Jan 1970 00:00:00 GMT'},
        {'If-Modified-Since': 'nonsense'},
    ):
        assert server.get(stored, **fields).status == 200
    for fields in (
        {'If-Match': '"other"'},
        {'If-Unmodified-Since': 'Thu, 01 Jan 1970 00:00:00 GMT'},
    ):
        assert server.get(stored, **fields).status == 412
    span = {'Range': 'bytes=1-2'}
    assert server.get(stored, **span, If_Range=etag).status == 206
    assert server.get(stored, **span, If_Range=date).status == 206
    assert server.get(stored, **span, If_Range='"other"').status == 200


def test_keep_alive(server: Server, stored: str) -> None:
    """Answers of all kinds leave the connection usable."""
    connection = http.client.HTTPConnection('127.0.0.1', server.port)
    path = f'/open/.hg/lfs/objects/{stored}'
    with contextlib.closing(connection):
        for method, target, body, status in [
            ('GET', path, None, 200),
            ('HEAD', path, None, 200),
            ('PUT', path, CONTENT, 200),
            ('PUT', path, b'other', 422),
            ('POST', path, b'{}', 405),
            ('GET', '/open/info/lfs/nowhere', None, 404),
            ('GET', path, None, 200),
        ]:
            connection.request(method, target, body)
            response = connection.getresponse()
            response.read()
            assert response.status == status
            if server.kind == 'serve':
                assert response.getheader('Connection') is None


def chunked(*pieces: bytes) -> bytes:
    lines = [b'%x\r\n%s\r\n' % (len(piece), piece) for piece in pieces]
    return b''.join([*lines, b'0\r\n\r\n'])


def head(method: str, path: str, *fields: str) -> bytes:
    lines = [f'{method} {path} HTTP/1.1', 'Host: localhost', *fields]
    return '\r\n'.join([*lines, '', '']).encode()


def test_chunked_upload(server: Server) -> None:
    pieces = [os.urandom(1000), b'x', os.urandom(300000)]
    oid = oid_of(b''.join(pieces))
    answer = server.raw(
        head(
            'PUT',
            f'/open/.hg/lfs/objects/{oid}',
            'Transfer-Encoding: chunked',
        )
        + chunked(*pieces)
        + head('GET', f'/open/.hg/lfs/objects/{oid}', 'Connection: close')
    )
    assert answer.startswith(b'HTTP/1.1 201 ')
    assert answer.endswith(b''.join(pieces))


def test_chunked_batch(server: Server, stored: str) -> None:
    document = {
        'operation': 'download',
        'objects': [{'oid': stored, 'size': len(CONTENT)}],
    }
    data = json.dumps(document).encode()
    answer = server.raw(
        head(
            'POST',
            '/open/info/lfs/objects/batch',
            f'Content-Type: {MEDIA}',
            'Transfer-Encoding: chunked',
            'Connection: close',
        )
        + chunked(data[:10], data[10:])
    )
    assert answer.startswith(b'HTTP/1.1 200 ')
    assert b'"download"' in answer


def test_expect_continue(server: Server) -> None:
    """A body is asked for once, and only if it is wanted."""
    data = os.urandom(5000)
    for oid, fields, status in [
        (oid_of(data), ['Content-Length: 5000'], 201),
        (oid_of(data), ['Content-Length: 1048577'], 413),
        ('x', ['Content-Length: 5000'], 422),
    ]:
        with socket.create_connection(('127.0.0.1', server.port), 60) as sock:
            sock.sendall(
                head(
                    'PUT',
                    f'/open/.hg/lfs/objects/{oid}',
                    'Expect: 100-continue',
                    'Connection: close',
                    *fields,
                )
            )
            stream = sock.makefile('rb')
            line = stream.readline()
            if status == 201 or server.kind == 'gunicorn':
                # gunicorn asks for the body before the application is called
                if line.startswith(b'HTTP/1.1 100 '):
                    stream.readline()
                    sock.sendall(data)
                    line = stream.readline()
                assert not line.startswith(b'HTTP/1.1 100 ')
            assert line.startswith(b'HTTP/1.1 %d ' % status)


def test_concurrent_uploads(server: Server) -> None:
    data = os.urandom(500000)
    statuses = []

    def upload() -> None:
        statuses.append(server.put(data).status)

    threads = [threading.Thread(target=upload) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(statuses) <= {200, 201} and 201 in statuses
    assert server.get(oid_of(data)).body == data
    assert not [name for name in server.files() if 'incoming' in name]


# Batch -----------------------------------------------------------------------


@pytest.mark.parametrize('prefix', ['.git/info/lfs', 'info/lfs'])
def test_batch(server: Server, stored: str, prefix: str) -> None:
    answer = server.request(
        'POST',
        f'/open/{prefix}/objects/batch',
        {
            'operation': 'download',
            'transfers': ['tus', 'basic'],
            'hash_algo': 'sha256',
            'ref': {'name': 'refs/heads/main'},
            'objects': [
                {'oid': stored, 'size': len(CONTENT)},
                {'oid': ABSENT, 'size': 5},
                {'oid': stored, 'size': 5},
            ],
        },
    )
    assert answer.status == 200
    assert answer.json['transfer'] == 'basic'
    assert answer.json['hash_algo'] == 'sha256'
    good, absent, wrong = answer.json['objects']
    action = good['actions']['download']
    assert action['href'] == (
        f'http://127.0.0.1:{server.port}/open/.hg/lfs/objects/{stored}'
    )
    assert action['expires_in'] == 3600
    assert action['expires_at'].endswith('Z')
    assert good['authenticated'] is True
    assert absent['error']['code'] == 404
    assert wrong['error']['code'] == 422
    assert 'actions' not in absent and 'actions' not in wrong


def test_batch_upload(server: Server, stored: str) -> None:
    answer = server.batch(
        {
            'operation': 'upload',
            'objects': [
                {'oid': stored, 'size': len(CONTENT)},
                {'oid': ABSENT, 'size': 5},
                {'oid': ABSENT, 'size': 1048577},
                {'oid': 'short', 'size': 5},
            ],
        }
    )
    known, new, large, bad = answer.json['objects']
    assert 'actions' not in known and 'error' not in known
    assert set(new['actions']) == {'upload', 'verify'}
    assert large['error']['code'] == 413
    assert bad['error']['code'] == 422


def one(**changes: Any) -> dict[str, Any]:
    entry: dict[str, Any] = {'oid': ABSENT, 'size': 5}
    entry.update(changes)
    return {'operation': 'upload', 'objects': [entry]}


@pytest.mark.parametrize(
    'document, status',
    [
        ('', 400),
        ('{', 400),
        ('\xff\xfe', 400),
        ('[' * 50000, 400),
        ('{"objects": ' + '9' * 10000 + '}', 400),
        ('[]', 422),
        ('null', 422),
        ({}, 422),
        ({'operation': 'upload'}, 422),
        ({'operation': 'upload', 'objects': {}}, 422),
        ({'operation': 'upload', 'objects': [1]}, 422),
        ({'operation': 'delete', 'objects': []}, 422),
        ({'operation': ['upload'], 'objects': []}, 422),
        ({**one(), 'transfers': ['tus']}, 422),
        ({**one(), 'transfers': 'basic'}, 422),
        ({**one(), 'transfers': [1]}, 422),
        ({**one(), 'hash_algo': 'sha512'}, 409),
        ({**one(), 'hash_algo': 256}, 409),
        ({**one(), 'ref': 'main'}, 422),
        ({**one(), 'ref': {'name': 5}}, 422),
        (one(oid='1' * 63), 422),
        (one(oid='1' * 65), 422),
        (one(oid='A' * 64), 422),
        (one(oid='g' * 64), 422),
        (one(oid='1' * 64 + '\n'), 422),
        (one(oid='../../../../etc/passwd'), 422),
        (one(oid=5), 422),
        (one(oid=None), 422),
        (one(oid='\ud800' * 64), 422),
        (one(size=-5), 422),
        (one(size=1.5), 422),
        (one(size='x'), 422),
        (one(size=True), 422),
        (one(size=None), 422),
        (one(size=2**70), 422),
        ({'operation': 'upload', 'objects': one()['objects'] * 21}, 413),
    ],
)
@pytest.mark.usefixtures('untouched')
def test_bad_batch(server: Server, document: Any, status: int) -> None:
    if isinstance(document, str):
        document = document.encode('latin-1')
    answer = server.batch(document, headers=JSON_FIELDS)
    assert answer.status == status
    assert answer.message


def test_batch_document_too_large(server: Server) -> None:
    answer = server.batch(b' ' * (MAX_DOCUMENT * 2), headers=JSON_FIELDS)
    assert answer.status == 413
    answer_bytes = server.raw(
        head(
            'POST',
            '/open/info/lfs/objects/batch',
            f'Content-Type: {MEDIA}',
            'Transfer-Encoding: chunked',
            'Connection: close',
        )
        + chunked(b' ' * (MAX_DOCUMENT * 2))
    )
    assert answer_bytes.startswith(b'HTTP/1.1 413 ')


@pytest.mark.parametrize(
    'fields, status',
    [
        ({'Accept': MEDIA + '; charset=utf-8'}, 200),
        ({'Accept': 'text/html, */*;q=0.1'}, 200),
        ({'Accept': 'application/*'}, 200),
        ({'Content-Type': MEDIA + '; charset=utf-8'}, 200),
        ({'Content-Type': 'Application/JSON'}, 200),
        ({'Accept': 'text/html'}, 406),
        ({'Accept': MEDIA + ';q=0'}, 406),
        ({'Accept': ';;,q=x'}, 406),
        ({'Content-Type': 'text/plain'}, 415),
        ({'Content-Type': ''}, 415),
        ({'Content-Type': 'application/x-www-form-urlencoded'}, 415),
    ],
)
def test_media_types(
    server: Server, fields: dict[str, str], status: int
) -> None:
    document = {'operation': 'download', 'objects': []}
    answer = server.batch(document, headers=fields)
    assert answer.status == status
    assert answer.json


def test_no_accept_nor_type(server: Server) -> None:
    body = b'{"operation": "download", "objects": []}'
    answer = server.raw(
        head(
            'POST',
            '/open/info/lfs/objects/batch',
            'Connection: close',
            f'Content-Length: {len(body)}',
        )
        + body
    )
    assert answer.startswith(b'HTTP/1.1 415 ')


# Framing and transfers -------------------------------------------------------


@pytest.mark.parametrize(
    'fields, body, status',
    [
        ([], b'', 411),
        (['Content-Length: 5'], b'abc', 400),
        (['Content-Length: 3'], b'abc', 422),
        (['Content-Length: 0'], b'', 422),
        (['Content-Length: 99999999999999'], b'', 413),
        (['Content-Length: -5'], b'', 400),
        (['Content-Length: 1.5'], b'', 400),
        (['Content-Length: x'], b'', 400),
        (['Content-Length: ' + '9' * 5000], b'', 400),
        (['Content-Length: 3', 'Content-Length: 4'], b'abcd', 400),
        (['Content-Length: 3', 'Transfer-Encoding: chunked'], b'abc', 400),
        (['Transfer-Encoding: gzip'], b'abc', 400),
        (['Transfer-Encoding: chunked'], b'zz\r\nabc', 400),
        (['Transfer-Encoding: chunked'], b'3\r\nabcd\r\n0\r\n\r\n', 400),
        (['Transfer-Encoding: chunked'], b'3\r\nab', 400),
        (['Transfer-Encoding: chunked'], b'3\r\nabc\r\n', 400),
        (['Transfer-Encoding: chunked'], b'-3\r\nabc\r\n', 400),
        (['Transfer-Encoding: chunked'], b'0x3\r\nabc\r\n', 400),
        (['Transfer-Encoding: chunked'], chunked(b'abc'), 422),
        (['Transfer-Encoding: chunked'], chunked(bytes(2**20 + 1)), 413),
    ],
)
@pytest.mark.usefixtures('untouched')
def test_bad_upload(
    server: Server, fields: list[str], body: bytes, status: int
) -> None:
    answer = server.raw(
        head('PUT', f'/open/.hg/lfs/objects/{ABSENT}', *fields) + body,
        shut=True,
    )
    line = answer.partition(b'\r\n')[0]
    if server.kind == 'serve':
        assert line.startswith(b'HTTP/1.1 %d ' % status)
        assert b'{"message":"' in answer
    else:
        # gunicorn refuses broken framing itself, or just hangs up
        assert not line or line.split()[1].startswith(b'4') or b' 501 ' in line


@pytest.mark.parametrize(
    'oid', ['1' * 63, 'A' * 64, 'g' * 64, '..%2f..%2fetc%2fpasswd', '%00', '5']
)
@pytest.mark.usefixtures('untouched')
def test_bad_oid(server: Server, oid: str) -> None:
    path = f'/open/.hg/lfs/objects/{oid}'
    assert server.request('GET', path).status == 404
    answer = server.request('PUT', path, b'abc')
    assert answer.status in (404, 405, 422)
    assert answer.message


def test_missing_blob(server: Server) -> None:
    answer = server.get(ABSENT)
    assert answer.status == 404
    assert answer.message == 'The object does not exist'
    path = f'/open/.hg/lfs/objects/{ABSENT}'
    answer = server.request('HEAD', path)
    assert (answer.status, answer.body) == (404, b'')
    answer = server.request('DELETE', path)
    # hg serve knows fewer methods than WSGI servers
    assert answer.status == (501 if server.kind == 'serve' else 405)


@pytest.mark.usefixtures('untouched')
def test_wrong_hash(server: Server) -> None:
    answer = server.put(b'abc', oid=ABSENT)
    assert answer.status == 422
    assert 'does not match' in answer.message


def test_good_blob_survives(server: Server, stored: str) -> None:
    assert server.put(b'bad', oid=stored).status == 422
    assert server.get(stored).body == CONTENT


def test_corrupt_blob(server: Server) -> None:
    data = os.urandom(1000)
    oid = oid_of(data)
    server.put(data)
    path = server.folder / 'open/.hg/store/lfs/objects' / oid[:2] / oid[2:]
    path.write_bytes(b'damage')
    entry = {'oid': oid, 'size': 1000}
    answer = server.batch({'operation': 'download', 'objects': [entry]})
    assert answer.json['objects'][0]['error']['code'] == 422
    assert server.get(oid).status == 422
    # it can be uploaded again
    answer = server.batch({'operation': 'upload', 'objects': [entry]})
    assert 'upload' in answer.json['objects'][0]['actions']
    assert server.put(data).status == 200
    assert server.get(oid).body == data


@pytest.mark.usefixtures('untouched')
def test_lost_connection(server: Server) -> None:
    """A client that goes away in the middle, or falls silent."""
    request = head(
        'PUT', f'/open/.hg/lfs/objects/{ABSENT}', 'Content-Length: 1000000'
    ) + bytes(300000)
    with socket.create_connection(('127.0.0.1', server.port), 60) as sock:
        sock.sendall(request)
    if server.kind == 'serve':
        answer = server.raw(request)
        assert answer.startswith(b'HTTP/1.1 408 ')
        assert b'\r\nConnection: close\r\n' in answer


def test_verify(server: Server, stored: str) -> None:
    path = f'/open/.hg/lfs/objects/{stored}/verify'
    for body, status in [
        ({'oid': stored, 'size': len(CONTENT)}, 200),
        ({'oid': stored, 'size': 5}, 422),
        ({'oid': ABSENT, 'size': 5}, 422),
        ({'oid': stored}, 422),
        ([], 422),
    ]:
        assert server.request('POST', path, body).status == status
    for path in ('/open/.hg/lfs/verify', '/open/.hg/lfs/objects/verify'):
        good = {'oid': stored, 'size': len(CONTENT)}
        assert server.request('POST', path, good).status == 200
        absent = {'oid': ABSENT, 'size': 5}
        assert server.request('POST', path, absent).status == 404
    assert server.request('GET', path).status == 405


def test_store_unavailable(server: Server) -> None:
    path = f'/broken/.hg/lfs/objects/{ABSENT}'
    for method in ('GET', 'PUT'):
        answer = server.request(method, path, b'')
        assert answer.status == 503
        assert answer.message == 'the blob store cannot be opened'
    assert 'gopher' in server.log.read_text()


# Permissions -----------------------------------------------------------------

GUARDED_PATH = '/nested/guarded'


@pytest.mark.parametrize(
    'method, path, operation',
    [
        ('GET', f'/.hg/lfs/objects/{ABSENT}', 'pull'),
        ('PUT', f'/.hg/lfs/objects/{ABSENT}', 'push'),
        ('POST', f'/.hg/lfs/objects/{ABSENT}/verify', 'push'),
        ('POST', '/.git/info/lfs/objects/batch', 'pull'),
        ('GET', '/info/lfs/locks', 'pull'),
        ('POST', '/info/lfs/locks', 'push'),
        ('POST', '/info/lfs/locks/verify', 'push'),
        ('POST', '/info/lfs/locks/1/unlock', 'push'),
    ],
)
@pytest.mark.usefixtures('untouched')
def test_permissions(
    server: Server, method: str, path: str, operation: str
) -> None:
    body = b'not even JSON' if method != 'GET' else None
    path = GUARDED_PATH + path
    nobody = server.request(method, path, body, JSON_FIELDS)
    assert nobody.status == 401
    assert nobody.headers['LFS-Authenticate'] == 'Basic realm="Git LFS"'
    assert nobody.message
    stranger = server.request(method, path, body, JSON_FIELDS, user='eve')
    assert stranger.status == 403
    assert 'LFS-Authenticate' not in stranger.headers
    reader = server.request(method, path, body, JSON_FIELDS, user='carol')
    assert (reader.status == 403) == (operation == 'push')
    writer = server.request(method, path, body, JSON_FIELDS, user='alice')
    assert writer.status not in (401, 403)


def test_upload_permission(server: Server) -> None:
    document = one()
    repo = GUARDED_PATH[1:]
    assert server.batch(document, repo, user='carol').status == 403
    answer = server.batch(document, repo, user='alice')
    (entry,) = answer.json['objects']
    assert entry['authenticated'] is True
    header = entry['actions']['upload']['header']
    assert header['Authorization'].startswith('Basic ')


def test_large_body_refused_unread(server: Server) -> None:
    """An answer comes although the body has not been sent."""
    if server.kind != 'serve':
        pytest.skip('other servers read on')
    with socket.create_connection(('127.0.0.1', server.port), 60) as sock:
        sock.sendall(
            head(
                'PUT',
                f'{GUARDED_PATH}/.hg/lfs/objects/{ABSENT}',
                'Content-Length: 100000000',
            )
        )
        answer = sock.recv(65536)
    assert answer.startswith(b'HTTP/1.1 401 ')
    assert b'\r\nConnection: close\r\n' in answer


# Locks -----------------------------------------------------------------------


class Locks:
    """The locking API as one user sees it."""

    def __init__(self, server: Server, user: str) -> None:
        self._server = server
        self._user = user

    def __call__(self, method: str, path: str = '', body: Any = None) -> Answer:
        path = f'{GUARDED_PATH}/.git/info/lfs/locks{path}'
        return self._server.request(method, path, body, user=self._user)

    def take(self, path: str, ref: str | None = None) -> str:
        body: dict[str, Any] = {'path': path}
        if ref is not None:
            body['ref'] = {'name': ref}
        answer = self('POST', body=body)
        assert answer.status == 201
        lock = answer.json['lock']
        assert lock['path'] == path
        assert lock['owner'] == {'name': self._user}
        assert lock['locked_at'].endswith('Z')
        lock_id: str = lock['id']
        return lock_id

    def paths(self, query: str = '') -> list[str]:
        return [lock['path'] for lock in self('GET', query).json['locks']]


@pytest.fixture
def alice(server: Server) -> Iterator[Locks]:
    locks = Locks(server, 'alice')
    yield locks
    for lock in locks('GET').json['locks']:
        locks('POST', f'/{lock["id"]}/unlock', {'force': True})


@pytest.fixture
def bob(server: Server) -> Locks:
    return Locks(server, 'bob')


def test_lock_and_unlock(alice: Locks, bob: Locks) -> None:
    lock_id = alice.take('a.bin')
    clash = bob('POST', body={'path': 'a.bin'})
    assert clash.status == 409
    assert clash.json['lock']['id'] == lock_id
    assert 'alice' in clash.message
    assert bob('POST', f'/{lock_id}/unlock', {}).status == 403
    assert bob.paths() == ['a.bin']
    done = alice('POST', f'/{lock_id}/unlock', {'force': False})
    assert done.status == 200
    assert done.json['lock']['id'] == lock_id
    assert alice('POST', f'/{lock_id}/unlock', {}).status == 404
    assert bob.paths() == []


def test_force_unlock(alice: Locks, bob: Locks) -> None:
    lock_id = alice.take('a.bin')
    reader = Locks(alice._server, 'carol')
    force = {'force': True}
    assert reader('POST', f'/{lock_id}/unlock', force).status == 403
    assert bob('POST', f'/{lock_id}/unlock', force).status == 200
    assert alice.paths() == []


def test_lock_refs(alice: Locks, bob: Locks) -> None:
    alice.take('a', 'refs/heads/main')
    bob.take('a', 'refs/heads/next')
    bob.take('b')
    assert alice('POST', body={'path': 'a'}).status == 409
    clash = {'path': 'b', 'ref': {'name': 'refs/heads/main'}}
    assert alice('POST', body=clash).status == 409
    assert alice.paths('?refspec=refs/heads/main') == ['a', 'b']
    assert alice.paths('?refspec=refs/heads/other') == ['b']
    assert alice.paths() == ['a', 'a', 'b']
    answer = alice('POST', '/verify', {'ref': {'name': 'refs/heads/main'}})
    assert [lock['path'] for lock in answer.json['ours']] == ['a']
    assert [lock['path'] for lock in answer.json['theirs']] == ['b']


def test_lock_pages(alice: Locks, bob: Locks) -> None:
    for number in range(5):
        (alice if number % 2 else bob).take(f'f{number}')
    seen = []
    query = '?limit=2'
    while True:
        answer = alice('GET', query).json
        assert len(answer['locks']) <= 2
        seen += [lock['path'] for lock in answer['locks']]
        if 'next_cursor' not in answer:
            break
        query = f'?limit=2&cursor={answer["next_cursor"]}'
    assert seen == [f'f{number}' for number in range(5)]
    answer = alice('POST', '/verify', {'limit': 4}).json
    assert [lock['path'] for lock in answer['ours']] == ['f1', 'f3']
    assert [lock['path'] for lock in answer['theirs']] == ['f0', 'f2']
    rest = alice('POST', '/verify', {'cursor': answer['next_cursor']}).json
    assert [lock['path'] for lock in rest['theirs']] == ['f4']


def test_lock_filters(alice: Locks) -> None:
    lock_id = alice.take('dir/ä b.bin')
    alice.take('other')
    assert alice.paths('?path=dir/%C3%A4%20b.bin') == ['dir/ä b.bin']
    assert alice.paths(f'?id={lock_id}') == ['dir/ä b.bin']
    assert alice.paths('?id=nothing') == []
    assert alice.paths('?path=other&limit=1') == ['other']


@pytest.mark.parametrize(
    'method, path, body, status',
    [
        ('POST', '', {}, 422),
        ('POST', '', {'path': ''}, 422),
        ('POST', '', {'path': 5}, 422),
        ('POST', '', {'path': 'x' * 5000}, 422),
        ('POST', '', {'path': 'a\0b'}, 422),
        ('POST', '', {'path': '\ud800'}, 422),
        ('POST', '', {'path': 'a', 'ref': []}, 422),
        ('POST', '', ['a'], 422),
        ('GET', '?limit=x', None, 422),
        ('GET', '?limit=0', None, 422),
        ('GET', '?limit=-1', None, 422),
        ('GET', '?cursor=x', None, 422),
        ('GET', '?cursor=' + '9' * 50, None, 422),
        ('POST', '/verify', {'limit': 'x'}, 422),
        ('POST', '/verify', {'limit': 0}, 422),
        ('POST', '/verify', {'cursor': 5}, 422),
        ('POST', '/1/unlock', {'force': 'yes'}, 422),
        ('POST', '/1/unlock', {}, 404),
        ('PUT', '', {}, 405),
        ('GET', '/1/unlock', None, 405),
        ('GET', '/1/2/3', None, 404),
    ],
)
def test_bad_lock_requests(
    alice: Locks, method: str, path: str, body: Any, status: int
) -> None:
    answer = alice(method, path, body)
    assert answer.status == status
    assert answer.message


def test_unknown_addresses(server: Server) -> None:
    for path in ('/open/info/lfs/x', '/open/.git/info/lfs/', '/open/.hg/lfs/x'):
        assert server.request('GET', path).status == 404
