# SPDX-License-Identifier: GPL-2.0-or-later
"""The links in responses, for all kinds of servers and proxies."""

from __future__ import annotations

import contextlib
import json
import pathlib
import ssl
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from conftest import PATIENCE
from helpers.lfsserver_http import (
    ABSENT,
    JSON_FIELDS,
    ODD_PATH,
    Answer,
    Server,
    one,
    started,
)
from helpers.nginx import nginx

BASIC = {'Authorization': 'Basic YWxpY2U6c2VjcmV0'}


def upload_of(answer: Answer | Any) -> dict[str, Any]:
    document = answer.json if isinstance(answer, Answer) else answer
    upload = document['objects'][0]['actions']['upload']
    verify = document['objects'][0]['actions']['verify']
    assert verify['href'] == f'{upload["href"]}/verify'
    assert ('Authorization' in verify['header']) == (
        'Authorization' in upload['header']
    )
    assert isinstance(upload, dict)
    return upload


def link(repository: str) -> str:
    return f'{repository}/.hg/lfs/objects/{ABSENT}'


@pytest.mark.parametrize(
    'headers, start, credentials',
    [
        ({}, 'http://127.0.0.1:{port}', True),
        ({'Host': 'other.example:81'}, 'http://other.example:81', True),
        ({'Host': '[::1]:{port}'}, 'http://[::1]:{port}', True),
        ({'X-Forwarded-Proto': 'https'}, 'https://127.0.0.1:{port}', True),
        (
            {'X-Forwarded-Proto': 'https', 'X-Forwarded-Host': 'hg.example'},
            'https://hg.example',
            True,
        ),
        (
            {'Forwarded': 'for=192.0.2.1;proto=https;host="hg.example:444"'},
            'https://hg.example:444',
            True,
        ),
    ],
)
def test_links(
    server: Server, headers: dict[str, str], start: str, credentials: bool
) -> None:
    fields = {k: v.format(port=server.port) for k, v in headers.items()}
    answer = server.batch(one(), headers={**BASIC, **fields})
    upload = upload_of(answer)
    assert upload['href'] == link(start.format(port=server.port) + '/open')
    assert ('Authorization' in upload['header']) is credentials


def test_quoted_path(server: Server) -> None:
    if server.kind == 'single':
        pytest.skip('this server has one repository and no users')
    path = quote(ODD_PATH)
    upload = upload_of(server.batch(one(), path))
    assert upload['href'] == link(f'http://127.0.0.1:{server.port}/{path}')
    # It is an address of this server.
    assert server.request('GET', f'/{path}/info/lfs/locks').status == 200


@pytest.mark.parametrize('host', ['a b', 'user@evil', 'a/b', 'a"b'])
def test_invalid_host(server: Server, host: str) -> None:
    answer = server.batch(one(), headers={'Host': host})
    assert answer.status == 400


@contextlib.contextmanager
def running(server: Server) -> Iterator[Server]:
    with started(server):
        yield server
    log = server.log.read_text() if server.log.exists() else ''
    assert 'Traceback' not in log


@pytest.mark.parametrize('kind', ['serve', 'single', 'gunicorn'])
def test_baseurl(kind: str, tmp_path: pathlib.Path) -> None:
    """web.baseurl comes before everything that a request says."""
    if kind == 'gunicorn':
        pytest.importorskip('gunicorn')
    base = 'https://hg.example:8443/a%20b/'
    extra = f'[web]\nbaseurl = {base}\n'
    with running(Server(kind, tmp_path, extra, prefix='x y')) as server:
        repo = 'x%20y' if kind == 'single' else 'open'
        fields = {'X-Forwarded-Host': 'evil', 'X-Forwarded-Proto': 'http'}
        answer = server.batch(one(), repo, headers={**BASIC, **fields})
        upload = upload_of(answer)
        start = 'https://hg.example:8443/a%20b'
        expected = start if kind == 'single' else f'{start}/open'
        assert upload['href'] == link(expected)
        assert 'Authorization' in upload['header']


@pytest.mark.parametrize('kind', ['single', 'gunicorn'])
def test_weaker_baseurl(kind: str, tmp_path: pathlib.Path) -> None:
    """Credentials that came by HTTPS are not put on an http link."""
    if kind == 'gunicorn':
        pytest.importorskip('gunicorn')
    extra = '[web]\nbaseurl = http://hg.example\n'
    with running(Server(kind, tmp_path, extra)) as server:
        secure = {'X-Forwarded-Proto': 'https'}
        document = server.batch(one(), headers={**BASIC, **secure})
        upload = upload_of(document)
        assert upload['href'].startswith('http://hg.example/')
        assert 'Authorization' not in upload['header']
        upload = upload_of(server.batch(one(), headers=BASIC))
        assert 'Authorization' in upload['header']


@pytest.mark.parametrize('kind', ['single', 'gunicorn'])
def test_untrusted_proxy(kind: str, tmp_path: pathlib.Path) -> None:
    if kind == 'gunicorn':
        pytest.importorskip('gunicorn')
    extra = '[lfsserver]\ntrusted-proxies = 192.0.2.0/24\n'
    # gunicorn has a setting of its own for the scheme.
    with running(Server(kind, tmp_path, extra)) as server:
        fields = {
            'Forwarded': 'host=evil;proto=https',
            'X-Forwarded-Host': 'evil',
        }
        answer = server.batch(one(), headers={**BASIC, **fields})
        upload = upload_of(answer)
        assert upload['href'] == link(f'http://127.0.0.1:{server.port}/open')
        # The client may have used HTTPS.
        assert 'Authorization' not in upload['header']
        assert ('authenticated' in answer.json['objects'][0]) is (
            kind == 'single'
        )


def test_misconfigured(tmp_path: pathlib.Path) -> None:
    extra = '[lfsserver]\ntrusted-proxies = nonsense\n'
    with running(Server('single', tmp_path, extra)) as server:
        fields = {'X-Forwarded-Proto': 'https'}
        answer = server.batch(one(), headers=fields)
        assert answer.status == 500
        assert answer.message == 'the server is not configured correctly'
        assert 'trusted-proxies' in server.log.read_text()


@pytest.mark.parametrize('kind', ['serve', 'single', 'gunicorn'])
@pytest.mark.parametrize('empty', [False, True], ids=['prefix', 'root'])
def test_behind_tls(kind: str, empty: bool, tmp_path: pathlib.Path) -> None:
    """nginx ends TLS in front of the server."""
    if kind == 'gunicorn':
        pytest.importorskip('gunicorn')
    if empty and kind != 'single':
        pytest.skip('only a server of one repository can be at the root')
    fields = """
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-Proto $scheme;
    """
    server = Server(kind, tmp_path, prefix='' if empty else 'open')
    with (
        running(server),
        nginx(tmp_path, server.port, fields, tls=True) as port,
    ):
        start = f'https://localhost:{port}' + ('' if empty else '/open')
        request = urllib.request.Request(
            f'{start}/info/lfs/objects/batch',
            json.dumps(one()).encode(),
            {**JSON_FIELDS, **BASIC},
        )
        trust = ssl.create_default_context(cafile=str(tmp_path / 'cert.pem'))
        with urllib.request.urlopen(
            request, timeout=PATIENCE, context=trust
        ) as response:
            upload = upload_of(json.load(response))
    assert upload['href'] == link(start)
    assert upload['header']['Authorization'] == BASIC['Authorization']
