# SPDX-License-Identifier: GPL-2.0-or-later
"""Writing, tied to Mercurial's transaction.

The order of events that keeps a repository whole:

1. The first write of a Mercurial transaction opens a SQLite transaction and
   records in it what would undo everything: how many changesets there were
   (``txn.changesets``), the next free path and frame ids, and, for each older
   file touched, its number of revisions (``mark``).
2. The SQLite transaction is committed, with its fsync, before a hook in
   another process may look (Mercurial's *pending* state), and at the latest
   before the changelog is written: Mercurial runs finalizers by name, and
   ours sorts before the changelog's.
3. Nothing is removed afterwards. The next transaction finds the ``txn`` row and
   asks the changelog: if it has grown past ``changesets`` the transaction
   happened; otherwise it was aborted, rolled back or killed, and every mark is
   truncated. ``hg rollback`` and ``hg recover`` do the same at once.

So there is no moment at which the changelog names a missing revision. A
transaction that adds file revisions but no changesets (widening a narrow
clone) clears its ``txn`` row in the commit itself: its revisions belong to
changesets that exist already.

Strip works the other way around, because Mercurial cannot take it back: the
intention (``kind = 'strip'``) is committed first, the rows go when the
transaction closes, and whoever finds the intention beside a changelog that
was truncated finishes the work.
"""

from __future__ import annotations

import weakref
from typing import Any

from mercurial.i18n import _

from .. import errors
from ..formats import chunks, index, schema
from ..reading.store import Store
from . import sealer

ADD = 'add'
STRIP = 'strip'

# Sorts before 'cl-...', the finalizers of changelogs.
CATEGORY = b'00-sqlitestore'

COMMIT = 'COMMIT'
ROLLBACK = 'ROLLBACK'
SELECT_TXN = 'SELECT kind, changesets, path, frame FROM txn'
SELECT_MARKS = 'SELECT path, n FROM mark'
SELECT_COUNTERS = 'SELECT name, value FROM counter'
UPDATE_COUNTER = 'UPDATE counter SET value = ? WHERE name = ?'
INSERT_TXN = 'INSERT INTO txn VALUES (1, ?, ?, ?, ?)'
DELETE_TXN = 'DELETE FROM txn'
INSERT_MARK = 'INSERT OR IGNORE INTO mark VALUES (?, ?)'
DELETE_MARKS = 'DELETE FROM mark'
INSERT_PATH = 'INSERT INTO path (path, id) VALUES (?, ?)'
DELETE_PATH = 'DELETE FROM path WHERE path = ?'
DELETE_PATHS_FROM = 'DELETE FROM path WHERE id >= ?'
INSERT_REV = 'INSERT INTO rev VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)'
UPDATE_REV = 'UPDATE rev SET base = ?, frame = ?, data = ? WHERE id = ?'
DELETE_REVS = 'DELETE FROM rev WHERE id >= ? AND id < ?'
INSERT_SEGMENT = 'INSERT INTO idx VALUES (?, ?, ?)'
DELETE_SEGMENTS = 'DELETE FROM idx WHERE id >= ? AND id < ?'
SELECT_LAST_SEGMENT = """
    SELECT id, n, data FROM idx WHERE id >= ? AND id < ?
    ORDER BY id DESC LIMIT 1"""
UPDATE_SEGMENT = 'UPDATE idx SET n = ?, data = ? WHERE id = ?'
INSERT_FRAME = 'INSERT INTO frame VALUES (?, ?, ?)'
INSERT_PIECE = 'INSERT INTO piece VALUES (?, ?)'
DELETE_FRAME = 'DELETE FROM frame WHERE id = ?'
DELETE_FRAMES_FROM = 'DELETE FROM frame WHERE id >= ?'
DELETE_PIECES = 'DELETE FROM piece WHERE id >= ? AND id < ?'
DELETE_PIECES_FROM = 'DELETE FROM piece WHERE id >= ?'
INSERT_CONTENT = 'INSERT OR IGNORE INTO content VALUES (?, ?)'
DELETE_CONTENT = 'DELETE FROM content WHERE rev >= ? AND rev < ?'
# All rows with a base in another file are few; a range of -base is a range
# of the partial index.
SELECT_DEPENDENTS = """
    SELECT id FROM rev WHERE base < 0 AND base <= ? AND base > ?"""


