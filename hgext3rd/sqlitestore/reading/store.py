# SPDX-License-Identifier: GPL-2.0-or-later
"""The file store of one repository: paths, indexes, frames and texts by id.

Everything here speaks of global ids and stored bytes; what a revision means
(nodes, flags, hashes) is the business of ``filestore``, and writing that of
``transaction``. One instance belongs to one repository object.

For other modules of this package:

* ``path_id``, ``paths``, ``has_directory``: which files there are;
* ``index(path)``: the FileIndex of a file, shared and kept while valid;
* ``frame(id)``, ``loose(gids)``, ``text(gid)``: stored content;
* ``open_writer``: who has a frame that is not in the database yet;
* ``forget()``: drop everything cached, after rows changed underneath.
"""

from __future__ import annotations

import collections
import contextlib
import json
import os
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from mercurial import mdiff
from mercurial.i18n import _

from .. import errors
from ..compat import mpatch
from ..database import connection
from ..formats import chunks, columns, frames, index, schema
from ..formats.index import FileIndex

# Bytes of decoded frames kept. Reading all files goes through frames nearly in
# order, so that a few are enough: this many, or more of small ones.
FRAME_CACHE = 32 << 20
FEW_FRAMES = 16
SMALL_FRAMES = 8 << 20

# Chains hop between files at copies only. A stored chain cannot contain a
# loop unless the database is damaged, and then this ends it.
MAX_HOPS = 1000

SELECT_PATH = 'SELECT id FROM path WHERE path = ?'
SELECT_PATHS = 'SELECT path FROM path'
SELECT_PATH_OF_ID = 'SELECT path FROM path WHERE id = ?'
SELECT_BELOW = 'SELECT 1 FROM path WHERE path >= ? AND path < ? LIMIT 1'
SELECT_SEGMENTS = 'SELECT id, n, data FROM idx WHERE id BETWEEN ? AND ?'
SELECT_ROWS = """
    SELECT id, node, p1, p2, linkrev, flags, rawsize, frame, base, length(data)
    FROM rev WHERE id BETWEEN ? AND ?"""
SELECT_DATA = """
    SELECT rev.id, rev.data FROM json_each(?) AS wanted
    JOIN rev ON rev.id = wanted.value"""
SELECT_FRAME = 'SELECT head, data FROM frame WHERE id = ?'
SELECT_PIECES = 'SELECT data FROM piece WHERE id BETWEEN ? AND ? ORDER BY id'
HAS_PIECES = 'SELECT 1 FROM piece WHERE id = ?'
SELECT_CONTENT = 'SELECT rev FROM content WHERE digest = ?'


class OpenWriter(Protocol):
    """What a store knows of whoever writes to it."""

    transaction: Any

    def open_frame(self, frame_id: int) -> Any:
        """The frame being filled if it has this id, or None."""


