# SPDX-License-Identifier: GPL-2.0-or-later
"""The address that a client used: header fields of proxies, and trust."""

from __future__ import annotations

import pytest

from hgext3rd.lfsserver import errors
from hgext3rd.lfsserver.http import origin

LOOPBACK = ['127.0.0.0/8', '::1']


@pytest.mark.parametrize(
    'headers, expected',
    [
        ({}, 'http://inner:8000'),
        ({'x-forwarded-proto': 'https'}, 'https://inner:8000'),
        ({'x-forwarded-proto': 'HTTPS'}, 'https://inner:8000'),
        ({'x-forwarded-proto': 'http, https'}, 'https://inner:8000'),
        ({'x-forwarded-proto': 'gopher'}, 'http://inner:8000'),
        ({'x-forwarded-proto': ' '}, 'http://inner:8000'),
        ({'x-forwarded-host': 'hg.example'}, 'http://hg.example'),
        ({'x-forwarded-host': 'hg.example:8443, b'}, 'http://hg.example:8443'),
        ({'x-forwarded-host': '[2001:db8::1]:81'}, 'http://[2001:db8::1]:81'),
        ({'x-forwarded-host': 'evil/path'}, 'http://inner:8000'),
        ({'x-forwarded-host': 'user@evil'}, 'http://inner:8000'),
        ({'x-forwarded-host': 'x' * 2000}, 'http://inner:8000'),
        ({'forwarded': 'proto=https;host=a.example'}, 'https://a.example'),
        (
            {'forwarded': 'for=192.0.2.1; Proto="https" ;HOST="[::1]:9"'},
            'https://[::1]:9',
        ),
        (
            {'forwarded': 'for="[::1]:47";host=a , for=b;proto=https;host=b'},
            'https://a',
        ),
        ({'forwarded': r'host="a\.example"'}, 'http://a.example'),
        ({'forwarded': 'host="a'}, 'http://inner:8000'),
        ({'forwarded': 'proto=https' + ',' * 2000}, 'http://inner:8000'),
        (
            {'forwarded': 'host=a', 'x-forwarded-host': 'b'},
            'http://a',
        ),
    ],
)
def test_trusted(headers: dict[str, str], expected: str) -> None:
    found = origin.client_origin('http', 'inner:8000', headers, trusted=True)
    assert str(found) == expected
    assert found.secure is expected.startswith('https')


def test_untrusted() -> None:
    headers = {'x-forwarded-proto': 'https', 'x-forwarded-host': 'evil'}
    found = origin.client_origin('http', 'inner', headers, trusted=False)
    assert str(found) == 'http://inner'
    # The proxy may have told the truth.
    assert found.secure


def test_https_to_the_server_only() -> None:
    headers = {'x-forwarded-proto': 'http'}
    found = origin.client_origin('https', 'inner', headers, trusted=True)
    assert (str(found), found.secure) == ('http://inner', True)


@pytest.mark.parametrize(
    'authority', ['', 'a b', 'a/b', 'a?b', 'u@h', 'a:b', '\xe4', 'a:123456']
)
def test_invalid_host(authority: str) -> None:
    with pytest.raises(errors.BadRequest):
        origin.client_origin('http', authority, {}, trusted=False)


@pytest.mark.parametrize(
    'scheme, name, port, expected',
    [
        ('http', 'a', '80', 'a'),
        ('http', 'a', '443', 'a:443'),
        ('https', 'a', '443', 'a'),
        ('http', '::1', '8000', '[::1]:8000'),
        ('http', '[::1]', '80', '[::1]'),
        ('http', 'a', '', 'a'),
    ],
)
def test_server_authority(
    scheme: str, name: str, port: str, expected: str
) -> None:
    assert origin.server_authority(scheme, name, port) == expected


@pytest.mark.parametrize(
    'peer, proxies, expected',
    [
        ('127.0.0.1', LOOPBACK, True),
        ('127.9.9.9', LOOPBACK, True),
        ('::1', LOOPBACK, True),
        ('::ffff:127.0.0.1', LOOPBACK, True),
        ('192.0.2.1', LOOPBACK, False),
        ('2001:db8::1', LOOPBACK, False),
        ('', LOOPBACK, True),
        ('', [], True),
        ('127.0.0.1', [], False),
        ('192.0.2.77', ['192.0.2.1/24'], True),
        ('fe80::1%eth0', ['fe80::/10'], True),
    ],
)
def test_is_trusted(peer: str, proxies: list[str], expected: bool) -> None:
    assert origin.is_trusted(peer, proxies) is expected


def test_invalid_proxies() -> None:
    with pytest.raises(ValueError, match='nonsense'):
        origin.is_trusted('127.0.0.1', ['nonsense'])
