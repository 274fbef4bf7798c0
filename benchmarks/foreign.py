# SPDX-License-Identifier: GPL-2.0-or-later
"""What git and fossil make of the same history: sizes to compare with."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

from benchmarks.workspace import Workspace

PROGRAM = pathlib.Path(__file__).with_name('fastimport.py')


def write_stream(
    workspace: Workspace, repository: pathlib.Path, out: pathlib.Path
) -> None:
    """Write the history for ``git fast-import`` and ``fossil import``."""
    subprocess.run(
        [sys.executable, str(PROGRAM), str(repository), str(out)],
        check=True,
        env=workspace.environment('core'),
    )


def git_size(stream: pathlib.Path, folder: pathlib.Path) -> float:
    """MB of the blobs in git's aggressively packed repository."""
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


def fossil_size(stream: pathlib.Path, folder: pathlib.Path) -> float:
    """MB of the whole fossil repository of the same history."""
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
