# SPDX-License-Identifier: GPL-2.0-or-later
"""Store all revisions anew, in less space, while the repository is in use.

New frames are made without any lock, in the order of files that ``plan`` gives
and with the deltas that ``rewriter`` chooses. Every few frames, the repository
is locked for a moment. One SQLite transaction then adds the frames and points
the indexes of their files to them. A file that changed meanwhile is left alone
and repacked again later. Old frames are deleted when no index names them any
more.

So whenever a repack is interrupted, every revision is either in its old place
or in its new one. Only the places in an index that a reader holds become
invalid. The reader then looks them up again (``errors.Moved``).
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from mercurial import error
from mercurial import lock as lockmod
from mercurial.i18n import _

from ...amalgam.codecs import chunks
from ..database import wiping
from ..formats import index, schema, statements
from ..reading.fileindex import FileIndex
from ..reading.store import Store
from ..writing import recovery, writer
from . import packer, plan, rewriter

LOCK_NAME = b'sqlite-repack.lock'


class Effort(NamedTuple):
    """How much time a repack spends to save space.

    ``frame_size`` and ``manifest_frame_size`` are the numbers of bytes of
    entries in a frame of files and of manifests, ``level`` is that of
    compression. ``split`` stores the numbers of hunks in columns of their own
    (see ``formats.frames``).
    """

    frame_size: int
    manifest_frame_size: int
    level: int
    split: bool


# In larger frames, compression finds more repetitions. But the first read of a
# file decompresses a whole frame, which takes about 1 ms per MB of
# entries, and readers keep some frames in memory. With four times the size,
# --max would save another 3% (flask) to 8% (redis) of the store, but every
# command would take 10 to 20 MB more memory. Splitting reduces the size by 4
# to 8%, and reading all of history takes 3% longer.
NORMAL = Effort(2 << 20, 1 << 19, chunks.REPACK_LEVEL, split=False)
MAXIMUM = Effort(2 << 20, 1 << 19, chunks.MAX_LEVEL, split=True)

# Frames per SQLite transaction, and compressed bytes to hold in memory until
# then.
BATCH_FRAMES = 8
BATCH_BYTES = 64 << 20

# Passes over files that other processes keep changing. The last one locks the
# repository.
ROUNDS = 3


def repack(
    repo: Any, store: Store, effort: Effort, progress: Callable[..., None]
) -> bool:
    """Repack a repository; return False if there was nothing to do.

    ``progress`` is called with a topic, the number of files done and the number
    of all files, or None. Raises LockHeld if another repack is running, and
    CorruptStore if a text is damaged.
    """
    with lockmod.lock(repo.svfs, LOCK_NAME, timeout=0, desc=b'repack'):
        with locked(repo, store):
            mark = _mark(store, effort)
        if mark is not None and _recorded(store, 'packed') == mark:
            return False
        with store.naming_damage():
            order = plan.make(
                store, lambda done: progress(_(b'planning'), done, None)
            )
            Repack(repo, store, effort, progress, order).run()
        with locked(repo, store):
            mark = _mark(store, effort)
            if mark is not None:
                store.db.execute(statements.REPLACE_PACKED, (mark,))
            _record_completion(store)
        shrink(repo, store)
    return True


@contextlib.contextmanager
def locked(repo: Any, store: Store) -> Iterator[None]:
    """Hold the repository's lock and a SQLite transaction.

    The record of the last Mercurial transaction is settled first, because
    undoing that transaction later must not remove frames made here.
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
            db.commit(more=True)
        finally:
            if db.in_transaction:
                db.execute(statements.ROLLBACK)


def _recorded(store: Store, name: str) -> int:
    """Return the value of a counter in the database, 0 if there is none."""
    row = store.db.row(statements.SELECT_COUNTER, (name,))
    return row[0] if row else 0


def _record_completion(store: Store) -> None:
    """Count this repack, and note when it was completed: for monitoring."""
    for name, value in (
        (statements.REPACKS, _recorded(store, statements.REPACKS) + 1),
        (statements.REPACKED, int(time.time())),
    ):
        store.db.execute(statements.REPLACE_COUNTER, (name, value))


def _mark(store: Store, effort: Effort) -> int | None:
    """Return a number that stays the same while there is nothing to repack.

    Return None if there are loose revisions. Adding sealed revisions changes
    the number, because it takes frame ids.
    """
    if store.db.row(statements.HAS_LOOSE) is not None:
        return None
    return _recorded(store, 'frame') << 8 | effort.level


