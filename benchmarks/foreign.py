# SPDX-License-Identifier: GPL-2.0-or-later
"""A history in git and in fossil, for comparison."""

from __future__ import annotations

import os
import pathlib
import sys
from collections.abc import Iterable

from benchmarks import processes
from benchmarks.workspace import Workspace

PROGRAM = pathlib.Path(__file__).with_name('fastimport.py')


def write_stream(
    workspace: Workspace, repository: pathlib.Path, out: pathlib.Path
) -> None:
    """Write a history for ``git fast-import`` and ``fossil import``."""
    env = workspace.environment('core')
    command = [sys.executable, str(PROGRAM), str(repository), str(out)]
    processes.run(command, env, workspace.folder)


def make_git(
    stream: pathlib.Path,
    folder: pathlib.Path,
    heads: Iterable[int] | None = None,
    tip: int | None = None,
) -> None:
    """Make a git repository, repacked as tightly as people repack.

    Its refs are ``heads``, which are revision numbers, or all changesets. Clones
    check out ``tip``.
    """
    folder.mkdir()

    def git(*words: str, stdin: pathlib.Path | None = None) -> None:
        processes.run(['git', *words], os.environ, folder, stdin)

    # Without a template there are no sample hooks, which are 25 kB.
    git('init', '-q', '--bare', '--template=')
    git('fast-import', '--quiet', stdin=stream)
    git('repack', '-adfq', '--depth=250', '--window=250')
    git('pack-refs', '--all')
    if heads is not None:
        kept = {b'refs/heads/r%d' % rev for rev in heads}
        refs = folder / 'packed-refs'
        lines = refs.read_bytes().splitlines(keepends=True)
        refs.write_bytes(
            b''.join(
                line
                for line in lines
                if line.startswith(b'#') or line.split()[1] in kept
            )
        )
    if tip is not None:
        git('symbolic-ref', 'HEAD', f'refs/heads/r{tip}')


def git_size(stream: pathlib.Path, folder: pathlib.Path) -> float:
    """Return the size in MB of a history's whole git repository."""
    make_git(stream, folder)
    return processes.tree_size(folder)


def fossil_size(stream: pathlib.Path, folder: pathlib.Path) -> float:
    """Return the size in MB of a history's whole fossil repository."""
    folder.mkdir()
    target = folder / 'h.fossil'
    env = dict(os.environ, HOME=str(folder), USER='bench')
    processes.run(['fossil', 'import', '--git', target], env, folder, stream)
    return processes.tree_size(target)
