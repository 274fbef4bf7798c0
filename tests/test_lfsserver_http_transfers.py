# SPDX-License-Identifier: GPL-2.0-or-later
"""Failing transfers over HTTP, and verification."""

from __future__ import annotations

import os
import pathlib
import socket

import pytest
from conftest import wait_for
from helpers.lfsserver_http import (
    ABSENT,
    CONTENT,
    Server,
    chunked,
    head,
    oid_of,
    one,
)


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
def test_invalid_upload(
    server: Server, fields: list[str], body: bytes, status: int
) -> None:
    answer = server.raw(
        head('PUT', f'/open/.hg/lfs/objects/{ABSENT}', *fields) + body,
        shut=True,
    )
    line = answer.partition(b'\r\n')[0]
    if server.by_hg:
        assert line.startswith(b'HTTP/1.1 %d ' % status)
        assert b'{"message":"' in answer
    else:
        # gunicorn rejects broken framing itself, or closes the connection.
        assert not line or line.split()[1].startswith(b'4') or b' 501 ' in line


@pytest.mark.parametrize(
    'oid', ['1' * 63, 'A' * 64, 'g' * 64, '..%2f..%2fetc%2fpasswd', '%00', '5']
)
@pytest.mark.usefixtures('untouched')
def test_invalid_oid(server: Server, oid: str) -> None:
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


@pytest.mark.usefixtures('untouched')
def test_wrong_hash(server: Server) -> None:
    answer = server.put(b'abc', oid=ABSENT)
    assert answer.status == 422
    assert 'does not match' in answer.message


def test_intact_blob_is_kept(server: Server, stored: str) -> None:
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
    # The blob can be uploaded again.
    answer = server.batch({'operation': 'upload', 'objects': [entry]})
    assert 'upload' in answer.json['objects'][0]['actions']
    assert server.put(data).status == 200
    assert server.get(oid).body == data


#: The beginning of an upload.
CUT_SHORT = head(
    'PUT', f'/open/.hg/lfs/objects/{ABSENT}', 'Content-Length: 1000000'
) + bytes(300000)


def test_lost_connection(server: Server) -> None:
    """A client disconnects in the middle of an upload."""
    before = server.files()
    with socket.create_connection(('127.0.0.1', server.port)) as sock:
        sock.sendall(CUT_SHORT)
    # The server notices it a little later.
    wait_for(lambda: server.files() == before, 'removing the partial upload')


@pytest.mark.parametrize('kind', ['serve', 'single'])
def test_silent_client(kind: str, tmp_path: pathlib.Path) -> None:
    """A client stops sending in the middle of an upload."""
    server = Server(kind, tmp_path, timeout=1)
    process = server.start()
    try:
        before = server.files()
        answer = server.raw(CUT_SHORT)
        assert answer.startswith(b'HTTP/1.1 408 ')
        assert b'\r\nConnection: close\r\n' in answer
        assert server.files() == before
    finally:
        process.terminate()
        process.wait()
    assert 'Traceback' not in server.log.read_text()


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


@pytest.mark.usefixtures('guarded')
def test_store_unavailable(server: Server) -> None:
    path = f'/broken/.hg/lfs/objects/{ABSENT}'
    for method in ('GET', 'PUT'):
        answer = server.request(method, path, b'')
        assert answer.status == 503
        assert answer.message == 'the blob store cannot be opened'
    assert 'gopher' in server.log.read_text()


@pytest.mark.parametrize('method', ['DELETE', 'OPTIONS', 'PATCH', 'PROPFIND'])
def test_other_methods(server: Server, stored: str, method: str) -> None:
    path = f'/open/.hg/lfs/objects/{stored}'
    for body in (None, b'x' * 1000):
        answer = server.request(method, path, body)
        assert answer.status == 405
        assert answer.headers['Allow'] == 'GET, HEAD, PUT'
        assert answer.message == 'this address supports only GET, HEAD, PUT'
    assert server.request(method, '/open/info/lfs/locks').status == 405
    if server.by_hg:
        assert server.request(method, '/open/').status == 501


def test_absolute_form(server: Server, stored: str) -> None:
    """A request target may name the server, in place of the field Host."""
    start = f'HTTP://localhost:{server.port}'
    answer = server.request('GET', f'{start}/open/.hg/lfs/objects/{stored}')
    assert answer.body == CONTENT
    assert server.request('GET', start).status in (200, 404)
    answer = server.request(
        'POST',
        f'{start}/open/info/lfs/objects/batch',
        one(),
        {'Host': f'localhost:{server.port}'},
    )
    action = answer.json['objects'][0]['actions']['upload']
    assert action['href'].startswith(f'http://localhost:{server.port}/open/')


def test_unknown_addresses(server: Server) -> None:
    for path in ('/open/info/lfs/x', '/open/.git/info/lfs/', '/open/.hg/lfs/x'):
        assert server.request('GET', path).status == 404
