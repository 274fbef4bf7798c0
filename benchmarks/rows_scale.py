# SPDX-License-Identifier: GPL-2.0-or-later
"""Rows about one size of a made-up history, to compare with other sizes.

A server has the history, once in revlogs and once in SQLite. Two users have
clones of it. What they do every day should cost the same at every size. The
rows of a size belong together: the first ones make what the later ones use.
"""

from __future__ import annotations

import dataclasses
import functools
import pathlib
import shutil
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

from benchmarks import processes
from benchmarks.generate import Shape
from benchmarks.histories import HERE
from benchmarks.measure import (
    CPU,
    DOWN,
    PEAK,
    SERVER_CPU,
    SERVER_PEAK,
    SIZE,
    WALL,
    Maker,
    Row,
    Sample,
)
from benchmarks.network import Counter, proxy
from benchmarks.processes import process_cpu, process_peak, progress, tree_size
from benchmarks.rows_wire import ask
from benchmarks.workspace import Server, Workspace

#: The configurations of clients and servers, by kind of storage.
CLIENTS = {'revlog': 'v2', 'sqlite': 'v2-sqlite'}
SERVERS = {'revlog': 'v2-cached', 'sqlite': 'v2-sqlite-cached'}
#: The caches of both servers have the same entries.
IDENTITY = ('--config', 'wireprotov2.cacher.identity=scale')
STORE = pathlib.Path('.hg', 'store')
#: Files that commits change.
EDITED = 3


