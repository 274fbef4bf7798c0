# SPDX-License-Identifier: GPL-2.0-or-later
"""Give texts to revisions that were stored empty because their text was missing.

Each text is stored by itself; the next repack packs it with the others. All of
this is part of the Mercurial transaction. What revisions are empty for this
reason, and their flags, are the caller's business.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..formats import statements
from ..formats.index import Revision
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
            statements.UPDATE_FULL_TEXT,
            (flags, len(text), frame_id, chunk, idx.gid(rev)),
        )


def _fill_runs(file: FileWriter, texts: Mapping[int, bytes], flag: int) -> None:
    """Fill those revisions that are sealed."""

    def change(rev: int, row: Revision) -> Revision:
        return row._replace(
            flags=row.flags & ~flag,
            rawsize=len(texts[rev]),
            frame=file.store_alone(rev, texts[rev]),
            place=0,
        )

    file.change_sealed(texts.keys(), change)
