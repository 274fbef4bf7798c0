# SPDX-License-Identifier: GPL-2.0-or-later
"""Taking in the revisions of one file from a changegroup.

Each delta is applied and the text hashed before anything of it is stored. New
files, and large additions to known ones, go straight into frames with the
delta as it came over the wire where its base is in the same frame; a few new
revisions of a known file become rows, like a commit: a frame would need a full
text first.
"""

from __future__ import annotations

import collections
import struct
from typing import Any, Protocol

from mercurial import error, mdiff
from mercurial.i18n import _
from mercurial.node import nullrev
from mercurial.revlogutils import constants, flagutil
from mercurial.utils import storageutil

from .. import compat
from ..formats import frames, index, schema
from ..reading.store import Store
from . import bases
from .writer import Writer

# Stored bytes of rows that one changegroup may add to a known file before the
# rest is sealed.
LOOSE_BYTES = 64 << 10
LOOSE_ROWS = 100

# Texts kept to apply deltas to.
TEXT_CACHE = 4 << 20

# A copy this large becomes a row, a delta of its source in another frame,
# rather than a text that fills a frame.
LARGE_COPY = 256 << 10

# Chunks above this are stored as a frame of their own, in pieces if need be.
LARGE_CHUNK = schema.PIECE_SIZE

_HUNK = struct.Struct('>lll')

# Flags of revisions whose text is not what is stored, such as those of lfs.
_ELSEWHERE = (
    flagutil.REVIDX_RAWTEXT_CHANGING_FLAGS & ~constants.REVIDX_ISCENSORED
)


class Target(Protocol):
    """What is asked of the file that revisions are added to."""

    idx: index.FileIndex
    store: Store
    filename: bytes
    display_id: bytes

    @property
    def fix_parents(self) -> bool:
        """Whether to mend the order of parents."""

    def gid(self, rev: int) -> int:
        """The global id of a revision."""

    def node(self, rev: int) -> bytes:
        """The node of a revision."""

    def rawsize(self, rev: int) -> int:
        """The size of a revision as stored."""

    def iscensored(self, rev: int) -> bool:
        """Whether the content of a revision was removed."""

    def flags(self, rev: int) -> int:
        """The flags of a revision."""

    def revision(self, nodeorrev: bytes | int) -> bytes:
        """The text of a revision, after flag processors."""

    def checkhash(
        self,
        text: bytes,
        node: bytes,
        p1: bytes | None = None,
        p2: bytes | None = None,
    ) -> None:
        """Raise unless a text belongs to a node."""

    def copy_source(self, text: bytes) -> tuple[index.FileIndex, int] | None:
        """The revision a text says it was copied from."""

    def store_loose(
        self,
        writer: Writer,
        text: bytes,
        link: int,
        p1: int,
        p2: int,
        node: bytes,
        flags: int,
    ) -> int:
        """Add a revision as a row of its own."""


