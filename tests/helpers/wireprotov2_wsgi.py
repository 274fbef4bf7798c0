# SPDX-License-Identifier: GPL-2.0-or-later
"""A repository behind hgweb in the process of the test: Server and Answer.

Tests call the WSGI application directly, without sockets. Importing this module
provides the fixtures ``built`` (one Server for all tests of a module) and
``server`` (the same, with its configuration reset after each test).
"""

from __future__ import annotations

import contextlib
import importlib
import io
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

# hg >= 7.2 must be initialized before its other modules are imported.
with contextlib.suppress(ImportError):
    importlib.import_module('mercurial.initialization').init()

from mercurial import hg, phases
from mercurial import ui as uimod
from mercurial.hgweb import hgweb

from hgext3rd.wireprotov2.proto import cbor, frames

API3 = '/api/exp-http-v2-0003/'
MEDIA5 = 'application/mercurial-exp-framing-0005'
MEDIA6 = 'application/mercurial-exp-framing-0006'

HGRC = """\
[extensions]
wireprotov2 =
[wireprotov2]
limit.request-size = 200 KB
limit.command-size = 100 KB
limit.commands = 20
"""


class Answer:
    """The response to a request; ``errors`` is what the server logged."""

    def __init__(
        self, status: str, headers: dict[str, str], body: bytes, errors: str
    ) -> None:
        self.code = int(status.split()[0])
        self.status = status
        self.headers = headers
        self.body = body
        self.errors = errors
        assert b'Traceback' not in body

    @property
    def frames(self) -> list[frames.Frame]:
        """The wire frames of a response with status 200."""
        assert self.code == 200, (self.status, self.body)
        parser = frames.FrameParser()
        found = parser.feed(self.body)
        parser.finish()
        return found

    @property
    def values(self) -> dict[int, list[Any]]:
        """The values of each command response by request id, status first."""
        found: dict[int, bytes] = {}
        for frame in self.frames:
            if frame.typeid == frames.COMMAND_RESPONSE:
                data = found.get(frame.requestid, b'')
                found[frame.requestid] = data + frame.payload
        return {i: cbor.decode_all(data) for i, data in found.items()}

    @property
    def error(self) -> bytes | None:
        """The error of the only response, None if it succeeded.

        An error-response wire frame gives "type: message", an error status
        gives its message.
        """
        for frame in self.frames:
            if frame.typeid == frames.ERROR_RESPONSE:
                value: Any = cbor.decode_all(frame.payload)[0]
                return b'%s: %s' % (
                    value[b'type'],
                    value[b'message'][0][b'msg'],
                )
        status = self.values[1][0]
        if status[b'status'] == b'ok':
            return None
        details = status[b'error']
        return details[b'message'] % tuple(details.get(b'args', ()))


Call = Callable[..., Answer]


