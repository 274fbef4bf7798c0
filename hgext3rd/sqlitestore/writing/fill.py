# SPDX-License-Identifier: GPL-2.0-or-later
"""Give texts to revisions that were stored empty because their text was missing.

Each text is stored by itself; the next repack packs it with the others. All of
this is part of the Mercurial transaction. What revisions are empty for this
reason, and their flags, are the caller's business.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..formats import index, schema, statements
from . import censor
from .filewriter import LARGE_CHUNK, FileWriter


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


def _fill_rows(file: FileWriter, texts: Mapping[int, bytes], flag: int) -> None:
    """Fill those revisions that are loose; the statement skips all others."""
    idx = file.index
    for rev, text in texts.items():
        chunk, frame_id = file.writer.codec.encode(text), 0
        if len(chunk) > LARGE_CHUNK:
            chunk, frame_id = b'', file.store_alone(rev, text)
        flags = idx.flags(rev) & ~flag
        file.store.db.execute(
            statements.UPDATE_CENSORED,
            (flags, len(text), frame_id, chunk, idx.gid(rev)),
        )


def _fill_runs(file: FileWriter, texts: Mapping[int, bytes], flag: int) -> None:
    """Fill those revisions that are sealed."""
    db, path_id = file.store.db, file.index.path_id
    assert path_id is not None
    bounds = schema.file_bounds(path_id)
    for gid, count, data in list(db.rows(statements.SELECT_RUNS, bounds)):
        _path, first = schema.split_id(gid)
        touched = texts.keys() & set(range(first, first + count))
        if not touched:
            continue
        rows = index.decode_run(first, count, data)
        for rev in sorted(touched):
            row = rows[rev - first]
            rows[rev - first] = row._replace(
                flags=row.flags & ~flag,
                rawsize=len(texts[rev]),
                frame=file.store_alone(rev, texts[rev]),
                place=0,
            )
        data = index.encode_run(first, rows, file.writer.codec)
        db.execute(statements.UPDATE_RUN, (count, data, gid))