class Site:
    """A history of one size with its servers and users.

    ``label`` begins the names of its rows.
    """

    def __init__(
        self, workspace: Workspace, label: str, shape: Shape, baseline: bool
    ) -> None:
        self.workspace = workspace
        self.label = label
        self.shape = shape
        self._baseline = baseline
        self._folder = workspace.fresh('site')
        self._folder.mkdir()
        self.hubs = {name: self._folder / f'hub-{name}' for name in CLIENTS}
        self.users = {name: self._folder / f'user-{name}' for name in CLIENTS}
        self._edits = 0

    def make(self, bundles: pathlib.Path | None = None) -> None:
        """Make the history, as a bundle.

        If there is a folder ``bundles``, it is kept there, and taken from there
        the next time.
        """
        space, shape = self.workspace, self.shape
        name = '-'.join(map(str, dataclasses.astuple(shape)))
        self._bundle = (bundles or self._folder) / f'{name}.hg'
        if not self._bundle.exists():
            progress(
                f'making {shape.changesets} changesets of {shape.files} files'
            )
            made = self._folder / 'made.hg'
            program = HERE / 'generate.py'
            words = [made, shape.changesets, shape.files]
            options = ['--imported', shape.imported, '--seed', shape.seed]
            command = [sys.executable, program, *words, *options]
            env = space.environment('core')
            processes.run([str(word) for word in command], env, self._folder)
            shutil.move(made, self._bundle)

    def fill(self, storage: str) -> None:
        """Put the history on the server with a storage."""
        config, hub = CLIENTS[storage], self.hubs[storage]
        self.workspace.hg(config, 'init', hub)
        self.workspace.hg(config, '-R', hub, 'unbundle', '-q', self._bundle)

    def fill_all(self) -> None:
        """Give both servers and the users the history, without any pack."""
        with ThreadPoolExecutor(len(CLIENTS)) as pool:
            list(pool.map(self.fill, CLIENTS))
        for storage in CLIENTS:
            shutil.copytree(self.hubs[storage], self.users[storage])

    def _row(self, name: str, *args: object, **kwargs: object) -> Row:
        return Row(f'{self.label}: {name}', *args, **kwargs)  # type: ignore[arg-type]

    def _pair(
        self, make: Callable[[str], Callable[[], Sample]]
    ) -> dict[str, Callable[[], Sample]]:
        return {name: make(name) for name in CLIENTS}

    def first_warm(self) -> Row:
        """Build all segments."""

        def sample() -> Sample:
            return self._warm('revlog')

        return self._row(
            'wire-warm, nothing cached', {'revlog': sample}, [CPU, PEAK], {}, 1
        )

    def _warm(self, storage: str) -> Sample:
        hub = self.hubs[storage]
        words = ('-R', hub, 'admin::wire-warm', '-q', *IDENTITY)
        return self.workspace.hg(SERVERS[storage], *words)

    def _serve(self, storage: str) -> AbstractContextManager[Server]:
        hub = self.hubs[storage]
        return self.workspace.serve(SERVERS[storage], hub, *IDENTITY)

    def clone(self) -> Row:
        """Clone over HTTP; users keep their clones, the servers get a copy."""
        space = self.workspace

        def way(client: str, copy: pathlib.Path | None) -> Sample:
            counter = Counter()
            with (
                space.scratch('clone') as scratch,
                self._serve('revlog') as server,
                proxy(server.port, counter) as port,
            ):
                before = process_cpu(server.pid)
                url = f'http://127.0.0.1:{port}/'
                words = ('clone', '-q', '-U', url, copy or scratch)
                sample = space.hg(client, *words)
                sample[SERVER_CPU] = process_cpu(server.pid) - before
                sample[SERVER_PEAK] = process_peak(server.pid)
                sample[DOWN] = counter.bytes / 1e6
                return sample

        def packs(storage: str) -> Callable[[], Sample]:
            def sample() -> Sample:
                result = way(CLIENTS[storage], self.users[storage])
                if storage == 'sqlite':
                    self._copy_hub()
                return result

            return sample

        variants: dict[str, Callable[[], Sample]] = {}
        if self._baseline:
            variants['v1'] = lambda: way('core', None)
        variants['packs, revlog'] = packs('revlog')
        variants['packs, sqlite'] = packs('sqlite')
        metrics = [WALL, CPU, PEAK, SERVER_CPU, SERVER_PEAK, DOWN]
        return self._row('clone over HTTP', variants, metrics, {}, 1)

    def _copy_hub(self) -> None:
        """Make a server with SQLite, which has the same segments."""
        hub = self.hubs['sqlite']
        shutil.copytree(self.users['sqlite'], hub)
        cache = pathlib.Path('.hg', 'cache')
        shutil.copytree(
            self.hubs['revlog'] / cache, hub / cache, dirs_exist_ok=True
        )

    def size(self) -> Row:
        """Compare the bytes of whole stores."""

        def make(storage: str) -> Callable[[], Sample]:
            return lambda: {SIZE: tree_size(self.users[storage] / STORE)}

        return self._row('store', self._pair(make), [SIZE], {}, 1)

    def update(self) -> Row:
        """Write the files of the newest changeset."""

        def make(storage: str) -> Callable[[], Sample]:
            words = ('-R', self.users[storage], 'update', '-q', '-r')

            def sample() -> Sample:
                self.workspace.hg(CLIENTS[storage], *words, 'null')
                return self.workspace.hg(CLIENTS[storage], *words, 'tip')

            return sample

        rounds = 1 if self.shape.files > 20_000 else None
        metrics = [WALL, CPU, PEAK]
        return self._row('update', self._pair(make), metrics, {}, rounds)

    def status(self) -> Row:
        """Look for changed files; there are none."""

        def make(storage: str) -> Callable[[], Sample]:
            words = ('-R', self.users[storage], 'status')
            return lambda: self.workspace.hg(CLIENTS[storage], *words)

        return self._row('status', self._pair(make), [CPU, PEAK])

    def diff(self) -> Row:
        """Compare the newest changeset with the one 100 before."""

        def make(storage: str) -> Callable[[], Sample]:
            words = ('-R', self.users[storage], 'diff', '--stat')
            ends = ('-r', 'last(0 + tip~100)', '-r', 'tip')
            return lambda: self.workspace.hg(CLIENTS[storage], *words, *ends)

        return self._row('diff of 100', self._pair(make), [CPU, PEAK])

    def _edit(self, storage: str) -> None:
        """Add a line to a file of a user; to another one each time."""
        user = self.users[storage]
        files = self._files(storage)
        self._edits += 1
        with open(user / files[self._edits % len(files)], 'ab') as file:
            file.write(b'line %d\n' % self._edits)

    @functools.cache  # noqa: B019
    def _files(self, storage: str) -> list[str]:
        where = ('-R', self.users[storage])
        words = (*where, 'files', '-r', 'tip', '-T', '{path}\n')
        listing = self.workspace.output(CLIENTS[storage], *words).splitlines()
        step = max(len(listing) // EDITED, 1)
        user = self.users[storage]
        return [str(user / path) for path in listing[::step]]

    def _commit(self, storage: str) -> Sample:
        self._edit(storage)
        words = ('-R', self.users[storage], 'commit', '-q', '-m', 'an edit')
        return self.workspace.hg(CLIENTS[storage], *words)

    def commit(self) -> Row:
        """Commit a line added to a file."""

        def make(storage: str) -> Callable[[], Sample]:
            return lambda: self._commit(storage)

        metrics = [WALL, CPU, PEAK]
        return self._row('commit', self._pair(make), metrics)

    def push(self) -> Row:
        """Push a changeset over HTTP."""
        space = self.workspace

        def make(storage: str) -> Callable[[], Sample]:
            def sample() -> Sample:
                self._commit(storage)
                with self._serve(storage) as server:
                    before = process_cpu(server.pid)
                    push = ('-R', self.users[storage], 'push', '-q')
                    result = space.hg(CLIENTS[storage], *push, server.url)
                    result[SERVER_CPU] = process_cpu(server.pid) - before
                    result[SERVER_PEAK] = process_peak(server.pid)
                    return result

            return sample

        metrics = [WALL, CPU, PEAK, SERVER_CPU, SERVER_PEAK]
        return self._row('push', self._pair(make), metrics)

    def _push(self, storage: str) -> None:
        """Bring a new changeset to the server, without measuring."""
        self._commit(storage)
        words = ('-R', self.users[storage], 'push', '-q', self.hubs[storage])
        self.workspace.hg(CLIENTS[storage], *words)

    def warm(self) -> Row:
        """Build what changes about the segments after a push."""
        # The row before pushed as well.
        for storage in CLIENTS:
            self._warm(storage)

        def make(storage: str) -> Callable[[], Sample]:
            def sample() -> Sample:
                self._push(storage)
                return self._warm(storage)

            return sample

        name = 'wire-warm after a push'
        return self._row(name, self._pair(make), [CPU, PEAK])

    def listing(self) -> Row:
        """List the segments, the first time after a push and once more."""

        def sample(storage: str, again: bool) -> Sample:
            self._push(storage)
            with self._serve(storage) as server:
                # This reads the changelog, and the segments as they were.
                ask(server, b'segments', 1)
                if not again:
                    self._push(storage)
                before = process_cpu(server.pid)
                ask(server, b'segments', 1)
                return {SERVER_CPU: process_cpu(server.pid) - before}

        variants: dict[str, Callable[[], Sample]] = {}
        for storage in CLIENTS:
            for again in (False, True):
                name = f'{storage}, {"again" if again else "pushed"}'
                variants[name] = functools.partial(sample, storage, again)
        return self._row('segments', variants, [SERVER_CPU])

    def pull(self) -> Row:
        """Pull a changeset over HTTP."""
        space = self.workspace

        def make(storage: str) -> Callable[[], Sample]:
            def sample() -> Sample:
                behind = self._folder / f'behind-{storage}'
                if not behind.exists():
                    self._copy_store(storage, behind)
                self._push(storage)
                with self._serve(storage) as server:
                    before = process_cpu(server.pid)
                    pull = ('-R', behind, 'pull', '-q', server.url)
                    result = space.hg(CLIENTS[storage], *pull)
                    result[SERVER_CPU] = process_cpu(server.pid) - before
                    return result

            return sample

        metrics = [WALL, CPU, PEAK, SERVER_CPU]
        return self._row('pull', self._pair(make), metrics)

    def _copy_store(self, storage: str, target: pathlib.Path) -> None:
        """Copy the repository of the server without its cache of segments."""
        ignore = shutil.ignore_patterns('wireprotov2*')
        shutil.copytree(self.hubs[storage], target, ignore=ignore)

    def repack(self) -> Row:
        """Repack the database."""

        def sample(*options: str) -> Sample:
            with self.workspace.scratch('repack') as copy:
                self._copy_store('sqlite', copy)
                words = ('-R', copy, 'admin::sqlite-repack', '-q', *options)
                result = self.workspace.hg(CLIENTS['sqlite'], *words)
                result[SIZE] = tree_size(copy / STORE)
                return result

        variants: dict[str, Callable[[], Sample]] = {'sqlite': sample}
        if self._baseline:
            variants['sqlite --max'] = lambda: sample('--max')
        return self._row('repack', variants, [WALL, CPU, PEAK, SIZE], {}, 1)

    def remove(self) -> None:
        """Remove everything."""
        shutil.rmtree(self._folder)

    def rows(self) -> Iterator[Maker]:
        """Yield the rows; their order matters."""
        yield self.first_warm
        yield self.clone
        yield from self.everyday()
        yield self.warm
        yield self.repack

    def everyday(self) -> Iterator[Maker]:
        """Yield the rows that need no packs; their order matters."""
        yield self.size
        yield self.update
        yield self.status
        yield self.diff
        yield self.commit
        yield self.push
        yield self.listing
        yield self.pull