def writer(store: Store, tr: Any) -> Writer:
    """The Writer of a running Mercurial transaction.

    Core passes the transaction itself or a weak proxy of it: both have the
    same Writer.
    """
    current = store.open_writer
    if isinstance(current, Writer) and _same(current.transaction, tr):
        return current
    made = store.open_writer = Writer(store, tr)
    return made


def _same(tr: Any, other: Any) -> bool:
    """Whether two transactions, or proxies of them, are one."""
    return tr.addabort.__self__ is other.addabort.__self__


class Writer:
    """Writes file revisions within one Mercurial transaction.

    ``transaction`` is Mercurial's. Callers add rows through ``add_path``,
    ``add_loose``, ``seal``, ``add_segment`` and ``truncate``; when and how
    they are committed is decided here.
    """

    def __init__(self, store: Store, tr: Any) -> None:
        self.store = store
        # weak, as it keeps this object alive by its callbacks
        self.transaction = weakref.proxy(tr.addabort.__self__)
        self.codec = chunks.Codec(store.compression, chunks.LOOSE_LEVEL)
        self._counters: dict[str, int] = {}
        self._first_path = 0
        self._marked: set[int] = set()
        self._kind: str | None = None
        self._on_record = False
        self._sealer: sealer.Sealer | None = None
        tr.addabort(CATEGORY, lambda tr: self._abort())
        tr.addpostclose(CATEGORY, lambda tr: self._release())

    # the SQLite transaction

    def begin(self) -> None:
        """Make sure that a SQLite transaction is open and on record."""
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
            self._open(ADD, self._changesets_before())
        self.transaction.addpending(CATEGORY, lambda tr: self.commit_pending())
        self.transaction.addfinalize(CATEGORY, lambda tr: self.commit())

    def _open(self, kind: str, changesets: int) -> None:
        db = self.store.db
        self._counters = dict(db.rows(SELECT_COUNTERS))
        self._first_path = self._counters['path']
        db.execute(DELETE_TXN)
        db.execute(DELETE_MARKS)
        db.execute(
            INSERT_TXN,
            (kind, changesets, self._counters['path'], self._counters['frame']),
        )
        self._kind = kind
        if self._counters.get('wipe'):
            # the process that censored something was killed before it could
            self.request_wipe()

    def _changesets_before(self) -> int:
        """How many changesets there were when the transaction began."""
        changes = getattr(self.transaction, 'changes', None) or {}
        before: int | None = changes.get(b'origrepolen')
        return self.store.changesets() if before is None else before

    def commit_pending(self) -> bool:
        """Show what is written so far to other processes."""
        if self.store.db.in_transaction:
            self._flush()
            self.store.db.execute(COMMIT)
            self._on_record = True
        return True

    def commit(self) -> None:
        """Make everything durable; Mercurial writes the changelog next."""
        db = self.store.db
        if not db.in_transaction:
            return
        self._flush()
        if (
            self._kind == STRIP
            or self.store.changesets() <= self._changesets_before()
        ):
            db.execute(DELETE_TXN)
            db.execute(DELETE_MARKS)
        db.execute(COMMIT)
        self._on_record = True

    def _flush(self) -> None:
        self.flush()
        self.store.db.execute_many(
            UPDATE_COUNTER, [(v, k) for k, v in self._counters.items()]
        )

    def _abort(self) -> None:
        db = self.store.db
        if db.in_transaction:
            db.execute(ROLLBACK)
        self.store.forget()
        if self._on_record and self._kind == ADD:
            # What was committed, for hooks to see, is still there.
            db.begin()
            resolve(self.store, 0)
            db.execute(COMMIT)
        self._release()

    def _release(self) -> None:
        if self.store.open_writer is self:
            self.store.open_writer = None

    # rows

    def _next(self, name: str) -> int:
        value = self._counters[name]
        self._counters[name] = value + 1
        return value

    def add_path(self, path: bytes, idx: index.FileIndex) -> int:
        """Give a new file its path id."""
        self.begin()
        path_id = self._next('path')
        self.store.db.execute(INSERT_PATH, (path, path_id))
        idx.path_id = path_id
        self.store.add_path(path, path_id, idx)
        return path_id

    def touch(self, path: bytes, idx: index.FileIndex) -> int:
        """Prepare for adding revisions to a file; returns its path id."""
        self.begin()
        if idx.path_id is None:
            return self.add_path(path, idx)
        path_id = idx.path_id
        if path_id < self._first_path and path_id not in self._marked:
            self._marked.add(path_id)
            self.store.db.execute(INSERT_MARK, (path_id, len(idx)))
        return path_id

    def add_loose(self, gid: int, r: index.Revision, chunk: bytes) -> None:
        """Store a revision in a row of its own; ``r.place`` is its base."""
        self.store.db.execute(
            INSERT_REV,
            (gid, r.node, r.p1, r.p2, r.linkrev, r.flags, r.rawsize)
            + (r.place, r.frame, chunk),
        )

    def update_loose(self, gid: int, base: int, chunk: bytes) -> None:
        """Replace the stored data of a loose revision."""
        self.store.db.execute(UPDATE_REV, (base, 0, chunk, gid))

    def add_segment(self, first: int, data: bytes, n: int) -> None:
        """Store the index of ``n`` sealed revisions starting at a global id."""
        self.store.db.execute(INSERT_SEGMENT, (first, n, data))

    def add_content(self, digest: int, gid: int) -> None:
        """Remember where a large content is stored."""
        self.store.db.execute(INSERT_CONTENT, (digest, gid))

    # frames

    @property
    def sealer(self) -> sealer.Sealer:
        """The frame being filled in this transaction."""
        if self._sealer is None:
            self.begin()
            self._sealer = sealer.Sealer(self, self.store.compression)
        return self._sealer

    def open_frame(self, frame_id: int) -> Any:
        """The frame being filled if it has this id."""
        if self._sealer is None:
            return None
        return self._sealer.current(frame_id)

    def next_frame(self) -> int:
        """A frame id never used before."""
        self.begin()
        return self._next('frame')

    def add_frame(self, frame_id: int, head: bytes, pieces: Any) -> None:
        """Store a frame; ``pieces`` iterates over the pieces of its data."""
        self.begin()
        db = self.store.db
        for number, piece in enumerate(pieces):
            if number == 0:
                db.execute(INSERT_FRAME, (frame_id, head, piece))
            else:
                db.execute(INSERT_PIECE, (frame_id << 16 | number, piece))

    def request_wipe(self) -> None:
        """Wipe deleted content from free space after the transaction."""
        self._counters['wipe'] = 1
        self.transaction.addpostclose(CATEGORY + b'-wipe', self._wipe)

    def _wipe(self, tr: Any) -> None:
        try:
            wiped = self.store.db.wipe()
        except errors.StoreUnavailable as exc:
            # The transaction is complete, whatever becomes of free space.
            tr._report(
                _(
                    b'removed content stays in free space (the next'
                    b' transaction tries again): %s\n'
                )
                % exc.message
            )
            return
        if not wiped:
            tr._report(
                _(
                    b'removed content stays in the WAL of %s while other'
                    b' processes read it; the next transaction tries again\n'
                )
                % self.store.db.path
            )

    def flush(self) -> None:
        """Store the frame being filled, if there is one."""
        if self._sealer is not None:
            self._sealer.flush()

    # strip

    def begin_strip(self, changesets: int) -> None:
        """Put on record that only ``changesets`` changesets will remain."""
        if self._kind == STRIP:
            self.begin()
            return
        db = self.store.db
        if self._kind is None:
            db.begin()
            self._open(STRIP, changesets)
            db.execute(COMMIT)
        self._kind = STRIP
        self.begin()

    def truncate(self, path: bytes, idx: index.FileIndex, n: int) -> None:
        """Remove all revisions of a file from number ``n`` on."""
        self.begin()
        path_id = idx.path_id
        if path_id is None:
            return
        self.flush()
        truncate_rows(self.store, path_id, n)
        idx.truncate(n)
        if not n:
            self.store.db.execute(DELETE_PATH, (path,))
            self.store.drop_path(path, path_id)
            idx.path_id = None


