# SPDX-License-Identifier: GPL-2.0-or-later
"""Rows about LFS servers: the endpoint of Mercurial against lfsserver."""

from __future__ import annotations

import functools
import hashlib
import http.client
import json
import pathlib
import random
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator

from benchmarks import processes
from benchmarks.measure import (
    OBJECTS,
    RATE,
    SERVER_CPU,
    SERVER_PEAK,
    WALL,
    Maker,
    Row,
    Sample,
)
from benchmarks.processes import CommandError, process_cpu, process_peak
from benchmarks.workspace import Server, Workspace, sample_of

#: Variants and the configurations of their servers.
ENDPOINTS = {'core': 'lfs', 'lfsserver': 'lfsserver'}
JSON = 'application/vnd.git-lfs+json'
BLOCK = 1 << 20


class Blob:
    """A file of random bytes, and its SHA-256."""

    def __init__(self, path: pathlib.Path, size: int) -> None:
        self.path = path
        self.size = size
        rng = random.Random(size)
        digest = hashlib.sha256()
        with path.open('wb') as out:
            for start in range(0, size, BLOCK):
                block = rng.randbytes(min(BLOCK, size - start))
                digest.update(block)
                out.write(block)
        self.oid = digest.hexdigest()


@functools.cache
def blob_of(workspace: Workspace, size: int) -> Blob:
    """Return a blob of this size; rows that ask for the same size share it."""
    return Blob(workspace.folder / f'blob-{size}', size)


def transfer(server: Server, blob: Blob, upload: bool) -> None:
    """Transfer a blob as an LFS client does: a batch request, then GET or PUT.

    Raises CommandError if the server does not answer with success.
    """
    connection = http.client.HTTPConnection('127.0.0.1', server.port)
    operation = 'upload' if upload else 'download'
    request = {
        'operation': operation,
        'transfers': ['basic'],
        'objects': [{'oid': blob.oid, 'size': blob.size}],
    }
    headers = {'Accept': JSON, 'Content-Type': JSON}
    batch = '/.git/info/lfs/objects/batch'
    connection.request('POST', batch, json.dumps(request), headers)
    answer = json.loads(connection.getresponse().read())
    action = answer['objects'][0]['actions'][operation]
    path = '/' + action['href'].split('/', 3)[3]
    headers = dict(action.get('header', {}))
    if upload:
        headers['Content-Length'] = str(blob.size)
        with blob.path.open('rb') as source:
            connection.request('PUT', path, source, headers)
    else:
        connection.request('GET', path, headers=headers)
    response = connection.getresponse()
    received = 0
    while block := response.read(BLOCK):
        received += len(block)
    connection.close()
    if response.status >= 300 or (not upload and received != blob.size):
        raise CommandError(f'{operation}: HTTP {response.status}')


def large(workspace: Workspace, size: int, upload: bool) -> Row:
    """Upload or download one large blob."""
    blob = blob_of(workspace, size)

    def make(config: str) -> Callable[[], Sample]:
        def sample() -> Sample:
            with workspace.scratch() as repository:
                workspace.hg('core', 'init', repository)
                with workspace.serve(config, repository) as server:
                    if not upload:
                        transfer(server, blob, upload=True)
                    return _timed(
                        server, size, lambda: transfer(server, blob, upload)
                    )

        return sample

    goals = {
        ('lfsserver', SERVER_CPU): 0.8 if upload else 0.3,
        ('lfsserver', RATE): 1.2 if upload else 3.0,
    }
    return Row(
        f'{"PUT" if upload else "GET"} {size >> 20} MiB',
        {name: make(config) for name, config in ENDPOINTS.items()},
        [RATE, SERVER_CPU, SERVER_PEAK],
        goals,
    )


def concurrent(workspace: Workspace, size: int, clients: int) -> Row:
    """Download with several clients at once; failures are counted."""
    blob = blob_of(workspace, size)

    def make(config: str) -> Callable[[], Sample]:
        def sample() -> Sample:
            failures: list[Exception] = []

            def fetch() -> None:
                try:
                    transfer(server, blob, upload=False)
                except (CommandError, OSError, http.client.HTTPException) as e:
                    failures.append(e)

            def fetch_all() -> None:
                threads = [
                    threading.Thread(target=fetch) for _ in range(clients)
                ]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()

            with workspace.scratch() as repository:
                workspace.hg('core', 'init', repository)
                with workspace.serve(config, repository) as server:
                    transfer(server, blob, upload=True)
                    result = _timed(server, size * clients, fetch_all)
            result['failed'] = len(failures)
            return result

        return sample

    return Row(
        f'{clients} x GET {size >> 20} MiB at once',
        {name: make(config) for name, config in ENDPOINTS.items()},
        [RATE, SERVER_CPU, SERVER_PEAK, 'failed'],
    )


def _timed(server: Server, size: int, work: Callable[[], None]) -> Sample:
    """Do work that transfers ``size`` bytes; return its cost."""
    before = process_cpu(server.pid)
    start = time.perf_counter()
    work()
    wall = time.perf_counter() - start
    return {
        WALL: wall,
        RATE: size / wall / 1e6,
        SERVER_CPU: process_cpu(server.pid) - before,
        SERVER_PEAK: process_peak(server.pid),
    }


