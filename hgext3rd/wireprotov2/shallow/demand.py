# SPDX-License-Identifier: GPL-2.0-or-later
"""Asking for file data that is missing, at the moment when it is needed.

This is the only place that does so. Storage asks for a single revision when it
is read (``read``), which is slow; commands that are about to read many ask for
all of them before (``provide``). What fetches data is registered as the
attribute ``shallow_source`` of the repository, and is called with what is
missing. Nothing here knows the wire, and nothing above it how data is stored.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from mercurial import error
from mercurial.i18n import _
from mercurial.node import nullrev, short

from . import absence, texts

#: What is wanted: the nodes of each path, by the revision of a changeset that
#: has them. The changesets help a source to ask for many files at once. With
#: nullrev, it asks for them by their nodes.
Wanted = Mapping[int, Mapping[bytes, Iterable[bytes]]]

#: The part of it whose data is missing.
Missing = dict[int, dict[bytes, list[bytes]]]

#: The most files of a changeset that are fetched because it is to be known
#: whether one of them is a copy.
MOST_COPIES = 500

#: The most revisions of a file that are fetched because one of its descendants
#: was read.
MOST_AHEAD = 1024


class Unobtainable(Exception):
    """A source cannot provide what it was asked for.

    ``reason`` is one line that names the server.
    """

    def __init__(self, reason: bytes) -> None:
        super().__init__(reason)
        self.reason = reason


class Source(Protocol):
    """Fetches the data of file revisions."""

    def __call__(self, wanted: Missing) -> None:
        """Add the data of ``wanted`` to the texts that arrived later.

        Data that cannot be had is left out. Raises ``Unobtainable`` if none
        can.
        """

    def refusal(self, path: bytes, node: bytes) -> bytes:
        """Return why the last call has not provided a revision."""

    def close(self) -> None:
        """End connections."""


class MissingFileData(error.StorageError):
    """The data of a file revision is not here, and cannot be fetched."""

    def __init__(
        self, repo: Any, path: bytes, linkrev: int, reason: bytes = b''
    ) -> None:
        message = _(b'%s of changeset %s is not here') % (
            path,
            short(repo.unfiltered().changelog.node(linkrev)),
        )
        if reason:
            super().__init__(b'%s: %s' % (message, reason))
            return
        super().__init__(
            message,
            hint=_(
                b'this repository does not have the data of all files; '
                b"'hg admin::fetch-files' completes it"
            ),
        )


@contextlib.contextmanager
def paused(repo: Any) -> Iterator[None]:
    """Fetch nothing meanwhile: missing data is an error, as it is offline."""
    repo = repo.unfiltered()
    source = repo.shallow_source
    repo.shallow_source = None
    try:
        yield
    finally:
        repo.shallow_source = source


def provide(repo: Any, wanted: Wanted) -> None:
    """Make sure that ``repo`` has the data of file revisions.

    Those that are not in ``repo`` at all are ignored. Raises
    ``MissingFileData`` if the data of one cannot be had.
    """
    repo = repo.unfiltered()
    with absence.kept_open(repo):
        _provide(repo, wanted)


def _provide(repo: Any, wanted: Wanted) -> None:
    missing = _missing(repo, wanted)
    if not missing:
        return
    source = repo.shallow_source
    reason = b''
    if source is not None:
        try:
            source(missing)
        except Unobtainable as exc:
            reason = exc.reason
        finally:
            texts.of_repo(repo).flush()
    for files in missing.values():
        for path, nodes in sorted(files.items()):
            inner = absence.of_file(repo, path)
            for node in nodes:
                if absence.is_missing(repo, inner, node):
                    if source is not None and not reason:
                        reason = source.refusal(path, node)
                    raise MissingFileData(
                        repo, path, inner.linkrev(inner.rev(node)), reason
                    )


def _missing(repo: Any, wanted: Wanted) -> Missing:
    """Return the part of ``wanted`` whose data is missing, each node once."""
    found: Missing = {}
    seen: set[tuple[bytes, bytes]] = set()
    for rev, files in wanted.items():
        for path, nodes in files.items():
            new = [node for node in nodes if (path, node) not in seen]
            if not new:
                continue
            seen.update((path, node) for node in new)
            inner = absence.of_file(repo, path)
            missing = [
                node
                for node in new
                if inner.hasnode(node) and absence.is_missing(repo, inner, node)
            ]
            if missing:
                found.setdefault(rev, {})[path] = missing
    return found


def provide_copies(repo: Any, paths: Iterable[bytes]) -> None:
    """Provide what tells which revisions of ``paths`` are copies.

    Only the data of a revision without a first parent tells that. Does nothing
    if that cannot be had: then they count as no copies.
    """
    repo = repo.unfiltered()
    wanted: Missing = {}
    for path in filter(repo.narrowmatch(), paths):
        inner = absence.of_file(repo, path)
        for rev in range(len(inner)):
            if inner.parentrevs(rev)[0] == nullrev:
                files = wanted.setdefault(inner.linkrev(rev), {})
                files.setdefault(path, []).append(inner.node(rev))
    with contextlib.suppress(MissingFileData):
        provide(repo, wanted)


def read_copy(storage: Any, rev: int) -> None:
    """Provide what tells whether ``rev`` is a copy, if that is possible.

    The same is provided for the other files of its changeset, since files are
    mostly renamed together.
    """
    repo = storage.shallow_repo
    together = repo[storage.linkrev(rev)].files()
    if len(together) > MOST_COPIES:
        together = []
    provide_copies(repo, {storage.target[1], *together})


def read(storage: Any, rev: int) -> None:
    """Fetch the data of a revision of ``storage`` that is read and missing.

    Commands that no hook prepares for read one revision after the other. So
    each time this is called for a file, it fetches twice as many ancestors.
    Raises ``MissingFileData``.
    """
    repo = storage.shallow_repo
    path = storage.target[1]
    if repo.shallow_source is None:
        raise MissingFileData(repo, path, storage.linkrev(rev))
    ahead = min(repo.shallow_reads.get(path, 0) * 2, MOST_AHEAD)
    repo.shallow_reads[path] = max(1, ahead)
    files: Missing = {}
    for found in [rev, *_ancestors(repo, storage, rev, ahead)]:
        nodes = files.setdefault(storage.linkrev(found), {}).setdefault(
            path, []
        )
        nodes.append(storage.node(found))
    provide(repo, files)


def _ancestors(repo: Any, storage: Any, rev: int, most: int) -> list[int]:
    """Return up to ``most`` ancestors of ``rev`` without data, nearest first."""
    found: list[int] = []
    seen = {rev, nullrev}
    heads = [rev]
    while heads and len(found) < most:
        parents = [p for head in heads for p in storage.parentrevs(head)]
        heads = [p for p in dict.fromkeys(parents) if p not in seen]
        seen.update(heads)
        found += [
            p
            for p in heads
            if absence.is_missing(repo, storage, storage.node(p))
        ]
    return found[:most]
