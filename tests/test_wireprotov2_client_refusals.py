# SPDX-License-Identifier: GPL-2.0-or-later
"""Servers that let everybody read with version 1 and refuse version 2."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from helpers import wireprotov2_conversation as conversation
from helpers import wireprotov2_network as network
from helpers.wireprotov2_conversation import Outcome
from mercurial import commands, error, localrepo
from mercurial import ui as uimod
from mercurial.hgweb import hgweb

from hgext3rd.wireprotov2.segments import cut

TOTAL = 9
WSGI = Callable[..., Any]
Env = dict[str, Any]

# The answers to requests that are not wanted: of login pages, firewalls, proxies
# and servers with limits.
STATUSES = (
    '400 Bad',
    '401 Login',
    '403 Forbidden',
    '404 Unknown',
    '405 Method',
    '406 Media Type',
    '407 Proxy Login',
    '411 Length',
    '413 Size',
    '415 Media Type',
    '418 Teapot',
    '431 Headers',
    '451 Laws',
    '500 Broken',
    '501 Method',
    '505 Version',
)


@pytest.fixture(scope='module')
def app(tmp_path_factory: pytest.TempPathFactory) -> WSGI:
    """A server whose public history has several segments."""
    path = tmp_path_factory.mktemp('refusals') / 'repo'
    ui = conversation.make_ui()
    repo = localrepo.instance(ui, os.fsencode(path), True)
    (path / '.hg' / 'hgrc').write_text('[extensions]\nwireprotov2 =\n')
    for number in range(TOTAL):
        (path / 'f').write_text(str(number))
        commands.commit(
            repo.ui, repo, addremove=True, message=b'%d' % number, date=b'0 0'
        )
    conversation.run(b'phase', repo, b'tip', public=True)
    return hgweb(bytes(path))


@pytest.fixture(autouse=True)
def several_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cut, 'LEAST_CHANGESETS', 2)


@pytest.fixture
def serve() -> Iterator[Callable[[WSGI], network.Web]]:
    """A function that starts a server; all end with the test."""
    servers = []

    def start(app: WSGI) -> network.Web:
        servers.append(network.Web(app))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


class Questions:
    """What the user was asked, and answers "user" and "secret"."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[bytes] = []
        monkeypatch.setattr(uimod.ui, 'prompt', self._prompt)
        monkeypatch.setattr(uimod.ui, 'getpass', self._getpass)

    def _prompt(self, msg: bytes, default: Any = b'y') -> bytes:
        self.asked.append(msg)
        return b'user'

    def _getpass(self, *_args: Any) -> bytes:
        self.asked.append(b'password')
        return b'secret'


@pytest.fixture
def questions(monkeypatch: pytest.MonkeyPatch) -> Questions:
    return Questions(monkeypatch)


def refusing(app: WSGI, status: str, unwanted: Callable[[Env], bool]) -> WSGI:
    """Return ``app`` behind a front end that refuses ``unwanted`` requests."""

    def run(env: Env, start_response: Any) -> Any:
        if not unwanted(env):
            return app(env, start_response)
        start_response(status, [('Content-Type', 'text/html')])
        return [b'<html>']

    return run


def is_post(env: Env) -> bool:
    return bool(env['REQUEST_METHOD'] == 'POST')


def login_for_posts(app: WSGI, user: str = 'user') -> WSGI:
    """Return ``app`` behind ``limit_except GET { auth_basic ... }``."""
    guarded = network.with_password(app, user, 'secret')

    def run(env: Env, start_response: Any) -> Any:
        return (guarded if is_post(env) else app)(env, start_response)

    return run


def assert_fell_back(outcome: Outcome, web: network.Web) -> None:
    """Check that the clone is complete, and that one warning says why."""
    assert outcome.error is None, outcome.output
    lines = outcome.output.splitlines()
    assert len(lines) == 1, outcome.output
    assert lines[0].startswith(
        b'warning: falling back to wire protocol version 1: '
    )
    assert outcome.check() == TOTAL
    assert any('cmd=getbundle' in path for path in web.paths)


def assert_version2(outcome: Outcome, web: network.Web) -> None:
    """Check that the clone is complete and came with version 2."""
    assert outcome.error is None, outcome.output
    assert outcome.output == b''
    assert outcome.check() == TOTAL
    assert any('segmentdata' in path for path in web.paths)
    assert not any('getbundle' in path for path in web.paths)


