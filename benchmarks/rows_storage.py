# SPDX-License-Identifier: GPL-2.0-or-later
"""Rows about storage: revlogs against SQLite, under the same Mercurial."""

from __future__ import annotations

import functools
import pathlib
import random
import shutil
from collections.abc import Callable, Iterator

from benchmarks import foreign, histories
from benchmarks.histories import History
from benchmarks.measure import CPU, PEAK, SIZE, WALL, Maker, Row, Sample
from benchmarks.processes import progress, tree_size
from benchmarks.workspace import Workspace

BACKENDS = {'revlog': 'core', 'sqlite': 'sqlite'}


def store_size(repository: pathlib.Path) -> float:
    """Return the size in MB of the whole store: changesets, manifests, files."""
    return tree_size(repository / '.hg' / 'store')


def pair(
    make: Callable[[str], Callable[[], Sample]],
) -> dict[str, Callable[[], Sample]]:
    """Return the two variants of a row, each made for its configuration."""
    return {name: make(config) for name, config in BACKENDS.items()}


def sizes(workspace: Workspace, history: History) -> Row:
    """Compare whole stores, and the whole repositories of git and fossil."""

    def repacked(*options: str) -> Sample:
        with workspace.scratch() as copy:
            shutil.copytree(history.sqlite, copy)
            repack = ('admin::sqlite-repack', '-q', *options)
            workspace.hg('sqlite', '-R', copy, *repack)
            return {SIZE: store_size(copy)}

    @functools.cache
    def stream() -> pathlib.Path:
        out = workspace.fresh('stream')
        foreign.write_stream(workspace, history.revlog, out)
        return out

    def sized(
        sizer: Callable[[pathlib.Path, pathlib.Path], float],
    ) -> Callable[[], Sample]:
        def sample() -> Sample:
            with workspace.scratch() as folder:
                return {SIZE: sizer(stream(), folder)}

        return sample

    variants: dict[str, Callable[[], Sample]] = {
        'revlog': lambda: {SIZE: store_size(history.revlog)},
        'sqlite after clone': lambda: {SIZE: store_size(history.sqlite)},
        'sqlite repacked': repacked,
        'sqlite repacked --max': lambda: repacked('--max'),
    }
    for program, sizer in (
        ('git', foreign.git_size),
        ('fossil', foreign.fossil_size),
    ):
        if shutil.which(program):
            variants[program] = sized(sizer)
        else:
            progress(f'{program} is not installed, so its size is left out')
    goals = {
        ('sqlite after clone', SIZE): 0.50,
        ('sqlite repacked', SIZE): 0.45,
        ('sqlite repacked --max', SIZE): 0.40,
    }
    return Row(f'{history.name}: store', variants, [SIZE], goals, 1)


def size_only(history: History) -> Row:
    """Compare sizes after a clone; this runs no command."""

    def make(config: str) -> Callable[[], Sample]:
        return lambda: {SIZE: store_size(history.of(config))}

    return Row(f'{history.name}: store', pair(make), [SIZE], rounds=1)


def clone(workspace: Workspace, history: History) -> Row:
    """Clone within one process, into storage of the same kind."""

    def make(config: str) -> Callable[[], Sample]:
        def sample() -> Sample:
            with workspace.scratch() as copy:
                words = ('clone', '-q', '-U', '--pull', history.of(config))
                return workspace.hg(config, *words, copy)

        return sample

    goals = {('sqlite', CPU): 0.8}
    name = f'{history.name}: clone --pull'
    return Row(name, pair(make), [WALL, PEAK, CPU], goals)


def update(workspace: Workspace, history: History) -> Row:
    """Write the files of the newest changeset to an empty working copy."""

    def make(config: str) -> Callable[[], Sample]:
        def sample() -> Sample:
            with workspace.scratch() as copy:
                shutil.copytree(history.of(config), copy)
                words = ('update', '-q', '-r', history.tip)
                return workspace.hg(config, '-R', copy, *words)

        return sample

    goals = {('sqlite', CPU): 0.7}
    name = f'{history.name}: update null -> tip'
    return Row(name, pair(make), [WALL, CPU], goals)


def commit(workspace: Workspace, history: History) -> Row:
    """Commit one line added to one file."""
    path = histories.busiest_file(workspace, history)
    copies = _working_copies(workspace, history, 'commit')

    def make(config: str) -> Callable[[], Sample]:
        def sample() -> Sample:
            with open(copies[config] / path, 'a', encoding='utf-8') as file:
                file.write('one more line\n')
            words = ('commit', '-q', '-m', 'one file', path)
            return workspace.hg(config, *words, cwd=copies[config])

        return sample

    goals = {('sqlite', WALL): 0.9}
    name = f'{history.name}: commit one file'
    return Row(name, pair(make), [WALL, CPU], goals)