class Group:
    """The revisions being added to one file by one changegroup.

    ``add`` runs for each revision of a clone, and what surrounds the hashing of
    texts and their compression is a third of its time: hence its plain style.
    """

    def __init__(self, store_file: Target, writer: Writer) -> None:
        self._file = store_file
        self._idx = store_file.idx
        self._writer = writer
        self._texts: collections.OrderedDict[int, bytes] = (
            collections.OrderedDict()
        )
        self._texts_size = 0
        self._base_gid: int | None = None
        self._loose = len(self._idx) > 0
        self._loose_bytes = 0
        self._loose_rows = 0
        self._run: list[index.Revision] = []
        self._run_first = 0

    def add(self, data: Any, link: int) -> int:
        """Add one revision (see ``compat.incoming``); returns its number."""
        get_rev = self._idx.core.get_rev
        p1, p2 = get_rev(data.p1), get_rev(data.p2)
        base = get_rev(data.delta_base)
        if p1 is None or p2 is None or base is None:
            raise self._unknown(data)
        flags = data.flags or constants.REVIDX_DEFAULT_FLAGS
        delta, text = _received(data)
        if text is None:
            flags |= self._censor_flags(data, base, delta)
            if base != nullrev and self._file.flags(base) & _ELSEWHERE:
                # The sender has the text that our entry only stands for.
                text = self._patched(self._file.revision(base), delta)
                base = nullrev
            else:
                text = self._apply(base, delta)
        else:
            base = nullrev
        if (
            flags
            or storageutil.hashrevisionsha1(text, data.p1, data.p2) != data.node
        ):
            self._check(data, text, flags)
        if self._file.fix_parents and _swapped(text, p1, p2, flags):
            p1, p2 = p2, p1

        if self._base_gid is None:
            self._writer.touch(self._file.filename, self._idx)
            self._base_gid = self._file.gid(0)
        rev = len(self._idx)
        draft = index.Revision(data.node, p1, p2, link, flags, len(text), 0, 0)
        if self._loose:
            self._add_loose(rev, draft, text, base, delta)
        else:
            self._add_sealed(rev, draft, text, base, delta)
        self._keep(rev, text)
        return rev

    def finish(self) -> None:
        """Store the index of what was sealed."""
        self._end_run()
        self._file.store.keep_index(self._idx)

    def _end_run(self) -> None:
        if not self._run:
            return
        path_id = self._idx.path_id
        assert path_id is not None
        first = self._run_first
        self._writer.add_segment(
            schema.global_id(path_id, first),
            index.encode_segment(first, self._run, self._writer.codec),
            len(self._run),
        )
        self._run = []

    # checks

    def _unknown(self, data: Any) -> Exception:
        """What to raise for a revision that refers to one that is not here."""
        get_rev = self._idx.core.get_rev
        for node in (data.p1, data.p2):
            if get_rev(node) is None:
                return error.LookupError(
                    node, self._file.display_id, _(b'unknown parent')
                )
        return error.LookupError(
            data.delta_base, self._file.display_id, _(b'unknown delta base')
        )

    def _censor_flags(self, data: Any, base: int, delta: bytes) -> int:
        store_file = self._file
        if base != nullrev and store_file.iscensored(base):
            # The sender cannot know our tombstone: only a delta that replaces
            # everything applies to it.
            size = len(delta) - _HUNK.size
            header = mdiff.replacediffheader(store_file.rawsize(base), size)
            if delta[: _HUNK.size] != header:
                raise error.CensoredBaseError(
                    store_file.display_id, store_file.node(base)
                )
        if getattr(data, 'has_censor_flag', False):
            return 0
        if storageutil.deltaiscensored(delta, base, store_file.rawsize):
            return int(constants.REVIDX_ISCENSORED)
        return 0

    def _check(self, data: Any, text: bytes, flags: int) -> None:
        """Raise unless a text with flags, or a wrong one, is right."""
        store_file = self._file
        checkable = not flags or flagutil.processflagsraw(
            store_file, text, flags
        )
        try:
            if checkable:
                store_file.checkhash(text, data.node, p1=data.p1, p2=data.p2)
            if flags & constants.REVIDX_ISCENSORED:
                raise error.StorageError(
                    _(b'node %s is not censored') % store_file.display_id
                )
        except error.CensoredNodeError:
            if not flags & constants.REVIDX_ISCENSORED:
                raise

    # texts

    def _apply(self, base: int, delta: bytes) -> bytes:
        if base == nullrev:
            if len(delta) >= _HUNK.size:
                start, end, size = _HUNK.unpack_from(delta)
                if not start and not end and size == len(delta) - _HUNK.size:
                    return bytes(delta[_HUNK.size :])
            base_text = b''
        else:
            base_text = self._text(base)
        return self._patched(base_text, delta)

    def _patched(self, base_text: bytes, delta: bytes) -> bytes:
        if not delta:
            return base_text
        try:
            return bytes(mdiff.patches(base_text, [delta]))
        except compat.mpatch.mpatchError as exc:
            raise error.StorageError(
                _(b'%s: received a damaged delta') % self._file.display_id
            ) from exc

    def _text(self, rev: int) -> bytes:
        text = self._texts.get(rev)
        if text is None:
            text = self._file.store.chain_text(self._idx, rev)
            self._keep(rev, text)
        else:
            self._texts.move_to_end(rev)
        return text

    def _keep(self, rev: int, text: bytes) -> None:
        self._texts[rev] = text
        self._texts_size += len(text)
        while self._texts_size > TEXT_CACHE and len(self._texts) > 1:
            self._texts_size -= len(self._texts.popitem(last=False)[1])

    # storing

    def _add_loose(
        self,
        rev: int,
        draft: index.Revision,
        text: bytes,
        base: int,
        delta: bytes | None,
    ) -> None:
        idx, writer = self._idx, self._writer
        store = self._file.store
        choice = None
        if delta is not None and base != nullrev and len(delta) * 2 < len(text):
            rows, size = bases.chain_cost(store, idx, base)
            if rows < bases.MAX_ROWS and size < max(
                bases.MAX_CHAIN_BYTES, bases.MAX_CHAIN_RATIO * len(text)
            ):
                choice = bases.Choice(rev - base, writer.codec.encode(delta))
        if choice is None:
            self._file.store_loose(
                writer,
                text,
                draft.linkrev,
                draft.p1,
                draft.p2,
                draft.node,
                draft.flags,
            )
        else:
            draft = draft._replace(place=choice.place)
            writer.add_loose(self._file.gid(rev), draft, choice.chunk)
            idx.append(draft, len(choice.chunk))
        self._loose_rows += 1
        self._loose_bytes += idx.stored.get(rev, 0)
        if self._loose_bytes > LOOSE_BYTES or self._loose_rows >= LOOSE_ROWS:
            self._loose = False

    def _add_sealed(
        self,
        rev: int,
        draft: index.Revision,
        text: bytes,
        base: int,
        delta: bytes | None,
    ) -> None:
        sealer = self._writer.sealer
        base_gid = self._base_gid
        assert base_gid is not None
        place = None
        if base != nullrev:
            place = sealer.place(base_gid + base)
        if place is None or delta is None or len(delta) >= len(text):
            place, delta = self._best_in_frame(rev, draft, text)
        if len(delta) >= bases.CONTENT_SIZE:
            found = self._add_large(rev, draft, text, place, delta)
            if found is None:
                return
            frame_id, place = found
        else:
            frame_id, place = sealer.add(base_gid + rev, delta, place)
        draft = index.Revision(*draft[:6], frame_id, place)
        if not self._run:
            self._run_first = rev
        self._run.append(draft)
        self._idx.append(draft)

    def _add_large(
        self,
        rev: int,
        draft: index.Revision,
        text: bytes,
        place: int | None,
        delta: bytes,
    ) -> tuple[int, int] | None:
        """Put a text into a frame unless it is stored already.

        Returns (frame, place), or None if the revision became a row: because
        the same text is one, or to be a delta of what it was copied from.
        """
        gid = self._file.gid(rev)
        writer = self._writer
        if draft.flags & constants.REVIDX_ISCENSORED:
            return writer.sealer.add(gid, delta, place)
        digest = bases.content_digest(text)
        found = self._same_content(digest, draft, text)
        if found is not None:
            idx, other = found
            if idx.frames[other]:
                return idx.frames[other], idx.places[other]
        elif len(delta) < LARGE_COPY or self._copy_source(text) is None:
            writer.add_content(digest, gid)
            return writer.sealer.add(gid, delta, place)
        self._end_run()
        self._file.store_loose(
            writer, text, draft.linkrev, *draft[1:3], draft.node, draft.flags
        )
        return None

    def _same_content(
        self, digest: int, draft: index.Revision, text: bytes
    ) -> tuple[index.FileIndex, int] | None:
        """A revision of any file that has this text."""
        store = self._file.store
        gid = store.find_content(digest)
        if gid is None:
            return None
        path_id, rev = schema.split_id(gid)
        idx = self._idx
        if path_id != idx.path_id:
            idx = store.index_of(path_id)
        if rev >= len(idx) or idx.core[rev][2] != len(text):
            return None
        other = idx.revision(rev)
        # a node is a hash of the text, and parents, unless flags say otherwise
        alike = other.node == draft.node and not other.flags | draft.flags
        if alike or store.chain_text(idx, rev) == text:
            return idx, rev
        return None

    def _best_in_frame(
        self, rev: int, draft: index.Revision, text: bytes
    ) -> tuple[int | None, bytes]:
        """(base place, delta) against something in the frame being filled."""
        sealer = self._writer.sealer
        best: tuple[int | None, bytes] = (None, text)
        if (
            draft.flags & constants.REVIDX_ISCENSORED
            or len(text) > bases.MAX_DIFF_SIZE
        ):
            return best
        seen = set()
        for base in (draft.p1, draft.p2, rev - 1):
            if base == nullrev or base in seen:
                continue
            seen.add(base)
            place = sealer.place(self._file.gid(base))
            if place is not None:
                delta = mdiff.textdiff(self._text(base), text)
                if len(delta) < len(best[1]):
                    best = place, delta
        source = self._copy_source(text)
        if source is not None:
            idx, base = source
            place = sealer.place(schema.global_id(idx.path_id or 0, base))
            if place is not None:
                delta = mdiff.textdiff(sealer.text(place), text)
                if len(delta) < len(best[1]):
                    best = place, delta
        return best

    def _copy_source(self, text: bytes) -> tuple[index.FileIndex, int] | None:
        """The revision a text was copied from, if it is here."""
        if not text.startswith(compat.META_MARKER):
            return None
        return self._file.copy_source(text)


