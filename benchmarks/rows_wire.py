# SPDX-License-Identifier: GPL-2.0-or-later
"""Rows about clones and pulls over HTTP.

Version 1 of the protocol is compared with version 2, whose cache is empty
("cold") or complete ("warm").
"""

from __future__ import annotations

import functools
import http.client
import pathlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from benchmarks import histories
from benchmarks.gitclones import GitCopy
from benchmarks.histories import History
from benchmarks.measure import (
    CPU,
    DOWN,
    PEAK,
    REQUESTS,
    SERVER_CPU,
    SERVER_PEAK,
    SLOW_WALL,
    WALL,
    Maker,
    Row,
    Sample,
)
from benchmarks.network import Counter, proxy, usual_link
from benchmarks.processes import (
    CommandError,
    process_cpu,
    process_peak,
    progress,
)
from benchmarks.workspace import Server, Workspace

CACHE = pathlib.Path('.hg', 'cache', 'wireprotov2')


#: The types of clone bundles that a server of stock clients offers.
BUNDLES = {'zstd bundle': 'zstd-v2', 'stream bundle': 'none-v2;stream=v2'}
BUNDLE_MANIFEST = pathlib.Path('.hg', 'clonebundles.manifest')


@dataclass(frozen=True)
class Served:
    """The running server of a clone.

    ``files`` is the server of files that has the clone bundle, ``bundle`` its
    path and its bundlespec.
    """

    server: Server
    repository: pathlib.Path
    files: Server | None = None
    bundle: tuple[str, str] = ('', '')

    def servers(self) -> list[Server]:
        return [self.server] + ([self.files] if self.files else [])

    def cpu(self) -> float:
        return sum(process_cpu(server.pid) for server in self.servers())

    def requests(self) -> int:
        return sum(server.requests() for server in self.servers())

    def advertise(self, port: int) -> None:
        """Tell clients to fetch the clone bundle from a port."""
        path, spec = self.bundle
        line = f'http://127.0.0.1:{port}/{path} BUNDLESPEC={spec}\n'
        manifest = self.repository / BUNDLE_MANIFEST
        manifest.write_text(line, encoding='utf-8')


def _cloned(
    workspace: Workspace, config: str, served: Served, *options: str
) -> Sample:
    """Clone once; return the cost for both ends and the number of requests.

    ``options`` are those of ``hg clone``.
    """
    if served.files is not None:
        served.advertise(served.files.port)
    with workspace.scratch() as copy:
        before = served.cpu()
        asked = served.requests()
        words = ('clone', '-q', *options, served.server.url, copy)
        sample = workspace.hg(config, *words)
        sample[SERVER_CPU] = served.cpu() - before
        sample[REQUESTS] = served.requests() - asked
        return sample


def _cloned_slowly(
    workspace: Workspace, config: str, served: Served, *options: str
) -> Sample:
    """Clone over a slow line; return the time, and the MB received."""
    counter = Counter()
    link = usual_link()
    with ExitStack() as stack:
        ports = [
            stack.enter_context(proxy(server.port, counter, link))
            for server in served.servers()
        ]
        if served.files is not None:
            served.advertise(ports[1])
        copy = stack.enter_context(workspace.scratch())
        url = f'http://127.0.0.1:{ports[0]}/'
        words = ('clone', '-q', *options, url, copy)
        wall = workspace.hg(config, *words)[WALL]
        return {SLOW_WALL: wall, DOWN: counter.bytes / 1e6}


