# SPDX-License-Identifier: GPL-2.0-or-later
"""Copy the database when Mercurial copies a store on the local disk.

The file must be copied through SQLite, because it is changed in place: both
repositories would write to a hard link, and a plain copy could have pages from
before and after a change.
"""

from __future__ import annotations

import os
from typing import Any

from mercurial import util

from ...amalgam import durable, sidefiles
from .. import requirements
from ..formats import schema
from . import storeentries


def copy_files(
    orig: Any, src_vfs_map: Any, dst_vfs_map: Any, entries: Any, progress: Any
) -> Any:
    """Copy the database of a local clone; leave the rest to Mercurial.

    Mercurial's function links or copies ``entries``.
    """
    others = []
    for item in entries:
        key = item[0]
        if _is_database(item):
            copy_database(
                src_vfs_map[key].join(schema.FILENAME),
                dst_vfs_map[key].join(schema.FILENAME),
            )
            progress.increment()
        else:
            others.append(item)
    return orig(src_vfs_map, dst_vfs_map, others, progress)


def copy_store(orig: Any, ui: Any, srcrepo: Any, destpath: bytes) -> Any:
    """Copy a store with its database; return Mercurial's lock of the copy."""
    lock = orig(ui, srcrepo, destpath)
    if requirements.uses_sqlite(srcrepo):
        copy_database(
            srcrepo.svfs.join(schema.FILENAME),
            os.path.join(destpath, b'store', schema.FILENAME),
        )
    return lock


def copy_database(source: bytes, target: bytes) -> None:
    """Copy a database file, consistently even while others write to it.

    A file that is at ``target`` already is replaced.
    """
    from ..database import connection

    # Whoever uses the source decides whether its log stays.
    has_log = os.path.exists(sidefiles.beside(source, sidefiles.LOG))
    db = connection.Database(source, keep_log=has_log)
    util.tryunlink(target)
    try:
        db.copy(target)
        durable.sync_file(target)
    finally:
        db.close()


def _is_database(item: Any) -> bool:
    """Return whether an item of Mercurial's list of files is the database."""
    if len(item) == 3:
        # hg <= 7.1: (vfs key, path, optional)
        return bool(item[1] == schema.FILENAME)
    return isinstance(item[1], storeentries.DatabaseEntry)
