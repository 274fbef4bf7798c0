# SPDX-License-Identifier: GPL-2.0-or-later
"""Histories to measure on: releases of PyPI packages, or any repository.

A source is never changed: it is copied into the workspace for each storage.
"""

from __future__ import annotations

import functools
import os
import pathlib
import sys
from dataclasses import dataclass

from benchmarks import processes
from benchmarks.measure import CPU
from benchmarks.processes import CommandError, progress
from benchmarks.workspace import Workspace, remove

HERE = pathlib.Path(__file__).resolve().parent
#: Downloaded releases stay here for the next run.
DOWNLOADS = HERE.parent / '.cache' / 'bench'

#: Packages and their releases that become changesets.
PACKAGES = {
    'requests': (
        *('2.0.0', '2.1.0', '2.2.0', '2.3.0', '2.4.0', '2.5.0', '2.6.0'),
        *('2.7.0', '2.8.0', '2.9.0', '2.10.0', '2.11.0', '2.12.0', '2.13.0'),
        *('2.14.0', '2.15.1', '2.16.0', '2.18.0', '2.20.0', '2.22.0'),
        *('2.25.0', '2.28.0', '2.31.0', '2.32.0'),
    ),
    'django': (
        *('1.8', '1.9', '1.10', '1.11', '1.11.20', '2.0', '2.1', '2.2'),
        *('2.2.10', '2.2.20', '3.0', '3.1', '3.2', '3.2.10', '4.0', '4.1'),
        *('4.2', '5.0', '5.1', '5.2'),
    ),
}
#: A few dozen changesets of a few dozen files, and of a few thousand files.
QUICK = ('requests',)
FULL = ('requests', 'django')

#: The first number of changesets that ``slice_of`` tries.
FIRST_SLICE = 50


@dataclass(frozen=True)
class History:
    """A revlog repository and its copy in SQLite, without working copies.

    ``tip`` is the newest changeset without subrepositories, because hg refuses
    to check out subrepositories of git unless it is told to.
    """

    name: str
    revlog: pathlib.Path
    sqlite: pathlib.Path
    changesets: int
    tip: str

    def of(self, config: str) -> pathlib.Path:
        """Return the copy in the storage that a configuration uses."""
        return self.sqlite if 'sqlite' in config else self.revlog


def prepare(workspace: Workspace, source: pathlib.Path) -> History:
    """Copy a repository into the workspace, once for each storage."""
    progress(f'preparing {source.name}')
    copies = {}
    for config in ('core', 'sqlite'):
        copies[config] = workspace.folder / f'{source.name}-{config}'
        clone = (config, 'clone', '-q', '-U', '--pull')
        workspace.hg(*clone, source, copies[config])
    return _history(workspace, source.name, copies['core'], copies['sqlite'])


def slice_of(
    workspace: Workspace, source: pathlib.Path, seconds: float
) -> History:
    """Copy the beginning of a repository: a slice that is quick to measure on.

    The slice is doubled until cloning it takes ``seconds`` of CPU time, or
    until it is the whole repository.  Other commands take longer with it, too.
    """
    progress(f'preparing {source.name}')
    wanted = FIRST_SLICE
    while True:
        revlog = workspace.fresh('slice')
        revset = f'heads(limit(not secret(), {wanted}))'
        cpu = clone_revset(workspace, 'core', source, revset, revlog)
        count = _count(workspace, revlog)
        if count < wanted or cpu >= seconds:
            break
        remove(revlog)
        wanted *= 2
    name = source.name
    if count == wanted:
        name += f' (first {count})'
        progress(f'{source.name}: measuring on its first {count} changesets')
    sqlite = workspace.fresh('slice')
    workspace.hg('sqlite', 'clone', '-q', '-U', '--pull', revlog, sqlite)
    return _history(workspace, name, revlog, sqlite)