def truncate_rows(store: Store, path_id: int, n: int) -> None:
    """Remove the rows of a file's revisions from number ``n`` on.

    Must run inside a SQLite transaction. Rows of other files that are deltas
    of removed ones are rewritten first.
    """
    db = store.db
    start = schema.global_id(path_id, n)
    first = schema.global_id(path_id, 0)
    end = schema.global_id(path_id + 1, 0)
    codec = chunks.Codec(store.compression)
    for (gid,) in db.rows(SELECT_DEPENDENTS, (-start, -end)):
        if not start <= gid < end:
            data = codec.encode(store.text(gid))
            db.execute(UPDATE_REV, (0, 0, data, gid))
            # the next dependent may be a delta of this one
            store.rewritten(gid, len(data))
    db.execute(DELETE_CONTENT, (start, end))
    db.execute(DELETE_REVS, (start, end))
    db.execute(DELETE_SEGMENTS, (start, end))
    row = db.row(SELECT_LAST_SEGMENT, (first, end))
    if row is not None:
        gid, count, data = row
        keep = start - gid
        if keep < count:
            # A segment that begins below the cut and reaches over it.
            rev = gid & schema.REV_MASK
            with store.naming_damage():
                revs = index.decode_segment(rev, count, data)[:keep]
            data = index.encode_segment(
                rev, revs, chunks.Codec(store.compression)
            )
            db.execute(UPDATE_SEGMENT, (keep, data, gid))


