# SPDX-License-Identifier: GPL-2.0-or-later
"""A database file that has several names (hard links), as after ``cp -al``.

Revlogs break such links when they are written to. The database is changed in
place, with one write-ahead log per name. Two repositories that share a file
would take each other's revisions for those of a lost transaction. Therefore
the file is copied before the first write.

This module knows a database only by the protocol below.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Sequence
from typing import Any, Protocol

from mercurial import util
from mercurial.i18n import _

from ...amalgam import durable, sidefiles
from .. import errors
from ..formats import statements

SUFFIX = b'.own'

# How often to try: an attempt fails if the other repository is written to.
ATTEMPTS = 5


class LinkedDatabase(Protocol):
    """The part of a database that ``separate`` uses."""

    path: bytes

    def row(self, sql: str, params: Sequence[Any] = ()) -> Any:
        """Return the first row of a query, or None."""

    def copy(self, path: bytes) -> None:
        """Write a consistent copy to ``path``."""

    def close(self) -> None:
        """Close the connection."""


def is_linked(path: bytes) -> bool:
    """Return whether the file at ``path`` has other names."""
    try:
        return os.stat(path).st_nlink > 1
    except OSError:
        return False


def separate(db: LinkedDatabase) -> None:
    """Replace the database by a copy that has no other name.

    The caller must hold the repository's lock. Processes that have the old file
    open continue to read it, and notice that it was replaced. Raises
    StoreUnavailable if the other repository is written to in each attempt.
    """
    copy = db.path + SUFFIX
    try:
        for _attempt in range(ATTEMPTS):
            row = db.row(statements.EMPTY_LOG)
            if row is None or row[0]:
                continue
            before = _state(db.path)
            util.tryunlink(copy)
            db.copy(copy)
            if _state(db.path) == before:
                break
        else:
            raise errors.StoreUnavailable(
                _(b'%s is also a file of another repository, and in use')
                % db.path,
                hint=_(b'try again'),
            )
        shutil.copymode(db.path, copy)
        stat = os.stat(db.path)
        # Only root is allowed to do this. Root must do it, or the owner of the
        # repository could no longer write to the file.
        with contextlib.suppress(OSError):
            os.chown(copy, stat.st_uid, stat.st_gid)
        durable.sync_file(copy)
        db.close()
        # The side files are empty, but they belong to the old file.
        for suffix in sidefiles.SUFFIXES:
            util.tryunlink(sidefiles.beside(db.path, suffix))
        util.rename(copy, db.path)
        durable.sync_directory(os.path.dirname(db.path))
    finally:
        for name in sidefiles.files_of(copy):
            util.tryunlink(name)


def _state(path: bytes) -> tuple[int, int, int]:
    """Return a value that changes whenever the file is written to."""
    stat = os.stat(path)
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
