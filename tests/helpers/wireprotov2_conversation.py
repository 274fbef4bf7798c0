# SPDX-License-Identifier: GPL-2.0-or-later
"""A client and a server in one process: Wire connects them without sockets.

The client is Mercurial with the extension, and the server is hgweb. They
exchange the bytes of HTTP, which a test may cut off or change. The server
computes each response only once, so that a test can make hundreds of clones.
"""

from __future__ import annotations

import io
import os
import pathlib
import signal
import sys
import threading
import urllib.error
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from conftest import PATIENCE
from helpers import wireprotov2_wsgi  # noqa: F401  (initializes Mercurial)
from helpers.sqlitestore_crashes import Steps
from mercurial import (
    commands,
    error,
    extensions,
    hg,
    keepalive,
    localrepo,
    verify,
)
from mercurial import ui as uimod
from mercurial import url as urlmod
from mercurial.hgweb import hgweb

from hgext3rd.wireprotov2 import compat

URL = b'http://server.test/'

# What discovery over version 1 raises when its response is cut off.
V1_ERRORS = (error.RepoError, error.ResponseError)
# Errors that hg reports in one line, without a traceback.
ERRORS = (error.Error, *V1_ERRORS, OSError)


def make_ui(
    settings: Mapping[bytes, bytes] | None = None, **config: bytes
) -> Any:
    """Return a ui with the extension loaded.

    ``config`` has options of section [wireprotov2]. ``settings`` has other
    options by "section.name".
    """
    ui = uimod.ui.load()
    ui.setconfig(b'extensions', b'wireprotov2', b'')
    ui.setconfig(b'ui', b'quiet', b'yes')
    ui.setconfig(b'ui', b'username', b'test')
    ui.setconfig(b'ui', b'interactive', b'no')
    ui.setconfig(b'wireprotov2', b'retry', b'0')
    ui.setconfig(b'wireprotov2', b'retry.delay', b'0.001')
    ui.setconfig(b'http', b'timeout', b'%d' % PATIENCE)
    for name, value in config.items():
        ui.setconfig(b'wireprotov2', name.encode(), value)
    for place, value in (settings or {}).items():
        ui.setconfig(*place.split(b'.', 1), value)
    extensions.loadall(ui)
    extensions.populateui(ui)
    return ui


class Outcome:
    """A clone that was made: its error, its messages and its repository.

    ``output`` has the warnings and error messages. The keyword arguments are
    those of ``make_ui``.
    """

    def __init__(
        self,
        url: bytes,
        dest: pathlib.Path,
        settings: Mapping[bytes, bytes] | None = None,
        insecure: bool = False,
        update: bool = False,
        **config: bytes,
    ) -> None:
        self.dest = dest
        self.ui = make_ui(settings, **config)
        self.ui.insecureconnections = insecure
        self.error: BaseException | None = None
        self.ui.ferr = messages = io.BytesIO()
        try:
            compat.clone_module().clone(
                self.ui, {}, url, dest=os.fsencode(dest), update=update
            )
        except ERRORS as exc:
            self.error = exc
        self.output = messages.getvalue()

    @property
    def repo(self) -> Any:
        """The clone, opened anew."""
        return open_repo(self.ui, self.dest)

    def check(self) -> int:
        """Verify the repository; return how many changesets it has."""
        return check(self.repo)


def open_repo(ui: Any, path: pathlib.Path) -> Any:
    """Open a repository as commands do, so that extensions see it."""
    return hg.repository(ui, os.fsencode(path)).unfiltered()


def check(repo: Any) -> int:
    """Verify ``repo``; return how many changesets it has."""
    repo.ui.pushbuffer(error=True)
    failed = verify.verify(repo)
    output = repo.ui.popbuffer()
    assert not failed, output
    return len(repo)


def run(name: bytes, repo: Any, *args: bytes, **opts: Any) -> Any:
    """Run a command with its default options, except those in ``opts``."""
    function, options = commands.table[name][:2]
    defaults = {
        option[1].replace(b'-', b'_').decode(): option[2] for option in options
    }
    return function(repo.ui, repo, *args, **{**defaults, **opts})


