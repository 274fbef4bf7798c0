# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a benchmark works: folders, configurations, servers.

Knows how to start hg; knows nothing of what is measured with it.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from benchmarks import measure
from benchmarks.measure import Sample

HG = str(pathlib.Path(sys.executable).with_name('hg'))

#: Configurations by name; "core" is Mercurial as it comes.
CONFIGS: Mapping[str, str] = {
    'core': '',
    'sqlite': '[extensions]\nsqlitestore =\n'
    '[storage]\nnew-repo-backend = sqlite\n',
    'v2': '[extensions]\nwireprotov2 =\n',
    'v2-sqlite': '[extensions]\nwireprotov2 =\nsqlitestore =\n'
    '[storage]\nnew-repo-backend = sqlite\n',
    'v2-cached': '[extensions]\nwireprotov2 =\n'
    '[wireprotov2]\ncacher = directory\n',
    'lfs': '[extensions]\nlfs =\n',
    'lfsserver': '[extensions]\nlfs =\nlfsserver =\n',
    'lfsserver-alone': '[extensions]\nlfsserver =\n',
}
BASE = """
[ui]
username = bench
interactive = no
[web]
allow-push = *
push_ssl = no
[format]
revlog-compression = zstd
[lfs]
usercache = {folder}/usercache
[experimental]
lfs.disableusercache = yes
"""


@dataclass(frozen=True)
class Server:
    """A running ``hg serve``."""

    port: int
    pid: int
    log: pathlib.Path

    @property
    def url(self) -> str:
        return f'http://127.0.0.1:{self.port}/'

    def requests(self) -> int:
        """Return how many requests were answered so far."""
        return len(self.log.read_text(encoding='utf-8').splitlines())


class Workspace:
    """A temporary folder with one configuration file for each variant."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self._names = 0
        self._passing: list[pathlib.Path] | None = None
        for name, text in CONFIGS.items():
            base = BASE.format(folder=folder)
            (folder / f'{name}.rc').write_text(base + text, encoding='utf-8')

    def fresh(self, prefix: str = 'tmp') -> pathlib.Path:
        """Return a path that does not exist yet."""
        self._names += 1
        path = self.folder / f'{prefix}{self._names}'
        if self._passing is not None:
            self._passing.append(path)
        return path

    @contextmanager
    def passing(self) -> Iterator[None]:
        """Remove at the end what gets fresh paths meanwhile."""
        self._passing = []
        try:
            yield
        finally:
            for path in self._passing:
                _remove(path)
            self._passing = None

    @contextmanager
    def scratch(self, prefix: str = 'tmp') -> Iterator[pathlib.Path]:
        """A fresh path, removed afterwards."""
        path = self.fresh(prefix)
        try:
            yield path
        finally:
            _remove(path)

    def environment(self, config: str) -> dict[str, str]:
        rc = str(self.folder / f'{config}.rc')
        env = dict(os.environ, HGRCPATH=rc, HGPLAIN='1', LC_ALL='C.UTF-8')
        # As users have it: compiled once, by the first, unmeasured command.
        for name in ('PYTHONPATH', 'PYTHONDONTWRITEBYTECODE'):
            env.pop(name, None)
        return env

    def hg(self, config: str, *words: object, cwd: object = None) -> Sample:
        """Run hg under a configuration; return wall and CPU seconds."""
        return measure.run(
            [HG, *(str(word) for word in words)],
            self.environment(config),
            pathlib.Path(str(cwd or self.folder)),
        )

    def output(self, config: str, *words: object) -> str:
        """Run hg under a configuration; return what it prints."""
        return subprocess.run(
            [HG, *(str(word) for word in words)],
            env=self.environment(config),
            stdout=subprocess.PIPE,
            check=True,
            cwd=self.folder,
        ).stdout.decode('utf-8', 'replace')

    @contextmanager
    def serve(
        self, config: str, repository: pathlib.Path, *options: str
    ) -> Iterator[Server]:
        """Serve a repository on a free port; warmed up by one request."""
        port = free_port()
        log = self.fresh('access')
        command: Sequence[str] = [
            *(HG, '-R', str(repository), 'serve', '-a', '127.0.0.1'),
            *('-p', str(port), '-A', str(log), *options),
        ]
        process = subprocess.Popen(
            command,
            env=self.environment(config),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_for(port)
            server = Server(port, process.pid, log)
            # Imports and opening the repository are not what is measured.
            self.output(config, 'identify', server.url)
            yield server
        finally:
            process.terminate()
            process.wait()
            log.unlink(missing_ok=True)


def _remove(path: pathlib.Path) -> None:
    if path.is_dir():
        # what cannot be removed goes with the whole workspace
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(('127.0.0.1', 0))
        port: int = sock.getsockname()[1]
    return port


def wait_for(port: int) -> None:
    """Return when something listens; raise CommandError after a minute."""
    for _ in range(600):
        with suppress(OSError):
            socket.create_connection(('127.0.0.1', port)).close()
            return
        time.sleep(0.1)
    raise measure.CommandError('the server did not start')


@contextmanager
def counting_proxy(port: int) -> Iterator[tuple[int, list[int]]]:
    """Forward a port; the list's one number grows by the bytes sent down.

    It costs CPU, so bytes are counted in runs of their own.
    """
    counted = [0]
    listener = socket.create_server(('127.0.0.1', 0))

    def pump(source: socket.socket, sink: socket.socket, down: bool) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if down:
                    counted[0] += len(data)
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(('127.0.0.1', port))
                for job in ((client, server, False), (server, client, True)):
                    threading.Thread(target=pump, args=job, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1], counted
    finally:
        with suppress(OSError):
            # wakes the thread that accepts, as closing does not
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
