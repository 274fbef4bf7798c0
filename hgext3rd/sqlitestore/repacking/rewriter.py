# SPDX-License-Identifier: GPL-2.0-or-later
"""Choose how a repack stores each revision of a file.

The revisions of a file are taken from the newest to the oldest: the newest is
stored as a full text, each older one as a delta of a younger one. Reads the
database and puts entries into a ``Packer``; never writes to the database, and
takes no lock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from mercurial import mdiff
from mercurial.i18n import _
from mercurial.node import nullrev, short
from mercurial.utils import storageutil

from ...amalgam import lru
from ...amalgam.codecs import deltas
from .. import errors
from ..formats import frames, index, schema, statements
from ..reading import storeddeltas
from ..reading.fileindex import FileIndex
from ..reading.store import Store
from ..writing import filewriter
from . import packer, plan

# Bytes of texts kept as bases of the revisions that follow.
RECENT = 32 << 20

# How many children of a revision are tried as its base, besides the next
# revision.
MAX_CHILDREN = 3

# Bytes of the largest delta that is taken without looking for a smaller one.
GOOD_DELTA = 128

# The same for manifests, where a delta has a line for each changed file.
GOOD_MANIFEST_DELTA = 512

# A frame id, and the number of an entry in the frame.
Place = tuple[int, int]

# The place of a revision that was not rewritten yet: no frame has this id.
_NOWHERE: Place = (0, 0)


class Rewritten(NamedTuple):
    """A file whose revisions are in new frames, which no index names yet.

    ``idx`` is the index that was read. ``places`` has a place for each
    revision. ``metadata`` is that of an index: the texts were read.
    """

    idx: FileIndex
    places: list[Place]
    metadata: dict[int, int]


class Rewriter:
    """Puts the revisions of one file after another into frames.

    ``box`` takes the entries. ``twins`` are sizes of large texts that more than
    one file has. ``make_room`` is called after each frame, to store frames if
    they take too much memory.
    """

    def __init__(
        self,
        store: Store,
        box: packer.Packer,
        twins: frozenset[int],
        make_room: Callable[[], None],
    ) -> None:
        self._store = store
        self._box = box
        self._twins = twins
        self._make_room = make_room
        # Places of large texts, by the digest of the content.
        self._known: dict[int, Place] = {}
        # The places among them that a second file uses, with the digest.
        self._shared: list[tuple[Place, int]] = []
        # The newest revision of the previous file (a global id), and its text.
        self._previous: tuple[int, bytes] | None = None

    def rewrite(self, path_id: int) -> Rewritten | None:
        """Put all revisions of a file into frames, and return their places.

        Return None for a file without revisions. Raises CorruptStore for a
        text that does not match its node.
        """
        idx = self._store.read_index(path_id).decode_all()
        n = len(idx)
        places = [_NOWHERE] * n
        metadata = {}
        children = _children(idx)
        recent: lru.LRU[int, bytes] = lru.LRU(RECENT)
        for rev in range(n - 1, -1, -1):
            if places[rev] != _NOWHERE:
                # It is in a frame that stays.
                continue
            candidates = [rev + 1, *children.get(rev, ())[:MAX_CHILDREN]]
            kept = self._kept(idx, rev)
            if kept and not any(self._bases(idx, candidates)):
                _keep(idx, kept, places)
                continue
            text = self._text(idx, rev)
            known = self._metadata(idx, rev, text)
            if known:
                metadata[rev] = known
            place = self._add(idx, rev, text, candidates, recent, bool(kept))
            if place is None:
                # The revisions after this one need not be compared with it.
                self._box.cut()
                self._make_room()
                _keep(idx, kept, places)
                continue
            places[rev] = place
            if rev == n - 1:
                self._previous = schema.global_id(path_id, rev), text
            recent.put(rev, text, len(text))
            full = self._box.full
            if full:
                self._box.cut()
            if full or len(text) >= packer.ALONE:
                self._make_room()
        return Rewritten(idx, places, metadata) if n else None

    def changed_places(self) -> set[Place]:
        """Return the shared places whose text is no longer what it was.

        Censoring may overwrite a text while other files are being rewritten.
        """
        return {
            place
            for place, digest in self._shared
            if not self._matches(place, digest)
        }

    def forget(self, everything: bool) -> None:
        """Forget what is valid only until the frames are in use.

        With ``everything``, forget the places of large texts as well.
        """
        self._shared = []
        self._previous = None
        if everything:
            self._known.clear()

    def _kept(self, idx: FileIndex, rev: int) -> Sequence[int]:
        """Return the revisions in the frame of a large text.

        ``rev`` is the first of them. Return none if the frame cannot stay.
        """
        frame_id = idx.frames[rev]
        if not frame_id or idx.core[rev][2] < packer.ALONE:
            return ()
        row = self._store.db.row(statements.SELECT_HEAD, (frame_id,))
        if row is None:
            return ()
        head = frames.decode_head(row[0])
        if len(head.revs) == 1:
            # Another file may have the same text.
            return (rev,)
        # The files of texts in other frames may refer to a text of this one.
        mine = (
            path_id == idx.path_id
            and other < len(idx)
            and idx.frames[other] == frame_id
            and idx.core[other][2] not in self._twins
            for path_id, other in zip(head.paths, head.revs, strict=True)
        )
        return head.revs if head.revs[0] == rev and all(mine) else ()

    def _text(self, idx: FileIndex, rev: int) -> bytes:
        """Return the text of a revision, checked against its node."""
        text = self._store.chain_text(idx, rev)
        r = idx.revision(rev)
        if not r.flags & index.CORE_FLAGS:
            parents = (idx.core[r.p1][7], idx.core[r.p2][7])
            if storageutil.hashrevisionsha1(text, *parents) != r.node:
                raise errors.CorruptStore(
                    _(b'integrity check failed on %s:%s')
                    % (self._store.path_of(idx.path_id or 0), short(r.node)),
                    hint=_(b"run 'hg verify'"),
                )
        return text

    def _metadata(self, idx: FileIndex, rev: int, text: bytes) -> int:
        """Return what the index should hold about the metadata of a text."""
        entry = idx.core[rev]
        if entry[5] != nullrev:
            return 0
        flags = filewriter.marked_flags(entry[0], text)
        return flags >> index.METADATA_SHIFT

    def _add(
        self,
        idx: FileIndex,
        rev: int,
        text: bytes,
        candidates: list[int],
        recent: lru.LRU[int, bytes],
        kept: bool,
    ) -> Place | None:
        """Put one revision into a frame, unless its text is in one already.

        Return None for a large text that has a frame already (``kept``), if no
        delta is much smaller.
        """
        gid = idx.gid(rev)
        digest = None
        if len(text) in self._twins:
            digest = deltas.content_digest(text)
            found = self._known.get(digest)
            if found is not None:
                self._shared.append((found, digest))
                return found
        base, data = None, text
        if len(text) < plan.TOO_LARGE:
            base, data = self._best(idx, rev, text, candidates, recent)
        if len(text) >= packer.ALONE and 2 * len(data) > len(text):
            if kept:
                return None
            base, data = None, text
        place = self._box.add(gid, data, base)
        if digest is not None:
            self._known[digest] = place
        return place

    def _best(
        self,
        idx: FileIndex,
        rev: int,
        text: bytes,
        candidates: list[int],
        recent: lru.LRU[int, bytes],
    ) -> tuple[int | None, bytes]:
        """Return (place of the base, delta), or (None, full text)."""
        best: tuple[int | None, bytes] = (None, text)
        for base, place in self._bases(idx, candidates):
            # Not get(), which marks a text as used: the oldest texts must go
            # first, because all revisions near them are stored already.
            base_text = recent.peek(base)
            if base_text is None:
                continue
            best = min(best, _delta(place, base_text, text), key=_size)
            if len(best[1]) <= GOOD_DELTA:
                return best
        previous = self._previous
        if best[0] is None and previous is not None and len(text) >= plan.LARGE:
            # This file may be a copy of the previous one.
            previous_place = self._box.place(previous[0])
            if previous_place is not None:
                delta = _delta(previous_place, previous[1], text)
                best = min(best, delta, key=_size)
        return best

    def _bases(
        self, idx: FileIndex, candidates: Iterable[int]
    ) -> Iterator[tuple[int, int]]:
        """Yield the candidates in the frame being filled, with their places."""
        for base in dict.fromkeys(candidates):
            place = self._box.place(idx.gid(base))
            if place is not None:
                yield base, place

    def _matches(self, place: Place, digest: int) -> bool:
        """Return whether the text at a place has the digest."""
        try:
            text = self._store.sealed(*place)
        except errors.CorruptStore:
            return False
        return deltas.content_digest(text) == digest


class ManifestRewriter(Rewriter):
    """Puts the revisions of one directory of manifests after another.

    Deltas are stored ones or their inverses wherever possible, because those
    replace whole lines: Mercurial reads the changes of a manifest from its
    delta. So they are not trimmed either.
    """

    def _kept(self, idx: FileIndex, rev: int) -> Sequence[int]:
        return ()

    def _metadata(self, idx: FileIndex, rev: int, text: bytes) -> int:
        return 0

    def _add(
        self,
        idx: FileIndex,
        rev: int,
        text: bytes,
        candidates: list[int],
        recent: lru.LRU[int, bytes],
        kept: bool,
    ) -> Place:
        base, data = self._best(idx, rev, text, candidates, recent)
        return self._box.add(idx.gid(rev), data, base)

    def _best(
        self,
        idx: FileIndex,
        rev: int,
        text: bytes,
        candidates: list[int],
        recent: lru.LRU[int, bytes],
    ) -> tuple[int | None, bytes]:
        """Return (place of the base, delta), or (None, full text)."""
        best: tuple[int | None, bytes] = (None, text)
        others = []

        def inverse(_frame_id: int, frame: Any, place: int) -> bytes:
            return deltas.invert(frame.entry(place), text)

        for base, place in self._bases(idx, candidates):
            delta = storeddeltas.between(self._store, idx, base, rev, inverse)
            if delta is None:
                others.append((base, place))
            elif len(delta) < len(best[1]):
                best = place, delta
        for base, place in others:
            base_text = recent.peek(base)
            if base_text is not None and len(best[1]) > GOOD_MANIFEST_DELTA:
                delta = mdiff.textdiff(base_text, text)
                if len(delta) < len(best[1]):
                    best = place, delta
        return best


# The class for each kind of path (see ``schema``).
OF_KIND = {schema.FILE: Rewriter, schema.DIRECTORY: ManifestRewriter}


def _keep(idx: FileIndex, revs: Sequence[int], places: list[Place]) -> None:
    """Note in ``places`` that revisions stay where they are."""
    for rev in revs:
        places[rev] = idx.frames[rev], idx.places[rev]


def _children(idx: FileIndex) -> dict[int, list[int]]:
    """Return the children of each revision, without the next revision."""
    children: dict[int, list[int]] = {}
    for rev in range(len(idx)):
        for parent in set(idx.core[rev][5:7]):
            if parent not in (nullrev, rev - 1):
                children.setdefault(parent, []).append(rev)
    return children


def _delta(place: int, base: bytes, text: bytes) -> tuple[int, bytes]:
    if base == text:
        return place, b''
    return place, deltas.trim(mdiff.textdiff(base, text), base)


def _size(choice: tuple[int | None, bytes]) -> int:
    return len(choice[1])