def _working_copies(
    workspace: Workspace, history: History, purpose: str
) -> dict[str, pathlib.Path]:
    """Return copies of the repositories, updated to the newest files."""
    copies = {}
    for config in BACKENDS.values():
        copies[config] = workspace.fresh(f'{purpose}-{config}')
        shutil.copytree(history.of(config), copies[config])
        update = ('update', '-q', '-r', history.tip)
        workspace.hg(config, '-R', copies[config], *update)
    return copies


def log(workspace: Workspace, history: History) -> Row:
    """Show all changes of one file."""
    path = histories.busiest_file(workspace, history)
    # Without a working copy, hg log FILE finds nothing.
    copies = _working_copies(workspace, history, 'log')

    def make(config: str) -> Callable[[], Sample]:
        words = ('log', '-p', f'path:{path}')
        return lambda: workspace.hg(config, *words, cwd=copies[config])

    goals = {('sqlite', CPU): 0.9}
    name = f'{history.name}: log -p FILE'
    return Row(name, pair(make), [WALL, CPU], goals)


def annotate(workspace: Workspace, history: History) -> Row:
    """Show the changeset of each line of a file."""
    path = histories.busiest_file(workspace, history)
    words = ('annotate', '-r', history.tip, f'path:{path}')
    return _read(workspace, history, 'annotate FILE', words, 0.9)


def cat(workspace: Workspace, history: History) -> Row:
    """Read one old revision: the one at a quarter of the file's history."""
    path = histories.busiest_file(workspace, history)
    revset = f'file("path:{path}") - removes("path:{path}")'
    listing = ('log', '-r', revset, '-T', '{rev}\n')
    revisions = workspace.output('core', '-R', history.revlog, *listing).split()
    old = revisions[len(revisions) // 4]
    words = ('cat', '-r', old, f'path:{path}')
    return _read(workspace, history, 'cat -r OLD FILE', words, 0.9)


def verify(workspace: Workspace, history: History) -> Row:
    """Check the whole repository."""
    return _read(workspace, history, 'verify', ('verify', '-q'), 0.7)


def _read(
    workspace: Workspace,
    history: History,
    name: str,
    words: tuple[str, ...],
    goal: float,
) -> Row:
    """Return a row for a command that changes nothing."""

    def make(config: str) -> Callable[[], Sample]:
        where = ('-R', history.of(config), '--cwd', history.of(config))
        return lambda: workspace.hg(config, *where, *words)

    goals = {('sqlite', CPU): goal}
    return Row(f'{history.name}: {name}', pair(make), [WALL, CPU], goals)


def stream_clone(workspace: Workspace, files: int) -> Row:
    """Clone a repository of many small files by copying its store over HTTP."""
    plain = workspace.fresh('many')
    workspace.hg('core', 'init', plain)
    rng = random.Random(0)
    for number in range(files):
        folder = plain / f'd{number % 200}'
        folder.mkdir(exist_ok=True)
        words = ' '.join(str(rng.random()) for _ in range(20))
        (folder / f'f{number}').write_text(words, encoding='utf-8')
    workspace.hg('core', 'commit', '-q', '-A', '-m', 'many', cwd=plain)
    many = histories.prepare(workspace, plain)

    def make(config: str) -> Callable[[], Sample]:
        def sample() -> Sample:
            with (
                workspace.serve(config, many.of(config)) as server,
                workspace.scratch() as copy,
            ):
                words = ('clone', '-q', '-U', '--stream', server.url, copy)
                return workspace.hg(config, *words)

        return sample

    goals = {('sqlite', WALL): 0.4}
    name = f'clone --stream of {files} files'
    return Row(name, pair(make), [WALL, CPU], goals)


def import_cost(workspace: Workspace) -> Row:
    """Measure the cost of an enabled extension for every command."""

    def make(config: str) -> Callable[[], Sample]:
        return lambda: workspace.hg(config, 'version', '-q')

    variants = {
        'no extension': make('core'),
        'sqlitestore': make('sqlite'),
        'wireprotov2': make('v2'),
        'lfsserver': make('lfsserver-alone'),
    }
    return Row('hg version', variants, [WALL, CPU], rounds=15)


def rows(workspace: Workspace, history: History) -> Iterator[Maker]:
    """Yield the rows that are measured on each history."""
    for make in (sizes, clone, update, commit, log, annotate, cat, verify):
        yield functools.partial(make, workspace, history)


def growing(workspace: Workspace, history: History) -> Iterator[Maker]:
    """Yield the rows that are measured on a growing history.

    The last metric of each is plotted.
    """
    yield functools.partial(size_only, history)
    for make in (clone, update, commit):
        yield functools.partial(make, workspace, history)


def common(workspace: Workspace, quick: bool) -> Iterator[Maker]:
    """Yield the rows that need no history."""
    yield functools.partial(stream_clone, workspace, 2000 if quick else 20000)
    yield functools.partial(import_cost, workspace)