def pull(ui: Any, dest: pathlib.Path) -> Any:
    """Run ``hg pull`` from the default path; return the repository."""
    repo = open_repo(ui, dest)
    repo.ui.pushbuffer(error=True)
    run(b'pull', repo)
    repo.ui.popbuffer()
    return repo


def run_apart(steps: Steps, function: Callable[[], object]) -> int:
    """Run ``function`` in a child process and return its wait status.

    The child counts its ``steps``.
    """
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return os.waitpid(pid, 0)[1]
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        steps.install()
        function()
    except BaseException:
        os._exit(1)
    os._exit(0)


def recover_without_extension(ui: Any, path: pathlib.Path) -> int:
    """Run ``hg recover`` and ``hg verify`` as Mercurial alone does.

    Return the number of changesets. ``localrepo.instance`` does not call
    ``reposetup`` of extensions, so nothing is repaired before.
    """
    repo = localrepo.instance(ui, os.fsencode(path), False)
    if repo.svfs.exists(b'journal'):
        repo.ui.pushbuffer(error=True)
        assert repo.recover()
        repo.ui.popbuffer()
        repo = localrepo.instance(ui, os.fsencode(path), False)
    return check(repo)


def nodes(repo: Any) -> list[bytes]:
    """Return the nodes of all changesets, hidden ones too."""
    changelog = repo.unfiltered().changelog
    return [changelog.node(rev) for rev in changelog]


class Wire:
    """The connection between client and server.

    ``sent`` counts the bytes of responses that the client has received. The
    test may set these attributes:

    ``limit``      the connection ends after this many bytes of responses
    ``reset``      the connection ends with a reset
    ``live``       responses are computed each time, for a server that changes
    ``edit``       called with a request and the body of its response; returns
                   the body to send
    ``edit_all``   the same for a whole response

    A request is shown as its method, a space, and the path and query of its
    URL.
    """

    def __init__(self, path: pathlib.Path) -> None:
        self._app = hgweb(bytes(path))
        self._known: dict[Any, tuple[bytes, list[bytes]]] = {}
        self._lock = threading.Lock()
        self.live = False
        self.restart()

    def restart(self) -> None:
        """Reset the counter and the attributes, except for ``live``."""
        self.limit: int | None = None
        self.reset = False
        self.sent = 0
        self.edit: Callable[[str, bytes], bytes] | None = None
        self.edit_all: Callable[[str, bytes], bytes] | None = None
        self.requests: list[str] = []

    def respond(self, request: Any) -> Iterator[bytes]:
        """Return a connection from which the client reads the response."""
        url = urllib.parse.urlsplit(request.full_url)
        name = f'{request.get_method()} {url.path}?{url.query}'
        fields = {k.lower(): v for k, v in request.header_items()}
        body = request.data or b''
        if hasattr(body, 'read'):
            body = _read_all(body)
        with self._lock:
            self.requests.append(name)
            key = (name, tuple(sorted(fields.items())), body)
            if self.live or key not in self._known:
                self._known[key] = self._compute(request, url, fields, body)
            head, chunks = self._known[key]
            if self.edit is not None:
                chunks = [self.edit(name, b''.join(chunks))]
            response = b''.join([head, *_chunked(head, chunks)])
            if self.edit_all is not None:
                response = self.edit_all(name, response)
            size = len(response)
            if self.limit is not None:
                size = max(0, min(size, self.limit - self.sent))
            self.sent += size
        return _Connection(response[:size], self.reset and size < len(response))

    def _compute(self, request: Any, url: Any, fields: Any, body: bytes) -> Any:
        env: dict[str, Any] = {
            'REQUEST_METHOD': request.get_method(),
            'SCRIPT_NAME': '',
            'PATH_INFO': url.path,
            'QUERY_STRING': url.query,
            'SERVER_NAME': url.hostname,
            'SERVER_PORT': '80',
            'SERVER_PROTOCOL': 'HTTP/1.1',
            'REMOTE_ADDR': '127.0.0.1',
            'CONTENT_TYPE': fields.get('content-type', ''),
            'CONTENT_LENGTH': str(len(body)),
            'wsgi.version': (1, 0),
            'wsgi.url_scheme': 'http',
            'wsgi.input': io.BytesIO(body),
            'wsgi.errors': io.StringIO(),
            'wsgi.multithread': False,
            'wsgi.multiprocess': False,
            'wsgi.run_once': False,
        }
        for field, value in fields.items():
            env['HTTP_' + field.upper().replace('-', '_')] = value
        said: list[Any] = []

        def start_response(status: str, headers: Any, *rest: Any) -> Any:
            said[:] = [status, headers]
            return lambda data: None

        chunks = [bytes(chunk) for chunk in self._app(env, start_response)]
        status, headers = said
        lines = [f'HTTP/1.1 {status}']
        lines += [f'{field}: {value}' for field, value in headers]
        if not any(field.lower() == 'content-length' for field, _v in headers):
            lines.append('Transfer-Encoding: chunked')
        return '\r\n'.join([*lines, '', '']).encode('latin-1'), chunks


