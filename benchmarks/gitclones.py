# SPDX-License-Identifier: GPL-2.0-or-later
"""Clones of a history with git, beside which those of Mercurial are measured."""

from __future__ import annotations

import functools
import os
import pathlib
from collections.abc import Callable, Sequence

from benchmarks import foreign
from benchmarks.histories import History
from benchmarks.measure import DOWN, SLOW_WALL, Sample
from benchmarks.network import Counter, proxy, usual_link
from benchmarks.processes import Cost, run
from benchmarks.workspace import Workspace, sample_of


class GitCopy:
    """Clones of the same history with git, working copy included."""

    def __init__(self, workspace: Workspace, history: History) -> None:
        self._workspace = workspace
        self._history = history
        self._once: dict[tuple[str, ...], Sample] = {}

    @functools.cached_property
    def _repository(self) -> pathlib.Path:
        workspace, history = self._workspace, self._history
        repository = workspace.fresh('git')
        words = ('core', '-R', history.revlog, 'log', '-T', '{rev}\n', '-r')
        heads = map(int, workspace.output(*words, 'head()').split())
        tip = int(workspace.output(*words, history.tip))
        with workspace.scratch('stream') as stream:
            foreign.write_stream(workspace, history.revlog, stream)
            foreign.make_git(stream, repository, {*heads, tip}, tip)
        return repository

    def way(self, *options: str) -> Callable[[], Sample]:
        """Return a variant: a clone with ``options``.

        Its bytes are those of a clone over a slow line, as in ``Clones``.
        """

        def sample() -> Sample:
            with self._workspace.serve_git(self._repository) as server:
                cost = self._cloned(server.port, options)
                result = sample_of(cost)
                if options not in self._once:
                    counter = Counter()
                    with proxy(server.port, counter, usual_link()) as port:
                        wall = self._cloned(port, options).wall
                    self._once[options] = {
                        SLOW_WALL: wall,
                        DOWN: counter.bytes / 1e6,
                    }
            return {**result, **self._once[options]}

        return sample

    def _cloned(self, port: int, options: Sequence[str]) -> Cost:
        workspace = self._workspace
        url = f'git://127.0.0.1:{port}/{self._repository.name}'
        with workspace.scratch() as copy:
            command = ['git', 'clone', '-q', *options, url, str(copy)]
            return run(command, os.environ, workspace.folder)
