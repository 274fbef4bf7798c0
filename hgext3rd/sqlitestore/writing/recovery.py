# SPDX-License-Identifier: GPL-2.0-or-later
"""Undo aborted and killed transactions in the database, and finish strips.

``writer`` records in each SQLite transaction how to undo it (the tables ``txn``
and ``mark``). The functions here compare that record with the changelog, and
remove rows. They run for ``hg recover`` and ``hg rollback``, when a transaction
aborts, and before a new one begins.
"""

from __future__ import annotations

from ...amalgam.codecs import chunks
from ..formats import index, schema, statements
from ..reading.store import Store


def recover(store: Store) -> bool:
    """Undo a recorded transaction that was not completed.

    The caller must hold the repository's lock. Return whether anything was
    undone.
    """
    db = store.db
    if db.row(statements.SELECT_TXN) is None or not db.writable:
        return False
    db.begin()
    try:
        undone = resolve(store, store.changesets())
    except BaseException:
        db.execute(statements.ROLLBACK)
        raise
    db.commit()
    return undone


def settle(store: Store) -> None:
    """Undo an earlier transaction if it was not completed.

    Unlike ``recover``, this keeps the record of a completed transaction. Call
    it when a Mercurial transaction begins: once that has added changesets, the
    earlier one would appear to be completed. In an empty repository the
    database is closed afterwards, because a stream clone may be about to
    replace the file.
    """
    if store.exists:
        row = store.db.row(statements.SELECT_TXN)
        if row is not None and store.changesets() <= row[1]:
            recover(store)
        if not store.changesets():
            store.db.close()


def try_lock(store: Store) -> None:
    """Raise StoreUnavailable if this process cannot write to the database.

    Call it before an operation that only ``recover`` can complete.
    """
    store.db.begin()
    store.db.execute(statements.ROLLBACK)


def resolve(store: Store, changesets: int) -> bool:
    """Undo the recorded transaction if its changesets do not exist.

    ``changesets`` is the number of changesets on disk. The caller must have
    opened a SQLite transaction. Return whether anything was undone.
    """
    db = store.db
    row = db.row(statements.SELECT_TXN)
    if row is None:
        return False
    kind, before, first_path, first_frame = row
    undo = changesets <= before
    if undo:
        store.forget()
        if kind == statements.STRIP:
            strip_rows(store, changesets)
        else:
            for path_id, n in db.rows(statements.SELECT_MARKS):
                truncate_rows(store, path_id, n)
            _remove_new_files(store, first_path, first_frame)
        store.forget()
    db.execute(statements.DELETE_TXN)
    db.execute(statements.DELETE_MARKS)
    return undo


def _remove_new_files(store: Store, first_path: int, first_frame: int) -> None:
    """Remove all files and frames whose ids are not below the given ones."""
    db = store.db
    start = schema.global_id(first_path, 0)
    end = schema.global_id(schema.MAX_PATH_ID, 0)
    db.execute(statements.DELETE_CONTENT, (start, end))
    db.execute(statements.DELETE_LOOSE, (start, end))
    db.execute(statements.DELETE_RUNS, (start, end))
    db.execute(statements.DELETE_PATHS_FROM, (first_path,))
    db.execute(statements.DELETE_FRAMES_FROM, (first_frame,))
    first_piece, _last = schema.piece_bounds(first_frame)
    db.execute(statements.DELETE_PIECES_FROM, (first_piece,))


def strip_rows(store: Store, changesets: int) -> None:
    """Remove the revisions of all changesets from number ``changesets`` on."""
    from mercurial.utils import storageutil

    for kind, path, path_id in store.db.rows(statements.SELECT_ALL_PATHS):
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
                store.db.execute(statements.DELETE_PATH, (kind, path))


def truncate_rows(store: Store, path_id: int, n: int) -> None:
    """Remove the rows of a file's revisions from number ``n`` on.

    Rows of other files that are deltas of removed ones become full texts
    first. The caller must have opened a SQLite transaction.
    """
    db = store.db
    start = schema.global_id(path_id, n)
    first = schema.global_id(path_id, 0)
    end = schema.global_id(path_id + 1, 0)
    codec = chunks.Codec(store.compression)
    for (gid,) in db.rows(statements.SELECT_DEPENDENTS, (-start, -end)):
        if not start <= gid < end:
            make_full_text(store, codec, gid)
    db.execute(statements.DELETE_CONTENT, (start, end))
    db.execute(statements.DELETE_LOOSE, (start, end))
    db.execute(statements.DELETE_RUNS, (start, end))
    row = db.row(statements.SELECT_LAST_RUN, (first, end))
    if row is not None:
        gid, count, data = row
        keep = start - gid
        if keep < count:
            # This index run has revisions on both sides of the cut.
            _path, rev = schema.split_id(gid)
            with store.naming_damage():
                revs = index.decode_run(rev, count, data)[:keep]
            data = index.encode_run(rev, revs, codec)
            db.execute(statements.UPDATE_RUN, (keep, data, gid))


def make_full_text(store: Store, codec: chunks.Codec, gid: int) -> None:
    """Store a loose revision again, as a full text instead of a delta."""
    data = codec.encode(store.text(gid))
    store.db.execute(statements.UPDATE_LOOSE, (0, 0, data, gid))
    # The next revision that becomes a full text may be a delta of this one.
    store.note_full_text(gid, len(data))
