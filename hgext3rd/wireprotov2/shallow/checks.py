# SPDX-License-Identifier: GPL-2.0-or-later
"""What needs files that are not here is refused before it begins."""

from __future__ import annotations

from typing import Any

from mercurial import error, scmutil
from mercurial import match as matchmod
from mercurial.i18n import _
from mercurial.node import short

from . import extent as shallow_extent
from . import storage as shallow
from .storage import MissingFileData


def check_files(repo: Any, revmatches: Any) -> None:
    """Refuse what needs files that are not here.

    A hook of ``scmutil.prefetchfiles``.
    """
    if not shallow.is_shallow(repo):
        return
    suspects = shallow_extent.read(repo)
    unfiltered = repo.unfiltered()
    for rev, match in revmatches:
        ctx = unfiltered[rev]
        if ctx.rev() is None or (
            suspects is not None and ctx.rev() not in suspects
        ):
            continue
        manifest = ctx.manifest()
        matcher = matchmod.intersectmatchers(match, repo.narrowmatch())
        for path in manifest.walk(matcher):
            _check_file(unfiltered, path, manifest[path])


def check_update(repo: Any, target: bytes) -> None:
    """Refuse to update to a changeset without the data of its files.

    Mercurial notes that an update has begun before it prefetches files.
    """
    unfiltered = repo.unfiltered()
    ctx = scmutil.revsymbol(unfiltered, target)
    suspects = shallow_extent.read(repo)
    if suspects is not None and ctx.rev() not in suspects:
        return
    current = unfiltered[b'.'].manifest()
    changes = current.diff(ctx.manifest(), match=repo.narrowmatch())
    for path, (_old, (node, _flags)) in sorted(changes.items()):
        if node is not None:
            _check_file(unfiltered, path, node)


def _check_file(repo: Any, path: bytes, node: bytes) -> None:
    storage = repo.file(path)._revlog
    if storage.hasnode(node) and shallow.is_missing(repo, storage, node):
        raise MissingFileData(repo, path, storage.linkrev(storage.rev(node)))


def check_outgoing(repo: Any, outgoing: Any) -> None:
    """Refuse to send changesets without the data of their files.

    Raises ``Abort``, which servers pass on as long as nothing was sent.
    """
    repo = repo.unfiltered()
    suspects = shallow_extent.read(repo)
    match = repo.narrowmatch()
    get_rev = repo.changelog.index.get_rev
    for node in outgoing.missing:
        if suspects is not None and get_rev(node) not in suspects:
            continue
        ctx = repo[node]
        for path in filter(match, ctx.files()):
            # what was removed has no revision of its own
            if path not in ctx:
                continue
            storage = repo.file(path)._revlog
            if shallow.is_missing(repo, storage, ctx.filenode(path)):
                raise error.Abort(
                    _(b'cannot send changeset %s without the data of %s')
                    % (short(node), path),
                    hint=_(
                        b'the repository has the files of recent changesets '
                        b"only; 'hg pull --depth N' gets those of N generations"
                    ),
                )


def note_reused(repo: Any, first: int) -> None:
    """Note which changesets from ``first`` on have files again as they were.

    Such a file is no revision of theirs, so that its data does not come with
    them; what they are based on does not have it either.
    """
    repo = repo.unfiltered()
    touched: dict[bytes, list[int]] = {}
    for rev in repo.changelog.revs(first):
        for path in repo[rev].files():
            touched.setdefault(path, []).append(rev)
    extent = None
    for path, revs in touched.items():
        if not repo.narrowmatch()(path):
            continue
        storage = repo.file(path)._revlog
        links = set(map(storage.linkrev, range(len(storage))))
        for rev in revs:
            # most others have removed the file
            if rev in links or path not in repo[rev]:
                continue
            node = repo[rev].filenode(path)
            if shallow.is_missing(repo, storage, node):
                extent = extent or shallow_extent.read(repo)
                if extent is not None and rev not in extent:
                    extent.reused.add(rev)
                    extent.pending.add(rev)
    if extent is None:
        return
    parents = repo.changelog.parentrevs
    for rev in repo.changelog.revs(first):
        # what is based on them lacks the same
        if any(p in extent for p in parents(rev)):
            extent.pending.add(rev)
    shallow_extent.write(repo, extent)


def report_missing(ui: Any, repo: Any) -> None:
    """Say after a verification how much there was nothing to verify of."""
    count = repo.unfiltered().shallow_missing
    if count:
        ui.status(
            _(b'data of %d file revisions is not here, as expected\n') % count
        )
