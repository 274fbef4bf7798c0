# SPDX-License-Identifier: GPL-2.0-or-later
"""A temporary folder in which hg runs under several configurations.

This module knows how to start hg and its server.  It does not know what is
measured with them.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks import network, processes
from benchmarks.measure import CPU, PEAK, WALL, Sample

HG = str(pathlib.Path(sys.executable).with_name('hg'))

#: Configurations by name; "core" is Mercurial without the extensions.
CONFIGS: Mapping[str, str] = {
    'core': '',
    'sqlite': '[extensions]\nsqlitestore =\n'
    '[storage]\nnew-repo-backend = sqlite\n',
    'v2': '[extensions]\nwireprotov2 =\n',
    'v2-sqlite': '[extensions]\nwireprotov2 =\nsqlitestore =\n'
    '[storage]\nnew-repo-backend = sqlite\n',
    'v2-cached': '[extensions]\nwireprotov2 =\n'
    '[wireprotov2]\ncacher = directory\n',
    'v2-sqlite-cached': '[extensions]\nwireprotov2 =\nsqlitestore =\n'
    '[storage]\nnew-repo-backend = sqlite\n'
    '[wireprotov2]\ncacher = directory\n',
    'bundles': '[extensions]\nclonebundles =\n',
    'lfs': '[extensions]\nlfs =\n',
    'lfsserver': '[extensions]\nlfs =\nlfsserver =\n',
    'lfsserver-alone': '[extensions]\nlfsserver =\n',
}
#: The beginning of all configurations.
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
    """A running HTTP server, whose log has a line for each request."""

    port: int
    pid: int
    log: pathlib.Path

    @property
    def url(self) -> str:
        return f'http://127.0.0.1:{self.port}/'

    def requests(self) -> int:
        """Return the number of requests that were answered so far."""
        return len(self.log.read_text(encoding='utf-8').splitlines())


class Workspace:
    """A temporary folder with one configuration file for each variant."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self._count = 0
        self._temporary: list[pathlib.Path] | None = None
        for name, text in CONFIGS.items():
            base = BASE.format(folder=folder)
            (folder / f'{name}.rc').write_text(base + text, encoding='utf-8')

    def fresh(self, prefix: str = 'tmp') -> pathlib.Path:
        """Return a path that does not exist yet."""
        self._count += 1
        path = self.folder / f'{prefix}{self._count}'
        if self._temporary is not None:
            self._temporary.append(path)
        return path

    @contextmanager
    def temporary(self) -> Iterator[None]:
        """At the end, remove all paths that ``fresh`` returned in the block."""
        self._temporary = []
        try:
            yield
        finally:
            for path in self._temporary:
                remove(path)
            self._temporary = None

    @contextmanager
    def scratch(self, prefix: str = 'tmp') -> Iterator[pathlib.Path]:
        """Yield a fresh path and remove it at the end."""
        path = self.fresh(prefix)
        try:
            yield path
        finally:
            remove(path)

    def environment(self, config: str) -> dict[str, str]:
        """Return the environment of commands that run under a configuration."""
        rc = str(self.folder / f'{config}.rc')
        env = dict(os.environ, HGRCPATH=rc, HGPLAIN='1', LC_ALL='C.UTF-8')
        # As in an installation, the first command compiles the modules.  It is
        # not measured.
        for name in ('PYTHONPATH', 'PYTHONDONTWRITEBYTECODE'):
            env.pop(name, None)
        return env

    def hg(
        self, config: str, *words: object, cwd: pathlib.Path | None = None
    ) -> Sample:
        """Run hg; return wall and CPU seconds, and peak memory if known."""
        command = [HG, *(str(word) for word in words)]
        env = self.environment(config)
        return sample_of(processes.run(command, env, cwd or self.folder))

    def output(self, config: str, *words: object) -> str:
        """Run hg and return what it prints."""
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
        """Serve a repository on a free port, and send a first request."""
        port = network.free_port()
        log = self.fresh('access')
        command: Sequence[str] = [
            *(HG, '-R', str(repository), 'serve', '-a', '127.0.0.1'),
            *('-p', str(port), '-A', str(log), *options),
        ]
        with self._running(command, config, port, log) as server:
            # Importing modules and opening the repository are not measured.
            self.output(config, 'identify', server.url)
            yield server

    @contextmanager
    def serve_files(self, folder: pathlib.Path) -> Iterator[Server]:
        """Serve the files in a folder, with Python's own HTTP server."""
        port = network.free_port()
        log = self.fresh('access')
        command = [
            *(sys.executable, '-m', 'http.server', '--bind', '127.0.0.1'),
            *('--directory', str(folder), str(port)),
        ]
        with self._running(command, 'core', port, log) as server:
            yield server

    @contextmanager
    def serve_git(self, repository: pathlib.Path) -> Iterator[Server]:
        """Serve a git repository, also to clones without all content."""
        port = network.free_port()
        log = self.fresh('access')
        command = [
            *('git', '-c', 'uploadpack.allowFilter=true'),
            *('-c', 'uploadpack.allowAnySHA1InWant=true'),
            *('daemon', '--export-all', '--listen=127.0.0.1'),
            *(f'--port={port}', f'--base-path={repository.parent}'),
            str(repository.parent),
        ]
        with self._running(command, 'core', port, log) as server:
            yield server

    @contextmanager
    def _running(
        self, command: Sequence[str], config: str, port: int, log: pathlib.Path
    ) -> Iterator[Server]:
        """Run a server, and stop it at the end."""
        with log.open('a') as errors:
            process = subprocess.Popen(
                command,
                env=self.environment(config),
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )
        try:
            network.wait_for(port)
            yield Server(port, process.pid, log)
        finally:
            process.terminate()
            process.wait()
            log.unlink(missing_ok=True)


def sample_of(cost: processes.Cost) -> Sample:
    """Return the cost of a command as a sample."""
    sample = {WALL: cost.wall, CPU: cost.cpu}
    if cost.peak is not None:
        sample[PEAK] = cost.peak
    return sample


def remove(path: pathlib.Path) -> None:
    """Remove a file or a folder, whether it exists or not."""
    if path.is_dir():
        # Files that cannot be removed now are removed with the workspace.
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