class Store:
    """The store in the database file at ``path``.

    ``compression`` names the engine for new data (see ``chunks``);
    ``changesets`` returns the number of changesets on disk, which decides
    whether an earlier transaction happened (see ``transaction``).
    """

    def __init__(
        self,
        path: bytes,
        compression: str,
        synchronous: bytes = b'full',
        changesets: Callable[[], int] = lambda: 0,
        busy: float = connection.BUSY_SECONDS,
        mode: int | None = None,
    ) -> None:
        self.db = connection.Database(path, synchronous, busy, mode)
        self.compression = compression
        self.changesets = changesets
        self._paths: dict[bytes, int] = {}
        self._indexes = index.IndexCache()
        self._new: dict[bytes, FileIndex] = {}
        self._frames: collections.OrderedDict[int, frames.Frame] = (
            collections.OrderedDict()
        )
        self._frames_size = 0
        self._texts = frames.TextCache()
        # texts read ahead, by path and node (see prefetch.py)
        self.ready: dict[tuple[bytes, bytes], Any] = {}
        self._version: Any = None
        # what writes in a running transaction (see transaction.writer)
        self.open_writer: OpenWriter | None = None

    @property
    def exists(self) -> bool:
        """Whether there is a database."""
        return os.path.exists(self.db.path)

    # files

    def path_id(self, path: bytes) -> int | None:
        """The id of a file's path, or None."""
        found = self._paths.get(path)
        if found is None:
            row = self.db.row(SELECT_PATH, (path,))
            if row is not None:
                found = self._paths[path] = row[0]
        return found

    def paths(self) -> list[bytes]:
        """All paths, sorted."""
        return [bytes(row[0]) for row in self.db.rows(SELECT_PATHS)]

    def path_of(self, path_id: int) -> bytes:
        """The path with an id, for messages (it reads the whole table)."""
        row = self.db.row(SELECT_PATH_OF_ID, (path_id,))
        return bytes(row[0]) if row else b'?'

    def has_directory(self, path: bytes) -> bool:
        """Whether there are files below the directory ``path``."""
        prefix = path.rstrip(b'/') + b'/'
        # '0' follows '/' in ASCII
        return (
            self.db.row(SELECT_BELOW, (prefix, prefix[:-1] + b'0')) is not None
        )

    def add_path(self, path: bytes, path_id: int, idx: FileIndex) -> None:
        """Remember a path just written, and its index."""
        self._paths[path] = path_id
        self._new.pop(path, None)
        self._indexes.keep(path_id, idx)

    def drop_path(self, path: bytes, path_id: int) -> None:
        """Forget a path just removed."""
        self._paths.pop(path, None)
        self._indexes.drop(path_id)

    def rewritten(self, gid: int, stored: int) -> None:
        """Note that a loose revision is now a full text of ``stored`` bytes."""
        path_id, rev = schema.split_id(gid)
        idx = self._indexes.get(path_id)
        if idx is not None:
            idx.frames[rev] = idx.places[rev] = 0
            idx.stored[rev] = stored

    # indexes

    def index(self, path: bytes) -> FileIndex:
        """The index of a file; empty if there is no such file."""
        self.revalidate()
        path_id = self.path_id(path)
        if path_id is not None:
            return self.index_of(path_id)
        found = self._new.get(path)
        if found is None:
            found = FileIndex(None)
            if self.open_writer is not None:
                # Whoever opens the file while it is being made sees the same.
                self._new[path] = found
        return found

    def index_of(self, path_id: int) -> FileIndex:
        """The index of the file with a path id."""
        found = self._indexes.get(path_id)
        if found is None:
            found = self.read_index(path_id)
            self._indexes.keep(path_id, found)
        return found

    def keep_index(self, idx: FileIndex) -> None:
        """Keep an index that has grown; what was read meanwhile is old."""
        if idx.path_id is not None:
            self._indexes.keep(idx.path_id, idx)

    def read_index(self, path_id: int | None) -> FileIndex:
        """The index of a file as a new object that nobody shares."""
        if path_id is None:
            return FileIndex(None)
        bounds = (
            schema.global_id(path_id, 0),
            schema.global_id(path_id, schema.REV_MASK),
        )
        parts: list[tuple[int, list[index.Revision]]] = []
        stored = {}
        with self._damaged_index(path_id):
            for gid, n, data in self.db.rows(SELECT_SEGMENTS, bounds):
                first = gid & schema.REV_MASK
                parts.append((first, index.decode_segment(first, n, data)))
            for row in self.db.rows(SELECT_ROWS, bounds):
                rev = row[0] & schema.REV_MASK
                stored[rev] = row[9]
                revision = index.Revision(*row[1:9])
                index.check_parents(rev, revision.p1, revision.p2)
                if revision.place > rev and not revision.frame:
                    raise columns.ColumnError('base out of range')
                parts.append((rev, [revision]))
        parts.sort(key=lambda part: part[0])
        revs: list[index.Revision] = []
        for first, part in parts:
            if first != len(revs):
                raise errors.CorruptStore(
                    _(b'damaged index of %s: revision %d is missing')
                    % (self.path_of(path_id), min(first, len(revs))),
                    hint=_(b'restore %s from a backup') % self.db.path,
                )
            revs.extend(part)
        with self._damaged_index(path_id):
            result = FileIndex(path_id, revs)
        result.stored = stored
        return result

    @contextlib.contextmanager
    def _damaged_index(self, path_id: int) -> Iterator[None]:
        try:
            yield
        except (OverflowError, TypeError, ValueError, struct.error) as exc:
            raise errors.CorruptStore(
                _(b'damaged index of %s: %s')
                % (self.path_of(path_id), str(exc).encode()),
                hint=_(b'restore %s from a backup') % self.db.path,
            ) from exc

    @contextlib.contextmanager
    def naming_damage(self) -> Iterator[None]:
        """Say where it is what does not decode, in work on all files."""
        try:
            yield
        except (columns.ColumnError, chunks.ChunkError) as exc:
            raise errors.CorruptStore(
                _(b'%s is damaged: %s') % (self.db.path, str(exc).encode()),
                hint=_(b"run 'hg verify'"),
            ) from exc

    def revalidate(self) -> None:
        """Drop cached indexes if another process wrote to the database."""
        if self.db.in_transaction:
            return
        self.db.refresh()
        version = self.db.version()
        if version != self._version:
            self._paths.clear()
            self._indexes.clear()
            # Ids are not reused, but censoring rewrites frames in place.
            self.forget_content()
            self._version = version

    def refresh(self, idx: FileIndex) -> None:
        """Learn where the content of a file is now, after a repack."""
        fresh = self.read_index(idx.path_id)
        # idx may have revisions of a bundle on top
        n = min(len(idx), len(fresh))
        if idx.path_id is not None:
            idx.frames[:n] = fresh.frames[:n]
            idx.places[:n] = fresh.places[:n]
            idx.stored = fresh.stored
            self._indexes.clear()
            self._indexes.keep(idx.path_id, idx)

    def forget_content(self) -> None:
        """Drop cached frames."""
        self._frames.clear()
        self._frames_size = 0
        self._texts.clear()
        self.ready.clear()

    def forget(self) -> None:
        """Drop everything cached."""
        self._paths.clear()
        self._indexes.clear()
        self._new.clear()
        self._frames.clear()
        self._frames_size = 0
        self._texts.clear()
        self.ready.clear()

    # content

    def frame(self, frame_id: int) -> Any:
        """A frame, decoded: something with ``base``, ``entry`` and ``text``."""
        if self.open_writer is not None:
            open_frame = self.open_writer.open_frame(frame_id)
            if open_frame is not None:
                return open_frame
        frame = self._frames.get(frame_id)
        if frame is not None:
            self._frames.move_to_end(frame_id)
            return frame
        frame = self.read_frame(frame_id, self._texts)
        self._keep_frame(frame_id, frame)
        return frame

    def read_frame(
        self, frame_id: int, texts: frames.TextCache | None = None
    ) -> frames.Frame:
        """A frame of the database, not kept here."""
        row = self.db.row(SELECT_FRAME, (frame_id,))
        if row is None:
            raise errors.Moved(
                _(b'frame %d is missing in %s') % (frame_id, self.db.path),
                hint=_(b"run 'hg verify'"),
            )
        try:
            data = self._frame_data(frame_id, row[1])
            return frames.Frame(row[0], data, frame_id, texts)
        except (columns.ColumnError, chunks.ChunkError, ValueError) as exc:
            raise errors.CorruptStore(
                _(b'damaged frame %d in %s: %s')
                % (frame_id, self.db.path, str(exc).encode()),
                hint=_(b"run 'hg verify'"),
            ) from exc

    def _frame_data(self, frame_id: int, data: bytes) -> bytes:
        first = (frame_id << 16) + 1
        if len(data) < schema.PIECE_SIZE or not self.db.row(
            HAS_PIECES, (first,)
        ):
            return chunks.decode(data)

        def pieces() -> Iterator[bytes]:
            yield data
            bounds = (first, first + 0xFFFE)
            for (piece,) in self.db.iterate(SELECT_PIECES, bounds):
                yield piece

        return chunks.decode_stream(pieces())

    def _keep_frame(self, frame_id: int, frame: frames.Frame) -> None:
        if frame.size > FRAME_CACHE:
            return
        self._frames[frame_id] = frame
        self._frames_size += frame.size
        while self._frames_size > (
            FRAME_CACHE if len(self._frames) <= FEW_FRAMES else SMALL_FRAMES
        ):
            self._frames_size -= self._frames.popitem(last=False)[1].size

    def loose(self, gids: Iterable[int]) -> dict[int, bytes]:
        """The decoded data of loose rows, fetched by one query."""
        wanted = json.dumps(list(gids))
        found = {}
        for gid, data in self.db.rows(SELECT_DATA, (wanted,)):
            try:
                found[gid] = chunks.decode(data)
            except chunks.ChunkError as exc:
                path_id, rev = schema.split_id(gid)
                raise errors.CorruptStore(
                    _(b'damaged revision %d of %s: %s')
                    % (rev, self.path_of(path_id), str(exc).encode()),
                    hint=_(b"run 'hg verify'"),
                ) from exc
        return found

    def chain_text(
        self,
        idx: FileIndex,
        rev: int,
        cached: tuple[int, bytes] | None = None,
    ) -> bytes:
        """The text of a revision of a file, not checked against its node.

        ``cached`` is a revision of the same file and its text, if at hand.
        """
        try:
            try:
                return self._chain_text(idx, rev, cached)
            except errors.Moved:
                self.refresh(idx)
            return self._chain_text(idx, rev, cached)
        except IndexError as exc:
            raise errors.CorruptStore(
                _(b'damaged revision %d of %s: its base does not exist')
                % (rev, self.path_of(idx.path_id or 0)),
                hint=_(b"run 'hg verify'"),
            ) from exc

    def _chain_text(
        self, idx: FileIndex, rev: int, cached: tuple[int, bytes] | None
    ) -> bytes:
        stop, text = cached if cached is not None else (-1, b'')
        deltas: list[bytes] = []
        for _hop in range(MAX_HOPS):
            rows, below = idx.loose_chain(rev, stop)
            if rows:
                path_id = idx.path_id
                assert path_id is not None
                gids = [schema.global_id(path_id, r) for r in rows]
                found = self.loose(gids)
                if len(found) != len(set(gids)):
                    raise errors.Moved(
                        _(b'a delta of revision %d of %s is missing')
                        % (rev, self.path_of(path_id)),
                        hint=_(b"run 'hg verify'"),
                    )
                deltas.extend(found[gid] for gid in gids)
            if below is None:
                text = deltas.pop()
                break
            path_id, rev = schema.split_id(below)
            if path_id != idx.path_id:
                idx, stop = self.index_of(path_id), -1
                if rev >= len(idx):
                    raise errors.CorruptStore(
                        _(b'a copy refers to missing revision %d of %s')
                        % (rev, self.path_of(path_id)),
                        hint=_(b"run 'hg verify'"),
                    )
            if rev == stop:
                break
            if idx.frames[rev]:
                text = self.sealed(idx.frames[rev], idx.places[rev])
                break
        else:
            raise errors.CorruptStore(_(b'endless chain of deltas'))
        deltas = [delta for delta in reversed(deltas) if delta]
        if not deltas:
            return text
        try:
            return bytes(mdiff.patches(text, deltas))
        except mpatch.mpatchError as exc:
            raise errors.CorruptStore(
                _(b'a stored delta does not apply: %s') % str(exc).encode()
            ) from exc

    def sealed(self, frame_id: int, place: int) -> bytes:
        """The text of an entry of a frame."""
        try:
            return self.frame(frame_id).text(place)
        except (columns.ColumnError, mpatch.mpatchError) as exc:
            raise errors.CorruptStore(
                _(b'damaged frame %d in %s: %s')
                % (frame_id, self.db.path, str(exc).encode()),
                hint=_(b"run 'hg verify'"),
            ) from exc

    def text(self, gid: int) -> bytes:
        """The text of the revision with a global id, not checked."""
        path_id, rev = schema.split_id(gid)
        return self.chain_text(self.index_of(path_id), rev)

    def find_content(self, digest: int) -> int | None:
        """The global id of a revision whose text may have this digest."""
        row = self.db.row(SELECT_CONTENT, (digest,))
        return row[0] if row else None
