# SPDX-License-Identifier: GPL-2.0-or-later
"""The checks of the database that ``hg verify`` runs.

Core's verify reads every revision and so finds damaged content. The checks here
find other damage: damaged pages, rows of paths that do not exist, references to
rows that do not exist, and ids that would be assigned twice.
"""

from __future__ import annotations

import collections
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from mercurial.i18n import _

from ...amalgam.codecs import chunks, columns
from .. import errors
from ..formats import frames, index, schema, statements

if TYPE_CHECKING:
    from .store import Store


class Problem(NamedTuple):
    """A problem that was found; ``path`` is the file it concerns, if any.

    After a ``fatal`` problem the checks cannot go on.
    """

    message: bytes
    path: bytes | None = None
    fatal: bool = False


class _Inventory:
    """The rows of the database, collected in one pass over each table."""

    def __init__(self) -> None:
        # path by path id
        self.paths: dict[int, bytes] = {}
        # number of entries by frame id
        self.entries: dict[int, int] = {}
        # global ids
        self.loose: set[int] = set()
        # path id -> (first, end) of each run of sealed revisions
        self.sealed: dict[int, list[tuple[int, int]]] = collections.defaultdict(
            list
        )
        # ids of frames that a revision refers to
        self.used: set[int] = set()

    def has(self, gid: int) -> bool:
        """Return whether there is a revision with a global id."""
        if gid in self.loose:
            return True
        path_id, rev = schema.split_id(gid)
        return any(a <= rev < b for a, b in self.sealed.get(path_id, ()))


def check(store: Store) -> Iterator[Problem]:
    """Yield all problems of a database; none follows a fatal one."""
    try:
        for (message,) in store.db.rows(statements.INTEGRITY_CHECK):
            if message != 'ok':
                yield Problem(
                    b'%s: %s' % (schema.FILENAME, message.encode('utf-8'))
                )
        yield from _check_references(store)
    except errors.CorruptStore as exc:
        yield Problem(bytes(exc), fatal=True)
    except TypeError:
        # SQLite does not enforce the types of columns.
        yield Problem(
            _(b'%s: a value is not of the type of its column')
            % schema.FILENAME,
            fatal=True,
        )


def _check_references(store: Store) -> Iterator[Problem]:
    """Yield rows that refer to something that does not exist."""
    db = store.db
    found = _Inventory()
    for kind, name, path_id in db.rows(statements.SELECT_ALL_PATHS):
        path = schema.display_name(kind, name)
        if path_id in found.paths:
            yield Problem(_(b'path id %d is used twice') % path_id, path)
        found.paths[path_id] = path
    for frame_id, head in db.iterate(statements.SELECT_HEADS):
        try:
            found.entries[frame_id] = len(frames.decode_head(head).paths)
        except (columns.ColumnError, chunks.ChunkError, ValueError):
            yield Problem(_(b'frame %d has a damaged head') % frame_id)
    yield from _check_runs(store, found)
    yield from _check_rows(store, found)
    for (frame_id,) in db.rows(statements.SELECT_FRAMES_OF_PIECES):
        if frame_id not in found.entries:
            yield Problem(_(b'pieces of missing frame %d') % frame_id)
    for (gid,) in db.rows(statements.SELECT_CONTENT_REVS):
        if not found.has(gid):
            yield Problem(_(b'content index names a missing revision'))
    counters: dict[str, int] = dict(db.rows(statements.SELECT_COUNTERS))
    if max(found.paths, default=0) >= counters.get('path', 0):
        yield Problem(_(b'the next path id is already in use'))
    if max(found.entries, default=0) >= counters.get('frame', 0):
        yield Problem(_(b'the next frame id is already in use'))


def _check_runs(store: Store, found: _Inventory) -> Iterator[Problem]:
    for gid, n, data in store.db.iterate(statements.SELECT_ALL_RUNS):
        path_id, first = schema.split_id(gid)
        path = found.paths.get(path_id)
        if path is None:
            yield Problem(_(b'index of unknown path id %d') % path_id)
            continue
        found.sealed[path_id].append((first, first + n))
        try:
            revs = index.decode_run(first, n, data)
        except (columns.ColumnError, chunks.ChunkError):
            yield Problem(_(b'damaged index'), path)
            continue
        for rev, revision in enumerate(revs, first):
            found.used.add(revision.frame)
            if revision.place >= found.entries.get(revision.frame, 0):
                yield Problem(
                    _(b'revision %d refers to missing entry %d of frame %d')
                    % (rev, revision.place, revision.frame),
                    path,
                )


def _check_rows(store: Store, found: _Inventory) -> Iterator[Problem]:
    rows = store.db.rows(statements.SELECT_LOOSE_PLACES)
    found.loose.update(row[0] for row in rows)
    for gid, base, frame_id in rows:
        path_id, rev = schema.split_id(gid)
        path = found.paths.get(path_id)
        if path is None:
            yield Problem(_(b'revision of unknown path id %d') % path_id)
            continue
        if frame_id:
            found.used.add(frame_id)
            if frame_id not in found.entries:
                yield Problem(
                    _(b'revision %d refers to missing frame %d')
                    % (rev, frame_id),
                    path,
                )
        elif base and not found.has(gid - base if base > 0 else -base):
            yield Problem(_(b'revision %d has a dangling base') % rev, path)


def unused_frames(store: Store) -> int:
    """Return the number of frames that no revision refers to.

    Stripping leaves such frames behind. They are not a problem, and the next
    repack removes them.
    """
    found = _Inventory()
    found.paths = {
        path_id: path
        for _kind, path, path_id in store.db.rows(statements.SELECT_ALL_PATHS)
    }
    for frame_id, _head in store.db.iterate(statements.SELECT_HEADS):
        # More than any frame has, so that no reference counts as missing.
        found.entries[frame_id] = 1 << 31
    for _problem in _check_runs(store, found):
        pass
    for _problem in _check_rows(store, found):
        pass
    return len(set(found.entries) - found.used)
