# SPDX-License-Identifier: GPL-2.0-or-later
"""Clones and pulls over HTTP: version 1, version 2 cold and warm, stream."""

from __future__ import annotations

import pathlib
import shutil
from collections.abc import Callable, Iterator

import histories
import measure
from histories import History
from measure import CPU, DOWN, REQUESTS, SERVER_CPU, WALL, Row, Sample
from workspace import Server, Workspace, counting_proxy

CACHE = pathlib.Path('.hg', 'cache', 'wireprotov2')


def _cloned(
    workspace: Workspace, config: str, server: Server, *options: str
) -> Sample:
    """Clone once; return client and server cost and the requests made."""
    with workspace.scratch() as copy:
        before = measure.process_cpu(server.pid)
        asked = server.requests()
        words = ('clone', '-q', '-U', *options, server.url, copy)
        sample = workspace.hg(config, *words)
        sample[SERVER_CPU] = measure.process_cpu(server.pid) - before
        sample[REQUESTS] = server.requests() - asked
        return sample


def _bytes_down(
    workspace: Workspace, config: str, server: Server, *options: str
) -> float:
    with (
        counting_proxy(server.port) as (port, counted),
        workspace.scratch() as copy,
    ):
        url = f'http://127.0.0.1:{port}/'
        workspace.hg(config, 'clone', '-q', '-U', *options, url, copy)
        return counted[0] / 1e6


def clone(workspace: Workspace, history: History) -> Row:
    """Every way to clone; the copy served is private to the row."""
    served = workspace.fresh('served')
    shutil.copytree(history.revlog, served)
    down: dict[str, float] = {}

    def way(
        name: str, client: str, server: str, *options: str, warm: bool = False
    ) -> Callable[[], Sample]:
        def sample() -> Sample:
            if not warm:
                shutil.rmtree(served / CACHE, ignore_errors=True)
            with workspace.serve(server, served) as running:
                if warm and not any(served.glob(f'{CACHE}/**/*')):
                    _cloned(workspace, client, running, *options)
                result = _cloned(workspace, client, running, *options)
                if name not in down:
                    down[name] = _bytes_down(
                        workspace, client, running, *options
                    )
                result[DOWN] = down[name]
                return result

        return sample

    variants = {
        name: way(name, client, server, *options, warm=warm)
        for name, client, server, options, warm in (
            ('v1', 'core', 'core', (), False),
            ('v1 --stream', 'core', 'core', ('--stream',), False),
            ('v2 cold', 'v2', 'v2-cached', (), False),
            ('v2 warm', 'v2', 'v2-cached', (), True),
            ('v2 warm into sqlite', 'v2-sqlite', 'v2-cached', (), True),
        )
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
    metrics = [WALL, CPU, SERVER_CPU, DOWN, REQUESTS]
    return Row(f'{history.name}: clone over HTTP', variants, metrics, goals)


def small_pull(workspace: Workspace, history: History) -> Row:
    """Pull one changeset: what counts is the number of round trips."""
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
                before = measure.process_cpu(server.pid)
                asked = server.requests()
                words = ('-R', copy, 'pull', '-q', server.url)
                result = workspace.hg(config, *words)
                result[SERVER_CPU] = measure.process_cpu(server.pid) - before
                result[REQUESTS] = server.requests() - asked
                return result

        return sample

    return Row(
        f'{history.name}: pull one changeset',
        {'v1': make('core'), 'v2': make('v2')},
        [WALL, CPU, SERVER_CPU, REQUESTS],
        {('v2', REQUESTS): 1.0},
    )


def rows(workspace: Workspace, history: History) -> Iterator[Row]:
    yield clone(workspace, history)
    yield small_pull(workspace, history)
