# SPDX-License-Identifier: GPL-2.0-or-later
"""Removing the content of revisions for good.

The text is replaced by a tombstone; whatever was stored as a delta of it, in
its own file or another, is stored anew. Frames are rewritten in place, so that
every other revision keeps its address. Rewriting is part of the Mercurial
transaction; afterwards the database is vacuumed, because replaced bytes
otherwise stay in free pages and in the WAL. A ``wipe`` counter, committed with
the change, makes the next writer do that if this process does not get there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from mercurial import error, mdiff
from mercurial.i18n import _
from mercurial.revlogutils import constants
from mercurial.utils import storageutil

from . import deltas, frames, index, schema
from .transaction import SELECT_DEPENDENTS, Writer

if TYPE_CHECKING:
    from .filemutation import MutationMixin
    from .store import Store

SELECT_HEADS = 'SELECT id, head FROM frame'
SELECT_SEGMENTS = 'SELECT id, n, data FROM idx WHERE id BETWEEN ? AND ?'
SELECT_PATH_IDS = 'SELECT id FROM path'
UPDATE_FRAME = 'UPDATE frame SET head = ?, data = ? WHERE id = ?'
UPDATE_SEGMENT = 'UPDATE idx SET data = ? WHERE id = ?'
UPDATE_CENSORED = """
    UPDATE rev SET flags = ?, rawsize = ?, base = 0, data = ? WHERE id = ?"""
DELETE_CONTENT = 'DELETE FROM content WHERE rev = ?'
DELETE_PIECES = 'DELETE FROM piece WHERE id >= ? AND id < ?'
REQUEST_WIPE = "UPDATE counter SET value = 1 WHERE name = 'wipe'"


def censor(
    file: MutationMixin, writer: Writer, revs: set[int], tombstone: bytes
) -> None:
    """Replace the content of revisions of a file by a tombstone."""
    text = storageutil.packmeta({b'censored': tombstone}, b'')
    for rev in sorted(revs):
        if len(text) > file.rawsize(rev):
            raise error.Abort(
                _(b'censor tombstone must be no longer than censored data')
            )
    store, idx = writer.store, file.idx
    if writer._sealer is not None:
        writer._sealer.flush()
    _detach_rows(store, writer, idx, revs)
    _rewrite_frames(store, writer, idx, revs, text)
    _mark(store, writer, idx, revs, text)
    for rev in revs:
        store.db.execute(DELETE_CONTENT, (file.gid(rev),))
    store.db.execute(REQUEST_WIPE)
    writer.transaction.addpostclose(
        b'00-sqlitestore-wipe', lambda tr: store.db.wipe()
    )
    fresh = store.read_index(idx.path_id)
    idx.core, idx.frames, idx.places = fresh.core, fresh.frames, fresh.places
    idx.stored = fresh.stored
    store.forget_content()


def _detach_rows(
    store: Store, writer: Writer, idx: index.FileIndex, revs: set[int]
) -> None:
    """Store anew every row that is a delta of one of ``revs``."""
    path_id = idx.path_id
    assert path_id is not None
    dependents = []
    for rev, place in enumerate(idx.places):
        if not idx.frames[rev] and place > 0 and rev - place in revs:
            dependents.append(schema.global_id(path_id, rev))
    for rev in revs:
        gid = schema.global_id(path_id, rev)
        dependents += [
            row[0] for row in store.db.rows(SELECT_DEPENDENTS, (-gid, -gid - 1))
        ]
    for gid in dependents:
        owner, rev = schema.split_id(gid)
        if owner == path_id and rev in revs:
            continue
        writer.update_loose(gid, 0, writer.codec.encode(store.text(gid)))


def _rewrite_frames(
    store: Store,
    writer: Writer,
    idx: index.FileIndex,
    revs: set[int],
    text: bytes,
) -> None:
    """Take the content of ``revs`` out of all frames.

    Entries that nothing refers to any more (left by a strip) may hold the
    same content, so those of this file and of deleted files go as well.
    """
    paths = {row[0] for row in store.db.rows(SELECT_PATH_IDS)}
    live = {(idx.frames[r], idx.places[r]) for r in range(len(idx))}
    gone = {(idx.frames[r], idx.places[r]) for r in revs}
    for frame_id, head in store.db.rows(SELECT_HEADS):
        owners = frames.decode_head(head)[0]
        replaced: dict[int, bytes] = {}
        for place, owner in enumerate(owners):
            if owner == idx.path_id:
                if (frame_id, place) in gone:
                    replaced[place] = text
                elif (frame_id, place) not in live:
                    replaced[place] = b''
            elif owner not in paths:
                replaced[place] = b''
        if replaced:
            rewrite_frame(store, writer, frame_id, replaced)


def rewrite_frame(
    store: Store, writer: Writer, frame_id: int, replaced: dict[int, bytes]
) -> None:
    """Replace texts in a frame; all other entries keep text and place."""
    frame = store.frame(frame_id)
    distances: list[int] = []
    entries: list[bytes] = []
    for place in range(len(frame)):
        base = frame.base(place)
        if place in replaced:
            distances.append(0)
            entries.append(replaced[place])
        elif base < 0 or base not in replaced:
            distances.append(frame.distances[place])
            entries.append(frame.entry(place))
        else:
            text = frame.text(place)
            other = next(
                (p for p in range(place - 1, -1, -1) if p not in replaced), None
            )
            delta = text
            if other is not None and len(text) <= deltas.MAX_DIFF_SIZE:
                delta = mdiff.textdiff(frame.text(other), text)
            if other is None or len(delta) >= len(text):
                distances.append(0)
                entries.append(text)
            else:
                distances.append(place - other)
                entries.append(delta)
    codec = writer.codec
    lengths = [len(entry) for entry in entries]
    head = frames.encode_head(
        frame.paths, frame.revs, distances, lengths, codec
    )
    pieces = codec.encode_stream(entries, sum(lengths), schema.PIECE_SIZE)
    db = store.db
    start = frame_id << 16
    db.execute(DELETE_PIECES, (start, start + (1 << 16)))
    _store_pieces(writer, frame_id, head, pieces)


def _store_pieces(
    writer: Writer, frame_id: int, head: bytes, pieces: Iterable[bytes]
) -> None:
    from .transaction import INSERT_PIECE

    stored = False
    for number, piece in enumerate(pieces):
        stored = True
        if number == 0:
            writer.store.db.execute(UPDATE_FRAME, (head, piece, frame_id))
        else:
            writer.store.db.execute(
                INSERT_PIECE, (frame_id << 16 | number, piece)
            )
    if not stored:
        writer.store.db.execute(UPDATE_FRAME, (head, b'', frame_id))


def _mark(
    store: Store,
    writer: Writer,
    idx: index.FileIndex,
    revs: set[int],
    text: bytes,
) -> None:
    """Flag ``revs`` as censored where they are indexed."""
    path_id: Any = idx.path_id
    chunk = writer.codec.encode(text)
    for rev in revs:
        flags = idx.revision(rev).flags | constants.REVIDX_ISCENSORED
        gid = schema.global_id(path_id, rev)
        data = b'' if idx.frames[rev] else chunk
        store.db.execute(UPDATE_CENSORED, (flags, len(text), data, gid))
    bounds = (
        schema.global_id(path_id, 0),
        schema.global_id(path_id, schema.REV_MASK),
    )
    for gid, count, data in store.db.rows(SELECT_SEGMENTS, bounds):
        first = gid & schema.REV_MASK
        if not revs & set(range(first, first + count)):
            continue
        rows = index.decode_segment(first, count, data)
        for rev in revs:
            if first <= rev < first + count:
                row = rows[rev - first]
                rows[rev - first] = row._replace(
                    flags=row.flags | constants.REVIDX_ISCENSORED,
                    rawsize=len(text),
                )
        store.db.execute(
            UPDATE_SEGMENT,
            (index.encode_segment(first, rows, writer.codec), gid),
        )
