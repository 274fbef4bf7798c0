# SPDX-License-Identifier: GPL-2.0-or-later
"""Add revisions to one file or directory of manifests, and strip them.

Commits, changegroups and strips use a FileWriter. It decides whether an added
revision becomes a row of its own, an entry of a shared frame or a frame of its
own. Texts are not checked here: ``revlogs`` and ``ingest`` compare them with
their nodes first. ``censor`` uses a FileWriter to store tombstones;
``recovery`` and ``narrowing`` remove revisions without one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet

from mercurial.node import nullrev
from mercurial.revlogutils import constants

from ...amalgam.codecs import deltas
from .. import compat
from ..formats import frames, schema, statements
from ..formats.index import (
    CORE_FLAGS,
    METADATA_SHIFT,
    MOST_METADATA,
    Revision,
    decode_run,
    encode_run,
)
from ..formats.openframe import OpenFrame
from ..reading.fileindex import FileIndex
from ..reading.store import Store
from . import bases, relatives
from .runs import RunWriter
from .texts import RecentTexts
from .writer import Writer

# How many rows one changegroup may add to a file that existed before, and how
# many bytes. Revisions beyond that are sealed.
LOOSE_ROWS = 100
LOOSE_BYTES = 64 << 10

# A frame begins with a full text. If that is large, more revisions become rows:
# this part of its bytes.
LOOSE_PART = 4

# Bytes of the largest delta that is stored in a row. If it is larger, the full
# text becomes a frame of its own.
LARGE_CHUNK = schema.MAX_VALUE


def marked_flags(flags: int, text: bytes) -> int:
    """Return the flags of a revision of a file that has no first parent.

    ``text`` is its raw text. With other flags, that may not be its text.
    """
    flags &= CORE_FLAGS
    if flags:
        return flags
    marker = compat.META_MARKER
    size = 0
    if text.startswith(marker):
        size = text.find(marker, len(marker)) + len(marker)
        if not len(marker) < size <= MOST_METADATA:
            return flags
    return flags | size + 1 << METADATA_SHIFT


class FileWriter:
    """Changes the history of ``path`` within the transaction of ``writer``.

    ``kind`` is that of the path (see ``schema``). ``index`` is the shared index
    of the path; each change updates it. ``texts`` holds texts that are needed
    again.
    """

    def __init__(
        self,
        index: FileIndex,
        store: Store,
        writer: Writer,
        path: bytes,
        kind: int = schema.FILE,
    ) -> None:
        self.kind = kind
        # for messages
        self.name = schema.display_name(kind, path)
        self.index = index
        self.store = store
        self.writer = writer
        self.path = path
        self.texts = RecentTexts(store, index)
        self._runs: RunWriter | None = None
        # New files are sealed: there is no full text yet that a row could be a
        # delta of. A few new revisions of a known file become rows, because a
        # frame would begin with a full text.
        self._sealing = not len(index)
        self._loose_rows = 0
        self._loose_bytes = 0

    # adding

    def add(
        self,
        text: bytes,
        linkrev: int,
        p1: int,
        p2: int,
        node: bytes,
        flags: int,
        known: bases.Known | None = None,
    ) -> int:
        """Add a revision as a row, and return its number.

        This chooses the base of its delta. ``known`` is a delta that the caller
        has already.
        """
        index, writer = self.index, self.writer
        writer.touch((self.kind, self.path), index)
        gid = index.gid(len(index))
        candidates: Iterable[bases.Candidate] = ()
        digest = None
        # Only files are found by their content.
        if self.kind == schema.FILE and len(text) >= relatives.CONTENT_SIZE:
            digest = deltas.content_digest(text)
        if not flags & constants.REVIDX_ISCENSORED:
            candidates = bases.candidates(
                self.store,
                index,
                self.path,
                text,
                p1,
                p2,
                digest,
                known,
                self.kind,
            )
        place, chunk, pieces = bases.choose(
            self.store, text, candidates, writer.codec, self._text_of
        )
        flags = self._marked(flags, p1, text)
        row = Revision(node, p1, p2, linkrev, flags, len(text), 0, place)
        if pieces is not None or len(chunk) > LARGE_CHUNK:
            frame_id = self.store_alone(len(index), text, pieces)
            row = row._replace(frame=frame_id, place=0)
            chunk = b''
        writer.add_loose(gid, row, chunk)
        rev = index.append(row, len(chunk))
        self.store.keep_index(index)
        if digest is not None and not place:
            writer.add_content(digest, gid)
        self.texts.keep(rev, text)
        return rev

    def add_received(
        self, draft: Revision, text: bytes, base: int, delta: bytes
    ) -> int:
        """Add a revision of a changegroup, and return its number.

        ``draft`` has no frame and place yet. ``delta`` came over the wire and
        applies to revision ``base``, which is -1 if a full text came. Call
        ``finish`` after the last revision.
        """
        # This runs for each revision of a clone. A third of its time goes to
        # other work than hashing and compressing, so it makes few calls.
        index = self.index
        rev = len(index)
        if draft.p1 == nullrev:
            draft = draft._replace(flags=self._marked(draft.flags, -1, text))
        if not self._sealing:
            self._receive_loose(draft, text, base, delta)
            return rev
        runs = self._runs
        if runs is None:
            self.writer.touch((self.kind, self.path), index)
            runs = self._runs = RunWriter(
                index,
                self.store,
                self.writer,
                self.path,
                self.texts,
                self.kind,
            )
        if runs.add(draft, text, base, delta):
            self.texts.keep(rev, text)
        else:
            runs.end()
            self._add_draft(draft, text)
        return rev

    def _receive_loose(
        self, draft: Revision, text: bytes, base: int, delta: bytes
    ) -> None:
        """Add a revision as a row, with its delta from the wire if possible."""
        index, writer = self.index, self.writer
        writer.touch((self.kind, self.path), index)
        rev = len(index)
        if (
            base != nullrev
            and len(delta) * 2 < len(text)
            and bases.is_short(self.store, index, base, len(text))
        ):
            chunk = writer.codec.encode(delta)
            row = draft._replace(place=rev - base)
            writer.add_loose(index.gid(rev), row, chunk)
            index.append(row, len(chunk))
            self.texts.keep(rev, text)
        else:
            self._add_draft(draft, text)
        self._loose_rows += 1
        self._loose_bytes += index.stored.get(rev, 0)
        size = len(text)
        self._sealing = self._loose_bytes > max(
            LOOSE_BYTES, size // LOOSE_PART
        ) or self._loose_rows >= max(LOOSE_ROWS, size // bases.BYTES_PER_ROW)

    def _add_draft(self, draft: Revision, text: bytes) -> None:
        node, p1, p2, linkrev, flags = draft[:5]
        self.add(text, linkrev, p1, p2, node, flags & CORE_FLAGS)

    def _marked(self, flags: int, p1: int, text: bytes) -> int:
        """Return the flags to store for a revision with a raw text."""
        if p1 != nullrev or self.kind != schema.FILE:
            return flags
        return marked_flags(flags, text)

    def finish(self) -> None:
        """Store the index run of the revisions sealed last."""
        if self._runs is not None:
            self._runs.end()
        self.index.compact()
        self.store.keep_index(self.index)

    def change_sealed(
        self,
        revs: AbstractSet[int],
        change: Callable[[int, Revision], Revision],
    ) -> None:
        """Replace the index rows of those of ``revs`` that are sealed.

        ``change`` returns the new row of a revision, given its old one.
        """
        db, path_id = self.store.db, self.index.path_id
        assert path_id is not None
        bounds = schema.file_bounds(path_id)
        for gid, count, data in db.rows(statements.SELECT_RUNS, bounds):
            _path, first = schema.split_id(gid)
            touched = revs & set(range(first, first + count))
            if not touched:
                continue
            rows = decode_run(first, count, data)
            for rev in sorted(touched):
                rows[rev - first] = change(rev, rows[rev - first])
            data = encode_run(first, rows, self.writer.codec)
            db.execute(statements.UPDATE_RUN, (count, data, gid))

    def store_alone(
        self, rev: int, text: bytes, pieces: Iterable[bytes] | None = None
    ) -> int:
        """Store the text of one revision as a frame, and return its id.

        ``pieces`` are the text as ``frames.encode_data`` returns it, if the
        caller has them.
        """
        writer = self.writer
        frame = OpenFrame(writer.next_frame())
        frame.add(self.index.gid(rev), text, None)
        if pieces is None:
            pieces = frames.encode_data(frame.entries, writer.codec)
        writer.add_frame(frame.id, frame.encode_head(writer.codec), pieces)
        return frame.id

    def _text_of(self, idx: FileIndex, rev: int) -> bytes:
        """Return the raw text of a revision of this or another file."""
        known = self.texts.known(rev) if idx is self.index else None
        return self.store.chain_text(idx, rev) if known is None else known

    # removing

    def strip(self, changesets: int, rev: int) -> None:
        """Remove all revisions from number ``rev`` on.

        ``changesets`` is the number of changesets that will remain.
        """
        self.writer.begin_strip(changesets)
        self.writer.truncate((self.kind, self.path), self.index, rev)
