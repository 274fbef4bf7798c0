# SPDX-License-Identifier: GPL-2.0-or-later
"""Making an ordinary repository of one that lacks no file data any more.

The data that arrived later moves from ``texts`` into the storage of each file,
in one transaction. Only then is the requirement removed, and then the copies of
the data. A process that dies in between leaves a repository of limited depth
that lacks nothing, and the next pull tries again.

Whoever reads meanwhile opened the repository with this extension: ``storage``
opens a file anew when its content has changed under the reader.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mercurial import error, revlog, scmutil
from mercurial import transaction as transactionmod
from mercurial.i18n import _

from .. import compat
from ..requirements import SHALLOW
from . import absence, texts
from .demand import MissingFileData

# The suffix of the files of a revlog that is being written.
POSTFIX = b'tmpcomplete'


def complete(repo: Any) -> bool:
    """Make ``repo`` an ordinary repository if it has the data of all files.

    The caller holds the store lock, and no transaction is open. Returns whether
    the repository is an ordinary one now.
    """
    repo = repo.unfiltered()
    missing = absent(repo)
    if not all(
        texts.has_text(repo, node)
        for nodes in missing.values()
        for node in nodes
    ):
        return False
    try:
        store(repo, missing)
    except MissingFileData:
        # What arrived later is damaged; it can be fetched again.
        return False
    # "hg rollback" would bring back files without data.
    transactionmod.cleanup_undo_files(repo.ui.warn, repo.vfs_map)
    repo.requirements.discard(SHALLOW)
    scmutil.writereporequirements(repo)
    _touch_changelog(repo)
    texts.raw_vfs(repo).rmtree(texts.FOLDER, ignore_errors=True)
    repo.ui.note(_(b'the repository has the files of all changesets now\n'))
    return True


def store(repo: Any, late: Mapping[bytes, list[bytes]]) -> None:
    """Move data that arrived later into the storage of its files.

    ``late`` has the nodes by path. The caller holds the store lock. Raises
    ``MissingFileData`` if data has not arrived, and then changes nothing.
    """
    if not late:
        return
    with repo.transaction(b'complete') as tr:
        for path, nodes in late.items():
            _fill(repo, tr, path, nodes)


def paths(repo: Any) -> Sequence[bytes]:
    """Return the paths of all files that ``repo`` ever had, sorted."""
    repo = repo.unfiltered()
    changelog = repo.changelog
    key = len(changelog), changelog.tip()
    # Several steps need it, and reading all changesets takes as long as they do.
    known = vars(repo).get('shallow_paths')
    if known is None or known[0] != key:
        found: set[bytes] = set()
        for rev in changelog:
            found.update(changelog.changelogrevision(rev).files)
        known = key, sorted(filter(repo.narrowmatch(), found))
        object.__setattr__(repo, 'shallow_paths', known)
    result: Sequence[bytes] = known[1]
    return result


def absent(repo: Any) -> dict[bytes, list[bytes]]:
    """Return the nodes that files store without data, by path."""
    found = {}
    for path in paths(repo):
        inner = absence.of_file(repo, path)
        nodes = [
            inner.node(rev)
            for rev in range(len(inner))
            if absence.is_absent(inner, rev)
        ]
        if nodes:
            found[path] = nodes
    return found


def _fill(repo: Any, tr: Any, path: bytes, nodes: list[bytes]) -> None:
    """Store the data of revisions that arrived later like any other data."""
    inner = absence.of_file(repo, path)
    found = _Arrived(inner, nodes)
    if isinstance(inner, revlog.revlog):
        _rewrite(repo, tr, inner, found)
    else:
        # The storage of an extension, see docs/wireprotov2-client.rst.
        inner.fill_revisions(tr, found)


class _Arrived(Mapping[int, bytes]):
    """Texts of some revisions of a file, read and verified when needed."""

    def __init__(self, inner: Any, nodes: list[bytes]) -> None:
        self._inner = inner
        self._nodes = {inner.rev(node): node for node in nodes}

    def __getitem__(self, rev: int) -> bytes:
        return bytes(self._inner.revision(self._nodes[rev]))

    def __iter__(self) -> Iterator[int]:
        return iter(self._nodes)

    def __len__(self) -> int:
        return len(self._nodes)


def _rewrite(repo: Any, tr: Any, old: Any, found: Mapping[int, bytes]) -> None:
    """Write a revlog anew, with the texts of the revisions ``found``.

    The new files replace the old ones by renaming. The transaction keeps the
    old ones until it ends.
    """
    new = compat.writable_revlog(
        opener=old.opener,
        target=old.target,
        radix=old.radix,
        postfix=POSTFIX,
        data_config=old.data_config,
        delta_config=old.delta_config,
        feature_config=old.feature_config,
        # An inline revlog that is split in a transaction cannot be renamed.
        may_inline=False,
    )
    if len(new):
        raise error.ProgrammingError(b'%s exists already' % new._indexfile)
    for rev in range(len(old)):
        node = old.node(rev)
        p1, p2 = old.parents(node)
        if rev in found:
            text, flags = found[rev], absence.flags_with_data(old, rev)
        else:
            text, flags = old.rawdata(rev), old.flags(rev)
        new.addrawrevision(text, tr, old.linkrev(rev), p1, p2, node, flags)
    # The data first: a reader of the old index then fails, and opens the file
    # anew, rather than finding the new index without its data.
    data = old.radix + b'.d'
    for target, source in (
        (data, new._datafile),
        (old._indexfile, new._indexfile),
    ):
        tr.addbackup(target, location=b'store')
        repo.svfs.rename(source, target)
    # The store keeps a list of its files, and does not notice the renaming.
    known_files = getattr(repo.store, 'fncache', None)
    if known_files is not None:
        known_files.add(data)


def _touch_changelog(repo: Any) -> None:
    """Make servers open the repository anew.

    A server does that when the modification time of the changelog changes.
    """
    path = repo.svfs.join(b'00changelog.i')
    with contextlib.suppress(FileNotFoundError):
        before = int(os.stat(path).st_mtime)
        # Some servers compare whole seconds.
        now = max(int(time.time()), before + 1)
        os.utime(path, (now, now))