def prefix(workspace: Workspace, history: History, part: int) -> History:
    """Return a history with the first 1/``part`` of the changesets."""
    if part == 1:
        return history
    last = max(history.changesets // part - 1, 0)
    copies = {}
    for config in ('core', 'sqlite'):
        copies[config] = workspace.fresh(f'{history.name}-{part}-{config}')
        clone_until(workspace, history, config, last, copies[config])
    return _history(workspace, history.name, copies['core'], copies['sqlite'])


def clone_until(
    workspace: Workspace,
    history: History,
    config: str,
    last: int,
    target: pathlib.Path,
) -> None:
    """Clone the changesets up to and including number ``last``."""
    source = history.of(config)
    clone_revset(workspace, config, source, f'heads(0:{last})', target)


def clone_revset(
    workspace: Workspace,
    config: str,
    source: pathlib.Path,
    revset: str,
    target: pathlib.Path,
) -> float:
    """Clone some changesets with their ancestors; return CPU seconds."""
    log = (config, '-R', source, 'log', '-r', revset, '-T', '-r{node}\n')
    heads = workspace.output(*log).split()
    clone = (config, 'clone', '-q', '-U', '--pull', *heads)
    return workspace.hg(*clone, source, target)[CPU]


def _count(workspace: Workspace, revlog: pathlib.Path) -> int:
    """Return the number of changesets of a repository."""
    return 1 + int(
        workspace.output('core', '-R', revlog, 'log', '-r-1', '-T{rev}')
    )


def _history(
    workspace: Workspace,
    name: str,
    revlog: pathlib.Path,
    sqlite: pathlib.Path,
) -> History:
    whole = 'limit(reverse(all()) - contains("path:.hgsub"), 1)'
    log = ('core', '-R', revlog, 'log', '-r', whole, '-T{node}')
    tip = workspace.output(*log) or 'tip'
    return History(name, revlog, sqlite, _count(workspace, revlog), tip)


@functools.cache
def busiest_file(workspace: Workspace, history: History) -> str:
    """Return the path of the file at ``tip`` that changed most often."""
    core = ('core', '-R', history.revlog)
    template = ('-T', '{files % "{file}\\n"}')
    counts: dict[str, int] = {}
    for line in workspace.output(*core, 'log', *template).splitlines():
        counts[line] = counts.get(line, 0) + 1
    files = ('files', '-r', history.tip, '-T', '{path}\n')
    present = set(workspace.output(*core, *files).splitlines())
    return max(sorted(counts.keys() & present), key=counts.__getitem__)


def download(package: str) -> list[pathlib.Path]:
    """Return the wheels of a package's releases, oldest first.

    Releases that cannot be downloaded are left out.  Raises CommandError if
    there are none.
    """
    progress(f'downloading releases of {package}')
    DOWNLOADS.mkdir(parents=True, exist_ok=True)
    wheels = []
    for release in PACKAGES[package]:
        try:
            wheels.append(_wheel(package, release))
        except CommandError as error:
            progress(f'left out: {error}')
    if not wheels:
        raise CommandError(f'no release of {package} can be downloaded')
    return wheels


def from_releases(
    workspace: Workspace, package: str, wheels: list[pathlib.Path]
) -> pathlib.Path:
    """Return a new repository with the content of each wheel as a changeset."""
    target = workspace.folder / package
    progress(f'making a history of {package}')
    program = HERE / 'releases.py'
    build = [sys.executable, *map(str, [program, target, *wheels])]
    env = workspace.environment('core')
    processes.run(build, env, workspace.folder)
    return target


def _wheel(package: str, release: str) -> pathlib.Path:
    """Return the wheel of a release; download it if it is missing."""

    def find() -> list[pathlib.Path]:
        # Old wheels keep the capital letter of the project's name.
        names = (package, package.capitalize())
        patterns = [f'{name}-{release}-*.whl' for name in names]
        return [path for glob in patterns for path in DOWNLOADS.glob(glob)]

    found = find()
    if not found:
        pip = [sys.executable, '-m', 'pip', '--disable-pip-version-check']
        get = ['download', '-q', '--no-deps', '--only-binary=:all:']
        what = [f'{package}=={release}', '--dest', str(DOWNLOADS)]
        processes.run([*pip, *get, *what], os.environ, DOWNLOADS)
        found = find()
    return found[0]