class Server:
    """A repository behind hgweb.

    ``nodes`` are its changesets: two public, one draft and one secret. The
    secret changeset adds the file "secret" and changes the file "a".
    """

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self.ui = uimod.ui.load()
        repo = hg.repository(self.ui, bytes(path), create=True)
        self.write('')
        self.nodes: list[bytes] = []
        for name, text in (('a', '1'), ('b', '1'), ('c', '1'), ('a', '2')):
            (path / name).write_text(text)
            if len(self.nodes) == 3:
                (path / 'secret').write_text('s')
                added = [b'secret']
            else:
                added = [name.encode()] if len(self.nodes) < 3 else []
            with repo.wlock():
                with repo.dirstate.changing_files(repo):
                    repo[None].add(added)
                self.nodes.append(repo.commit(name.encode(), user=b'test'))
        with repo.lock(), repo.transaction(b'phase') as tr:
            phases.advanceboundary(repo, tr, phases.public, [self.nodes[1]])
            phases.retractboundary(repo, tr, phases.secret, [self.nodes[3]])
        repo = hg.repository(self.ui, bytes(path))
        self.manifests = [repo[n].manifestnode() for n in self.nodes]
        self.secret_a = repo[self.nodes[3]][b'a'].filenode()
        self.secret = repo[self.nodes[3]][b'secret'].filenode()
        self.public_a = repo[self.nodes[0]][b'a'].filenode()

    def write(self, extra: str) -> None:
        """Write the configuration; start an application that reads it."""
        (self.path / '.hg' / 'hgrc').write_text(
            HGRC + '[phases]\npublish = no\n' + extra
        )
        self.app = hgweb(bytes(self.path))

    def call(
        self,
        path: str,
        body: bytes = b'',
        method: str = 'POST',
        query: str = '',
        user: str | None = None,
        drop: tuple[str, ...] = (),
        **extra: Any,
    ) -> Answer:
        """Send a request to the application; return its response.

        ``extra`` changes the WSGI environment; ``drop`` names what is removed
        from it.
        """
        media = MEDIA5 if '0002' in path else MEDIA6
        errors = io.StringIO()
        env = {
            'REQUEST_METHOD': method,
            'SCRIPT_NAME': '',
            'PATH_INFO': path,
            'QUERY_STRING': query,
            'SERVER_NAME': 'localhost',
            'SERVER_PORT': '80',
            'SERVER_PROTOCOL': 'HTTP/1.1',
            'REMOTE_ADDR': '127.0.0.1',
            'REMOTE_HOST': '127.0.0.1',
            'HTTP_ACCEPT': media,
            'CONTENT_TYPE': media,
            'CONTENT_LENGTH': str(len(body)),
            'wsgi.url_scheme': 'http',
            'wsgi.input': io.BytesIO(body),
            'wsgi.errors': errors,
        }
        if user:
            env['REMOTE_USER'] = user
        env.update(extra)
        for name in drop:
            del env[name]
        started: list[Any] = []

        def start(status: str, headers: Any, exc_info: Any = None) -> Any:
            started[:] = [status, headers]
            return lambda data: None

        data = b''.join(self.app(env, start))
        return Answer(started[0], dict(started[1]), data, errors.getvalue())

    def command(
        self, name: str, args: Any = None, user: str | None = None, **kw: Any
    ) -> Answer:
        """Run one command of API 0003."""
        half = 'rw/' if name == 'pushkey' else 'ro/'
        body = request(name.encode(), args)
        return self.call(API3 + half + name, body, user=user, **kw)

    def result(self, name: str, args: Any = None, **kw: Any) -> list[Any]:
        """Run one command; return the values of its response after the status.

        The command must succeed.
        """
        status, *values = self.command(name, args, **kw).values[1]
        assert status == {b'status': b'ok'}, status
        return values


def request(
    name: bytes, args: Any = None, requestid: int = 1, begin: bool = True
) -> bytes:
    """Return a wire frame with a command request."""
    value = {b'name': name}
    if args is not None:
        value[b'args'] = args
    return frame(cbor.encode(value), requestid, begin=begin)


def frame(
    payload: bytes,
    requestid: int = 1,
    streamid: int = 1,
    begin: bool = True,
    typeid: int = 1,
    flags: int = 1,
    more: int = 0,
) -> bytes:
    """Return a wire frame; ``more`` are further stream flags."""
    return frames.build(
        requestid, streamid, int(begin) | more, typeid, flags, payload
    )


@pytest.fixture(scope='module', name='built')
def built_fixture(tmp_path_factory: pytest.TempPathFactory) -> Server:
    patch = pytest.MonkeyPatch()
    with patch.context() as m:
        m.setenv('HGRCPATH', '')
        m.setenv('HGUSER', 'test')
        return Server(tmp_path_factory.mktemp('server') / 'repo')


@pytest.fixture(name='server')
def server_fixture(built: Server) -> Iterator[Server]:
    yield built
    built.write('')


def explicit(*nodes: bytes) -> dict[bytes, Any]:
    """Return command arguments that ask for these changesets."""
    return {
        b'revisions': [{b'type': b'changesetexplicit', b'nodes': list(nodes)}]
    }
