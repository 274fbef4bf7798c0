# SPDX-License-Identifier: GPL-2.0-or-later
"""Give texts to revisions that were stored empty because their text was missing.

Texts that come by themselves are stored in frames of their file, which the next
repack packs with others; a row of its own stays one. Texts that come in frames stay
in these. All of this is part of the Mercurial transaction. What revisions are empty for this reason, and their flags,
are the caller's business.
"""

from __future__ import annotations

from collections.abc import Mapping

from mercurial import mdiff

from ..formats import schema, statements
from ..formats.index import Revision, encode_run
from . import censor
from .filewriter import LARGE_CHUNK, FileWriter
from .sealer import Sealer


def fill(file: FileWriter, texts: Mapping[int, bytes], flag: int) -> None:
    """Store ``texts`` by revision number, and clear ``flag`` of each."""
    store, writer, idx = file.store, file.writer, file.index
    writer.begin()
    writer.flush()
    with store.naming_damage():
        censor.detach_rows(file, set(texts))
        _fill_rows(file, texts, flag)
        _fill_runs(file, texts, flag)
    idx.replace(store.read_index(idx.path_id))
    store.forget_content()


def seal(file: FileWriter, rows: Mapping[int, Revision]) -> None:
    """Replace the index rows of revisions; ``rows`` has the new ones by number.

    The content of the new rows is in frames.
    """
    idx = file.index
    with file.store.naming_damage():
        censor.detach_rows(file, set(rows))
        _seal_loose(
            file, {rev: row for rev, row in rows.items() if not idx.frames[rev]}
        )
        file.change_sealed(rows.keys(), lambda rev, row: rows[rev])
    idx.replace(file.store.read_index(idx.path_id))
    file.store.forget_content()


def _seal_loose(file: FileWriter, rows: Mapping[int, Revision]) -> None:
    """Make index runs of revisions that are loose."""
    db, writer, path_id = file.store.db, file.writer, file.index.path_id
    assert path_id is not None
    revs = sorted(rows)
    while revs:
        first = revs[0]
        count = 1
        while count < len(revs) and revs[count] == first + count:
            count += 1
        bounds = [
            schema.global_id(path_id, rev) for rev in (first, first + count)
        ]
        db.execute(statements.DELETE_LOOSE, bounds)
        data = encode_run(
            first, [rows[rev] for rev in revs[:count]], writer.codec
        )
        writer.add_run(bounds[0], data, count)
        del revs[:count]


def _fill_rows(file: FileWriter, texts: Mapping[int, bytes], flag: int) -> None:
    """Fill those revisions that are loose; the statement skips all others."""
    idx = file.index
    for rev, text in texts.items():
        chunk, frame_id = file.writer.codec.encode(text), 0
        if len(chunk) > LARGE_CHUNK:
            chunk, frame_id = b'', file.store_alone(rev, text)
        flags = idx.flags(rev) & ~flag
        file.store.db.execute(
            statements.UPDATE_FULL_TEXT,
            (flags, len(text), frame_id, chunk, idx.gid(rev)),
        )


def _fill_runs(file: FileWriter, texts: Mapping[int, bytes], flag: int) -> None:
    """Fill those revisions that are sealed.

    Their texts become frames: each of them in a frame of its own would take ten
    times the space until the next repack.
    """
    sealer = Sealer(file.writer, file.writer.codec)
    # The text before, its frame and its place.
    before: tuple[bytes, int, int] | None = None

    def change(rev: int, row: Revision) -> Revision:
        nonlocal before
        text = texts[rev]
        data, base = text, None
        if before is not None and sealer.current(before[1]) is not None:
            delta = mdiff.textdiff(before[0], text)
            if len(delta) < len(text) // 2:
                data, base = delta, before[2]
        frame, place = sealer.add(file.index.gid(rev), data, base)
        before = text, frame, place
        return row._replace(
            flags=row.flags & ~flag, rawsize=len(text), frame=frame, place=place
        )

    file.change_sealed(texts.keys(), change)
    sealer.flush()
