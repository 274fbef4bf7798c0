# SPDX-License-Identifier: GPL-2.0-or-later
"""Batch requests over HTTP, valid and invalid ones."""

from __future__ import annotations

from typing import Any

import pytest
from helpers.lfsserver_http import (
    ABSENT,
    CONTENT,
    JSON_FIELDS,
    MEDIA,
    Server,
    chunked,
    head,
    one,
)

from hgext3rd.lfsserver.api.messages import MAX_DOCUMENT


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
def test_invalid_batch(server: Server, document: Any, status: int) -> None:
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


def test_neither_accept_nor_content_type(server: Server) -> None:
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