INTERACTIVE = pytest.mark.parametrize('interactive', [b'yes', b'no'])


# -- logins


@INTERACTIVE
def test_login_for_posts(
    app: WSGI,
    serve: Any,
    tmp_path: pathlib.Path,
    questions: Questions,
    interactive: bytes,
) -> None:
    web = serve(login_for_posts(app))
    settings = {b'ui.interactive': interactive}
    outcome = Outcome(web.url, tmp_path / 'd', settings=settings)
    assert_fell_back(outcome, web)
    assert b': HTTP error 401: ' in outcome.output
    assert questions.asked == []
    # A single request was refused: the decision holds for the whole clone.
    assert sum('/api/' in path for path in web.paths) == 1


@INTERACTIVE
@pytest.mark.parametrize('where', ['url', 'auth'])
def test_login_for_posts_with_credentials(
    app: WSGI,
    serve: Any,
    tmp_path: pathlib.Path,
    questions: Questions,
    where: str,
    interactive: bytes,
) -> None:
    web = serve(login_for_posts(app))
    url, settings = web.url, {b'ui.interactive': interactive}
    if where == 'url':
        url = url.replace(b'//', b'//user:secret@')
    else:
        settings |= {
            b'auth.x.prefix': url,
            b'auth.x.username': b'user',
            b'auth.x.password': b'secret',
        }
    assert_version2(Outcome(url, tmp_path / 'd', settings=settings), web)
    assert questions.asked == []


@INTERACTIVE
@pytest.mark.parametrize('login', [b'user', b'user:wrong'])
def test_login_for_posts_with_wrong_credentials(
    app: WSGI,
    serve: Any,
    tmp_path: pathlib.Path,
    questions: Questions,
    login: bytes,
    interactive: bytes,
) -> None:
    """Version 1 needs none, so it does not even send them."""
    web = serve(login_for_posts(app))
    url = web.url.replace(b'//', b'//%s@' % login)
    settings = {b'ui.interactive': interactive}
    outcome = Outcome(url, tmp_path / 'd', settings=settings)
    assert_fell_back(outcome, web)
    assert questions.asked == []
    for request in web.seen:
        assert '/api/' in request['path'] or 'authorization' not in request


@pytest.mark.parametrize('scheme', ['Basic realm="r"', 'Digest'])
def test_login_that_the_user_entered(
    app: WSGI,
    serve: Any,
    tmp_path: pathlib.Path,
    questions: Questions,
    scheme: str,
) -> None:
    """Version 1 needs it as well; it is asked for once for all connections."""
    if scheme == 'Digest':
        scheme = 'Digest realm="r", nonce="n", qop="auth", algorithm=MD5'

    def run(env: Env, start_response: Any) -> Any:
        given = env.get('HTTP_AUTHORIZATION', '').partition(' ')[0]
        if given == scheme.partition(' ')[0]:
            return app(env, start_response)
        start_response('401 Login', [('WWW-Authenticate', scheme)])
        return [b'']

    web = serve(run)
    settings = {b'ui.interactive': b'yes'}
    assert_version2(Outcome(web.url, tmp_path / 'd', settings=settings), web)
    assert questions.asked == [b'user:', b'password']


@INTERACTIVE
@pytest.mark.parametrize(
    'challenge',
    ['Bearer realm="r"', 'Negotiate', 'Digest realm="r", nonce="n"'],
)
def test_logins_of_other_kinds(
    app: WSGI,
    serve: Any,
    tmp_path: pathlib.Path,
    questions: Questions,
    challenge: str,
    interactive: bytes,
) -> None:
    def run(env: Env, start_response: Any) -> Any:
        if not is_post(env):
            return app(env, start_response)
        start_response('401 Login', [('WWW-Authenticate', challenge)])
        return [b'']

    web = serve(run)
    settings = {b'ui.interactive': interactive}
    assert_fell_back(Outcome(web.url, tmp_path / 'd', settings=settings), web)
    assert questions.asked == []


