# SPDX-License-Identifier: GPL-2.0-or-later
"""Storing all revisions anew, smaller, while the repository is in use.

Files are taken in an order that puts like beside like (``repackplan``), their
revisions from the newest to the oldest: the newest is a full text, each older
one a delta of a younger one. New frames are made without any lock. Every few
of them, the repository is locked for a moment, and one SQLite transaction adds
them and points the indexes of their files to them, except for files that
changed meanwhile, whose turn comes again. Old frames are deleted when nothing
refers to them any more.

So whenever it is interrupted, every revision is in one place or the other, and
what a reader has in hands stays valid but for the place, which it looks up
again (``errors.Moved``).
"""

from __future__ import annotations

import collections
import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from mercurial import error, mdiff
from mercurial import lock as lockmod
from mercurial.i18n import _
from mercurial.node import nullrev, short
from mercurial.utils import storageutil

from .. import errors
from ..formats import chunks, deltas, frames, index, schema, statements
from ..reading.fileindex import FileIndex
from ..reading.store import Store
from ..writing import recovery
from ..writing import writer as transactions
from . import packer
from . import plan as repackplan

LOCK_NAME = b'sqlite-repack.lock'


class Effort(NamedTuple):
    """How hard to try: bytes of entries in a frame, compression level.

    And whether to split frames (see ``frames``).
    """

    frame_size: int
    level: int
    split: bool


# Larger frames give compression more to refer to, and cost every read of a
# cold file their decompression: about 1 ms per MB of entries. Splitting takes
# 4 to 8% off the size, and adds 3% to reading all history.
NORMAL = Effort(2 << 20, chunks.REPACK_LEVEL, split=False)
MAXIMUM = Effort(8 << 20, chunks.MAX_LEVEL, split=True)

# Frames per SQLite transaction, and compressed bytes held before that.
BATCH_FRAMES = 8
BATCH_BYTES = 64 << 20

# Texts kept as bases of the revisions that follow.
RECENT = 32 << 20

# Children of a revision tried as its base besides the next revision.
MAX_CHILDREN = 3

# A delta this small is taken without looking for a smaller one.
GOOD_DELTA = 128

# Rounds for files that others change all the time; the last one locks.
ROUNDS = 3

Place = tuple[int, int]


class Done(NamedTuple):
    """A file whose new places are known: index when read, (frame, place)."""

    idx: FileIndex
    places: list[Place]


def repack(
    repo: Any, store: Store, effort: Effort, progress: Callable[..., None]
) -> bool:
    """Repack a repository; returns False if there was nothing to do.

    ``progress`` is called with what is being done, how far, and the total.
    Raises LockHeld if another repack is running.
    """
    with lockmod.lock(repo.svfs, LOCK_NAME, timeout=0, desc=b'repack'):
        with locked(repo, store):
            mark = _mark(store, effort)
        if mark is not None and _recorded(store, 'packed') == mark:
            return False
        job = Repack(repo, store, effort, progress)
        try:
            with store.naming_damage():
                job.run()
        finally:
            job.packer.close()
        with locked(repo, store):
            mark = _mark(store, effort)
            if mark is not None:
                store.db.execute(statements.REPLACE_PACKED, (mark,))
        shrink(repo, store)
    return True


@contextlib.contextmanager
def locked(repo: Any, store: Store) -> Iterator[None]:
    """Hold the repository's lock, in a SQLite transaction.

    What earlier Mercurial transactions left on record is settled: an undo of
    the last one must not take frames made here with it.
    """
    with repo.lock():
        if repo.svfs.exists(b'journal'):
            raise error.RepoError(
                _(b'abandoned transaction found'),
                hint=_(b"run 'hg recover' to clean up transaction"),
            )
        db = store.db
        db.begin()
        try:
            row = db.row(statements.SELECT_TXN)
            if row is not None:
                if store.changesets() <= row[1]:
                    recovery.resolve(store, store.changesets())
                else:
                    db.execute(statements.UPDATE_TXN_KIND, (statements.STRIP,))
                    db.execute(statements.DELETE_MARKS)
            yield
            db.execute(statements.COMMIT)
        finally:
            if db.in_transaction:
                db.execute(statements.ROLLBACK)


def _recorded(store: Store, name: str) -> int:
    row = store.db.row(statements.SELECT_COUNTER, (name,))
    return row[0] if row else 0


def _mark(store: Store, effort: Effort) -> int | None:
    """A number that is the same while there is nothing to repack.

    None if there are loose revisions. Adding sealed ones takes frame ids.
    """
    if store.db.row(statements.HAS_LOOSE) is not None:
        return None
    return _recorded(store, 'frame') << 8 | effort.level


