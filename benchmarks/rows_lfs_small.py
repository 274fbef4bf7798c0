# SPDX-License-Identifier: GPL-2.0-or-later
"""Rows about small LFS objects, one request for each.

The servers are ``hg serve``, and gunicorn with several repositories, as
docs/deploy recommends.  Beside the endpoint of Mercurial there is giftless, if
it is installed in ``.cache/giftless``.  Mercurial's endpoint does not sync what
it stores, and neither does giftless.
"""

from __future__ import annotations

import functools
import hashlib
import http.client
import json
import os
import pathlib
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

from benchmarks import network
from benchmarks.measure import OBJECTS, SERVER_CPU, WALL, Maker, Row, Sample
from benchmarks.processes import CommandError, process_cpu
from benchmarks.workspace import Server, Workspace

ROOT = pathlib.Path(__file__).parent.parent
GIFTLESS = ROOT / '.cache' / 'giftless' / 'bin' / 'python'

JSON = {
    'Accept': 'application/vnd.git-lfs+json',
    'Content-Type': 'application/vnd.git-lfs+json',
}
SIZE = 4096
CONNECTIONS = 8
#: Objects in a batch request, as git-lfs sends them.
BATCH = 100
REPOSITORIES = 5

APPLICATION = """\
import os
from mercurial.hgweb import hgweb
application = hgweb(os.fsencode({path!r}))
"""

# giftless has no default store; everybody may do everything.
GIFTLESS_YAML = """\
AUTH_PROVIDERS:
  - giftless.auth.allow_anon:read_write
TRANSFER_ADAPTERS:
  basic:
    factory: giftless.transfer.basic_streaming:factory
    options:
      storage_class: giftless.storage.local_storage:LocalStorage
      storage_options:
        path: {folder}
"""

#: Starts a server; the text is the address of the LFS API below the server.
Starter = Callable[[], AbstractContextManager[tuple[Server, str]]]


class Objects:
    """``count`` different objects of SIZE bytes, by oid."""

    def __init__(self, count: int) -> None:
        rng = random.Random(count)
        data = [rng.randbytes(SIZE) for _ in range(count)]
        self.by_oid = {hashlib.sha256(item).hexdigest(): item for item in data}

    def shares(self) -> list[list[str]]:
        """Return the oids that each connection transfers."""
        oids = list(self.by_oid)
        return [oids[number::CONNECTIONS] for number in range(CONNECTIONS)]


@contextmanager
def by_hg(workspace: Workspace, config: str) -> Iterator[tuple[Server, str]]:
    """Serve a new repository with ``hg serve``."""
    with workspace.scratch() as repository:
        workspace.hg('core', 'init', repository)
        with workspace.serve(config, repository) as server:
            yield server, '/.git/info/lfs'


@contextmanager
def by_gunicorn(
    workspace: Workspace, config: str
) -> Iterator[tuple[Server, str]]:
    """Serve several new repositories with gunicorn."""
    with workspace.scratch() as folder:
        folder.mkdir()
        lines = ['[paths]']
        for number in range(REPOSITORIES):
            workspace.hg('core', 'init', folder / f'r{number}')
            lines.append(f'/team/r{number} = {folder}/r{number}')
        conf = folder / 'hgweb.conf'
        conf.write_text('\n'.join([*lines, '']), encoding='utf-8')
        text = APPLICATION.format(path=str(conf))
        (folder / 'app.py').write_text(text, encoding='utf-8')
        with gunicorn(
            sys.executable,
            'app:application',
            folder,
            workspace.environment(config),
        ) as server:
            yield server, '/team/r0/.git/info/lfs'


@contextmanager
def by_giftless(workspace: Workspace) -> Iterator[tuple[Server, str]]:
    """Serve a folder with giftless under gunicorn.

    giftless mixes up users when threads share a process.
    """
    with workspace.scratch() as folder:
        folder.mkdir()
        config = folder / 'giftless.yaml'
        text = GIFTLESS_YAML.format(folder=folder / 'store')
        config.write_text(text, encoding='utf-8')
        env = dict(os.environ, GIFTLESS_CONFIG_FILE=str(config))
        env.pop('PYTHONPATH', None)
        entry = 'giftless.wsgi_entrypoint:app'
        with gunicorn(str(GIFTLESS), entry, folder, env, 'sync') as server:
            yield server, '/team/r0.git/info/lfs'


@contextmanager
def gunicorn(
    python: str,
    application: str,
    folder: pathlib.Path,
    env: Mapping[str, str],
    worker: str = 'gthread',
) -> Iterator[Server]:
    """Run gunicorn with one process; ``pid`` is that of the process."""
    port = network.free_port()
    log = folder / 'gunicorn.log'
    command = [python, '-m', 'gunicorn', '--worker-class', worker]
    if worker == 'gthread':
        command += ['--threads', str(CONNECTIONS)]
    command += ['--bind', f'127.0.0.1:{port}']
    command += ['--log-file', str(log), '--chdir', str(folder), application]
    process = subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL)
    try:
        network.wait_for(port)
        # The first request imports modules. It is not measured, and its answer
        # does not matter.
        connection = http.client.HTTPConnection('127.0.0.1', port)
        connection.request('GET', '/')
        connection.getresponse().read()
        connection.close()
        children = subprocess.run(
            ['pgrep', '-P', str(process.pid)],
            stdout=subprocess.PIPE,
            check=True,
        )
        yield Server(port, int(children.stdout.split()[0]), log)
    finally:
        process.terminate()
        process.wait()