class Clones:
    """The ways to clone a history, each with a server that is ready for it.

    ``always`` are options of ``hg clone`` that all of them have.
    """

    def __init__(
        self, workspace: Workspace, history: History, *always: str
    ) -> None:
        self._workspace = workspace
        self._history = history
        self._always = always
        self._once: dict[tuple[str, ...], Sample] = {}

    @functools.cache  # noqa: B019
    def _repository(self, source: str) -> pathlib.Path:
        """Return a repository that only one kind of clones uses."""
        workspace = self._workspace
        repository = workspace.fresh('served')
        history = self._history
        sqlite = source in ('sqlite', 'repacked')
        origin = history.sqlite if sqlite else history.revlog
        shutil.copytree(origin, repository)
        if source == 'repacked':
            repack = ('-R', repository, 'admin::sqlite-repack', '-q')
            workspace.hg('sqlite', *repack)
        elif source == 'warm':
            # After a push, a hook runs this command.  It warms the segments; a
            # clone warms all other responses.
            fill = ('-R', repository, 'admin::wire-warm', '-q')
            workspace.hg('v2-cached', *fill)
            with workspace.serve('v2-cached', repository) as running:
                served = Served(running, repository)
                for wanted in (), ('--lazy',), ('--depth', '1'):
                    _cloned(workspace, 'v2', served, *wanted)
        elif source in BUNDLES:
            folder = workspace.fresh('bundles')
            folder.mkdir()
            kind = ('-t', BUNDLES[source], folder / 'bundle.hg')
            workspace.hg('core', '-R', repository, 'bundle', '-q', '-a', *kind)
            self._folders[source] = folder
        return repository

    @functools.cached_property
    def _folders(self) -> dict[str, pathlib.Path]:
        return {}

    @contextmanager
    def _serve(self, server: str, source: str) -> Iterator[Served]:
        workspace = self._workspace
        repository = self._repository(source)
        cache = repository / CACHE
        if source != 'warm':
            shutil.rmtree(cache, ignore_errors=True)
        with ExitStack() as stack:
            running = stack.enter_context(workspace.serve(server, repository))
            if source not in BUNDLES:
                yield Served(running, repository)
                return
            folder = self._folders[source]
            files = stack.enter_context(workspace.serve_files(folder))
            words = ('debugbundle', '--spec', folder / 'bundle.hg')
            spec = workspace.output('core', *words).strip()
            yield Served(running, repository, files, ('bundle.hg', spec))

    def way(
        self, client: str, server: str, *options: str, source: str = 'cold'
    ) -> Callable[[], Sample]:
        """Return a variant: a clone, and once also one over a slow line."""
        options = (*self._always, *options)
        key = (client, source, *options)

        def sample() -> Sample:
            with self._serve(server, source) as served:
                result = _cloned(self._workspace, client, served, *options)
                result[SERVER_PEAK] = process_peak(served.server.pid)
            if key not in self._once:
                with self._serve(server, source) as served:
                    self._once[key] = _cloned_slowly(
                        self._workspace, client, served, *options
                    )
            return {**result, **self._once[key]}

        return sample


def clone(workspace: Workspace, history: History) -> Row:
    """Clone in every way; only this row uses the repositories it serves."""
    way = Clones(workspace, history, '-U').way
    variants = {
        'v1': way('core', 'core'),
        'v1 into sqlite': way('sqlite', 'core'),
        'v1 of sqlite': way('core', 'sqlite', source='sqlite'),
        'v1 of sqlite, repacked': way('core', 'sqlite', source='repacked'),
        'v2 cold': way('v2', 'v2-cached'),
        'v2 cold into sqlite': way('v2-sqlite', 'v2-cached'),
        'v2 warm': way('v2', 'v2-cached', source='warm'),
        'v2 warm into sqlite': way('v2-sqlite', 'v2-cached', source='warm'),
        'zstd bundle': way('core', 'bundles', source='zstd bundle'),
        'stream bundle': way('core', 'bundles', source='stream bundle'),
        'stream': way('core', 'core', '--stream'),
        'stream of sqlite': way(
            'sqlite', 'sqlite', '--stream', source='sqlite'
        ),
    }
    goals = {
        ('v1 of sqlite', SERVER_CPU): 1.1,
        ('v1 of sqlite, repacked', SERVER_CPU): 1.1,
        ('v2 cold', SERVER_CPU): 1.2,
        ('v2 warm', SERVER_CPU): 0.03,
        ('v2 warm', WALL): 0.5,
        ('v2 warm', CPU): 0.5,
        ('v2 warm', PEAK): 1.3,
        ('v2 warm', DOWN): 0.65,
        ('v2 warm into sqlite', WALL): 0.15,
        ('v2 warm into sqlite', CPU): 0.15,
        ('v2 warm into sqlite', PEAK): 1.3,
        ('v2 warm into sqlite', SLOW_WALL): 0.35,
    }
    metrics = [WALL, CPU, PEAK, SERVER_CPU, SERVER_PEAK, DOWN, REQUESTS]
    metrics.insert(1, SLOW_WALL)
    return Row(f'{history.name}: clone over HTTP', variants, metrics, goals)


