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

from benchmarks import histories
from benchmarks.histories import History
from benchmarks.measure import (
    CPU,
    DOWN,
    PEAK,
    REQUESTS,
    SERVER_CPU,
    SERVER_PEAK,
    WALL,
    Maker,
    Row,
    Sample,
)
from benchmarks.network import counting_proxy
from benchmarks.processes import CommandError, process_cpu, process_peak
from benchmarks.workspace import Server, Workspace

CACHE = pathlib.Path('.hg', 'cache', 'wireprotov2')


def _cloned(
    workspace: Workspace, config: str, server: Server, *options: str
) -> Sample:
    """Clone once; return the cost for both ends and the number of requests."""
    with workspace.scratch() as copy:
        before = process_cpu(server.pid)
        asked = server.requests()
        words = ('clone', '-q', '-U', *options, server.url, copy)
        sample = workspace.hg(config, *words)
        sample[SERVER_CPU] = process_cpu(server.pid) - before
        sample[REQUESTS] = server.requests() - asked
        return sample


def _bytes_down(
    workspace: Workspace, config: str, server: Server, *options: str
) -> float:
    """Clone once more; return how many MB the client received."""
    with (
        counting_proxy(server.port) as (port, counter),
        workspace.scratch() as copy,
    ):
        url = f'http://127.0.0.1:{port}/'
        workspace.hg(config, 'clone', '-q', '-U', *options, url, copy)
        return counter.bytes / 1e6


def clone(workspace: Workspace, history: History) -> Row:
    """Clone in every way; only this row uses the repositories it serves."""
    served = {
        'cold': workspace.fresh('served'),
        'warm': workspace.fresh('served'),
        'sqlite': workspace.fresh('served'),
    }
    shutil.copytree(history.revlog, served['cold'])
    shutil.copytree(history.revlog, served['warm'])
    shutil.copytree(history.sqlite, served['sqlite'])
    down: dict[tuple[str, ...], float] = {}

    @functools.cache
    def warm_up() -> None:
        # After a push, a hook runs this command.  It warms the segments; a
        # clone warms all other responses.
        fill = ('-R', served['warm'], 'admin::wire-warm', '-q')
        workspace.hg('v2-cached', *fill)
        with workspace.serve('v2-cached', served['warm']) as running:
            _cloned(workspace, 'v2', running)

    def way(
        client: str, server: str, *options: str, source: str = 'cold'
    ) -> Callable[[], Sample]:
        repository = served[source]

        def sample() -> Sample:
            if source == 'warm':
                warm_up()
            else:
                shutil.rmtree(repository / CACHE, ignore_errors=True)
            with workspace.serve(server, repository) as running:
                result = _cloned(workspace, client, running, *options)
                result[SERVER_PEAK] = process_peak(running.pid)
                if source != 'warm':
                    shutil.rmtree(repository / CACHE, ignore_errors=True)
                # Bytes do not vary, so they are counted once.
                key = (client, source, *options)
                if key not in down:
                    down[key] = _bytes_down(
                        workspace, client, running, *options
                    )
                result[DOWN] = down[key]
                return result

        return sample

    variants = {
        'v1': way('core', 'core'),
        'v1 into sqlite': way('sqlite', 'core'),
        'v2 cold': way('v2', 'v2-cached'),
        'v2 cold into sqlite': way('v2-sqlite', 'v2-cached'),
        'v2 warm': way('v2', 'v2-cached', source='warm'),
        'v2 warm into sqlite': way('v2-sqlite', 'v2-cached', source='warm'),
        'stream': way('core', 'core', '--stream'),
        'stream of sqlite': way(
            'sqlite', 'sqlite', '--stream', source='sqlite'
        ),
    }
    goals = {
        ('v2 cold', SERVER_CPU): 1.2,
        ('v2 warm', SERVER_CPU): 0.05,
        ('v2 warm', WALL): 1.0,
        ('v2 warm', CPU): 1.0,
        ('v2 warm', DOWN): 0.8,
        ('v2 warm into sqlite', WALL): 0.8,
        ('v2 warm into sqlite', CPU): 0.8,
    }
    metrics = [WALL, CPU, PEAK, SERVER_CPU, SERVER_PEAK, DOWN, REQUESTS]
    return Row(f'{history.name}: clone over HTTP', variants, metrics, goals)


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
    yield functools.partial(small_pull, workspace, history)
    yield functools.partial(memory, workspace, history, 900 if quick else 9000)