class Client:
    """A connection, which is opened again after a failure.

    Mercurial's endpoint fails now and then when several clients upload.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._connection = http.client.HTTPConnection('127.0.0.1', port)
        self.failures = 0

    def ask(
        self, method: str, path: str, body: bytes | str | None, headers: object
    ) -> bytes:
        """Send a request until it succeeds; return the body of the response.

        Raises CommandError if it does not.
        """
        for _ in range(20):
            try:
                self._connection.request(method, path, body, headers)  # type: ignore[arg-type]
                response = self._connection.getresponse()
                content = response.read()
                if response.status < 300:
                    return content
            except (OSError, http.client.HTTPException):
                pass
            self.failures += 1
            self._connection.close()
        raise CommandError(f'{method} {path} keeps failing')

    def batch(
        self, api: str, operation: str, oids: list[str]
    ) -> dict[str, tuple[str, dict[str, str]]]:
        """Return path and header of the transfers of objects."""
        objects = [{'oid': oid, 'size': SIZE} for oid in oids]
        request = {
            'operation': operation,
            'transfers': ['basic'],
            'objects': objects,
        }
        answer = json.loads(
            self.ask('POST', f'{api}/objects/batch', json.dumps(request), JSON)
        )
        found = {}
        for item in answer['objects']:
            action = item['actions'][operation]
            path = '/' + action['href'].split('/', 3)[3]
            found[item['oid']] = path, dict(action.get('header', {}))
        return found

    def transfer(
        self, api: str, operation: str, oids: list[str], objects: Objects
    ) -> None:
        """Transfer the objects of one batch request."""
        for oid, (path, header) in self.batch(api, operation, oids).items():
            data = objects.by_oid[oid]
            if operation == 'upload':
                header.setdefault('Content-Type', 'application/octet-stream')
                self.ask('PUT', path, data, header)
            elif self.ask('GET', path, None, header) != data:
                raise CommandError(f'{oid} has another content')


def transfer(
    server: Server, api: str, objects: Objects, operation: str
) -> Sample:
    """Transfer all objects on several connections; return the cost."""
    shares = objects.shares()
    clients = [Client(server.port) for _ in shares]
    failures: list[Exception] = []

    def run(client: Client, share: list[str]) -> None:
        try:
            for start in range(0, len(share), BATCH):
                client.transfer(
                    api, operation, share[start : start + BATCH], objects
                )
        except CommandError as error:
            failures.append(error)

    threads = [
        threading.Thread(target=run, args=item)
        for item in zip(clients, shares, strict=True)
    ]
    before = process_cpu(server.pid)
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wall = time.perf_counter() - start
    if failures:
        raise failures[0]
    return {
        WALL: wall,
        OBJECTS: len(objects.by_oid) / wall,
        SERVER_CPU: process_cpu(server.pid) - before,
        'failed': sum(client.failures for client in clients),
    }


def row(
    name: str,
    variants: Mapping[str, Starter],
    count: int,
    operation: str,
    goals: Mapping[tuple[str, str], float],
) -> Row:
    """Upload or download many small objects."""
    objects = Objects(count)

    def make(start: Starter) -> Callable[[], Sample]:
        def sample() -> Sample:
            with start() as (server, api):
                if operation == 'download':
                    transfer(server, api, objects, 'upload')
                return transfer(server, api, objects, operation)

        return sample

    return Row(
        name,
        {label: make(start) for label, start in variants.items()},
        [OBJECTS, WALL, SERVER_CPU, 'failed'],
        goals,
    )


def rows(workspace: Workspace, quick: bool) -> Iterator[Maker]:
    """Yield all rows."""
    partial = functools.partial
    count = 200 if quick else 2000
    single: dict[str, Starter] = {
        'core': partial(by_hg, workspace, 'lfs'),
        'lfsserver': partial(by_hg, workspace, 'lfsserver'),
    }
    several: dict[str, Starter] = {
        'core': partial(by_gunicorn, workspace, 'lfs'),
        'lfsserver': partial(by_gunicorn, workspace, 'lfsserver'),
    }
    if GIFTLESS.exists():
        several['giftless'] = partial(by_giftless, workspace)
    amount = f'{count} objects of 4 KiB, {CONNECTIONS} connections'
    for name, operation, variants, goal in (
        ('small uploads, hg serve', 'upload', single, 1.0),
        ('small downloads, hg serve', 'download', single, 2.0),
        ('small uploads, gunicorn', 'upload', several, 2.0),
        ('small downloads, gunicorn', 'download', several, 10.0),
    ):
        yield partial(
            row,
            f'{name} ({amount})',
            variants,
            count,
            operation,
            {('lfsserver', OBJECTS): goal},
        )
