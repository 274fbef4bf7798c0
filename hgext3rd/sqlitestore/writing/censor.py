# SPDX-License-Identifier: GPL-2.0-or-later
"""Remove the content of revisions for good.

The text is replaced by a tombstone. Its deltas, in the same file or another
one, are stored again. Frames are rewritten in place, so that every other
revision keeps its address. All of this is part of the Mercurial transaction.
Afterwards the database is vacuumed, because replaced bytes otherwise stay in
free pages and in the write-ahead log. The counter ``wipe``, which is committed
with the change, makes the next writer do that if this process is killed first.
"""

from __future__ import annotations

from collections.abc import Sequence

from mercurial import mdiff
from mercurial.revlogutils import constants
from mercurial.utils import storageutil

from ..formats import frames, index, schema, statements
from ..formats.index import Revision
from . import bases, recovery
from .filewriter import FileWriter
from .writer import Writer

# A frame id and the number of an entry.
Address = tuple[int, int]


def censor(file: FileWriter, revs: set[int], tombstone: bytes) -> None:
    """Replace the content of revisions of a file by a tombstone."""
    text = storageutil.packmeta({b'censored': tombstone}, b'')
    store, writer, idx = file.store, file.writer, file.index
    writer.begin()
    writer.flush()
    with store.naming_damage():
        detach_rows(file, revs)
        moved = _rewrite_frames(file, revs, text)
        _mark_rows(file, revs, text, moved)
        _mark_runs(file, revs, text, moved)
    for rev in revs:
        gid = idx.gid(rev)
        store.db.execute(statements.DELETE_CONTENT, (gid, gid + 1))
    writer.request_wipe()
    idx.replace(store.read_index(idx.path_id))
    store.forget_content()


def detach_rows(file: FileWriter, revs: set[int]) -> None:
    """Store every row that is a delta of one of ``revs`` as a full text."""
    store, idx = file.store, file.index
    dependents = []
    for rev, place in enumerate(idx.places):
        if not idx.frames[rev] and place > 0 and rev - place in revs:
            dependents.append(idx.gid(rev))
    for rev in revs:
        gid = idx.gid(rev)
        rows = store.db.rows(statements.SELECT_DEPENDENTS, (-gid, -gid - 1))
        dependents += [row[0] for row in rows]
    censored = {idx.gid(rev) for rev in revs}
    for gid in dependents:
        if gid not in censored:
            recovery.make_full_text(store, file.writer.codec, gid)


def _rewrite_frames(
    file: FileWriter, revs: set[int], text: bytes
) -> dict[int, int]:
    """Take the content of ``revs`` out of all frames.

    A strip leaves entries behind that no revision refers to. They may have the
    same content, so those of this file and of deleted files are removed as
    well. An entry that another revision shares stays. Return, for each revision
    with such an entry, the id of a new frame that has its tombstone.
    """
    store, idx = file.store, file.index
    path_id = idx.path_id
    paths = {row[0] for row in store.db.rows(statements.SELECT_PATH_IDS)}
    # The path id of each entry, by frame id.
    owners: dict[int, Sequence[int]] = {}
    for frame_id, head in store.db.iterate(statements.SELECT_HEADS):
        column = frames.decode_head(head).paths
        if any(owner == path_id or owner not in paths for owner in column):
            owners[frame_id] = column
    gone: dict[Address, int] = {
        (idx.frames[r], idx.places[r]): r for r in revs if idx.frames[r]
    }
    # The head of a frame names only one of the files that share an entry.
    for frame_id, _place in gone:
        if frame_id not in owners:
            owners[frame_id] = store.frame(frame_id).paths
    live = _live_entries(file, set(owners), revs)
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
            _rewrite_frame(file.writer, frame_id, replaced)
    return {
        rev: file.store_alone(rev, text)
        for entry, rev in gone.items()
        if entry in live
    }


def _live_entries(
    file: FileWriter, wanted: set[int], revs: set[int]
) -> set[Address]:
    """Return the entries of ``wanted`` frames that other revisions need."""
    db, path_id = file.store.db, file.index.path_id
    live = set()
    for gid, count, data in db.iterate(statements.SELECT_ALL_RUNS):
        owner, first = schema.split_id(gid)
        rows = index.decode_run(first, count, data)
        for rev, row in enumerate(rows, first):
            if row.frame in wanted and (owner != path_id or rev not in revs):
                live.add((row.frame, row.place))
    for gid, frame_id in db.rows(statements.SELECT_LARGE_LOOSE):
        owner, rev = schema.split_id(gid)
        if frame_id in wanted and (owner != path_id or rev not in revs):
            live.add((frame_id, 0))
    return live


def _rewrite_frame(
    writer: Writer, frame_id: int, replaced: dict[int, bytes]
) -> None:
    """Replace texts in a frame; all other entries keep their text and place."""
    frame = writer.store.frame(frame_id)
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
    pieces = frames.encode_data(entries, codec)
    writer.replace_frame(frame_id, head, pieces)


def _mark_rows(
    file: FileWriter, revs: set[int], text: bytes, moved: dict[int, int]
) -> None:
    """Flag those of ``revs`` that are loose as censored.

    ``moved`` has the new frames of revisions whose entry was shared.
    """
    idx = file.index
    chunk = file.writer.codec.encode(text)
    for rev in revs:
        flags = idx.flags(rev) | constants.REVIDX_ISCENSORED
        frame_id = moved.get(rev, idx.frames[rev])
        data = b'' if frame_id else chunk
        file.store.db.execute(
            statements.UPDATE_FULL_TEXT,
            (flags, len(text), frame_id, data, idx.gid(rev)),
        )


def _mark_runs(
    file: FileWriter, revs: set[int], text: bytes, moved: dict[int, int]
) -> None:
    """Flag those of ``revs`` that are sealed as censored.

    ``moved`` has the new frames of revisions whose entry was shared.
    """

    def change(rev: int, row: Revision) -> Revision:
        row = row._replace(
            flags=row.flags & index.CORE_FLAGS | constants.REVIDX_ISCENSORED,
            rawsize=len(text),
        )
        if rev in moved:
            row = row._replace(frame=moved[rev], place=0)
        return row

    file.change_sealed(revs, change)
