# SPDX-License-Identifier: GPL-2.0-or-later
"""What each step from stock hgweb to Amalgam saves the server.

usage: python -m benchmarks.path [--rounds N] REPOSITORY...

A copy of the repository goes through the steps of docs/operating.rst, "From
stock hgweb, step by step". After each step, clients without and with the
extension clone the repository, and pull the last fifth of its history. What is
printed is the CPU time of the server, in seconds, and that of what the step
itself ran once.
"""

from __future__ import annotations

import argparse
import pathlib
import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from benchmarks import histories
from benchmarks.measure import CPU
from benchmarks.processes import process_cpu, progress, tree_size
from benchmarks.workspace import BASE, Server, Workspace

#: The part of the history that pulls fetch.
PULLED = 5

#: Configurations of clients, by the heading of a column.
CLIENTS = {'stock': 'core', 'ours': 'v2'}


@dataclass(frozen=True)
class Step:
    """A step: what it adds to the configuration of the server, and runs once.

    In ``config``, {objects} is the address of a server of the files in the
    object store, which is the folder {store}.
    """

    name: str
    config: str = ''
    commands: tuple[tuple[str, ...], ...] = ()


WARM = ('admin::wire-warm', '--quiet')

STEPS = (
    Step('stock hgweb'),
    Step('1. wireprotov2', '[extensions]\nwireprotov2 =\n'),
    Step(
        '2. a cache, filled ahead',
        '[wireprotov2]\ncacher = directory\n',
        (WARM,),
    ),
    Step(
        '3. clone bundles',
        '[wireprotov2]\nclonebundles = zstd-v2 streamv2\n',
        (WARM,),
    ),
    Step(
        '4. SQLite',
        '[extensions]\nsqlitestore =\n',
        (('admin::sqlite-convert', '--quiet'), WARM),
    ),
    Step(
        '5. repack',
        '',
        (('admin::sqlite-repack', '--quiet'), WARM),
    ),
    Step(
        '6. object store',
        '[wireprotov2]\ncacher = objectstore\n'
        'cacher.objectstore.url = {store}\n'
        'cacher.objectstore.redirect = yes\n'
        'cacher.objectstore.public-url = {objects}\n',
        (WARM,),
    ),
)


@dataclass(frozen=True)
class Outcome:
    """Seconds of CPU and megabytes after a step.

    ``seconds`` are those of the server for one clone or pull, by operation and
    client. ``once`` is what the step ran once, ``size`` that of the store.
    """

    name: str
    seconds: dict[tuple[str, str], float]
    once: float
    size: float


class Path:
    """The repository of an operator on its way."""

    def __init__(
        self, workspace: Workspace, source: pathlib.Path, rounds: int
    ) -> None:
        self._workspace = workspace
        self._rounds = rounds
        self._repo = workspace.fresh('server')
        workspace.hg(
            'core', 'clone', '--noupdate', '--pull', source, self._repo
        )
        changesets = int(
            workspace.output('core', '-R', self._repo, 'id', '-nr', 'tip')
        )
        old = f'heads(0:{changesets - changesets // PULLED})'
        self._old: dict[str, pathlib.Path] = {}
        for client, config in CLIENTS.items():
            self._old[client] = workspace.fresh('old')
            histories.clone_revset(
                workspace, config, self._repo, old, self._old[client]
            )
        self._config = BASE.format(folder=workspace.folder)

    def walk(self) -> Iterator[Outcome]:
        """Go through all steps; yield the outcome of each."""
        space = self._workspace
        with ExitStack() as stack:
            store = space.fresh('objects')
            store.mkdir()
            objects = stack.enter_context(space.serve_files(store))
            for step in STEPS:
                progress(step.name)
                self._config += step.config.format(
                    store=store.as_uri(), objects=objects.url.rstrip('/')
                )
                (space.folder / 'path.rc').write_text(self._config)
                once = sum(
                    space.hg('path', '-R', self._repo, *command)[CPU]
                    for command in step.commands
                )
                size = tree_size(self._repo / '.hg' / 'store')
                yield Outcome(step.name, self._measure(), once, size)

    def _measure(self) -> dict[tuple[str, str], float]:
        operations: dict[str, Callable[[str, Server], None]] = {
            'clone': self._clone,
            'pull': self._pull,
        }
        seconds: dict[tuple[str, str], list[float]] = {}
        with self._workspace.serve('path', self._repo) as server:
            for number in range(self._rounds + 1):
                for name, operation in operations.items():
                    for client in CLIENTS:
                        before = process_cpu(server.pid)
                        operation(client, server)
                        taken = process_cpu(server.pid) - before
                        # The first fills what the server keeps in memory.
                        if number:
                            seconds.setdefault((name, client), []).append(taken)
        return {key: statistics.median(s) for key, s in seconds.items()}

    def _clone(self, client: str, server: Server) -> None:
        with self._workspace.scratch() as copy:
            self._workspace.hg(
                CLIENTS[client], 'clone', '--noupdate', server.url, copy
            )

    def _pull(self, client: str, server: Server) -> None:
        with self._copied(self._old[client]) as copy:
            self._workspace.hg(CLIENTS[client], '-R', copy, 'pull', server.url)

    @contextmanager
    def _copied(self, path: pathlib.Path) -> Iterator[pathlib.Path]:
        with self._workspace.scratch() as copy:
            shutil.copytree(path, copy)
            yield copy


HEADINGS = (
    ('clone', 'stock'),
    ('clone', 'ours'),
    ('pull', 'stock'),
    ('pull', 'ours'),
)


def table(outcomes: list[Outcome]) -> str:
    """Return the outcomes as a table in reStructuredText."""
    rule = '  '.join(['=' * 26, *['=' * 12] * 6]) + '\n'
    titles = [f'{who}: {what}' for what, who in HEADINGS]
    lines = [_line('after the step', [*titles, 'once', 'store'])]
    first = outcomes[0]
    for found in outcomes:
        cells = [
            f'{found.seconds[key]:.2f} ({_ratio(found, first, key)})'
            for key in HEADINGS
        ]
        once = f'{found.once:.1f}' if found.once else ''
        lines.append(_line(found.name, [*cells, once, f'{found.size:.1f} MB']))
    return rule + lines[0] + rule + ''.join(lines[1:]) + rule


def _ratio(found: Outcome, first: Outcome, key: tuple[str, str]) -> str:
    return f'{found.seconds[key] / first.seconds[key]:.2f}'


def _line(name: str, cells: list[str]) -> str:
    return (
        f'{name:26}  ' + '  '.join(f'{c:12}' for c in cells)
    ).rstrip() + '\n'


def main() -> None:
    parser = argparse.ArgumentParser(
        description='measure what each step from stock hgweb saves the server'
    )
    parser.add_argument('repositories', nargs='+', type=pathlib.Path)
    parser.add_argument('--rounds', type=int, default=3)
    options = parser.parse_args()
    for source in options.repositories:
        with tempfile.TemporaryDirectory(prefix='amalgam-bench-') as folder:
            workspace = Workspace(pathlib.Path(folder).resolve())
            path = Path(workspace, source.resolve(), options.rounds)
            outcomes = list(path.walk())
        print(f'{source.resolve().name}\n')
        print(table(outcomes), flush=True)


if __name__ == '__main__':
    main()
