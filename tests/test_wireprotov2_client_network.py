# SPDX-License-Identifier: GPL-2.0-or-later
"""Clones over TLS, through proxies, with passwords, and after redirects."""

from __future__ import annotations

import base64
import hashlib
import os
import pathlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from helpers import wireprotov2_conversation as conversation
from helpers import wireprotov2_network as network
from helpers.wireprotov2_conversation import Outcome
from mercurial import commands, error, localrepo, phases
from mercurial import ui as uimod
from mercurial.hgweb import hgweb, hgwebdir

from hgext3rd.wireprotov2.client import offer, redirects
from hgext3rd.wireprotov2.proto import events
from hgext3rd.wireprotov2.segments import cut

TOTAL = 9
WSGI = Callable[..., Any]
SECRET = base64.b64encode(b'user:secret').decode()


@pytest.fixture(scope='module')
def app(tmp_path_factory: pytest.TempPathFactory) -> WSGI:
    """A server whose history has several segments and a draft."""
    path = tmp_path_factory.mktemp('network') / 'repo'
    ui = conversation.make_ui()
    repo = localrepo.instance(ui, os.fsencode(path), True)
    (path / '.hg' / 'hgrc').write_text(
        '[extensions]\nwireprotov2 =\n[phases]\npublish = no\n'
    )
    for number in range(TOTAL):
        (path / 'f').write_text(str(number))
        commands.commit(
            repo.ui, repo, addremove=True, message=b'%d' % number, date=b'0 0'
        )
    with repo.lock(), repo.transaction(b'publish') as tr:
        node = repo[TOTAL - 2].node()
        phases.advanceboundary(repo, tr, phases.public, [node])
    return hgweb(bytes(path))


@pytest.fixture(autouse=True)
def several_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cut, 'LEAST_CHANGESETS', 2)
    for name in ('http_proxy', 'https_proxy', 'no_proxy', 'all_proxy'):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def web(app: WSGI) -> Iterator[network.Web]:
    server = network.Web(app)
    yield server
    server.close()