def test_depth_asks_for_a_login(
    app: WSGI, serve: Any, tmp_path: pathlib.Path, questions: Questions
) -> None:
    """Version 1 cannot limit the depth, so the login is needed."""
    web = serve(login_for_posts(app))
    ui = conversation.make_ui({b'ui.interactive': b'yes'})
    commands.clone(ui, web.url, os.fsencode(tmp_path / 'd'), depth=b'1')
    assert questions.asked == [b'user:', b'password']
    repo = conversation.open_repo(ui, tmp_path / 'd')
    assert len(repo) == TOTAL


def test_depth_without_a_login(
    app: WSGI, serve: Any, tmp_path: pathlib.Path, questions: Questions
) -> None:
    web = serve(login_for_posts(app))
    ui = conversation.make_ui()
    with pytest.raises(error.RemoteError) as caught:
        commands.clone(ui, web.url, os.fsencode(tmp_path / 'd'), depth=b'1')
    assert b'HTTP error 401' in caught.value.message
    assert caught.value.hint is not None and b'config.auth' in caught.value.hint
    assert questions.asked == []
    assert not (tmp_path / 'd').exists()


# -- other refusals


@pytest.mark.parametrize('status', STATUSES)
def test_post_is_refused(
    app: WSGI, serve: Any, tmp_path: pathlib.Path, status: str
) -> None:
    web = serve(refusing(app, status, is_post))
    outcome = Outcome(web.url, tmp_path / 'd')
    assert_fell_back(outcome, web)
    code, _space, reason = status.partition(' ')
    expected = f': HTTP error {code}: {reason}'.encode()
    assert outcome.output.strip().endswith(expected)


@pytest.mark.parametrize(
    'status', [status for status in STATUSES if not status.startswith('401')]
)
def test_header_is_refused(
    app: WSGI, serve: Any, tmp_path: pathlib.Path, status: str
) -> None:
    """The server is one without version 2, as far as the client can tell."""
    web = serve(refusing(app, status, lambda env: 'HTTP_X_HGUPGRADE_1' in env))
    outcome = Outcome(web.url, tmp_path / 'd')
    assert outcome.error is None
    assert outcome.output == b''
    assert outcome.check() == TOTAL


# -- refusals that begin in the middle


@pytest.mark.parametrize('status', ['401 Login', '403 Forbidden', '413 Size'])
def test_refused_between_segments(
    app: WSGI, serve: Any, tmp_path: pathlib.Path, status: str
) -> None:
    """What was applied stays; version 1 brings the rest."""
    segments = []

    def unwanted(env: Env) -> bool:
        if env['PATH_INFO'].endswith('/segmentdata'):
            segments.append(env)
        return is_post(env) and len(segments) > 2

    web = serve(refusing(app, status, unwanted))
    settings = {b'wireprotov2.connections': b'1'}
    outcome = Outcome(web.url, tmp_path / 'd', settings=settings)
    assert_fell_back(outcome, web)
    # Version 1 was asked for a part only.
    (request,) = [r for r in web.seen if 'cmd=getbundle' in r['path']]
    assert 'common=' + '0' * 40 not in request.get('x_hgarg_1', '')


@pytest.mark.parametrize('status', ['401 Login', '405 Method'])
def test_refused_within_a_response(
    app: WSGI, serve: Any, tmp_path: pathlib.Path, status: str
) -> None:
    """The transaction is rolled back, and version 1 brings everything."""
    cut_off: list[str] = []

    def run(env: Env, start_response: Any) -> Any:
        path = env['PATH_INFO']
        if cut_off and is_post(env):
            start_response(status, [])
            return [b'']
        if path.endswith('/multirequest') and without_segments(env):
            body = b''.join(app(env, start_response))
            cut_off.append(path)
            return [body[: len(body) // 2]]
        return app(env, start_response)

    def without_segments(env: Env) -> bool:
        requested.append(env)
        return len(requested) > 1

    requested: list[Env] = []
    web = serve(run)
    settings = {b'wireprotov2.retry': b'1'}
    # A history of one segment: its files come in the second multirequest.
    cut.LEAST_CHANGESETS = 1000
    outcome = Outcome(web.url, tmp_path / 'd', settings=settings)
    assert outcome.error is None, outcome.output
    assert cut_off
    assert outcome.output.count(b'warning: falling back') == 1, outcome.output
    assert outcome.check() == TOTAL
