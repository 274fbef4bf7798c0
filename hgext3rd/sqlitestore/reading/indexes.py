# SPDX-License-Identifier: GPL-2.0-or-later
"""Read the paths in the database, and the index of each file.

Reads paths, index runs and loose rows, never content. ``reading.store`` decides
whether what was read is still valid.
"""

from __future__ import annotations

import contextlib
import functools
import struct
from collections.abc import Iterable, Iterator

from mercurial.i18n import _

from ...amalgam.codecs import columns
from .. import errors
from ..database.connection import Database, Row
from ..formats import index, schema, statements
from . import lateindex
from .ahead import Ahead
from .fileindex import FileIndex
from .indexcache import IndexCache

# The kind of a path (see ``schema``), and the path.
Key = tuple[int, bytes]


class Indexes:
    """Paths and indexes in the database ``db``, cached."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._paths: dict[Key, int] = {}
        self._cache = IndexCache()
        self._ahead = Ahead()
        # Indexes of paths that have no revision yet.
        self._new: dict[Key, FileIndex] = {}

    # paths

    def path_id(self, path: bytes, kind: int = schema.FILE) -> int | None:
        """Return the id of a path, or None if it has no history."""
        found = self._paths.get((kind, path))
        if found is None:
            row = self._db.row(statements.SELECT_PATH_ID, (kind, path))
            if row is not None:
                found = self._paths[kind, path] = row[0]
        return found

    def paths(self, kind: int = schema.FILE) -> list[bytes]:
        """Return all paths of a kind, sorted."""
        rows = self._db.rows(statements.SELECT_PATHS, (kind,))
        return [bytes(row[0]) for row in rows]

    def path_of(self, path_id: int) -> bytes:
        """Return the name in messages of the path with an id, or ``?``.

        This searches the whole table of paths: use it for messages only.
        """
        row = self._db.row(statements.SELECT_PATH_OF_ID, (path_id,))
        return schema.display_name(row[0], bytes(row[1])) if row else b'?'

    def has_directory(self, path: bytes) -> bool:
        """Return whether there are files below the directory ``path``."""
        prefix = path.rstrip(b'/') + b'/'
        # '0' follows '/' in ASCII.
        bounds = (schema.FILE, prefix, prefix[:-1] + b'0')
        row = self._db.row(statements.HAS_PATHS_BETWEEN, bounds)
        return row is not None

    def add_path(self, key: Key, path_id: int, idx: FileIndex) -> None:
        """Remember a path that was just inserted, and its index."""
        self._paths[key] = path_id
        self._new.pop(key, None)
        self._cache.keep(path_id, idx)

    def note_path(self, key: Key, path_id: int) -> None:
        """Remember a path that was just inserted, whose index is not known."""
        self._paths[key] = path_id
        self._new.pop(key, None)

    def drop_path(self, key: Key, path_id: int) -> None:
        """Forget a path that was just deleted."""
        self._paths.pop(key, None)
        self._cache.drop(path_id)

    # indexes

    def of_path(self, key: Key, share_new: bool) -> FileIndex:
        """Return the index of a path; it is empty if it has no history.

        With ``share_new``, all callers get the same index of a new path, so
        that each sees the revisions that another one adds.
        """
        kind, path = key
        if kind == schema.FILE:
            self._ahead.ask(path)
            if key not in self._paths and self._ahead.count > 1:
                self._read_ahead(path)
        path_id = self.path_id(path, kind)
        if path_id is not None:
            return self.of_id(path_id)
        found = self._new.get(key)
        if found is None:
            found = FileIndex(None)
            if share_new:
                self._new[key] = found
        return found

    def of_id(self, path_id: int) -> FileIndex:
        """Return the index of the file with a path id."""
        found = self._cache.get(path_id)
        if found is None:
            found = self.read(path_id)
            self._cache.keep(path_id, found)
        return found

    def keep(self, idx: FileIndex) -> None:
        """Cache an index again after revisions were added to it."""
        if idx.path_id is not None:
            self._cache.keep(idx.path_id, idx)

    def drop(self, path_id: int) -> None:
        """Forget an index, since its path got revisions in the database."""
        self._cache.drop(path_id)

    def update_places(self, idx: FileIndex) -> None:
        """Read the places of a file's content again, after a repack."""
        fresh = self.read(idx.path_id)
        if idx.path_id is not None:
            idx.move_content(fresh)
            self._cache.clear()
            self._cache.keep(idx.path_id, idx)

    def note_full_text(self, gid: int, stored: int) -> None:
        """Note that a loose revision is now a full text of ``stored`` bytes."""
        path_id, rev = schema.split_id(gid)
        idx = self._cache.get(path_id)
        if idx is not None:
            idx.frames[rev] = idx.places[rev] = 0
            idx.stored[rev] = stored

    @property
    def cached_bytes(self) -> int:
        """The bytes of all cached indexes."""
        return self._cache.used

    def share_limit(self, users: int) -> None:
        """Use a part of the limit; see ``Store.share_limits``."""
        self._cache.share_limit(users)

    def clear(self) -> None:
        """Drop everything that was read."""
        self._paths.clear()
        self._cache.clear()

    def clear_new(self) -> None:
        """Drop the indexes of files that have no revision yet."""
        self._new.clear()

    def read(self, path_id: int | None) -> FileIndex:
        """Return the index of a file as a new object that is not shared.

        Raises CorruptStore if it is damaged.
        """
        if path_id is None:
            return FileIndex(None)
        bounds = schema.file_bounds(path_id)
        return self._made(
            path_id, self._db.rows(statements.SELECT_INDEX, bounds)
        )

    def _read_ahead(self, path: bytes) -> None:
        """Cache the indexes of some files from ``path`` on.

        An index that seems damaged is left out: whoever asks for it gets the
        error. While this process writes, the database lacks what is in memory.
        """
        if self._db.in_transaction:
            return
        wanted = (schema.FILE, path, self._ahead.count)
        found: dict[int, list[Row]] = {}
        size = 0
        for name, path_id, *row in self._db.rows(
            statements.SELECT_INDEXES_OF_NEXT, wanted
        ):
            rows = found.setdefault(path_id, [])
            if name is not None:
                self._paths[schema.FILE, bytes(name)] = path_id
                size += len(row[0] or b'')
            if row[1] is not None:
                rows.append(tuple(row))
        for path_id, rows in found.items():
            if not self._cache.has(path_id):
                with contextlib.suppress(errors.CorruptStore):
                    self._cache.keep(path_id, self._made(path_id, rows))
        self._ahead.learn(len(found), size)

    def _made(self, path_id: int, rows: Iterable[Row]) -> FileIndex:
        """Return the index of a file that has these rows of SELECT_INDEX."""
        parts: list[lateindex.Part] = []
        loose: list[Row] = []
        guard = functools.partial(self._naming_damage, path_id)
        with guard():
            for row in rows:
                if row[0] is None:
                    loose.append(row)
                else:
                    data, gid, n = row[:3]
                    _path, first = schema.split_id(gid)
                    parts.append(lateindex.RunPart(first, n, data, guard))
            stored, tables = _loose_tables(loose)
        parts.extend(tables)
        parts.sort(key=lambda part: part.first)
        count = 0
        for part in parts:
            if part.first != count:
                raise errors.CorruptStore(
                    _(b'damaged index of %s: revision %d is missing')
                    % (self.path_of(path_id), min(part.first, count)),
                    hint=_(b'restore %s from a backup') % self._db.path,
                )
            count += part.n
        if not parts:
            return FileIndex(path_id)
        result = lateindex.LateIndex(path_id, parts)
        result.stored = stored
        return result

    @contextlib.contextmanager
    def _naming_damage(self, path_id: int) -> Iterator[None]:
        """Re-raise decoding errors as CorruptStore, with the file's path."""
        try:
            yield
        except (OverflowError, TypeError, ValueError, struct.error) as exc:
            raise errors.CorruptStore(
                _(b'damaged index of %s: %s')
                % (self.path_of(path_id), str(exc).encode()),
                hint=_(b'restore %s from a backup') % self._db.path,
            ) from exc


def _loose_tables(
    rows: Iterable[Row],
) -> tuple[dict[int, int], list[lateindex.Part]]:
    """Return the bytes in each loose row of a file, and parts of its index.

    Each part has consecutive rows.
    """
    stored = {}
    parts: list[lateindex.Part] = []
    loose: list[index.Revision] = []
    end = 0
    for row in rows:
        _path, rev = schema.split_id(row[1])
        stored[rev] = row[10]
        revision = index.Revision(*row[2:10])
        index.check_parents(rev, revision.p1, revision.p2)
        if len(revision.node) != index.NODE_SIZE:
            raise columns.ColumnError('bad length of a node')
        if not 0 <= revision.flags <= index.MOST_FLAGS:
            raise columns.ColumnError('flags out of range')
        if revision.place > rev and not revision.frame:
            raise columns.ColumnError('base out of range')
        if loose and rev != end:
            first = end - len(loose)
            parts.append(lateindex.Part(first, index.Table(loose)))
            loose = []
        loose.append(revision)
        end = rev + 1
    if loose:
        parts.append(lateindex.Part(end - len(loose), index.Table(loose)))
    return stored, parts
