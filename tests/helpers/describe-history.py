# SPDX-License-Identifier: GPL-2.0-or-later
"""Print all of a repository's history, its linkrevs, phases and bookmarks."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from mercurial import extensions, localrepo
from mercurial import ui as uimod


def lines(store: Any, label: str) -> Iterator[str]:
    for rev in range(len(store)):
        node = store.node(rev)
        parents = ' '.join(p.hex()[:12] for p in store.parents(node))
        yield f'{label} {store.linkrev(rev)} {node.hex()} {parents}'


def main(path: str) -> None:
    ui = uimod.ui.load()
    extensions.loadall(ui)
    repo = localrepo.instance(ui, path.encode(), False).unfiltered()
    changelog = repo.changelog
    for rev in changelog:
        print(repo[rev].phasestr().decode(), rev, changelog.node(rev).hex())
    paths = set()
    for rev in changelog:
        paths.update(repo[rev].files())
    # the order of revisions inside a store may differ, their sets may not
    print('\n'.join(sorted(lines(repo.manifestlog.getstorage(b''), 'm'))))
    for name in sorted(paths):
        print('\n'.join(sorted(lines(repo.file(name), ascii(name)))))
    for name, node in sorted(repo._bookmarks.items()):
        print('bookmark', name, node.hex())


main(sys.argv[1])
