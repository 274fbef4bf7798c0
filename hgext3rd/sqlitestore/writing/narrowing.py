# SPDX-License-Identifier: GPL-2.0-or-later
"""Remove the history of paths that are no longer part of a narrow clone.

Removes whole files and whole directories of tree manifests. The narrowspec of
the repository decides which.
"""

from __future__ import annotations

from typing import Any

from mercurial import pathutil
from mercurial.i18n import _

from ..database import connection
from ..formats import index, schema, statements
from .writer import writer as writer_of


def remove_unmatched(repo: Any) -> int:
    """Remove all paths outside the narrowspec, and return how many."""
    repo = repo.unfiltered()
    store = repo.sqlitestore
    match = repo._storenarrowmatch
    keys = [
        (schema.FILE, path)
        for path in store.paths(schema.FILE)
        if not match(path)
    ]
    keys += [
        (schema.DIRECTORY, path)
        for path in store.paths(schema.DIRECTORY)
        if not _is_visited(match, path)
    ]
    if not keys:
        return 0
    with repo.lock(), repo.transaction(b'narrowing') as tr:
        writer = writer_of(store, tr)
        progress = repo.ui.makeprogress(
            _(b'removing'), unit=_(b'files'), total=len(keys)
        )
        with progress:
            for kind, path in keys:
                writer.truncate((kind, path), store.index(path, kind), 0)
                progress.increment()
    return len(keys)


def remove_files(path: bytes) -> None:
    """Remove the history of all files from the database at ``path``.

    No other process may use it. The file shrinks to what manifests take.
    """
    db = connection.Database(path, b'off')
    try:
        directories = {
            path_id
            for _path, path_id in db.rows(
                statements.SELECT_PATHS_AND_IDS, (schema.DIRECTORY,)
            )
        }
        live = {
            frame_id
            for gid, frame_id in db.rows(statements.SELECT_LARGE_LOOSE)
            if schema.split_id(gid)[0] in directories
        }
        for gid, n, data in db.rows(
            statements.SELECT_RUNS_OF_KIND, (schema.DIRECTORY,)
        ):
            first = schema.split_id(gid)[1]
            live.update(r.frame for r in index.decode_run(first, n, data))
        db.begin()
        for statement in statements.DELETE_KIND:
            db.execute(statement, (schema.FILE,))
        for (frame_id,) in db.rows(statements.SELECT_FRAME_IDS):
            if frame_id not in live:
                db.execute(statements.DELETE_FRAME, (frame_id,))
                db.execute(
                    statements.DELETE_PIECES, schema.piece_bounds(frame_id)
                )
        db.commit()
        db.execute(statements.VACUUM)
    finally:
        db.close()


def _is_visited(match: Any, directory: bytes) -> bool:
    """Return whether a matcher includes a directory of a tree manifest.

    Mercurial's ``narrow`` extension applies the same rule to revlogs.
    """
    name = directory[:-1]
    for parent in (*sorted(pathutil.dirs({name})), name):
        visit = match.visitdir(parent)
        if not visit:
            return False
        if visit == b'all':
            return True
    return True