class Repack:
    """One repack of a repository, in the order of a plan."""

    def __init__(
        self,
        repo: Any,
        store: Store,
        effort: Effort,
        progress: Callable[..., None],
        order: plan.Plan,
    ) -> None:
        self.repo = repo
        self.store = store
        self.progress = progress
        self.packer: packer.Packer
        self._rewriter: rewriter.Rewriter
        self._effort = effort
        self._order = order
        self._codec = chunks.Codec(store.compression, effort.level)
        self._ids = iter(range(0))
        self._batch: list[rewriter.Rewritten] = []

    def run(self) -> None:
        """Repack everything, then delete the frames no longer needed."""
        effort, order = self._effort, self._order
        # One kind after the other, because a frame holds revisions of one kind.
        for kind, size, paths in (
            (schema.FILE, effort.frame_size, order.files),
            (schema.DIRECTORY, effort.manifest_frame_size, order.directories),
        ):
            self.packer = packer.Packer(
                self.store.compression,
                effort.level,
                size,
                self._next_id,
                effort.split,
            )
            make = rewriter.OF_KIND[kind]
            self._rewriter = make(
                self.store, self.packer, order.twins, self._make_room
            )
            try:
                self._run([path_id for _path, path_id in paths])
            finally:
                self.packer.close()
        self._sweep()

    def _run(self, todo: list[int]) -> None:
        """Repack paths of one kind."""
        for number in range(ROUNDS):
            if not todo:
                break
            last = number == ROUNDS - 1
            # In the last round other writers wait, so that no file changes.
            with self.repo.lock() if last else contextlib.nullcontext():
                todo = self._pass(todo)

    def _pass(self, path_ids: Iterable[int]) -> list[int]:
        """Repack files; return those that changed and need another pass."""
        again: list[int] = []
        todo = list(path_ids)
        for done, path_id in enumerate(todo):
            self.progress(_(b'repacking'), done, len(todo))
            rewritten = self._rewriter.rewrite(path_id)
            if rewritten is not None:
                self._batch.append(rewritten)
            if self.packer.full:
                self.packer.cut()
            if self.packer.finished >= BATCH_FRAMES:
                again += self._commit()
        again += self._commit()
        return again

    def _next_id(self) -> int:
        """Return a frame id. Ids are reserved BATCH_FRAMES at a time."""
        for frame_id in self._ids:
            return frame_id
        with locked(self.repo, self.store):
            first = _recorded(self.store, 'frame')
            self.store.db.execute(
                statements.INCREASE_COUNTER, (BATCH_FRAMES, 'frame')
            )
        self._ids = iter(range(first, first + BATCH_FRAMES))
        return next(self._ids)

    def _make_room(self) -> None:
        """Store finished frames if they take too much memory."""
        if self.packer.held > BATCH_BYTES:
            with locked(self.repo, self.store):
                self._insert_frames()

    def _insert_frames(self) -> None:
        """Store finished frames. No index refers to them yet."""
        for frame_id, head, pieces in self.packer.take():
            writer.insert_frame(self.store, frame_id, head, pieces)

    def _commit(self) -> list[int]:
        """Point the indexes of rewritten files to their new frames.

        This is one SQLite transaction. Return the files that changed since they
        were read, which keep their old frames.
        """
        self.packer.cut()
        changed = []
        with locked(self.repo, self.store):
            self._insert_frames()
            self.store.forget_content()
            overwritten = self._rewriter.changed_places()
            for idx, places, metadata in self._batch:
                path_id = idx.path_id
                assert path_id is not None
                now = self.store.read_index(path_id).decode_all()
                if not len(now):
                    # The file was stripped.
                    continue
                lost = any(place in places for place in overwritten)
                if lost or not _is_unchanged(idx, now):
                    changed.append(path_id)
                    continue
                idx.metadata.update(metadata)
                self._switch(idx, path_id, places)
        self.store.forget()
        self._batch = []
        self._rewriter.forget(everything=bool(changed))
        return changed

    def _switch(
        self, idx: FileIndex, path_id: int, places: list[rewriter.Place]
    ) -> None:
        """Replace the rows of a file by index runs with the new places."""
        db = self.store.db
        n = len(idx)
        revs = [
            idx.revision(rev)._replace(frame=frame_id, place=place)
            for rev, (frame_id, place) in enumerate(places)
        ]
        first, end = _bounds(path_id, n)
        db.execute(statements.DELETE_LOOSE, (first, end))
        db.execute(statements.DELETE_RUNS, (first, end))
        for start in range(0, n, index.RUN_SIZE):
            run = revs[start : start + index.RUN_SIZE]
            data = index.encode_run(start, run, self._codec)
            db.execute(statements.INSERT_RUN, (first + start, len(run), data))

    def _sweep(self) -> None:
        """Delete the frames that hold no revision any more."""
        db = self.store.db
        with locked(self.repo, self.store):
            live = {
                row[0] for row in db.rows(statements.SELECT_FRAMES_OF_LOOSE)
            }
            for gid, n, data in db.iterate(statements.SELECT_ALL_RUNS):
                _path, first = schema.split_id(gid)
                revs = index.decode_run(first, n, data)
                live.update(revision.frame for revision in revs)
            for (frame_id,) in db.rows(statements.SELECT_FRAME_IDS):
                if frame_id not in live:
                    writer.delete_frame(self.store, frame_id)
        self.store.forget()


def _is_unchanged(old: FileIndex, new: FileIndex) -> bool:
    """Return whether ``new`` has all revisions of ``old``, in equal places."""
    n = len(old)
    return (
        len(new) >= n
        and new.frames[:n] == old.frames
        and new.places[:n] == old.places
        and all(new.revision(r) == old.revision(r) for r in range(n))
    )


def _bounds(path_id: int, n: int) -> tuple[int, int]:
    """Return the global ids of revisions 0 and ``n`` of a file."""
    return schema.global_id(path_id, 0), schema.global_id(path_id, n)


def shrink(repo: Any, store: Store) -> None:
    """Give free pages back to the file system."""
    with repo.lock():
        store.db.execute(statements.VACUUM)
        wiping.empty_log(store.db)


def database_size(store: Store) -> int:
    """Return the size of the database file in bytes."""
    return os.stat(store.db.path).st_size
