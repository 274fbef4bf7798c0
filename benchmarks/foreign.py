# SPDX-License-Identifier: GPL-2.0-or-later
"""What git and fossil make of the same history: sizes to compare with.

Run as a program it writes a repository as a git fast-import stream, in a
process of its own because it grows with the repository.
"""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys

from workspace import Workspace


def write_stream(
    workspace: Workspace, repository: pathlib.Path, out: pathlib.Path
) -> None:
    """Write the history for ``git fast-import`` and ``fossil import``."""
    subprocess.run(
        [sys.executable, __file__, str(repository), str(out)],
        check=True,
        env=workspace.environment('core'),
    )


def fast_import_stream(repository: pathlib.Path, out: pathlib.Path) -> None:
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


if __name__ == '__main__':
    fast_import_stream(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
