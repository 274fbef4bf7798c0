# SPDX-License-Identifier: GPL-2.0-or-later
"""What `hg verify` checks in the database beside the content of files.

Reading every revision, as core's verify does, finds damaged content. Here are
the things that reading does not meet: pages SQLite finds wrong, rows that
belong to nothing, references to what is not there, ids that would be given
out twice.
"""

from __future__ import annotations

import collections
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from mercurial.i18n import _

from .. import errors
from ..formats import chunks, columns, frames, index, schema

if TYPE_CHECKING:
    from .store import Store

# Problems SQLite reports at most; one damaged page yields many.
MAX_PROBLEMS = 20

INTEGRITY_CHECK = 'PRAGMA integrity_check(%d)' % MAX_PROBLEMS
SELECT_PATHS = 'SELECT path, id FROM path'
SELECT_SEGMENTS = 'SELECT id, n, data FROM idx'
SELECT_ROWS = 'SELECT id, base, frame FROM rev'
SELECT_HEADS = 'SELECT id, head FROM frame'
SELECT_PIECES = 'SELECT DISTINCT id >> 16 FROM piece'
SELECT_CONTENT = 'SELECT rev FROM content'
SELECT_COUNTERS = 'SELECT name, value FROM counter'


class Problem(NamedTuple):
    """Something wrong; ``path`` is the file it concerns, if one."""

    message: bytes
    path: bytes | None = None
    fatal: bool = False


class _Contents:
    """What there is, gathered in one pass over each table."""

    def __init__(self) -> None:
        self.paths: dict[int, bytes] = {}
        self.entries: dict[int, int] = {}
        self.loose: set[int] = set()
        # ranges of sealed revisions by path id: (first, end)
        self.sealed: dict[int, list[tuple[int, int]]] = collections.defaultdict(
            list
        )
        self.used: set[int] = set()

    def has(self, gid: int) -> bool:
        """Whether there is a revision with a global id."""
        if gid in self.loose:
            return True
        path_id, rev = schema.split_id(gid)
        return any(a <= rev < b for a, b in self.sealed.get(path_id, ()))


def check(store: Store) -> Iterator[Problem]:
    """All problems of a database; the last one is fatal if none can follow."""
    try:
        for (message,) in store.db.rows(INTEGRITY_CHECK):
            if message != 'ok':
                yield Problem(
                    b'%s: %s' % (schema.FILENAME, message.encode('utf-8'))
                )
        yield from _check_references(store)
    except errors.CorruptStore as exc:
        yield Problem(bytes(exc), fatal=True)
    except TypeError:
        # SQLite lets any column hold anything
        yield Problem(
            _(b'%s: a value is not of the type of its column')
            % schema.FILENAME,
            fatal=True,
        )


def _check_references(store: Store) -> Iterator[Problem]:
    db = store.db
    found = _Contents()
    for path, path_id in db.rows(SELECT_PATHS):
        if path_id in found.paths:
            yield Problem(_(b'path id %d is used twice') % path_id, path)
        found.paths[path_id] = path
    for frame_id, head in db.iterate(SELECT_HEADS):
        try:
            found.entries[frame_id] = len(frames.decode_head(head)[0])
        except (columns.ColumnError, chunks.ChunkError, ValueError):
            yield Problem(_(b'frame %d has a damaged head') % frame_id)
    yield from _check_segments(store, found)
    yield from _check_rows(store, found)
    for (frame_id,) in db.rows(SELECT_PIECES):
        if frame_id not in found.entries:
            yield Problem(_(b'pieces of missing frame %d') % frame_id)
    for (gid,) in db.rows(SELECT_CONTENT):
        if not found.has(gid):
            yield Problem(_(b'content index names a missing revision'))
    counters: dict[str, int] = dict(db.rows(SELECT_COUNTERS))
    if max(found.paths, default=0) >= counters.get('path', 0):
        yield Problem(_(b'the next path id is already in use'))
    if max(found.entries, default=0) >= counters.get('frame', 0):
        yield Problem(_(b'the next frame id is already in use'))


def _check_segments(store: Store, found: _Contents) -> Iterator[Problem]:
    for gid, n, data in store.db.iterate(SELECT_SEGMENTS):
        path_id, first = schema.split_id(gid)
        path = found.paths.get(path_id)
        if path is None:
            yield Problem(_(b'index of unknown path id %d') % path_id)
            continue
        found.sealed[path_id].append((first, first + n))
        try:
            revs = index.decode_segment(first, n, data)
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


def _check_rows(store: Store, found: _Contents) -> Iterator[Problem]:
    rows = store.db.rows(SELECT_ROWS)
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
    """How many frames no revision refers to: what a repack would drop.

    Stripping leaves them; they are no problem.
    """
    found = _Contents()
    found.paths = {
        path_id: path for path, path_id in store.db.rows(SELECT_PATHS)
    }
    for frame_id, _head in store.db.iterate(SELECT_HEADS):
        found.entries[frame_id] = 1 << 31
    for _problem in _check_segments(store, found):
        pass
    for _problem in _check_rows(store, found):
        pass
    return len(set(found.entries) - found.used)
