# SPDX-License-Identifier: GPL-2.0-or-later
"""One SQLite transaction within Mercurial's transaction.

The order of events keeps a repository whole:

1. The first write of a Mercurial transaction opens a SQLite transaction. It
   records in it everything that is needed to undo it: the number of changesets
   (``txn.changesets``), the next free path and frame ids, and, for each older
   file that it adds to, the number of its revisions (``mark``).
2. The SQLite transaction is committed, with its fsync, before a hook in
   another process may look at it (Mercurial's *pending* state), and at the
   latest before the changelog is written: Mercurial runs finalizers in the
   order of their names, and CATEGORY sorts before that of the changelog.
3. The record is not removed afterwards. The next transaction finds the ``txn``
   row and asks the changelog: if it has more than ``txn.changesets``
   changesets, the transaction was completed. Otherwise it was aborted, rolled
   back or killed, and each file is truncated to its mark. ``hg rollback`` and
   ``hg recover`` do the same at once (see ``recovery``).

So the changelog never names a missing file revision. A transaction that adds
file revisions but no changesets, such as one that widens a narrow clone,
deletes its ``txn`` row in the commit itself: its revisions belong to changesets
that exist already.

A strip works the other way around, because Mercurial cannot take it back: the
intention (kind ``strip``) is committed first, and the rows are deleted when the
transaction closes. If that does not happen, ``recovery`` finds the intention
and a truncated changelog, and finishes the work.

This module writes rows. ``filewriter`` decides which rows a file gets.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Sequence
from typing import Any

from mercurial.i18n import _

from ...amalgam.codecs import chunks
from .. import errors
from ..formats import schema, statements
from ..formats.index import Revision
from ..formats.openframe import OpenFrame
from ..reading.fileindex import FileIndex
from ..reading.store import Store
from . import recovery
from .sealer import Sealer

# Sorts before 'cl-...', the finalizers of changelogs.
CATEGORY = b'00-sqlitestore'


def writer(store: Store, tr: Any) -> Writer:
    """Return the Writer of a running Mercurial transaction.

    Core passes the transaction itself or a weak proxy of it. Both have the same
    Writer.
    """
    current = store.open_writer
    if isinstance(current, Writer) and _same(current.transaction, tr):
        return current
    made = store.open_writer = Writer(store, tr)
    return made


def _same(tr: Any, other: Any) -> bool:
    """Return whether two transactions, or proxies of them, are the same."""
    return tr.addabort.__self__ is other.addabort.__self__


def after_failed_abort(tr: Any, callbacks: Any) -> None:
    """Clean up after Mercurial failed to abort a transaction.

    On a full disk it may fail to close the journal. It then neither rolls back
    nor calls the ``callbacks``, and would fail once more, with a traceback,
    when the object is deleted.
    """
    tr._journal = None
    callback = callbacks.get(CATEGORY) if callbacks else None
    if callback is not None:
        callback(tr)
    tr._report(_(b'rollback failed - please run hg recover\n'))


class Writer:
    """Writes rows within one Mercurial transaction, ``transaction``.

    Callers add and delete rows. The Writer decides when the SQLite transaction
    begins and when it is committed.
    """

    def __init__(self, store: Store, tr: Any) -> None:
        self.store = store
        # A weak reference, because the transaction refers to this object by
        # its callbacks.
        self.transaction = weakref.proxy(tr.addabort.__self__)
        self.codec = chunks.Codec(store.compression, chunks.LOOSE_LEVEL)
        self._counters: dict[str, int] = {}
        self._first_path = 0
        self._marked: set[int] = set()
        # Rows of ``mark``, and whether those of the last transaction are still
        # there. They are changed last: SQLite would otherwise write the page of
        # that table early and late in a large transaction, and compute the
        # checksums of everything between once more.
        self._marks: list[tuple[int, int]] = []
        self._old_marks = False
        self._kind: str | None = None
        self._on_record = False
        # By kind of path, because a frame holds revisions of one kind. They
        # share a codec, which takes 3 MB of memory once it has compressed.
        self._frame_codec = chunks.Codec(store.compression, chunks.FRAME_LEVEL)
        self._sealers: dict[int, Sealer] = {}
        tr.addabort(CATEGORY, lambda tr: self._abort())
        tr.addpostclose(CATEGORY, lambda tr: self._release())

    # the SQLite transaction

    def begin(self) -> None:
        """Make sure that a SQLite transaction is open and has its record.

        Raises StoreUnavailable if the database cannot be written.
        """
        db = self.store.db
        if db.in_transaction:
            return
        if not db.writable:
            raise errors.StoreUnavailable(
                _(b'cannot write to %s') % db.path,
                hint=_(b'check the permissions of the file and its directory'),
            )
        if db.replaced:
            raise errors.StoreUnavailable(
                _(b'%s was replaced by another file') % db.path,
                hint=_(b'try again'),
            )
        db.begin()
        if self._kind is None:
            self._record(statements.ADD, self._changesets_before())
        self.transaction.addpending(CATEGORY, lambda tr: self.commit_pending())
        self.transaction.addfinalize(CATEGORY, lambda tr: self.commit())

    def begin_strip(self, changesets: int) -> None:
        """Begin to strip: only ``changesets`` changesets will remain."""
        if self._kind != statements.STRIP:
            db = self.store.db
            if self._kind is None:
                db.begin()
                self._record(statements.STRIP, changesets)
                db.commit(more=True)
            self._kind = statements.STRIP
        self.begin()

    def _record(self, kind: str, changesets: int) -> None:
        """Record what is needed to undo, or finish, this transaction."""
        db = self.store.db
        self._counters = dict(db.rows(statements.SELECT_COUNTERS))
        self._first_path = self._counters['path']
        self._old_marks = True
        db.execute(statements.DELETE_TXN)
        db.execute(
            statements.INSERT_TXN,
            (kind, changesets, self._counters['path'], self._counters['frame']),
        )
        self._kind = kind
        if self._counters.get('wipe'):
            # A process that censored a revision was killed before it wiped
            # free space, or could not empty the log.
            self._wipe_at_end()

    def _changesets_before(self) -> int:
        """Return how many changesets existed when the transaction began."""
        changes = getattr(self.transaction, 'changes', None) or {}
        before: int | None = changes.get(b'origrepolen')
        return self.store.changesets() if before is None else before

    def commit_pending(self) -> bool:
        """Commit what was written so far, for hooks in other processes."""
        if self.store.db.in_transaction:
            self._write_out()
            self.store.db.commit()
            self._on_record = True
        return True

    def commit(self) -> None:
        """Commit everything; Mercurial writes the changelog next."""
        db = self.store.db
        if not db.in_transaction:
            return
        self._write_out()
        if (
            self._kind == statements.STRIP
            or self.store.changesets() <= self._changesets_before()
        ):
            db.execute(statements.DELETE_TXN)
            db.execute(statements.DELETE_MARKS)
        db.commit()
        self._on_record = True

    def _write_out(self) -> None:
        """Write what is held in memory: the open frame, marks, counters."""
        self.flush()
        if self._old_marks:
            self.store.db.execute(statements.DELETE_MARKS)
            self._old_marks = False
        self.store.db.execute_many(statements.INSERT_MARK, self._marks)
        self._marks.clear()
        self.store.db.execute_many(
            statements.UPDATE_COUNTER,
            [(value, name) for name, value in self._counters.items()],
        )

    def _abort(self) -> None:
        db = self.store.db
        if db.in_transaction:
            db.execute(statements.ROLLBACK)
        self.store.forget()
        if self._on_record and self._kind == statements.ADD:
            # Remove what was committed for hooks to see.
            db.begin()
            recovery.resolve(self.store, 0)
            db.commit()
        self._release()

    def _release(self) -> None:
        if self.store.open_writer is self:
            self.store.open_writer = None

    # paths

    def touch(self, key: tuple[int, bytes], idx: FileIndex) -> None:
        """Prepare for adding revisions to a path; ``key`` is (kind, path).

        This gives a new path its id, and marks the end of an older one.
        """
        self.begin()
        path_id = idx.path_id
        if path_id is None:
            path_id = idx.path_id = self._next('path')
            self.store.db.execute(statements.INSERT_PATH, (*key, path_id))
            self.store.add_path(key, path_id, idx)
        elif path_id < self._first_path and path_id not in self._marked:
            self._marked.add(path_id)
            self._marks.append((path_id, len(idx)))

    def add_paths(self, keys: Sequence[tuple[int, bytes]]) -> Sequence[int]:
        """Give new paths their ids, and return these.

        Each key is (kind, path). Their indexes are read when they are needed.
        """
        self.begin()
        first = self._counters['path']
        ids = range(first, first + len(keys))
        self._counters['path'] = ids.stop
        self.store.db.execute_many(
            statements.INSERT_PATH,
            [(*key, path_id) for key, path_id in zip(keys, ids, strict=True)],
        )
        for key, path_id in zip(keys, ids, strict=True):
            self.store.note_path(key, path_id)
        return ids

    def truncate(self, key: tuple[int, bytes], idx: FileIndex, n: int) -> None:
        """Remove all revisions of the path ``key`` from number ``n`` on."""
        self.begin()
        path_id = idx.path_id
        if path_id is None:
            return
        self.flush()
        recovery.truncate_rows(self.store, path_id, n)
        idx.truncate(n)
        if not n:
            self.store.db.execute(statements.DELETE_PATH, key)
            self.store.drop_path(key, path_id)
            idx.path_id = None

    def _next(self, counter: str) -> int:
        value = self._counters[counter]
        self._counters[counter] = value + 1
        return value

    # revisions

    def add_loose(self, gid: int, r: Revision, chunk: bytes) -> None:
        """Insert the row of a loose revision; ``r.place`` is its base."""
        self.store.db.execute(
            statements.INSERT_LOOSE,
            (gid, r.node, r.p1, r.p2, r.linkrev, r.flags, r.rawsize)
            + (r.place, r.frame, chunk),
        )

    def add_run(self, gid: int, data: bytes, n: int) -> None:
        """Insert an index run of ``n`` revisions; ``gid`` is the first."""
        self.store.db.execute(statements.INSERT_RUN, (gid, n, data))

    def add_runs(self, runs: Iterable[tuple[int, int, bytes]]) -> None:
        """Insert index runs: the first global id, the number, the data."""
        self.begin()
        self.store.db.execute_many(statements.INSERT_RUN, runs)

    def add_content(self, digest: int, gid: int) -> None:
        """Record the digest of the text of revision ``gid``."""
        self.store.db.execute(statements.INSERT_CONTENT, (digest, gid))

    # frames

    def sealer(self, kind: int) -> Sealer:
        """Return the object that fills frames with paths of a kind."""
        found = self._sealers.get(kind)
        if found is None:
            self.begin()
            found = Sealer(self, self._frame_codec)
            self._sealers[kind] = found
        return found

    def open_frame(self, frame_id: int) -> OpenFrame | None:
        """Return the frame being filled if it has this id, or None."""
        for sealer in self._sealers.values():
            frame = sealer.current(frame_id)
            if frame is not None:
                return frame
        return None

    def flush(self) -> None:
        """Store the frames being filled, if there are any."""
        for sealer in self._sealers.values():
            sealer.flush()

    def following_frame(self) -> int:
        """Return the id that ``next_frame`` would return."""
        self.begin()
        return self._counters['frame']

    def next_frame(self) -> int:
        """Return a frame id that was never used."""
        self.begin()
        return self._next('frame')

    def add_frame(
        self, frame_id: int, head: bytes, pieces: Iterable[bytes]
    ) -> None:
        """Insert a frame; ``pieces`` are the pieces of its data, in order."""
        self.begin()
        insert_frame(self.store, frame_id, head, pieces)

    def replace_frame(
        self, frame_id: int, head: bytes, pieces: Iterable[bytes]
    ) -> None:
        """Replace the head and the data of a frame."""
        self.begin()
        delete_frame(self.store, frame_id)
        insert_frame(self.store, frame_id, head, pieces)

    # wiping

    def request_wipe(self) -> None:
        """Overwrite deleted bytes when the transaction is complete."""
        self._counters['wipe'] = schema.WIPE_ALL
        self._wipe_at_end()

    def _wipe_at_end(self) -> None:
        self.transaction.addpostclose(CATEGORY + b'-wipe', self._wipe)

    def _wipe(self, tr: Any) -> None:
        from ..database import wiping

        try:
            wiped = wiping.wipe(self.store.db)
        except errors.StoreUnavailable as exc:
            # The transaction is complete even if wiping fails.
            tr._report(
                _(
                    b'removed content stays in free space (the next'
                    b' transaction tries again): %s\n'
                )
                % exc.message
            )
            return
        if wiped or self._counters['wipe'] != schema.WIPE_ALL:
            # It was said when the content was removed.
            return
        if self.store.db.keep_log:
            message = _(
                b'removed content stays in the WAL of %s because'
                b' storage.sqlite.keep-wal is set\n'
            )
        else:
            message = _(
                b'removed content stays in the WAL of %s while other'
                b' processes read it; the next transaction tries again\n'
            )
        tr._report(message % self.store.db.path)


def insert_frame(
    store: Store, frame_id: int, head: bytes, pieces: Iterable[bytes]
) -> None:
    """Insert the rows of a frame; ``pieces`` are its data, in order.

    The caller must have opened a SQLite transaction.
    """
    db = store.db
    number = -1
    for number, piece in enumerate(pieces):
        if number == 0:
            db.execute(statements.INSERT_FRAME, (frame_id, head, piece))
        else:
            key = schema.piece_id(frame_id, number)
            db.execute(statements.INSERT_PIECE, (key, piece))
    if number < 0:
        db.execute(statements.INSERT_FRAME, (frame_id, head, b''))


def delete_frame(store: Store, frame_id: int) -> None:
    """Delete the rows of a frame.

    The caller must have opened a SQLite transaction.
    """
    store.db.execute(statements.DELETE_FRAME, (frame_id,))
    store.db.execute(statements.DELETE_PIECES, schema.piece_bounds(frame_id))
