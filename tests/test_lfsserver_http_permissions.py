# SPDX-License-Identifier: GPL-2.0-or-later
"""Permissions, which are checked before a request body is read."""

from __future__ import annotations

import socket

import pytest
from helpers.lfsserver_http import (
    ABSENT,
    GUARDED_PATH,
    JSON_FIELDS,
    Server,
    head,
    one,
)

pytestmark = pytest.mark.usefixtures('guarded')


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


def test_large_body_is_refused_unread(server: Server) -> None:
    """The response arrives although the body has not been sent."""
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
