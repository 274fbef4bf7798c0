# SPDX-License-Identifier: GPL-2.0-or-later
"""Read stored content: frames, loose rows, and the texts of revisions.

This module works with global ids and stored bytes. It knows nothing of nodes,
hashes and flags: ``filelog`` checks each text against its node.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from mercurial import mdiff
from mercurial.i18n import _

from ...amalgam.codecs import chunks, columns
from .. import errors
from ..compat import mpatch
from ..database.connection import Database
from ..formats import frames, schema, statements
from .fileindex import FileIndex
from .growing import GrowingCache
from .indexes import Indexes

# The decoded frames to keep (see ``growing``). Commands on consecutive changesets
# read files from about ten frames of 2 MB in turn. With 16 MB instead of 24,
# ``hg export`` of 60 changesets decoded four times as much; with 20 MB, export
# took 6% more CPU on another history.
FEW_FRAMES = 2
FIRST_FRAMES = 4 << 20
MOST_FRAMES = 24 << 20

# Bytes of the largest frame to keep.
LARGEST_FRAME = 32 << 20

# Bytes of texts and frames to keep while a transaction adds revisions. It reads
# only the bases of revisions that arrive, and ``writing.texts`` keeps most of
# these.
WRITING_TEXTS = 1 << 20
WRITING_FRAMES = 1 << 20

# How often a chain of deltas may go on in another file, which happens at a
# copy. In a damaged database a chain can have a loop, which this limit ends.
MAX_HOPS = 1000

# How many repacks may end while one text is read. Two follow each other only if
# somebody starts them by hand.
MAX_REPACKS = 3

# Returns the frame that is being filled if it has this id, or None.
OpenFrame = Callable[[int], Any]


class Contents:
    """The content of revisions in the database ``db``, cached.

    ``open_frame`` is set while a transaction fills a frame that is not in the
    database yet.
    """

    def __init__(self, db: Database, indexes: Indexes) -> None:
        self._db = db
        self._indexes = indexes
        self._frames = GrowingCache[frames.Frame](
            FEW_FRAMES, FIRST_FRAMES, MOST_FRAMES
        )
        # The frame that was used last, and its id: what is sent for a revision
        # and the next one is mostly in the same frame.
        self._last: tuple[int, frames.Frame] | None = None
        self._texts = frames.TextCache()
        self._less = False
        # How many stores share the limits, and for how many they were set last.
        # Another thread may change the first number.
        self.users = self._set_for = 1
        self.open_frame: OpenFrame | None = None

    def keep_less(self, less: bool) -> None:
        """Use the small limits of a transaction, or the usual ones."""
        self._less = less
        self._set_limits()

    def _set_limits(self) -> None:
        """Set the limits, and drop what exceeds them.

        Stores in use at the same time share them (see ``resting``), but each
        has at least those of a transaction.
        """
        self._set_for = users = self.users
        most, texts = MOST_FRAMES, frames.TEXT_CACHE
        if self._less:
            most = texts = 0
        self._frames.most = max(most // users, WRITING_FRAMES)
        self._frames.shrink()
        self._texts.resize(max(texts // users, WRITING_TEXTS))

    @property
    def cached_bytes(self) -> int:
        """The bytes of all cached content."""
        return self._frames.used + self._texts.size

    def clear(self) -> None:
        """Drop all cached content."""
        self._frames.clear()
        self._last = None
        self._texts.clear()

    # frames

    def frame(self, frame_id: int) -> Any:
        """Return a decoded frame, with ``base``, ``entry`` and ``text``.

        Raises Moved if it does not exist, and CorruptStore if it is damaged.
        """
        if self.open_frame is not None:
            open_frame = self.open_frame(frame_id)
            if open_frame is not None:
                return open_frame
        last = self._last
        if last is not None and last[0] == frame_id:
            return last[1]
        frame = self._frames.get(frame_id)
        if frame is None:
            frame = self.read_frame(frame_id, self._texts)
            if frame.size <= LARGEST_FRAME:
                self._frames.keep(frame_id, frame, frame.size)
            if self.users != self._set_for:
                self._set_limits()
        if frame_id in self._frames:
            self._last = frame_id, frame
        return frame

    def cached_frame(self, frame_id: int) -> frames.Frame | None:
        """Return a frame if it is cached; this does not count as a use."""
        return self._frames.peek(frame_id)

    def read_frame(
        self, frame_id: int, texts: frames.TextCache | None = None
    ) -> frames.Frame:
        """Return a frame from the database without caching it."""
        row = self._db.row(statements.SELECT_FRAME, (frame_id,))
        if row is None:
            raise self._missing_frame(frame_id)
        try:
            data = self._frame_data(frame_id, *row)
            return frames.Frame(row[0], data, frame_id, texts)
        except (columns.ColumnError, chunks.ChunkError, ValueError) as exc:
            if self._db.row(statements.SELECT_HEAD, (frame_id,)) != row[:1]:
                # It was removed or rewritten while its pieces were read.
                raise self._missing_frame(frame_id) from exc
            raise self._damaged_frame(frame_id, exc) from exc

    def _missing_frame(self, frame_id: int) -> errors.Moved:
        return errors.Moved(
            _(b'frame %d is missing in %s') % (frame_id, self._db.path),
            hint=_(b"run 'hg verify'"),
        )

    def _frame_data(self, frame_id: int, head: bytes, data: bytes) -> bytes:
        """Return the decoded data of a frame; ``data`` is its first piece."""
        front = frames.front_size(head)
        if len(data) < schema.PIECE_SIZE or not self._db.row(
            statements.HAS_PIECE, (schema.piece_id(frame_id, 1),)
        ):
            return chunks.decode(data[:front]) + chunks.decode(data[front:])

        def pieces() -> Iterator[bytes]:
            yield data
            bounds = schema.piece_bounds(frame_id)
            for (piece,) in self._db.iterate(statements.SELECT_PIECES, bounds):
                yield piece

        return frames.decode_data(pieces(), front)

    def _damaged_frame(
        self, frame_id: int, exc: Exception
    ) -> errors.CorruptStore:
        return errors.CorruptStore(
            _(b'damaged frame %d in %s: %s')
            % (frame_id, self._db.path, str(exc).encode()),
            hint=_(b"run 'hg verify'"),
        )

    def sealed(self, frame_id: int, place: int) -> bytes:
        """Return the text of an entry of a frame."""
        try:
            return self.frame(frame_id).text(place)
        except (columns.ColumnError, mpatch.mpatchError) as exc:
            raise self._damaged_frame(frame_id, exc) from exc

    # loose revisions

    def loose(self, idx: FileIndex, revs: Iterable[int]) -> dict[int, bytes]:
        """Return the decoded data of loose revisions of a file, by revision.

        Leave out those that another process moved or changed since the index
        was read. This runs a single query.
        """
        wanted = json.dumps([idx.gid(rev) for rev in revs])
        found = {}
        rows = self._db.rows(statements.SELECT_LOOSE_DATA, (wanted,))
        for gid, base, frame_id, data in rows:
            path_id, rev = schema.split_id(gid)
            if (base, frame_id) != (idx.places[rev], idx.frames[rev]):
                continue
            try:
                found[rev] = chunks.decode(data)
            except chunks.ChunkError as exc:
                raise errors.CorruptStore(
                    _(b'damaged revision %d of %s: %s')
                    % (
                        rev,
                        self._indexes.path_of(path_id),
                        str(exc).encode(),
                    ),
                    hint=_(b"run 'hg verify'"),
                ) from exc
        return found

    # texts

    def text(self, gid: int) -> bytes:
        """Return the text of a revision, not checked against its node."""
        path_id, rev = schema.split_id(gid)
        return self.chain_text(self._indexes.of_id(path_id), rev)

    def chain_text(
        self,
        idx: FileIndex,
        rev: int,
        cached: tuple[int, bytes] | None = None,
    ) -> bytes:
        """Return the text of a revision, not checked against its node.

        ``cached`` is another revision of the same file and its text, if the
        caller has one. Raises CorruptStore if a row, frame or delta that is
        needed is damaged.
        """
        try:
            for _attempt in range(MAX_REPACKS):
                with contextlib.suppress(errors.Moved):
                    return self._chain_text(idx, rev, cached)
                self._indexes.update_places(idx)
            return self._chain_text(idx, rev, cached)
        except IndexError as exc:
            raise errors.CorruptStore(
                _(b'damaged revision %d of %s: its base does not exist')
                % (rev, self._indexes.path_of(idx.path_id or 0)),
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
                deltas.extend(self._loose_deltas(idx, rev, rows))
            if below is None:
                text = deltas.pop()
                break
            path_id, rev = schema.split_id(below)
            if path_id != idx.path_id:
                idx, stop = self._indexes.of_id(path_id), -1
                if rev >= len(idx):
                    raise errors.CorruptStore(
                        _(b'a copy refers to missing revision %d of %s')
                        % (rev, self._indexes.path_of(path_id)),
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

    def _loose_deltas(
        self, idx: FileIndex, rev: int, rows: list[int]
    ) -> list[bytes]:
        """Return the data of loose rows that ``rev`` needs, in their order."""
        found = self.loose(idx, rows)
        if len(found) != len(set(rows)):
            raise errors.Moved(
                _(b'a delta of revision %d of %s is missing')
                % (rev, self._indexes.path_of(idx.path_id or 0)),
                hint=_(b"run 'hg verify'"),
            )
        return [found[row] for row in rows]

    def find_content(self, digest: int) -> int | None:
        """Return the global id of a revision whose text may have this digest.

        See ``amalgam.codecs.deltas.content_digest``. The caller must compare the
        texts.
        """
        row = self._db.row(statements.SELECT_CONTENT, (digest,))
        return row[0] if row else None
