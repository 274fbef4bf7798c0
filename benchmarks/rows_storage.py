# SPDX-License-Identifier: GPL-2.0-or-later
"""File storage: revlogs against SQLite, under the same Mercurial."""

from __future__ import annotations

import functools
import pathlib
import random
import shutil
from collections.abc import Callable, Iterator

import histories
import measure
from histories import History
from measure import CPU, SIZE, WALL, Row, Sample
from workspace import HG, Workspace

BACKENDS = {'revlog': 'core', 'sqlite': 'sqlite'}


def store_size(repository: pathlib.Path) -> float:
    """Return MB that file history takes: revlogs, or the database.

    Changelog and manifests are the same in both and left out.
    """
    store = repository / '.hg' / 'store'
    database = store / 'files.sqlite'
    if database.exists():
        return sum(measure.tree_size(p) for p in store.glob('files.sqlite*'))
    folders = [store / name for name in ('data', 'dh')]
    return sum(measure.tree_size(p) for p in folders if p.exists())


def pair(
    make: Callable[[str], Callable[[], Sample]],
) -> dict[str, Callable[[], Sample]]:
    """Return the two variants of a row, made for their configurations."""
    return {name: make(config) for name, config in BACKENDS.items()}


def sizes(workspace: Workspace, history: History) -> Row:
    """Sizes at rest, and what git and fossil make of the same files."""

    def repacked(*options: str) -> Sample:
        with workspace.scratch() as copy:
            shutil.copytree(history.sqlite, copy)
            repack = ('admin::sqlite-repack', '-q', *options)
            workspace.hg('sqlite', '-R', copy, *repack)
            return {SIZE: store_size(copy)}

    variants: dict[str, Callable[[], Sample]] = {
        'revlog': lambda: {SIZE: store_size(history.revlog)},
        'sqlite after clone': lambda: {SIZE: store_size(history.sqlite)},
        'sqlite repacked': repacked,
        'sqlite repacked --max': lambda: repacked('--max'),
    }
    stream = workspace.fresh('stream')
    histories.fast_import_stream(history.revlog, stream)
    for name, sizer in (
        ('git repack 250/250, blobs', histories.git_size),
        ('fossil, whole database', histories.fossil_size),
    ):
        with workspace.scratch() as folder:
            size = sizer(stream, folder)
        if size is not None:
            variants[name] = functools.partial(dict, {SIZE: size})
    stream.unlink()
    goals = {
        ('sqlite after clone', SIZE): 0.75,
        ('sqlite repacked', SIZE): 0.60,
        ('sqlite repacked --max', SIZE): 0.50,
    }
    return Row(f'{history.name}: file history', variants, [SIZE], goals, 1)


def size_only(history: History) -> Row:
    def make(config: str) -> Callable[[], Sample]:
        return lambda: {SIZE: store_size(history.of(config))}

    return Row(f'{history.name}: file history', pair(make), [SIZE], rounds=1)


def clone(workspace: Workspace, history: History) -> Row:
    def make(config: str) -> Callable[[], Sample]:
        def sample() -> Sample:
            with workspace.scratch() as copy:
                words = ('clone', '-q', '-U', '--pull', history.of(config))
                return workspace.hg(config, *words, copy)

        return sample

    goals = {('sqlite', CPU): 0.8}
    return Row(f'{history.name}: clone --pull', pair(make), [WALL, CPU], goals)


def update(workspace: Workspace, history: History) -> Row:
    def make(config: str) -> Callable[[], Sample]:
        def sample() -> Sample:
            with workspace.scratch() as copy:
                shutil.copytree(history.of(config), copy)
                return workspace.hg(config, '-R', copy, 'update', '-q', 'tip')

        return sample

    goals = {('sqlite', CPU): 0.7}
    name = f'{history.name}: update null -> tip'
    return Row(name, pair(make), [WALL, CPU], goals)


def commit(workspace: Workspace, history: History) -> Row:
    copies = {}
    path = busiest_file(workspace, history)
    for config in BACKENDS.values():
        copies[config] = workspace.fresh(f'commit-{config}')
        shutil.copytree(history.of(config), copies[config])
        workspace.hg(config, '-R', copies[config], 'update', '-q', 'tip')

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


def busiest_file(workspace: Workspace, history: History) -> str:
    """Return the path at tip that most changesets touched."""
    core = ('core', '-R', history.revlog)
    template = ('-T', '{files % "{file}\\n"}')
    counts: dict[str, int] = {}
    for line in workspace.output(*core, 'log', *template).splitlines():
        counts[line] = counts.get(line, 0) + 1
    at_tip = workspace.output(*core, 'files', '-r', 'tip', '-T', '{path}\n')
    present = set(at_tip.splitlines())
    return max(sorted(counts.keys() & present), key=counts.__getitem__)


def reads(workspace: Workspace, history: History) -> Iterator[Row]:
    """Commands that look at one file's history, and verify."""
    path = busiest_file(workspace, history)
    # A quarter of the way up the file's history is well buried.
    revset = f'file("path:{path}") - removes("path:{path}")'
    listing = ('log', '-r', revset, '-T', '{rev}\n')
    revisions = workspace.output('core', '-R', history.revlog, *listing).split()
    old = revisions[len(revisions) // 4]
    commands = {
        'log -p FILE': (('log', '-q', '-p', f'path:{path}'), 0.9),
        'annotate FILE': (('annotate', '-r', 'tip', f'path:{path}'), 0.9),
        'cat -r OLD FILE': (('cat', '-r', old, f'path:{path}'), 0.9),
        'verify': (('verify', '-q'), 0.7),
    }
    for name, (words, goal) in commands.items():

        def make(
            config: str, words: tuple[str, ...] = words
        ) -> Callable[[], Sample]:
            where = ('-R', history.of(config), '--cwd', history.of(config))
            return lambda: workspace.hg(config, *where, *words)

        yield Row(
            f'{history.name}: {name}',
            pair(make),
            [WALL, CPU],
            {('sqlite', CPU): goal},
        )


def stream_clone(workspace: Workspace, files: int) -> Row:
    """Copy a repository of many small files as it lies on disk, over HTTP."""
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
    """What having the extension enabled costs every command."""
    env = workspace.environment
    version = [HG, 'version', '-q']

    def make(config: str) -> Callable[[], Sample]:
        return lambda: measure.run(version, env(config), workspace.folder)

    return Row('hg version', pair(make), [WALL, CPU], rounds=15)
