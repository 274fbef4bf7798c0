# SPDX-License-Identifier: GPL-2.0-or-later
"""Histories to measure on: releases of PyPI packages, or any repository.

Also writes them as a git fast-import stream, to see what git and fossil make
of the same content.
"""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass

import measure
from workspace import Workspace

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
        *('1.8', '1.8.5', '1.8.10', '1.9', '1.9.5', '1.9.10', '1.10'),
        *('1.10.5', '1.11', '1.11.10', '1.11.20', '2.0', '2.0.10', '2.1'),
        *('2.1.10', '2.2', '2.2.10', '2.2.20', '3.0', '3.0.10', '3.1'),
        *('3.1.10', '3.2', '3.2.10', '3.2.20', '4.0', '4.1', '4.2'),
        *('4.2.10', '5.0', '5.1', '5.2'),
    ),
}
#: A few dozen changesets of a few dozen files, and of a few thousand.
QUICK = ('requests',)
FULL = ('requests', 'django')


@dataclass(frozen=True)
class History:
    """A revlog repository and its copy in SQLite, without working copies."""

    name: str
    revlog: pathlib.Path
    sqlite: pathlib.Path
    changesets: int

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
    rev = workspace.output('core', '-R', revlog, 'log', '-r-1', '-T{rev}')
    return History(name, revlog, sqlite, int(rev) + 1)


def from_releases(workspace: Workspace, package: str) -> pathlib.Path:
    """Return a repository with the package's releases as changesets."""
    target = workspace.folder / package
    measure.progress(f'downloading releases of {package}')
    wheels = ROOT / '.cache' / 'bench'
    wheels.mkdir(parents=True, exist_ok=True)
    workspace.hg('core', 'init', target)
    for release in PACKAGES[package]:
        wheel = _wheel(wheels, package, release)
        for entry in target.iterdir():
            if entry.name != '.hg':
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(
                target,
                [n for n in archive.namelist() if '.dist-info/' not in n],
            )
        workspace.hg('core', 'addremove', '-q', '-s', '60', cwd=target)
        workspace.hg('core', 'commit', '-m', release, cwd=target)
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
        subprocess.run(
            [*pip, *get, *what], check=True, stderr=subprocess.DEVNULL
        )
        found = find()
    return found[0]


def fast_import_stream(repository: pathlib.Path, out: pathlib.Path) -> None:
    """Write the history for ``git fast-import`` and ``fossil import``."""
    from mercurial import hg
    from mercurial import ui as uimod

    ui = uimod.ui.load()
    ui.setconfig(b'ui', b'quiet', b'yes')
    repo = hg.repository(ui, str(repository).encode())
    with out.open('wb') as stream:
        write = stream.write
        for rev in repo:
            ctx = repo[rev]
            write(b'commit refs/heads/r%d\nmark :%d\n' % (rev, rev + 1))
            when = int(ctx.date()[0])
            name = re.sub(rb'[<>\n]', b'', ctx.user()) or b'nobody'
            write(b'committer %s <> %d +0000\n' % (name, max(when, 0)))
            write(
                b'data %d\n%s\n' % (len(ctx.description()), ctx.description())
            )
            parents = [p.rev() for p in ctx.parents() if p.rev() >= 0]
            if parents:
                write(b'from :%d\n' % (parents[0] + 1))
            for parent in parents[1:]:
                write(b'merge :%d\n' % (parent + 1))
            changed = ctx.p1().manifest().diff(ctx.manifest())
            for path, (_old, (node, flags)) in sorted(changed.items()):
                if node is None:
                    write(b'D %s\n' % path)
                    continue
                data = ctx[path].data()
                mode = {b'x': b'100755', b'l': b'120000'}.get(flags, b'100644')
                write(b'M %s inline %s\n' % (mode, path))
                write(b'data %d\n%s\n' % (len(data), data))
            write(b'\n')


def git_size(stream: pathlib.Path, folder: pathlib.Path) -> float | None:
    """MB of the blobs in git's aggressively packed repository."""
    if not shutil.which('git'):
        return None
    git = ['git', '-C', str(folder)]
    folder.mkdir()
    subprocess.run([*git, 'init', '-q', '--bare'], check=True)
    with stream.open('rb') as source:
        subprocess.run(
            [*git, 'fast-import', '--quiet'], stdin=source, check=True
        )
    pack = ['repack', '-adfq', '--depth=250', '--window=250']
    subprocess.run([*git, *pack], check=True)
    listing = subprocess.run(
        [
            *(*git, 'cat-file', '--batch-all-objects'),
            '--batch-check=%(objecttype) %(objectsize:disk)',
        ],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    sizes = (line.split() for line in listing.splitlines())
    return sum(int(size) for kind, size in sizes if kind == 'blob') / 1e6


def fossil_size(stream: pathlib.Path, folder: pathlib.Path) -> float | None:
    """MB of the whole fossil repository of the same history."""
    if not shutil.which('fossil'):
        return None
    folder.mkdir()
    with stream.open('rb') as source:
        subprocess.run(
            ['fossil', 'import', '--git', str(folder / 'h.fossil')],
            stdin=source,
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=dict(os.environ, HOME=str(folder), USER='bench'),
        )
    return (folder / 'h.fossil').stat().st_size / 1e6
