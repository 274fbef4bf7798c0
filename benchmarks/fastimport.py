# SPDX-License-Identifier: GPL-2.0-or-later
"""Write a repository as a stream for ``git fast-import``.

This program runs in a separate process, because its memory grows with the
repository.  It imports nothing from the rest of the benchmarks.
"""

from __future__ import annotations

import pathlib
import re
import sys


def fast_import_stream(repository: pathlib.Path, out: pathlib.Path) -> None:
    """Write all changesets of a repository to ``out``, files included.

    The format is that of git-fast-import(1).
    """
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


if __name__ == '__main__':
    fast_import_stream(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