@pytest.fixture(scope='module')
def pem(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    pytest.importorskip('cryptography')
    return network.make_certificate(tmp_path_factory.mktemp('tls'), 'localhost')


def assert_cloned(outcome: Outcome, *servers: network.Web) -> None:
    """Check that segments and the rest came over version 2."""
    assert outcome.error is None, outcome.output
    assert outcome.output == b''
    assert outcome.check() == TOTAL
    paths = [path for server in servers for path in server.paths]
    assert any('segmentdata' in path for path in paths)
    assert any('multirequest' in path for path in paths)
    assert not any('getbundle' in path for path in paths)


# -- TLS


@pytest.mark.parametrize('trust', ['fingerprint', 'cacerts', 'hostcerts'])
def test_tls(
    web: network.Web, pem: pathlib.Path, tmp_path: pathlib.Path, trust: str
) -> None:
    tls = network.TLS(web.port, pem)
    settings = {
        'fingerprint': (
            b'hostsecurity.localhost:fingerprints',
            network.fingerprint(pem),
        ),
        'cacerts': (b'web.cacerts', bytes(pem)),
        'hostcerts': (b'hostsecurity.localhost:verifycertsfile', bytes(pem)),
    }
    name, value = settings[trust]
    outcome = Outcome(tls.url, tmp_path / 'd', settings={name: value})
    assert_cloned(outcome, web)
    # Every connection sent the name of the server (SNI).
    assert len(tls.names) > 1
    assert set(tls.names) == {'localhost'}
    assert not any(tls.certificates)


@pytest.mark.parametrize('wrong', ['unknown', 'fingerprint', 'name'])
def test_servers_with_wrong_certificates(
    web: network.Web, pem: pathlib.Path, tmp_path: pathlib.Path, wrong: str
) -> None:
    if wrong == 'name':
        folder = tmp_path / 'other'
        folder.mkdir()
        pem = network.make_certificate(folder, 'elsewhere.test')
    tls = network.TLS(web.port, pem)
    settings = {
        'unknown': {},
        'fingerprint': {
            b'hostsecurity.localhost:fingerprints': b'sha256:' + b'00' * 32
        },
        'name': {b'web.cacerts': bytes(pem)},
    }
    outcome = Outcome(tls.url, tmp_path / 'd', settings=settings[wrong])
    assert isinstance(outcome.error, (error.SecurityError, OSError)), (
        outcome.error
    )
    # The connection ended before any request.
    assert web.seen == []
    assert not (tmp_path / 'd').exists()


def test_warning_about_insecure_connections(
    web: network.Web, pem: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    tls = network.TLS(web.port, pem)
    outcome = Outcome(
        tls.url, tmp_path / 'd', settings={b'web.cacerts': b'!'}, insecure=True
    )
    assert outcome.error is None
    assert len(tls.names) > 1
    # One warning, however many connections there are.
    assert outcome.output.count(b'warning: ') == 1, outcome.output


def test_passphrase_is_asked_for_once(
    web: network.Web,
    pem: pathlib.Path,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = network.encrypted(pem, tmp_path, b'passphrase')
    asked = []

    def getpass(ui: Any, prompt: Any = None, default: Any = None) -> bytes:
        asked.append(prompt)
        return b'passphrase'

    monkeypatch.setattr(uimod.ui, 'getpass', getpass)
    tls = network.TLS(web.port, pem)
    settings = {
        b'web.cacerts': bytes(pem),
        b'auth.x.prefix': b'localhost',
        b'auth.x.cert': bytes(pem),
        b'auth.x.key': bytes(key),
    }
    assert_cloned(Outcome(tls.url, tmp_path / 'd', settings=settings), web)
    assert len(tls.certificates) > 1
    assert len(asked) == 1


def test_client_certificates(
    web: network.Web, pem: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    tls = network.TLS(web.port, pem)
    settings = {
        b'web.cacerts': bytes(pem),
        b'auth.x.prefix': b'localhost',
        b'auth.x.cert': bytes(pem),
        b'auth.x.key': bytes(pem),
    }
    assert_cloned(Outcome(tls.url, tmp_path / 'd', settings=settings), web)
    assert len(tls.certificates) > 1
    assert all(tls.certificates)


# -- proxies


def test_proxy(web: network.Web, tmp_path: pathlib.Path) -> None:
    proxy = network.Proxy('pat:word')
    settings = {
        b'http_proxy.host': b'127.0.0.1:%d' % proxy.port,
        b'http_proxy.user': b'pat',
        b'http_proxy.passwd': b'word',
        b'http_proxy.always': b'yes',
    }
    outcome = Outcome(web.url, tmp_path / 'd', settings=settings)
    assert_cloned(outcome, web)
    assert len(proxy.seen) == len(web.seen)
    assert all(f'http://localhost:{web.port}/' in head for head in proxy.seen)


def test_proxy_for_tls(
    app: WSGI, pem: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    web = network.Web(network.with_password(app, 'user', 'secret'))
    tls = network.TLS(web.port, pem)
    proxy = network.Proxy('pat:word')
    settings = {
        b'http_proxy.host': b'127.0.0.1:%d' % proxy.port,
        b'http_proxy.user': b'pat',
        b'http_proxy.passwd': b'word',
        b'http_proxy.always': b'yes',
        b'web.cacerts': bytes(pem),
    }
    url = tls.url.replace(b'//', b'//user:secret@')
    assert_cloned(Outcome(url, tmp_path / 'd', settings=settings), web)
    assert proxy.seen
    for head in proxy.seen:
        assert head.startswith(f'CONNECT localhost:{tls.port} ')
        # The proxy does not see what is sent to the server.
        assert SECRET not in head
    web.close()


def test_proxy_that_refuses(web: network.Web, tmp_path: pathlib.Path) -> None:
    proxy = network.Proxy('pat:word')
    settings = {
        b'http_proxy.host': b'127.0.0.1:%d' % proxy.port,
        b'http_proxy.always': b'yes',
    }
    outcome = Outcome(web.url, tmp_path / 'd', settings=settings)
    assert '407' in str(outcome.error)
    assert web.seen == []


# -- passwords


@pytest.mark.parametrize('where', ['url', 'auth'])
def test_password(app: WSGI, tmp_path: pathlib.Path, where: str) -> None:
    web = network.Web(network.with_password(app, 'user', 'secret'))
    url, settings = web.url, {}
    if where == 'url':
        url = url.replace(b'//', b'//user:secret@')
    else:
        settings = {
            b'auth.x.prefix': url,
            b'auth.x.username': b'user',
            b'auth.x.password': b'secret',
        }
    outcome = Outcome(url, tmp_path / 'd', settings=settings)
    assert_cloned(outcome, web)
    assert b'secret' not in (tmp_path / 'd/.hg/hgrc').read_bytes()
    # After the first refusal, every request carries the password.
    refused = [r for r in web.seen if 'authorization' not in r]
    assert 0 < len(refused) <= 2 + 4
    web.close()


@pytest.mark.parametrize('password', [b'', b':wrong'])
def test_wrong_password(
    app: WSGI, tmp_path: pathlib.Path, password: bytes
) -> None:
    web = network.Web(network.with_password(app, 'user', 'secret'))
    url = web.url.replace(b'//', b'//user%s@' % password)
    outcome = Outcome(url, tmp_path / 'd')
    assert isinstance(outcome.error, error.Abort)
    assert b'authoriz' in outcome.error.message
    assert not (tmp_path / 'd').exists()
    web.close()


def test_password_for_the_api_only(app: WSGI, tmp_path: pathlib.Path) -> None:
    """A front end may demand a password for addresses it does not know."""

    def guarded(env: dict[str, Any], start_response: Any) -> Any:
        if env['PATH_INFO'].startswith('/api/'):
            return network.with_password(app, 'user', 'secret')(
                env, start_response
            )
        return app(env, start_response)

    web = network.Web(guarded)
    url = web.url.replace(b'//', b'//user:secret@')
    assert_cloned(Outcome(url, tmp_path / 'd'), web)
    web.close()


# -- redirects of HTTP


STATUSES = ['301 Moved', '302 Found', '303 See', '307 Temporary']
if sys.version_info >= (3, 11):
    # urllib does not follow 308 in older versions.
    STATUSES.append('308 Permanent')


@pytest.mark.parametrize('status', STATUSES)
@pytest.mark.parametrize('keep_query', [True, False])
def test_repository_that_moved(
    web: network.Web, tmp_path: pathlib.Path, status: str, keep_query: bool
) -> None:
    old = network.Web(network.elsewhere(status, web.url, keep_query))
    outcome = Outcome(old.url + b'old', tmp_path / 'd')
    assert_cloned(outcome, web)
    # Only the handshake is redirected; later requests use the new URL.
    assert len(old.seen) == 1
    old.close()


def test_repository_that_moved_to_tls(
    web: network.Web, pem: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    tls = network.TLS(web.port, pem)
    old = network.Web(network.elsewhere('301 Moved', tls.url))
    settings = {b'web.cacerts': bytes(pem)}
    outcome = Outcome(old.url + b'old', tmp_path / 'd', settings=settings)
    assert_cloned(outcome, web)
    old.close()


def test_password_for_both_ends_of_a_redirect(
    app: WSGI, tmp_path: pathlib.Path
) -> None:
    """The password is used at both ends, as with version 1."""
    web = network.Web(network.with_password(app, 'user', 'secret'))
    moved = network.elsewhere('302 Found', web.url)
    old = network.Web(network.with_password(moved, 'user', 'secret'))
    url = old.url.replace(b'//', b'//user:secret@') + b'old'
    assert_cloned(Outcome(url, tmp_path / 'd'), web)
    old.close()
    web.close()


def test_api_that_moved(
    app: WSGI, web: network.Web, tmp_path: pathlib.Path
) -> None:
    """Version 1 is used: a redirected POST would become a GET."""
    moved = network.elsewhere('302 Found', web.url)

    def run(env: dict[str, Any], start_response: Any) -> Any:
        if env['PATH_INFO'].startswith('/api/'):
            return moved(env, start_response)
        return app(env, start_response)

    front = network.Web(run)
    outcome = Outcome(front.url, tmp_path / 'd')
    assert outcome.error is None
    assert outcome.check() == TOTAL
    assert outcome.output.count(b'falling back') == 1, outcome.output
    front.close()


# -- content redirects


class Store:
    """A store with one object, which also sends a cookie and a location."""

    def __init__(self, content: bytes, status: str = '200 OK') -> None:
        self.content = content
        self.status = status

    def __call__(self, env: dict[str, Any], start_response: Any) -> list[bytes]:
        headers = [('Location', '/elsewhere'), ('Set-Cookie', 'a=b')]
        start_response(self.status, headers)
        return [self.content]


def fetch(
    url: bytes, content: bytes, settings: dict[bytes, bytes], **changes: Any
) -> bytes:
    """Follow a redirect below ``url``; return what was fetched.

    The redirect announces ``content``, unless ``changes`` says otherwise.
    """
    ui = conversation.make_ui(settings)
    protocol, _sep, rest = url.partition(b':')
    target = offer.OfferedTarget(b't', protocol, (url,))
    location = events.Location(
        **{
            'url': url + b'object?signature=1',
            'mediatype': b'x',
            'size': len(content),
            'fullhashes': ((b'sha256', hashlib.sha256(content).digest()),),
            **changes,
        }
    )
    return b''.join(redirects.fetch(ui, location, [target]))


def test_stores_get_no_secrets(
    pem: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """They get no password, cookie, certificate or password of the proxy."""
    web = network.Web(Store(b'content'))
    tls = network.TLS(web.port, pem)
    cookies = tmp_path / 'cookies'
    cookies.write_text(
        '# Netscape HTTP Cookie File\n'
        'localhost\tFALSE\t/\tFALSE\t9999999999\tsession\tsecret\n'
    )
    settings = {
        b'web.cacerts': bytes(pem),
        b'auth.cookiefile': bytes(cookies),
        b'auth.x.prefix': b'*',
        b'auth.x.username': b'user',
        b'auth.x.password': b'secret',
        b'auth.x.cert': bytes(pem),
        b'auth.x.key': bytes(pem),
    }
    assert fetch(tls.url, b'content', settings) == b'content'
    assert fetch(web.url, b'content', settings) == b'content'
    proxy = network.Proxy('pat:word')
    settings |= {
        b'http_proxy.host': b'127.0.0.1:%d' % proxy.port,
        b'http_proxy.user': b'pat',
        b'http_proxy.passwd': b'word',
        b'http_proxy.always': b'yes',
    }
    assert fetch(tls.url, b'content', settings) == b'content'
    assert len(proxy.seen) == 1
    assert tls.names == ['localhost'] * 2
    assert not any(tls.certificates)
    assert len(web.seen) == 3
    for request in web.seen:
        assert request['path'] == '/object?signature=1'
        known = {'host', 'connection', 'accept_encoding', 'user_agent', 'path'}
        assert set(request) <= known
    web.close()


def test_stores_with_wrong_certificates(
    pem: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    web = network.Web(Store(b'content'))
    tls = network.TLS(web.port, pem)
    for settings in (
        {},
        {b'hostsecurity.localhost:fingerprints': b'sha256:' + b'00' * 32},
    ):
        with pytest.raises(redirects.RedirectFailure):
            fetch(tls.url, b'content', settings)
    assert web.seen == []
    web.close()


@pytest.mark.parametrize(
    'store',
    [
        Store(b'other'),
        Store(b'piec'),
        Store(b'content, and more of it'),
        Store(b'content', '206 Partial Content'),
        Store(b'content', '302 Found'),
        Store(b'content', '401 Unauthorized'),
        Store(b'content', '503 Busy'),
    ],
)
def test_stores_with_other_content_than_announced(store: Store) -> None:
    web = network.Web(store)
    with pytest.raises(redirects.RedirectFailure):
        fetch(web.url, b'content', {})
    assert len(web.seen) == 1
    web.close()


def test_redirects_without_a_size_are_bounded_by_their_hash() -> None:
    web = network.Web(Store(b'content'))
    assert fetch(web.url, b'content', {}, size=None) == b'content'
    for hashes in ((), ((b'md5', b'x'),), None):
        with pytest.raises(redirects.RedirectFailure):
            fetch(web.url, b'content', {}, fullhashes=hashes)
    assert len(web.seen) == 1
    web.close()


@pytest.mark.parametrize('kind', ['text/html', 'text/\xe9', ''])
def test_answers_of_other_types_are_reported(
    app: WSGI, tmp_path: pathlib.Path, kind: str
) -> None:
    def run(env: dict[str, Any], start_response: Any) -> Any:
        if not env['PATH_INFO'].startswith('/api/'):
            return app(env, start_response)
        start_response('200 OK', [('Content-Type', kind)])
        return [b'']

    web = network.Web(run)
    outcome = Outcome(web.url, tmp_path / 'd')
    assert outcome.error is None
    shown = kind.encode('ascii', 'backslashreplace') or b'none'
    assert b'wrong type (%s)' % shown in outcome.output
    web.close()


def test_subrepositories(tmp_path: pathlib.Path) -> None:
    """Each subrepository is cloned over version 2 from its own URL."""
    ui = conversation.make_ui()
    paths = {b'main': tmp_path / 'main', b'main/sub': tmp_path / 'main' / 'sub'}
    for path in paths.values():
        repo = localrepo.instance(ui, os.fsencode(path), True)
        for name in 'ab':
            (path / name).write_text(name)
            conversation.run(b'commit|ci', repo, addremove=True, message=b'm')
    (tmp_path / 'main' / '.hgsub').write_text('sub = sub\n')
    repo = conversation.open_repo(ui, tmp_path / 'main')
    conversation.run(b'commit|ci', repo, addremove=True, message=b'sub')
    for path in paths.values():
        (path / '.hg' / 'hgrc').write_text('[extensions]\nwireprotov2 =\n')
    web = network.Web(
        hgwebdir({name: os.fsencode(path) for name, path in paths.items()})
    )
    dest = tmp_path / 'd'
    outcome = Outcome(web.url + b'main', dest, update=True)
    assert outcome.error is None
    assert (dest / 'sub' / 'b').read_text() == 'b'
    for name in ('/main/api/', '/main/sub/api/'):
        assert any(path.startswith(name) for path in web.paths), web.paths
    assert not any('getbundle' in path for path in web.paths)
    web.close()


@pytest.mark.parametrize('status', ['400 Bad', '431 Large', '500 Oops'])
def test_refused_headers(
    app: WSGI, tmp_path: pathlib.Path, status: str
) -> None:
    """If a proxy refuses the additional headers, version 1 is used."""

    def run(env: dict[str, Any], start_response: Any) -> Any:
        if 'HTTP_X_HGUPGRADE_1' in env:
            start_response(status, [])
            return [b'']
        return app(env, start_response)

    web = network.Web(run)
    outcome = Outcome(web.url, tmp_path / 'd')
    assert outcome.error is None
    assert outcome.output == b''
    assert outcome.check() == TOTAL
    web.close()


def test_servers_that_fail_every_time(tmp_path: pathlib.Path) -> None:
    def run(env: dict[str, Any], start_response: Any) -> Any:
        start_response('500 Oops', [])
        return [b'']

    web = network.Web(run)
    outcome = Outcome(web.url, tmp_path / 'd')
    assert '500' in str(outcome.error)
    assert len(web.seen) == 2
    web.close()


@pytest.mark.parametrize('typed', [True, False])
def test_static_repositories(tmp_path: pathlib.Path, typed: bool) -> None:
    """static-http works with any web server, with or without media types."""
    ui = conversation.make_ui()
    repo = localrepo.instance(ui, os.fsencode(tmp_path / 'repo'), True)
    (tmp_path / 'repo' / 'f').write_text('f')
    conversation.run(b'commit|ci', repo, addremove=True, message=b'm')

    def run(env: dict[str, Any], start_response: Any) -> Any:
        path = tmp_path / env['PATH_INFO'].strip('/')
        content = b'<html>' if path.is_dir() else b''
        if path.is_file():
            content = path.read_bytes()
        elif not content:
            start_response('404 Not Found', [])
            return [b'']
        start_response('200 OK', [('Content-Type', 'text/x')] * typed)
        return [content]

    web = network.Web(run)
    outcome = Outcome(web.url + b'repo', tmp_path / 'd')
    assert outcome.error is None
    assert outcome.check() == 1
    web.close()