def batch(workspace: Workspace, count: int) -> Row:
    """Ask for many blobs in one batch request, twice; the second is timed.

    By then lfsserver has verified the blobs.  Mercurial's own endpoint hashes
    them each time.
    """
    repository = workspace.fresh('batch')
    workspace.hg('core', 'init', repository)
    objects = repository / '.hg' / 'store' / 'lfs' / 'objects'
    entries = []
    for number in range(count):
        data = b'%d' % number * 100
        oid = hashlib.sha256(data).hexdigest()
        place = objects / oid[:2] / oid[2:]
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        entries.append({'oid': oid, 'size': len(data)})
    request = json.dumps({'operation': 'download', 'objects': entries})
    headers = {'Accept': JSON, 'Content-Type': JSON}

    def ask(server: Server) -> None:
        connection = http.client.HTTPConnection('127.0.0.1', server.port)
        path = '/.git/info/lfs/objects/batch'
        connection.request('POST', path, request, headers)
        answer = json.loads(connection.getresponse().read())
        connection.close()
        for entry in answer['objects']:
            if 'actions' not in entry:
                raise CommandError(f'batch: {entry}')

    def make(config: str) -> Callable[[], Sample]:
        def sample() -> Sample:
            with workspace.serve(config, repository) as server:
                ask(server)
                result = _timed(server, count, lambda: ask(server))
                result[OBJECTS] = count / result[WALL]
                return result

        return sample

    return Row(
        f'batch request for {count} objects',
        {name: make(config) for name, config in ENDPOINTS.items()},
        [OBJECTS, WALL, SERVER_CPU, SERVER_PEAK],
    )


def small_objects_hg(workspace: Workspace, count: int) -> Row:
    """Download many small blobs with the LFS client of hg."""
    origin = workspace.fresh('small')
    workspace.hg('lfs', 'init', origin)
    rng = random.Random(count)
    for number in range(count):
        (origin / f'f{number}').write_bytes(rng.randbytes(4096))
    track = '--config=lfs.track=all()'
    words = ('commit', '-q', '-A', '-m', 'small', track)
    workspace.hg('lfs', *words, cwd=origin)

    def make(config: str) -> Callable[[], Sample]:
        def sample() -> Sample:
            with (
                workspace.serve(config, origin) as server,
                workspace.scratch() as copy,
            ):
                before = process_cpu(server.pid)
                words = ('clone', '-q', server.url, copy)
                result = workspace.hg('lfs', *words)
                result[SERVER_CPU] = process_cpu(server.pid) - before
                result[OBJECTS] = count / result[WALL]
                return result

        return sample

    return Row(
        f'hg clone with {count} LFS objects of 4 KiB',
        {name: make(config) for name, config in ENDPOINTS.items()},
        [OBJECTS, WALL, SERVER_CPU],
        {('lfsserver', OBJECTS): 5.0},
    )


def small_objects_git(workspace: Workspace, count: int) -> Row:
    """Download many small blobs with git-lfs."""
    repository = workspace.fresh('gitlfs')
    workspace.hg('core', 'init', repository)
    git_folder = workspace.fresh('git')
    env = dict(workspace.environment('core'), HOME=str(workspace.folder))
    env['GIT_CONFIG_NOSYSTEM'] = '1'

    def git(*words: str) -> Sample:
        cost = processes.run(['git', *words], env, git_folder)
        return sample_of(cost)

    git_folder.mkdir()
    git('init', '-q', '.')
    for name, value in (('user.name', 'bench'), ('user.email', 'bench@local')):
        git('config', name, value)
    git('lfs', 'install', '--local')
    git('lfs', 'track', '*.bin')
    rng = random.Random(count + 1)
    for number in range(count):
        (git_folder / f'f{number}.bin').write_bytes(rng.randbytes(4096))
    git('add', '.')
    git('commit', '-q', '-m', 'small')
    local = git_folder / '.git' / 'lfs' / 'objects'
    stored = repository / '.hg' / 'store' / 'lfs' / 'objects'
    for path in [p for p in local.rglob('*') if p.is_file()]:
        place = stored / path.name[:2] / path.name[2:]
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)

    def make(config: str) -> Callable[[], Sample]:
        def sample() -> Sample:
            with workspace.serve(config, repository) as server:
                shutil.rmtree(local)
                url = f'lfs.url={server.url}.git/info/lfs'
                before = process_cpu(server.pid)
                result = git('-c', url, 'lfs', 'fetch', 'origin')
                result[SERVER_CPU] = process_cpu(server.pid) - before
                result[OBJECTS] = count / result[WALL]
                return result

        return sample

    # git-lfs fetches from a remote with a name, which must exist.
    git('remote', 'add', 'origin', str(git_folder))
    return Row(
        f'git-lfs fetch of {count} objects of 4 KiB',
        {name: make(config) for name, config in ENDPOINTS.items()},
        [OBJECTS, WALL, SERVER_CPU],
        {('lfsserver', OBJECTS): 2.0},
    )


def rows(workspace: Workspace, quick: bool) -> Iterator[Maker]:
    """Yield all rows."""
    size = (64 << 20) if quick else (1 << 30)
    yield functools.partial(large, workspace, size, upload=False)
    yield functools.partial(large, workspace, size, upload=True)
    if not quick:
        yield functools.partial(concurrent, workspace, 200 << 20, 8)
    yield functools.partial(batch, workspace, 1000 if quick else 10_000)
    count = 200 if quick else 2000
    yield functools.partial(small_objects_hg, workspace, count)
    if shutil.which('git-lfs') and not subprocess.call(
        ['git', 'lfs', 'version'], stdout=subprocess.DEVNULL
    ):
        yield functools.partial(small_objects_git, workspace, count)
