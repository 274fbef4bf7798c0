# SPDX-License-Identifier: GPL-2.0-or-later
"""Histories to measure on: releases of PyPI packages, or any repository."""

from __future__ import annotations

import os
import pathlib
import sys
from dataclasses import dataclass

from benchmarks import measure
from benchmarks.workspace import Workspace

ROOT = pathlib.Path(__file__).resolve().parent.parent

#: Releases whose wheels become changesets.
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
#: A few dozen changesets of a few dozen files, and of a few thousand.
QUICK = ('requests',)
FULL = ('requests', 'django')


@dataclass(frozen=True)
class History:
    """A revlog repository and its copy in SQLite, without working copies.

    ``tip`` is the newest changeset that has no subrepositories: hg does not
    check out those of git unless told to.
    """

    name: str
    revlog: pathlib.Path
    sqlite: pathlib.Path
    changesets: int
    tip: str

    def of(self, config: str) -> pathlib.Path:
        """Return the repository a configuration would have created."""
        return self.sqlite if 'sqlite' in config else self.revlog


def prepare(workspace: Workspace, source: pathlib.Path) -> History:
    """Copy a repository into the workspace, once for each storage."""
    name = source.name
    measure.progress(f'preparing {name}')
    copies = {}
    for config in ('core', 'sqlite'):
        copies[config] = workspace.folder / f'{name}-{config}'
        workspace.hg(
            *(config, 'clone', '-q', '-U', '--pull', source, copies[config])
        )
    return _history(workspace, name, copies['core'], copies['sqlite'])


def prefix(workspace: Workspace, history: History, part: int) -> History:
    """Return the history's first 1/``part``."""
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
    heads = workspace.output(
        *('core', '-R', history.revlog, 'log'),
        *('-r', f'heads(0:{last})', '-T', '-r{node}\n'),
    ).split()
    words = ('clone', '-q', '-U', '--pull', *heads)
    workspace.hg(config, *words, history.of(config), target)


def _history(
    workspace: Workspace,
    name: str,
    revlog: pathlib.Path,
    sqlite: pathlib.Path,
) -> History:
    log = ('core', '-R', revlog, 'log')
    rev = workspace.output(*log, '-r-1', '-T{rev}')
    whole = 'limit(reverse(all()) - contains("path:.hgsub"), 1)'
    tip = workspace.output(*log, '-r', whole, '-T{node}') or 'tip'
    return History(name, revlog, sqlite, int(rev) + 1, tip)


def from_releases(workspace: Workspace, package: str) -> pathlib.Path:
    """Return a repository with the package's releases as changesets.

    Raises CommandError if none can be had.
    """
    target = workspace.folder / package
    measure.progress(f'downloading releases of {package}')
    folder = ROOT / '.cache' / 'bench'
    folder.mkdir(parents=True, exist_ok=True)
    wheels = []
    for release in PACKAGES[package]:
        try:
            wheels.append(_wheel(folder, package, release))
        except measure.CommandError as error:
            measure.progress(f'left out: {error}')
    if not wheels:
        raise measure.CommandError(f'no release of {package} can be had')
    measure.progress(f'making a history of {package}')
    build = [sys.executable, str(ROOT / 'benchmarks' / 'releases.py')]
    measure.run(
        [*build, target, *wheels],
        workspace.environment('core'),
        workspace.folder,
    )
    return target


def _wheel(folder: pathlib.Path, package: str, release: str) -> pathlib.Path:
    def find() -> list[pathlib.Path]:
        # Old wheels are capitalised as their project was.
        names = (package, package.capitalize())
        patterns = [f'{name}-{release}-*.whl' for name in names]
        return [path for glob in patterns for path in folder.glob(glob)]

    found = find()
    if not found:
        pip = [sys.executable, '-m', 'pip', '--disable-pip-version-check']
        get = ['download', '-q', '--no-deps', '--only-binary=:all:']
        what = [f'{package}=={release}', '--dest', str(folder)]
        measure.run([*pip, *get, *what], os.environ, folder)
        found = find()
    return found[0]