class Repack:
    """One run over all files."""

    def __init__(
        self,
        repo: Any,
        store: Store,
        effort: Effort,
        progress: Callable[..., None],
    ) -> None:
        self.repo = repo
        self.store = store
        self.progress = progress
        self.packer = packer.Packer(
            store.compression,
            effort.level,
            effort.frame_size,
            self._next_id,
            effort.split,
        )
        self._codec = chunks.Codec(store.compression, effort.level)
        self._ids = iter(range(0))
        self._batch: list[Done] = []
        self._twins: frozenset[int] = frozenset()
        # places of large texts by content, and those used by other files
        self._known: dict[int, Place] = {}
        self._shared: list[tuple[Place, int]] = []
        # the newest revision of the file before, with its text
        self._kin: tuple[int, bytes] | None = None

    def run(self) -> None:
        """Go through all files, commit, and delete what is not needed."""
        plan = repackplan.make(
            self.store, lambda done: self.progress(_(b'planning'), done, None)
        )
        self._twins = plan.twins
        todo = [path_id for _path, path_id in plan.files]
        for number in range(ROUNDS):
            if not todo:
                break
            last = number == ROUNDS - 1
            # Whoever wants to write waits, so nothing changes any more.
            with self.repo.lock() if last else contextlib.nullcontext():
                todo = self._pass(todo)
        self._sweep()

    def _pass(self, path_ids: Iterable[int]) -> list[int]:
        """Repack files; returns those that must be done again."""
        again: list[int] = []
        todo = list(path_ids)
        for done, path_id in enumerate(todo):
            self.progress(_(b'repacking'), done, len(todo))
            self._add_file(path_id)
            if self.packer.full:
                self.packer.cut()
            if self.packer.finished >= BATCH_FRAMES:
                again += self._commit()
        again += self._commit()
        return again

    # frames

    def _next_id(self) -> int:
        """A frame id; a supply of them is reserved at a time."""
        for frame_id in self._ids:
            return frame_id
        with locked(self.repo, self.store):
            first = _recorded(self.store, 'frame')
            self.store.db.execute(
                statements.INCREASE_COUNTER, (BATCH_FRAMES, 'frame')
            )
        self._ids = iter(range(first, first + BATCH_FRAMES))
        return next(self._ids)

    def _add_file(self, path_id: int) -> None:
        """Put the revisions of a file into frames, the newest first."""
        idx = self.store.read_index(path_id)
        n = len(idx)
        places: list[Place] = [(0, 0)] * n
        children = _children(idx)
        recent: collections.OrderedDict[int, bytes] = collections.OrderedDict()
        held = 0
        for rev in range(n - 1, -1, -1):
            kept = self._kept(idx, rev)
            if kept is not None:
                places[rev] = kept
                continue
            text = self._text(idx, rev)
            bases = [rev + 1, *children.get(rev, ())[:MAX_CHILDREN]]
            places[rev] = self._store(path_id, rev, text, bases, recent)
            if rev == n - 1:
                gid = schema.global_id(path_id, rev)
                self._kin = gid, text
            recent[rev] = text
            held += len(text)
            while held > RECENT and len(recent) > 1:
                held -= len(recent.popitem(last=False)[1])
            if self.packer.full:
                self.packer.cut()
                if self.packer.held > BATCH_BYTES:
                    self._save_frames()
        if n:
            self._batch.append(Done(idx, places))

    def _kept(self, idx: FileIndex, rev: int) -> Place | None:
        """Where a large text is that has a frame of its own already."""
        frame_id = idx.frames[rev]
        if not frame_id or idx.core[rev][2] < packer.ALONE:
            return None
        row = self.store.db.row(statements.SELECT_HEAD, (frame_id,))
        if row is None or len(frames.decode_head(row[0])[0]) != 1:
            return None
        return frame_id, idx.places[rev]

    def _text(self, idx: FileIndex, rev: int) -> bytes:
        """The text of a revision, which must match its node."""
        text = self.store.chain_text(idx, rev)
        r = idx.revision(rev)
        if not r.flags:
            parents = (idx.core[r.p1][7], idx.core[r.p2][7])
            if storageutil.hashrevisionsha1(text, *parents) != r.node:
                raise errors.CorruptStore(
                    _(b'integrity check failed on %s:%s')
                    % (self.store.path_of(idx.path_id or 0), short(r.node)),
                    hint=_(b"run 'hg verify'"),
                )
        return text

    def _store(
        self,
        path_id: int,
        rev: int,
        text: bytes,
        bases: list[int],
        recent: dict[int, bytes],
    ) -> Place:
        gid = schema.global_id(path_id, rev)
        digest = None
        if len(text) in self._twins:
            digest = deltas.content_digest(text)
            found = self._known.get(digest)
            if found is not None:
                self._shared.append((found, digest))
                return found
        if len(text) >= packer.ALONE:
            place = self.packer.add_alone(gid, text)
        else:
            base, data = self._best(path_id, text, bases, recent)
            place = self.packer.add(gid, data, base)
        if digest is not None:
            self._known[digest] = place
        return place

    def _best(
        self,
        path_id: int,
        text: bytes,
        bases: list[int],
        recent: dict[int, bytes],
    ) -> tuple[int | None, bytes]:
        """(place of the base, delta) or (None, full text)."""
        best: tuple[int | None, bytes] = (None, text)
        for base in dict.fromkeys(bases):
            base_text = recent.get(base)
            if base_text is None:
                continue
            place = self.packer.place(schema.global_id(path_id, base))
            if place is None:
                continue
            best = min(best, _delta(place, base_text, text), key=_size)
            if len(best[1]) <= GOOD_DELTA:
                return best
        kin = self._kin
        if (
            best[0] is None
            and kin is not None
            and len(text) >= repackplan.LARGE
        ):
            place = self.packer.place(kin[0])
            if place is not None:
                best = min(best, _delta(place, kin[1], text), key=_size)
        return best

    # the database

    def _save_frames(self) -> None:
        """Store finished frames; nothing refers to them yet."""
        with locked(self.repo, self.store):
            self._insert_frames()

    def _insert_frames(self) -> None:
        for frame_id, head, pieces in self.packer.take():
            transactions.insert_frame(self.store, frame_id, head, pieces)

    def _commit(self) -> list[int]:
        """Switch the files done to their new frames, in one transaction.

        Returns the files that changed since they were read.
        """
        self.packer.cut()
        changed = []
        with locked(self.repo, self.store):
            self._insert_frames()
            self.store.forget_content()
            intact = {
                place
                for place, digest in self._shared
                if self._is(place, digest)
            }
            for idx, places in self._batch:
                path_id = idx.path_id
                assert path_id is not None
                now = self.store.read_index(path_id)
                if not len(now):
                    # stripped
                    continue
                lost = any(
                    place not in intact
                    for place, _digest in self._shared
                    if place in places
                )
                if lost or not repackplan.unchanged(idx, now):
                    changed.append(path_id)
                    continue
                self._switch(idx, path_id, places)
        self.store.forget()
        self._batch = []
        self._shared = []
        self._kin = None
        if changed:
            self._known.clear()
        return changed

    def _is(self, place: Place, digest: int) -> bool:
        """Whether a shared text is still what it was (see ``censor``)."""
        try:
            return deltas.content_digest(self.store.sealed(*place)) == digest
        except errors.CorruptStore:
            return False

    def _switch(
        self, idx: FileIndex, path_id: int, places: list[Place]
    ) -> None:
        db = self.store.db
        n = len(idx)
        revs = [
            idx.revision(rev)._replace(frame=frame_id, place=place)
            for rev, (frame_id, place) in enumerate(places)
        ]
        first, end = repackplan.bounds(path_id, n)
        db.execute(statements.DELETE_LOOSE, (first, end))
        db.execute(statements.DELETE_RUNS, (first, end))
        data = index.encode_run(0, revs, self._codec)
        db.execute(statements.INSERT_RUN, (first, n, data))

    def _sweep(self) -> None:
        """Delete the frames that no revision is in."""
        db = self.store.db
        with locked(self.repo, self.store):
            live = {
                row[0] for row in db.rows(statements.SELECT_FRAMES_OF_LOOSE)
            }
            for gid, n, data in db.iterate(statements.SELECT_ALL_RUNS):
                revs = index.decode_run(gid & schema.REV_MASK, n, data)
                live.update(revision.frame for revision in revs)
            for (frame_id,) in db.rows(statements.SELECT_FRAME_IDS):
                if frame_id not in live:
                    transactions.delete_frame(self.store, frame_id)
        self.store.forget()


def _children(idx: FileIndex) -> dict[int, list[int]]:
    """The children of each revision, the next revision left out."""
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


def shrink(repo: Any, store: Store) -> None:
    """Give free pages back to the file system."""
    with repo.lock():
        store.db.execute(statements.VACUUM)
        store.db.execute(statements.EMPTY_LOG)


def database_size(store: Store) -> int:
    """Bytes that the database takes on disk."""
    return os.stat(store.db.path).st_size
