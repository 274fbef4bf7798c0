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
from typing import Any, Protocol

from mercurial import mdiff
from mercurial.revlogutils import constants
from mercurial.utils import storageutil

from ..formats import frames, index, schema
from ..reading.store import Store
from . import bases, ingest
from .writer import INSERT_PIECE, SELECT_DEPENDENTS, Writer

SELECT_HEADS = 'SELECT id, head FROM frame'
SELECT_SEGMENTS = 'SELECT id, n, data FROM idx WHERE id BETWEEN ? AND ?'
SELECT_ALL_SEGMENTS = 'SELECT id, n, data FROM idx'
SELECT_LARGE_ROWS = 'SELECT id, frame FROM rev WHERE frame > 0'
SELECT_PATH_IDS = 'SELECT id FROM path'
UPDATE_FRAME = 'UPDATE frame SET head = ?, data = ? WHERE id = ?'
UPDATE_SEGMENT = 'UPDATE idx SET data = ? WHERE id = ?'
UPDATE_CENSORED = """
    UPDATE rev SET flags = ?, rawsize = ?, base = 0, frame = ?, data = ?
    WHERE id = ?"""
DELETE_CONTENT = 'DELETE FROM content WHERE rev = ?'
DELETE_PIECES = 'DELETE FROM piece WHERE id >= ? AND id < ?'


class Target(Protocol):
    """What is asked of the file to censor."""

    idx: index.FileIndex

    def rawsize(self, rev: int) -> int:
        """The size of a revision as stored."""


def censor(
    file: Target, writer: Writer, revs: set[int], tombstone: bytes
) -> None:
    """Replace the content of revisions of a file by a tombstone."""
    text = storageutil.packmeta({b'censored': tombstone}, b'')
    store, idx = writer.store, file.idx
    path_id: Any = idx.path_id
    writer.flush()
    with store.naming_damage():
        _detach_rows(store, writer, idx, revs)
        moved = _rewrite_frames(store, writer, idx, revs, text)
        _mark(store, writer, idx, revs, text, moved)
    for rev in revs:
        store.db.execute(DELETE_CONTENT, (schema.global_id(path_id, rev),))
    writer.request_wipe()
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
        data = writer.codec.encode(store.text(gid))
        writer.update_loose(gid, 0, data)
        # the next dependent may be a delta of this one
        store.rewritten(gid, len(data))


def _rewrite_frames(
    store: Store,
    writer: Writer,
    idx: index.FileIndex,
    revs: set[int],
    text: bytes,
) -> dict[int, int]:
    """Take the content of ``revs`` out of all frames.

    Entries that no revision refers to (left by a strip) may hold the same
    content, so those of this file and of deleted files go as well. An entry
    that another revision shares stays; returns, for revisions with such an
    entry, the new frame that holds their tombstone.
    """
    path_id: Any = idx.path_id
    paths = {row[0] for row in store.db.rows(SELECT_PATH_IDS)}
    owners: dict[int, list[int]] = {}
    for frame_id, head in store.db.iterate(SELECT_HEADS):
        column = frames.decode_head(head)[0]
        if any(owner == path_id or owner not in paths for owner in column):
            owners[frame_id] = column
    gone = {(idx.frames[r], idx.places[r]): r for r in revs if idx.frames[r]}
    # A shared entry belongs, by its head, to just one of those who share it.
    for frame_id, _place in gone:
        if frame_id not in owners:
            owners[frame_id] = store.frame(frame_id).paths
    live = _live_entries(store, set(owners), path_id, revs)
    for frame_id, column in owners.items():
        replaced: dict[int, bytes] = {}
        for place, owner in enumerate(column):
            if (frame_id, place) in live:
                continue
            if (frame_id, place) in gone:
                replaced[place] = text
            elif owner == path_id or owner not in paths:
                replaced[place] = b''
        if replaced:
            rewrite_frame(store, writer, frame_id, replaced)
    return {
        rev: ingest.store_alone(writer, schema.global_id(path_id, rev), text)
        for entry, rev in gone.items()
        if entry in live
    }


def _live_entries(
    store: Store, wanted: set[int], path_id: int, revs: set[int]
) -> set[tuple[int, int]]:
    """(frame, place) in ``wanted`` frames that some other revision needs."""
    live = set()
    for gid, count, data in store.db.iterate(SELECT_ALL_SEGMENTS):
        owner, first = schema.split_id(gid)
        rows = index.decode_segment(first, count, data)
        for rev, row in enumerate(rows, first):
            if row.frame in wanted and (owner != path_id or rev not in revs):
                live.add((row.frame, row.place))
    for gid, frame_id in store.db.rows(SELECT_LARGE_ROWS):
        owner, rev = schema.split_id(gid)
        if frame_id in wanted and (owner != path_id or rev not in revs):
            live.add((frame_id, 0))
    return live


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
            if other is not None and len(text) <= bases.MAX_DIFF_SIZE:
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
    moved: dict[int, int],
) -> None:
    """Flag ``revs`` as censored where they are indexed.

    ``moved`` are those whose text is now entry 0 of another frame.
    """
    path_id: Any = idx.path_id
    chunk = writer.codec.encode(text)
    for rev in revs:
        flags = idx.revision(rev).flags | constants.REVIDX_ISCENSORED
        gid = schema.global_id(path_id, rev)
        frame_id = moved.get(rev, idx.frames[rev])
        data = b'' if frame_id else chunk
        store.db.execute(
            UPDATE_CENSORED, (flags, len(text), frame_id, data, gid)
        )
    bounds = (
        schema.global_id(path_id, 0),
        schema.global_id(path_id, schema.REV_MASK),
    )
    for gid, count, data in store.db.rows(SELECT_SEGMENTS, bounds):
        first = gid & schema.REV_MASK
        touched = revs & set(range(first, first + count))
        if not touched:
            continue
        rows = index.decode_segment(first, count, data)
        for rev in touched:
            row = rows[rev - first]
            row = row._replace(
                flags=row.flags | constants.REVIDX_ISCENSORED,
                rawsize=len(text),
            )
            if rev in moved:
                row = row._replace(frame=moved[rev], place=0)
            rows[rev - first] = row
        store.db.execute(
            UPDATE_SEGMENT,
            (index.encode_segment(first, rows, writer.codec), gid),
        )
