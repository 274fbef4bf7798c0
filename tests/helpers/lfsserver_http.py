# SPDX-License-Identifier: GPL-2.0-or-later
"""Servers and requests for the tests of the endpoint over HTTP.

The servers are ``hg serve`` and gunicorn. They must answer every request with
LFS JSON or LFS content. No request may cause a traceback in the error log, and
no failed upload may leave a file on disk. This is a plugin of pytest, so that
all modules share the servers.
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
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import PATIENCE, ROOT, accepts, free_port, wait_for

MEDIA = 'application/vnd.git-lfs+json'
JSON_FIELDS = {'Accept': MEDIA, 'Content-Type': MEDIA}
ABSENT = '1' * 64
GUARDED_PATH = '/nested/guarded'
# The path of the repository "open" whose characters are quoted in addresses.
ODD_PATH = 'several words/\xe4 100%'

HGRC = """\
[extensions]
lfsserver =
[web]
push_ssl = no
allow-push = *
[lfsserver]
max-batch = 20
max-object-size = 1MB
timeout = {timeout}
"""

AUTHENTICATION = f"""\
[extensions]
basic_auth = {ROOT}/tests/helpers/basic_auth.py
"""

GUARDED = """\
[web]
allow-push = alice, bob
allow_read = alice, bob, carol
"""

#: The options of gunicorn by the kind of server.
GUNICORN = {
    'gunicorn': ['--threads', '4'],
    'hgweb': ['--threads', '4'],
    'threads': ['--worker-class', 'gthread', '--threads', '2'],
    'sync': ['--worker-class', 'sync'],
}


def oid_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Answer:
    """A response whose body has been read."""

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
    """A server of the repositories "open", "guarded" and "broken".

    ``kind`` is "serve", "single", "gunicorn" (4 threads), "hgweb" (the same),
    "threads" (gunicorn with 2) or "sync" (gunicorn with one worker that serves
    one request at a time). The servers "serve" and "hgweb" authenticate users by
    an extension of hgweb, so that they do not use the fast path. The server
    "single" serves only the repository "open" and does not authenticate users;
    the others do that before they call hgweb. ``extra`` is added to the
    configuration. ``timeout`` is how many seconds servers wait for a silent
    client. ``prefix`` is the path of the server "single". ``proxied`` says that
    requests go through nginx.
    """

    def __init__(
        self,
        kind: str,
        folder: pathlib.Path,
        extra: str = '',
        timeout: int = PATIENCE,
        prefix: str = 'open',
    ) -> None:
        self.kind = kind
        self.timeout = timeout
        self.extra = extra
        self.prefix = prefix
        self.folder = folder
        self.port = free_port()
        self.proxied = False
        self.log = folder / 'errors.log'

    @property
    def by_hg(self) -> bool:
        return self.kind in ('serve', 'single')

    def start(self) -> subprocess.Popen[bytes]:
        hg = str(pathlib.Path(sys.executable).with_name('hg'))
        hgrc = self.folder / 'hgrc'
        single = self.kind == 'single'
        extended = self.kind in ('serve', 'hgweb')
        text = HGRC.format(timeout=self.timeout)
        hgrc.write_text(text + self.extra + AUTHENTICATION * extended)
        env = dict(
            os.environ,
            HGRCPATH=str(hgrc),
            PYTHONPATH=f'{ROOT}:{ROOT}/tests',
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
            f'{ODD_PATH} = {self.folder}/open\n'
        )
        if self.by_hg:
            command = [
                str(hg),
                'serve',
                '-p',
                str(self.port),
                '-E',
                str(self.log),
            ]
            command += ['-A', str(self.folder / 'access.log')]
            if single:
                command += ['-R', str(self.folder / 'open')]
                command += ['--prefix', self.prefix]
            else:
                command += ['--webdir-conf', str(conf)]
        else:
            app = self.folder / 'app.py'
            app.write_text(
                'from mercurial.hgweb import hgweb\n'
                'from helpers import basic_auth\n'
                f'application = inner = hgweb({os.fsencode(conf)!r})\n'
            )
            if not extended:
                with app.open('a') as file:
                    file.write(
                        'def application(env, start_response):\n'
                        '    env = basic_auth.authenticated(env)\n'
                        '    return inner(env, start_response)\n'
                    )
            command = [sys.executable, '-m', 'gunicorn', *GUNICORN[self.kind]]
            command += ['-b', f'127.0.0.1:{self.port}', '--chdir']
            command += [str(self.folder), '--log-file', str(self.log)]
            command += ['app:application']
        process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL)
        wait_for(lambda: accepts(self.port), self.kind, process)
        return process

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        user: str | None = None,
    ) -> Answer:
        """Send a request on a connection of its own.

        A dictionary or list as ``body`` is sent as JSON.
        """
        fields = dict(headers or {})
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
            fields = {**JSON_FIELDS, **fields}
        if user is not None:
            pair = base64.b64encode(f'{user}:secret'.encode()).decode()
            fields['Authorization'] = f'Basic {pair}'
        connection = http.client.HTTPConnection(
            '127.0.0.1', self.port, timeout=PATIENCE
        )
        with contextlib.closing(connection):
            connection.request(method, path, body, fields)
            return Answer(connection.getresponse())

    def raw(self, data: bytes, shut: bool = False) -> bytes:
        """Send ``data``; return all bytes until the server disconnects."""
        address = '127.0.0.1', self.port
        with socket.create_connection(address, PATIENCE) as sock:
            sock.sendall(data)
            if shut:
                sock.shutdown(socket.SHUT_WR)
            received = b''
            with contextlib.suppress(ConnectionError):
                while block := sock.recv(65536):
                    received += block
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
        """Return the paths of all files in the stores but lock databases."""
        return {
            str(path.relative_to(self.folder))
            for name in ('open', 'guarded')
            for path in (self.folder / name / '.hg' / 'store').rglob('lfs/**/*')
            if path.is_file() and not path.name.startswith('locks.sqlite')
        }


@contextlib.contextmanager
def started(server: Server) -> Iterator[Server]:
    """Run a server for the duration of the block."""
    process = server.start()
    try:
        yield server
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(
    scope='session', params=['serve', 'single', 'gunicorn', 'hgweb']
)
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    if request.param in GUNICORN:
        pytest.importorskip('gunicorn')
    folder = tmp_path_factory.mktemp(request.param)
    with started(Server(request.param, folder)) as server:
        yield server


@pytest.fixture
def server(running: Server) -> Iterator[Server]:
    yield running
    log = running.log.read_text() if running.log.exists() else ''
    running.log.write_text('')
    assert 'Traceback' not in log


@pytest.fixture
def guarded(server: Server) -> None:
    """Skip a test that needs several repositories and users."""
    if server.kind == 'single':
        pytest.skip('this server has one repository and no users')


@pytest.fixture
def untouched(server: Server) -> Iterator[None]:
    """Check that a test leaves the stores unchanged."""
    before = server.files()
    yield
    assert server.files() == before


CONTENT = bytes(range(256)) * 40


@pytest.fixture
def stored(server: Server) -> str:
    assert server.put(CONTENT).status in (200, 201)
    return oid_of(CONTENT)


def chunked(*chunks: bytes) -> bytes:
    """Return a body in the chunked coding."""
    lines = [b'%x\r\n%s\r\n' % (len(chunk), chunk) for chunk in chunks]
    return b''.join([*lines, b'0\r\n\r\n'])


def head(method: str, path: str, *fields: str) -> bytes:
    """Return a request line and a header."""
    lines = [f'{method} {path} HTTP/1.1', 'Host: localhost', *fields]
    return '\r\n'.join([*lines, '', '']).encode()


def one(**changes: Any) -> dict[str, Any]:
    """Return a batch request to upload one object."""
    entry: dict[str, Any] = {'oid': ABSENT, 'size': 5}
    entry.update(changes)
    return {'operation': 'upload', 'objects': [entry]}
