# SPDX-License-Identifier: GPL-2.0-or-later
"""``hg admin::lfs-gc``: finds and deletes blobs that no changeset refers to.

It runs beside pushes and commits. Blobs are deleted in small groups. For each
group, the repositories are locked, changesets that arrived meanwhile are read,
and no client is told that the server has a blob.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from mercurial import util
from mercurial.i18n import _

from .. import errors
from ..stores import configured, references
from ..stores.blobs import Blob, BlobMaintenance

# Blobs that are deleted while the repositories are locked. Object stores take
# some ten milliseconds for each.
_GROUP = 50


@dataclass
class Live:
    """The blobs that changesets of ``repo`` refer to, as far as it was read."""

    repo: Any
    oids: set[str] = field(default_factory=set)
    _read: int = 0
    _tip: bytes = b''

    def update(self) -> None:
        """Read what has been added; read everything if history was stripped."""
        changelog = self.repo.unfiltered().changelog
        known = self._read
        if known > len(changelog) or (
            known and changelog.node(known - 1) != self._tip
        ):
            known = 0
        if known < len(changelog):
            self.oids |= references.oids(self.repo, known)
        self._read = len(changelog)
        self._tip = changelog.tip()


def run(
    ui: Any,
    repos: Sequence[Any],
    store: BlobMaintenance,
    fm: Any,
    before: float,
    delete: bool,
) -> int:
    """List or delete the unreferenced blobs that are older than ``before``.

    ``repos`` are all repositories that use the store. ``before`` is a POSIX
    time. Returns 1 if some blobs could not be deleted. Raises LfsServerError.
    """
    # Shares of one repository have one lock.
    lives = [
        Live(repo)
        for repo in {repo.sharedpath: repo for repo in repos}.values()
    ]
    for live in lives:
        live.update()
    known = set().union(*(live.oids for live in lives))
    found = sorted(
        (
            blob
            for blob in store.walk()
            if blob.oid not in known and blob.modified <= before
        ),
        key=lambda blob: blob.oid,
    )
    count = size = failed = 0
    with fm:
        for start in range(0, len(found), _GROUP):
            group = found[start : start + _GROUP]
            for blob in _unused(lives, group, before, delete):
                if delete and not _deleted(ui, store, blob):
                    failed += 1
                    continue
                count += 1
                size += blob.size
                fm.startitem()
                fm.write(
                    b'oid size',
                    b'%s %12d\n',
                    blob.oid.encode('ascii'),
                    blob.size,
                )
                fm.data(deleted=delete)
    total = util.bytecount(size)
    if not delete:
        ui.status(_(b'%d unreferenced blobs (%s)\n') % (count, total))
        if count:
            ui.status(_(b'(use --delete to delete them)\n'))
        return 0
    swept = store.sweep(before)
    ui.status(_(b'deleted %d blobs (%s)\n') % (count, total))
    if swept:
        ui.status(_(b'removed %d interrupted uploads\n') % swept)
    if failed:
        ui.warn(_(b'%d blobs could not be deleted\n') % failed)
    return 1 if failed else 0


def _deleted(ui: Any, store: BlobMaintenance, blob: Blob) -> bool:
    """Delete a blob; warn and return False if that fails."""
    try:
        store.delete(blob.oid)
    except errors.LfsServerError as failure:
        text = f'{blob.oid}: {failure.full_text}'
        ui.warn(b'%s\n' % text.encode('utf-8', 'replace'))
        return False
    return True


def _unused(
    lives: Sequence[Live], group: Sequence[Blob], before: float, lock: bool
) -> Iterator[Blob]:
    """Yield the blobs of ``group`` that nothing refers to and nobody expects.

    With ``lock``, neither changes before the next blob is asked for.
    """
    with ExitStack() as stack:
        promised: list[Callable[[str], bool]] = []
        # Always in the same order, so that two processes cannot wait for each
        # other.
        for live in sorted(lives, key=lambda live: live.repo.sharedpath):
            if lock:
                stack.enter_context(live.repo.lock())
                live.update()
            promises = configured.promise_store(live.repo)
            if lock:
                promised.append(stack.enter_context(promises.halted(before)))
            else:
                promised.append(promises.reader(before))
        for blob in group:
            if not any(blob.oid in live.oids for live in lives) and not any(
                expects(blob.oid) for expects in promised
            ):
                yield blob
