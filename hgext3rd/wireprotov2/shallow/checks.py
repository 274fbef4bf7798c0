# SPDX-License-Identifier: GPL-2.0-or-later
"""Refusing operations that need missing file data, before they begin.

Reads repositories of limited depth; ``note_reused`` also updates the record of
what they lack. Nothing here knows the wire.
"""

from __future__ import annotations

from typing import Any

from mercurial import error, scmutil
from mercurial import match as matchmod
from mercurial.i18n import _
from mercurial.node import short

from . import extent, storage
from .storage import MissingFileData


def check_files(repo: Any, revmatches: Any) -> None:
    """Raise ``MissingFileData`` if files that are about to be read lack data.

    This is a hook of ``scmutil.prefetchfiles``, which describes ``revmatches``.
    """
    if not storage.is_shallow(repo):
        return
    suspects = extent.read(repo)
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
    """Raise ``MissingFileData`` if an update to ``target`` lacks file data.

    Mercurial asks for files (``check_files``) only after it has recorded that
    an update has begun, so this check comes earlier.
    """
    unfiltered = repo.unfiltered()
    ctx = scmutil.revsymbol(unfiltered, target)
    suspects = extent.read(repo)
    if suspects is not None and ctx.rev() not in suspects:
        return
    current = unfiltered[b'.'].manifest()
    changes = current.diff(ctx.manifest(), match=repo.narrowmatch())
    for path, (_old, (node, _flags)) in sorted(changes.items()):
        if node is not None:
            _check_file(unfiltered, path, node)


def _check_file(repo: Any, path: bytes, node: bytes) -> None:
    """Raise ``MissingFileData`` if a file revision has no data here."""
    inner = storage.of_file(repo, path)
    if inner.hasnode(node) and storage.is_missing(repo, inner, node):
        raise MissingFileData(repo, path, inner.linkrev(inner.rev(node)))


def check_outgoing(repo: Any, outgoing: Any) -> None:
    """Refuse to send changesets without the data of their files.

    ``outgoing`` is a ``discovery.outgoing``. Raises ``Abort``, which a server
    passes on to its client because nothing has been sent yet.
    """
    repo = repo.unfiltered()
    suspects = extent.read(repo)
    match = repo.narrowmatch()
    get_rev = repo.changelog.index.get_rev
    for node in outgoing.missing:
        if suspects is not None and get_rev(node) not in suspects:
            continue
        ctx = repo[node]
        for path in filter(match, ctx.files()):
            # A removed file has no revision in this changeset.
            if path not in ctx:
                continue
            inner = storage.of_file(repo, path)
            if storage.is_missing(repo, inner, ctx.filenode(path)):
                raise error.Abort(
                    _(b'cannot send changeset %s without the data of %s')
                    % (short(node), path),
                    hint=_(
                        b'the repository has the files of recent changesets '
                        b"only; 'hg pull --depth N' gets those of N generations"
                    ),
                )


def note_reused(repo: Any, first: int) -> None:
    """Record which changesets reuse file revisions whose data is missing.

    Considers the changesets from the revision number ``first`` on. A changeset
    that restores an older revision of a file adds no revision of that file, so
    the data does not arrive with it. Its descendants lack the same data.
    """
    repo = repo.unfiltered()
    touched: dict[bytes, list[int]] = {}
    for rev in repo.changelog.revs(first):
        for path in repo[rev].files():
            touched.setdefault(path, []).append(rev)
    found = None
    for path, revs in touched.items():
        if not repo.narrowmatch()(path):
            continue
        inner = storage.of_file(repo, path)
        links = set(map(inner.linkrev, range(len(inner))))
        for rev in revs:
            # Most changesets without a file revision of their own have removed
            # the file.
            if rev in links or path not in repo[rev]:
                continue
            node = repo[rev].filenode(path)
            if storage.is_missing(repo, inner, node):
                found = found or extent.read(repo)
                if found is not None and rev not in found:
                    found.reused.add(rev)
                    found.pending.add(rev)
    if found is None:
        return
    parents = repo.changelog.parentrevs
    for rev in repo.changelog.revs(first):
        if any(p in found for p in parents(rev)):
            found.pending.add(rev)
    extent.write(repo, found)


def report_missing(ui: Any, repo: Any) -> None:
    """Print after ``hg verify`` how many file revisions have no data here."""
    repo = repo.unfiltered()
    count, repo.shallow_missing = repo.shallow_missing, 0
    if count:
        ui.status(
            _(b'data of %d file revisions is not here, as expected\n') % count
        )