def working_copy(workspace: Workspace, history: History) -> Row:
    """Clone and update to the tip, with all content of files or without."""
    way = Clones(workspace, history).way
    variants = {
        'full': way('v2-sqlite', 'v2-cached', source='warm'),
        'lazy': way('v2-sqlite', 'v2-cached', '--lazy', source='warm'),
        'depth 1': way('v2-sqlite', 'v2-cached', '--depth', '1', source='warm'),
        'v1': way('core', 'core'),
        'stream': way('core', 'core', '--stream'),
    }
    if shutil.which('git'):
        copy = GitCopy(workspace, history)
        variants['git'] = copy.way()
        variants['git, no blobs'] = copy.way('--filter=blob:none')
    else:
        progress('git is not installed, so its clones are left out')
    goals = {
        ('lazy', WALL): 1.1,
        ('lazy', SLOW_WALL): 1.1,
        ('lazy', DOWN): 1.1,
    }
    metrics = [WALL, SLOW_WALL, CPU, PEAK, SERVER_CPU, DOWN, REQUESTS]
    title = f'{history.name}: clone over HTTP into sqlite, and update'
    return Row(title, variants, metrics, goals)


def small_pull(workspace: Workspace, history: History) -> Row:
    """Pull one changeset; the number of round trips dominates the cost."""
    behind = workspace.fresh('behind')
    last = history.changesets - 2
    histories.clone_until(workspace, history, 'core', last, behind)

    def make(config: str) -> Callable[[], Sample]:
        def sample() -> Sample:
            with (
                workspace.serve(config, history.revlog) as server,
                workspace.scratch() as copy,
            ):
                shutil.copytree(behind, copy)
                before = process_cpu(server.pid)
                asked = server.requests()
                words = ('-R', copy, 'pull', '-q', server.url)
                result = workspace.hg(config, *words)
                result[SERVER_CPU] = process_cpu(server.pid) - before
                result[REQUESTS] = server.requests() - asked
                return result

        return sample

    return Row(
        f'{history.name}: pull one changeset',
        {'v1': make('core'), 'v2': make('v2')},
        [WALL, CPU, SERVER_CPU, REQUESTS],
        {('v2', REQUESTS): 1.0},
    )


MEDIA_TYPE = 'application/mercurial-exp-framing-0006'


def ask(server: Server, command: bytes, count: int) -> None:
    """Send a command without arguments ``count`` times on one connection.

    Raises CommandError if the server refuses it.
    """
    payload = b'\xa1Dname' + cbor_bytes(command)
    # A wire frame: request 1, stream 1, which begins here; a new and complete
    # command request.
    frame = len(payload).to_bytes(3, 'little') + b'\x01\x00\x01\x01\x11'
    headers = {'Accept': MEDIA_TYPE, 'Content-Type': MEDIA_TYPE}
    url = f'/api/exp-http-v2-0003/ro/{command.decode()}'
    connection = http.client.HTTPConnection('127.0.0.1', server.port)
    for _ in range(count):
        connection.request('POST', url, frame + payload, headers)
        response = connection.getresponse()
        body = response.read()
        if response.status != 200 or not body:
            raise CommandError(f'{url}: HTTP {response.status}')
    connection.close()


def cbor_bytes(value: bytes) -> bytes:
    """Return a byte string of fewer than 24 bytes as CBOR (RFC 8949)."""
    return bytes([0x40 + len(value)]) + value


def memory(workspace: Workspace, history: History, count: int) -> Row:
    """Compare the memory of a server after a few requests and after many."""

    def make(requests: int) -> Callable[[], Sample]:
        def sample() -> Sample:
            with workspace.serve('v2-cached', history.revlog) as server:
                for command in (b'heads', b'branchmap', b'segments'):
                    ask(server, command, requests // 3)
                return {SERVER_PEAK: process_peak(server.pid)}

        return sample

    few, many = f'after {count // 10}', f'after {count}'
    return Row(
        f'{history.name}: server memory after {count} requests',
        {few: make(count // 10), many: make(count)},
        [SERVER_PEAK],
        {(many, SERVER_PEAK): 1.02},
        rounds=1,
    )


def rows(
    workspace: Workspace, history: History, quick: bool
) -> Iterator[Maker]:
    """Yield the rows that are measured on each history."""
    yield functools.partial(clone, workspace, history)
    yield functools.partial(working_copy, workspace, history)
    yield functools.partial(small_pull, workspace, history)
    yield functools.partial(memory, workspace, history, 900 if quick else 9000)