def resolve(store: Store, changesets: int) -> bool:
    """Undo the recorded transaction if its changesets are not there.

    ``changesets`` is the number of changesets on disk. Must run inside a
    SQLite transaction. Returns whether anything was undone.
    """
    db = store.db
    row = db.row(SELECT_TXN)
    if row is None:
        return False
    kind, before, first_path, first_frame = row
    undo = changesets <= before
    if undo:
        store.forget()
        if kind == STRIP:
            strip_rows(store, changesets)
        else:
            for path_id, n in db.rows(SELECT_MARKS):
                truncate_rows(store, path_id, n)
            # The largest integer SQLite has is 2**63 - 1.
            end = schema.global_id((1 << 31) - 1, 0)
            start = schema.global_id(first_path, 0)
            db.execute(DELETE_CONTENT, (start, end))
            db.execute(DELETE_REVS, (start, end))
            db.execute(DELETE_SEGMENTS, (start, end))
            db.execute(DELETE_PATHS_FROM, (first_path,))
            db.execute(DELETE_FRAMES_FROM, (first_frame,))
            db.execute(DELETE_PIECES_FROM, (first_frame << 16,))
        store.forget()
    db.execute(DELETE_TXN)
    db.execute(DELETE_MARKS)
    return undo


def strip_rows(store: Store, changesets: int) -> None:
    """Remove every revision that belongs to a changeset that is not there."""
    from mercurial.utils import storageutil

    for path in store.paths():
        path_id = store.path_id(path)
        assert path_id is not None
        idx = store.read_index(path_id)
        core = idx.core
        point, _broken = storageutil.resolvestripinfo(
            changesets,
            len(idx) - 1,
            core.headrevs() if len(idx) else [],
            lambda rev, core=core: core[rev][4],
            lambda rev, core=core: core[rev][5:7],
        )
        if point < len(idx):
            truncate_rows(store, path_id, point)
            if not point:
                store.db.execute(DELETE_PATH, (path,))


def recover(store: Store) -> bool:
    """Undo, right now, a recorded transaction that did not happen.

    For ``hg recover`` and ``hg rollback``, with the store locked. Returns
    whether anything was undone.
    """
    db = store.db
    if db.row(SELECT_TXN) is None or not db.writable:
        return False
    db.begin()
    try:
        undone = resolve(store, store.changesets())
    except BaseException:
        db.execute(ROLLBACK)
        raise
    db.execute(COMMIT)
    return undone


def try_lock(store: Store) -> None:
    """Raise StoreUnavailable if another process keeps us from writing.

    For what should not begin unless ``recover`` can end it.
    """
    store.db.begin()
    store.db.execute(ROLLBACK)


def settle(store: Store) -> None:
    """Undo an earlier transaction that died.

    For the begin of a Mercurial transaction: later the changesets of this one
    would pass for those of the other. A new repository may be about to be filled
    by a stream clone, which writes the file itself: that must not be open then.
    """
    if store.exists:
        row = store.db.row(SELECT_TXN)
        if row is not None and store.changesets() <= row[1]:
            recover(store)
        if not store.changesets():
            store.db.close()
