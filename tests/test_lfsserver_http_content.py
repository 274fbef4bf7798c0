# SPDX-License-Identifier: GPL-2.0-or-later
"""Uploads and downloads over HTTP: ranges, conditions, keep-alive, chunks."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import threading

import pytest
from helpers.lfsserver_http import CONTENT, MEDIA, Server, chunked, head, oid_of


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
def test_range_outside_the_content(
    server: Server, stored: str, field: str
) -> None:
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
    """Responses of all kinds leave the connection usable."""
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
            if server.by_hg:
                assert response.getheader('Connection') is None


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
    """The server sends "100 Continue" once, and only if it needs the body."""
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
            if status == 201 or not server.by_hg:
                # gunicorn sends 100 before it calls the application.
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
    assert not [name for name in server.files() if '/.upload-' in name]


def test_browsers_do_not_interpret_content(server: Server) -> None:
    data = b'<html><script>alert(1)</script></html>'
    server.put(data)
    oid = oid_of(data)
    answers = [
        server.get(oid),
        server.get(oid, Range='bytes=0-5'),
        server.request('HEAD', f'/open/.hg/lfs/objects/{oid}'),
    ]
    for answer in answers:
        assert answer.headers['Content-Type'] == 'application/octet-stream'
        assert answer.headers['X-Content-Type-Options'] == 'nosniff'
        assert answer.headers['Content-Disposition'] == 'attachment'
    assert server.get('1' * 64).headers['X-Content-Type-Options'] == 'nosniff'