def _read_all(stream: Any) -> bytes:
    parts = []
    while data := stream.read(65536):
        parts.append(data)
    return b''.join(parts)


def _chunked(head: bytes, chunks: list[bytes]) -> Iterator[bytes]:
    if b'Transfer-Encoding: chunked' not in head:
        yield from chunks
        return
    for chunk in filter(None, chunks):
        yield b'%x\r\n%s\r\n' % (len(chunk), chunk)
    yield b'0\r\n\r\n'


class _Connection(io.RawIOBase):
    """Replaces the client's socket; holds the bytes of one response."""

    def __init__(self, data: bytes, reset: bool) -> None:
        self._data = io.BytesIO(data)
        self._reset = reset

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = self._data.readinto(buffer)
        if not size and self._reset:
            raise ConnectionResetError(104, 'Connection reset by peer')
        return size

    def makefile(self, *_args: Any) -> Any:
        return io.BufferedReader(self)

    def fileno(self) -> int:
        raise OSError('not a file')


class Opener:
    """Opens requests as the result of ``urlmod.opener()`` does, over a Wire.

    Requests to other servers go to the opener that ``others`` returns.
    """

    handlers = ()

    def __init__(self, wire: Wire, others: Callable[[], Any]) -> None:
        self._wire = wire
        self._others = others
        self.addheaders: list[Any] = []
        self.requestscount = self.sentbytescount = 0
        self.receivedbytescount = 0
        self.parent = self

    def open(self, request: Any, data: Any = None) -> Any:
        url = request if isinstance(request, str) else request.full_url
        if not url.startswith(URL.decode()):
            return self._others().open(request, data)
        response: Any = keepalive.HTTPResponse(
            self._wire.respond(request), method=request.get_method()
        )
        try:
            response.begin()
        except (OSError, urlmod.httplib.HTTPException) as exc:
            raise urllib.error.URLError(exc) from exc
        response._handler = self
        response._url = request.full_url
        response.code = response.status
        response.headers = response.msg
        response.msg = response.reason
        if response.status >= 400:
            raise urllib.error.HTTPError(
                request.full_url,
                response.status,
                response.reason,
                response.headers,
                response,
            )
        return response

    def _request_closed(self, *_args: Any) -> None:
        pass

    def _remove_connection(self, *_args: Any, **_kwargs: Any) -> None:
        pass


def connect(monkeypatch: Any, path: pathlib.Path) -> Wire:
    """Serve the repository at ``path`` to all clients in this process."""
    wire = Wire(path)
    real = urlmod.opener

    def opener(*args: Any, **kwargs: Any) -> Any:
        return Opener(wire, lambda: real(*args, **kwargs))

    monkeypatch.setattr(urlmod, 'opener', opener)
    return wire