def _received(data: Any) -> tuple[bytes, bytes | None]:
    """(delta, full text) of a revision; the delta is empty if there is a text."""
    delta, text = data.delta, data.raw_text
    compression = compat.inbound_compression(data)
    if compression is not None:
        if text is not None:
            text = compat.decompress_inbound(compression, text)
        elif delta is not None:
            delta = compat.decompress_inbound(compression, delta)
    # Both may be views of a larger buffer, which must not be kept.
    if text is not None:
        return b'', bytes(text)
    return bytes(delta) if delta is not None else b'', None


def _swapped(text: bytes, p1: int, p2: int, flags: int) -> bool:
    """Whether parents are in the wrong order (core's issue 6528).

    A copy has no first parent, anything else no second one without a first.
    """
    if (p1 == nullrev) == (p2 == nullrev):
        return False
    if flags & flagutil.REVIDX_RAWTEXT_CHANGING_FLAGS:
        # what is stored does not show whether it is a copy
        return False
    return text.startswith(compat.META_MARKER) == (p1 != nullrev)


def store_alone(writer: Writer, gid: int, text: bytes) -> int:
    """Store one large text as a frame; returns the frame's id."""
    frame_id = writer.next_frame()
    path_id, rev = schema.split_id(gid)
    head = frames.encode_head([path_id], [rev], [0], [len(text)], writer.codec)
    pieces = writer.codec.encode_stream([text], len(text), schema.PIECE_SIZE)
    writer.add_frame(frame_id, head, pieces)
    return frame_id
