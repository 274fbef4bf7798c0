# SPDX-License-Identifier: GPL-2.0-or-later
"""The histories that a conversion reads, and how it copies them.

A source lists paths of files and of directories of manifests, and adds all
revisions of a path to the destination. This module does not know which files
make up a store, or when a conversion takes effect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from mercurial import error
from mercurial.i18n import _
from mercurial.node import nullid, nullrev
from mercurial.revlogutils import constants
from mercurial.utils import stringutil

from .. import compat
from ..formats import schema
from ..writing import hashing
from . import legacy

# The kind of a path (see ``formats.schema``), and the path.
Key = tuple[int, bytes]


class Source(Protocol):
    """Histories to convert."""

    def keys(self) -> list[Key]:
        """Return all paths that have a history, in order."""

    def copy(self, key: Key, target: Destination, tr: Any) -> int:
        """Add all revisions of a path to ``target``; return their number."""


class Destination(Protocol):
    """A file that revisions are added to: a revlog or a ``SQLiteRevlog``."""

    def addrawrevision(self, *args: Any) -> Any:
        """Add a revision, as Mercurial's revlog does."""

    def addgroup(self, *args: Any) -> Any:
        """Add a group of revisions, as Mercurial's revlog does."""


class Arriving(compat.Incoming):
    """A revision in the form that ``SQLiteRevlog.addgroup`` takes.

    It has either a delta or a text. A revlog also reads ``has_censor_flag``.
    """

    __slots__ = ('has_censor_flag',)

    def __init__(
        self,
        node: bytes,
        p1: bytes,
        p2: bytes,
        flags: int,
        base: bytes,
        delta: bytes | None,
        text: bytes | None,
    ) -> None:
        self.node = self.link_node = node
        self.p1 = p1
        self.p2 = p2
        self.flags = flags
        self.delta_base = base
        self.delta = delta
        self.raw_text = text
        self.compression = None
        self.sidedata: dict = {}
        self.has_censor_flag = bool(flags & constants.REVIDX_ISCENSORED)


class RepositorySource:
    """The files and manifests of an open repository.

    With ``deltas``, the stored deltas are passed on through ``addgroup``.
    Otherwise texts are passed to ``addrawrevision``.
    """

    def __init__(self, repo: Any, deltas: bool) -> None:
        self._repo = repo
        self._deltas = deltas

    def keys(self) -> list[Key]:
        """Return all paths in the store, those of hidden changesets too."""
        files = []
        for entry in self._repo.store.data_entries():
            if entry.is_revlog and entry.is_filelog:
                files.append((schema.FILE, entry.target_id))
        return sorted(files) + self.manifests()

    def manifests(self) -> list[Key]:
        """Return the directories of manifests in the store."""
        found = [(schema.DIRECTORY, b'')]
        for entry in self._repo.store.data_entries():
            if entry.is_revlog and entry.is_manifestlog:
                found.append((schema.DIRECTORY, entry.target_id))
        return sorted(found)

    def copy(self, key: Key, target: Destination, tr: Any) -> int:
        """Add all revisions of a path to ``target``; return their number."""
        source = compat.inner_revlog(open_log(self._repo, key))
        if self._deltas:
            target.addgroup(
                _emitted(source),
                lambda node: source.linkrev(source.rev(node)),
                tr,
            )
        else:
            for rev in range(len(source)):
                target.addrawrevision(
                    source.rawdata(rev),
                    tr,
                    source.linkrev(rev),
                    *map(source.node, source.parentrevs(rev)),
                    source.node(rev),
                    source.flags(rev),
                )
        return len(source)


def open_log(repo: Any, key: Key) -> Any:
    """Return the filelog or manifest storage of a path."""
    kind, path = key
    if kind == schema.DIRECTORY:
        return repo.manifestlog.getstorage(path)
    return repo.file(path)


def _emitted(source: Any) -> Iterator[Arriving]:
    """Yield all revisions of a revlog in stored order."""
    nodes = [source.node(rev) for rev in range(len(source))]
    if not nodes:
        return
    for item in source.emitrevisions(
        nodes, nodesorder=b'storage', revisiondata=True
    ):
        yield Arriving(
            item.node,
            item.p1node,
            item.p2node,
            item.flags,
            item.basenode,
            item.delta,
            item.revision,
        )


class LegacySource:
    """The files in a database of the old format (see ``legacy``).

    ``revlogs`` has the manifests, which are revlogs in that format.
    """

    def __init__(
        self,
        database: legacy.LegacyDatabase,
        revlogs: RepositorySource,
        deltas: bool,
    ) -> None:
        self._database = database
        self._revlogs = revlogs
        self._deltas = deltas
        self._ids = {path: path_id for path_id, path in database.paths()}

    def keys(self) -> list[Key]:
        """Return all paths to copy: those of manifests only into a database."""
        files = [(schema.FILE, path) for path in sorted(self._ids)]
        if not self._deltas:
            # The destination has revlogs, so those of manifests stay.
            return files
        return files + self._revlogs.manifests()

    def copy(self, key: Key, target: Destination, tr: Any) -> int:
        """Add all revisions of a path to ``target``; return their number."""
        kind, path = key
        if kind == schema.DIRECTORY:
            return self._revlogs.copy(key, target, tr)
        links: dict[bytes, int] = {}
        arriving = self._arriving(path, links)
        if self._deltas:
            target.addgroup(arriving, links.__getitem__, tr)
        else:
            for item in arriving:
                target.addrawrevision(
                    item.raw_text,
                    tr,
                    links[item.node],
                    item.p1,
                    item.p2,
                    item.node,
                    item.flags,
                )
        return len(links)

    def _arriving(
        self, path: bytes, links: dict[bytes, int]
    ) -> Iterator[Arriving]:
        """Yield the revisions of a path, and put their linkrevs in ``links``.

        Raises CorruptStore for a text that does not match its node.
        """
        nodes: list[bytes] = []
        for rev in self._database.revisions(self._ids[path]):
            p1, p2 = (
                nullid if p == nullrev else nodes[p] for p in (rev.p1, rev.p2)
            )
            flags = 0
            if rev.censored:
                flags = constants.REVIDX_ISCENSORED
            elif hashing.node_of(rev.text, p1, p2) != rev.node:
                raise self._database.mismatch(path, len(nodes))
            nodes.append(rev.node)
            links[rev.node] = rev.linkrev
            yield Arriving(rev.node, p1, p2, flags, nullid, None, rev.text)


# Called with the number of files done and the number of all files.
Progress = Callable[[int, int], None]


def copy_all(
    source: Source,
    open_target: Callable[[Key], Destination],
    tr: Any,
    progress: Progress,
) -> tuple[int, int]:
    """Copy everything; return the numbers of files and of their revisions.

    Raises Abort, naming the path, if its history cannot be read.
    """
    keys = source.keys()
    files = revisions = 0
    for done, key in enumerate(keys):
        progress(done, len(keys))
        kind, path = key
        try:
            copied = source.copy(key, open_target(key), tr)
        except (error.Error, OSError):
            raise
        except Exception as exc:
            # For a damaged revlog Mercurial raises exceptions of any kind.
            raise error.Abort(
                _(b'cannot read the history of %s: %s')
                % (
                    schema.display_name(kind, path),
                    stringutil.forcebytestr(exc),
                ),
                hint=_(b"run 'hg verify'"),
            ) from exc
        if kind == schema.FILE:
            files += 1
            revisions += copied
    return files, revisions
