# SPDX-License-Identifier: GPL-2.0-or-later
"""Seal revisions of one file as they arrive in a changegroup.

Each revision becomes an entry of the frame that the transaction fills. The
delta from the wire is stored as it is if its base is in the same frame.
Consecutive sealed revisions share one index run.
"""

from __future__ import annotations

from mercurial import mdiff
from mercurial.node import nullrev
from mercurial.revlogutils import constants

from ...amalgam.codecs import deltas
from ..formats import index, schema
from ..formats.index import Revision
from ..reading.fileindex import FileIndex
from ..reading.store import Store
from . import bases, relatives
from .texts import RecentTexts
from .writer import Writer

# A revision of a copy whose entry would have this many bytes becomes a row,
# which may be a delta of a base in another frame. As an entry it would fill a
# frame.
LARGE_COPY = 256 << 10


class RunWriter:
    """Adds sealed revisions to the file at ``path``.

    The file must have a path id. ``texts`` is shared with the caller. ``kind``
    is that of the path (see ``schema``).
    """

    def __init__(
        self,
        idx: FileIndex,
        store: Store,
        writer: Writer,
        path: bytes,
        texts: RecentTexts,
        kind: int = schema.FILE,
    ) -> None:
        self._kind = kind
        self._index = idx
        self._store = store
        self._writer = writer
        self._path = path
        self._texts = texts
        # The global id of a revision is this plus its number.
        self._base_gid = idx.gid(0)
        # The index run so far, and the number of its first revision.
        self._run: list[Revision] = []
        self._first = 0

    def add(
        self, draft: Revision, text: bytes, base: int, delta: bytes
    ) -> bool:
        """Seal the next revision, unless a row is the better form for it.

        ``draft`` has no frame and place yet. ``delta`` came over the wire and
        applies to revision ``base``, which is -1 if a full text came. Return
        whether the revision was added.
        """
        sealer = self._writer.sealer(self._kind)
        gid = self._base_gid + len(self._index)
        place = None
        if base != nullrev:
            place = sealer.place(self._base_gid + base)
        if place is None or len(delta) >= len(text):
            place, delta = self._best_in_frame(draft, text)
        if len(delta) >= relatives.CONTENT_SIZE and self._kind == schema.FILE:
            found = self._add_large(gid, draft, text, place, delta)
            if found is None:
                return False
            frame_id, place = found
        else:
            frame_id, place = sealer.add(gid, delta, place)
        # Not _replace(), which takes three times as long: this runs for each
        # revision of a clone.
        revision = Revision(*draft[:6], frame_id, place)
        if not self._run:
            self._first = len(self._index)
        self._run.append(revision)
        self._index.append(revision)
        if len(self._run) >= index.RUN_SIZE:
            self.end()
        return True

    def end(self) -> None:
        """Store the index run so far; the next revision begins another."""
        if not self._run:
            return
        self._writer.add_run(
            self._base_gid + self._first,
            index.encode_run(self._first, self._run, self._writer.codec),
            len(self._run),
        )
        self._run = []

    def _add_large(
        self,
        gid: int,
        draft: Revision,
        text: bytes,
        place: int | None,
        delta: bytes,
    ) -> tuple[int, int] | None:
        """Seal a large text, unless it is stored already.

        Return (frame id, place). Return None if the revision must become a row,
        either because a row has the same text, or to be a delta of its copy
        source.
        """
        sealer = self._writer.sealer(self._kind)
        if draft.flags & constants.REVIDX_ISCENSORED:
            return sealer.add(gid, delta, place)
        digest = deltas.content_digest(text)
        found = self._same_text(digest, draft, text)
        if found is not None:
            idx, other = found
            if idx.frames[other]:
                return idx.frames[other], idx.places[other]
            return None
        if len(delta) < LARGE_COPY or self._copy_source(text) is None:
            self._writer.add_content(digest, gid)
            return sealer.add(gid, delta, place)
        return None

    def _same_text(
        self, digest: int, draft: Revision, text: bytes
    ) -> tuple[FileIndex, int] | None:
        """Return a revision of any file that has this text, or None."""
        found = relatives.same_content(
            self._store, self._index, digest, len(text)
        )
        if found is None:
            return None
        other = found[0].revision(found[1])
        # Revisions without flags and with the same node have the same text,
        # because the node is its hash.
        flags = (other.flags | draft.flags) & index.CORE_FLAGS
        if other.node == draft.node and not flags:
            return found
        return found if self._store.chain_text(*found) == text else None

    def _best_in_frame(
        self, draft: Revision, text: bytes
    ) -> tuple[int | None, bytes]:
        """Return (place of the base, delta) within the frame being filled.

        Return (None, ``text``) if no delta is smaller than the text.
        """
        sealer = self._writer.sealer(self._kind)
        best: tuple[int | None, bytes] = (None, text)
        if (
            draft.flags & constants.REVIDX_ISCENSORED
            or len(text) > bases.MAX_DIFF_SIZE
        ):
            return best
        seen = set()
        for base in (draft.p1, draft.p2, len(self._index) - 1):
            if base == nullrev or base in seen:
                continue
            seen.add(base)
            place = sealer.place(self._base_gid + base)
            if place is not None:
                delta = mdiff.textdiff(self._texts.text(base), text)
                if len(delta) < len(best[1]):
                    best = place, delta
        source = self._copy_source(text)
        if source is not None:
            idx, base = source
            place = sealer.place(idx.gid(base))
            if place is not None:
                delta = mdiff.textdiff(sealer.text(place), text)
                if len(delta) < len(best[1]):
                    best = place, delta
        return best

    def _copy_source(self, text: bytes) -> tuple[FileIndex, int] | None:
        if self._kind != schema.FILE:
            return None
        return relatives.copy_source(self._store, self._path, text)
