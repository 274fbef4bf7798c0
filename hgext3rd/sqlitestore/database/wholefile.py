# SPDX-License-Identifier: GPL-2.0-or-later
"""The database as one file: made, checked and copied as a whole.

Knows what a database must look like, but not who uses it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

from mercurial import pycompat
from mercurial.i18n import _

from ...amalgam.held import Held
from .. import errors
from ..formats import schema, statements

if TYPE_CHECKING:
    import sqlite3


class Origin(Protocol):
    """The database that is copied."""

    def check_unchanged(self) -> None:
        """Raise StoreUnavailable if what was read may be inconsistent."""

    def translated(self, exc: Exception) -> Exception:
        """Return the error to raise for an exception of ``sqlite3``."""


def reserve(path: bytes) -> None:
    """Create an empty file. Raises StoreUnavailable if there is one."""
    try:
        # SQLite would open an existing file, and ignore the umask.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666))
    except OSError as exc:
        raise errors.StoreUnavailable(
            _(b'cannot create %s: %s') % (path, pycompat.bytestr(exc.strerror)),
        ) from exc


def fill(conn: sqlite3.Connection) -> None:
    """Make an empty database of an empty file, and close the connection."""
    try:
        # The file is synced as a whole.
        conn.execute(statements.SET_SYNCHRONOUS[b'off'])
        conn.execute(statements.SET_PAGE_SIZE)
        conn.execute(statements.SET_WAL_MODE)
        conn.execute(statements.BEGIN)
        for statement in schema.CREATE:
            conn.execute(statement)
        conn.execute(statements.COMMIT)
    finally:
        conn.close()


def check(conn: sqlite3.Connection, path: bytes) -> None:
    """Raise StoreUnavailable unless this extension can use the database."""
    (application,) = conn.execute(statements.SELECT_APPLICATION_ID).fetchone()
    if application != schema.APPLICATION_ID:
        raise errors.StoreUnavailable(
            _(b'%s is not a file store of the sqlitestore extension') % path,
            hint=_(b'restore it from a backup'),
        )
    (version,) = conn.execute(statements.SELECT_SCHEMA_VERSION).fetchone()
    if version != schema.SCHEMA_VERSION:
        raise errors.StoreUnavailable(
            _(b'%s has unknown schema version %d') % (path, version),
            hint=_(b'upgrade the sqlitestore extension'),
        )
    # The file may come from a server that is not trusted (stream clone).
    conn.execute(statements.SET_UNTRUSTED)
    if conn.execute(statements.HAS_CODE).fetchone() is not None:
        raise errors.StoreUnavailable(
            _(b'%s contains triggers or views') % path,
            hint=_(
                b'this extension creates none; restore the file from a backup'
            ),
        )


def copy(conn: sqlite3.Connection, path: bytes, source: Origin) -> None:
    """Write a copy of what ``conn`` reads to ``path``, and do not sync it.

    ``conn`` is a connection to ``source``.
    """
    import sqlite3

    try:
        target = sqlite3.connect(os.fsdecode(path), isolation_level=None)
        try:
            target.execute(statements.SET_SYNCHRONOUS[b'off'])
            conn.backup(target)
            source.check_unchanged()
            # Readers of a copy must not have to write beside it, whatever
            # mode the original is in.
            target.execute(statements.SET_WAL_MODE)
        finally:
            target.close()
    except sqlite3.Error as exc:
        raise source.translated(exc) from exc


class Snapshot:
    """The state of a database at one moment; others may write meanwhile.

    ``size`` is the number of bytes of a copy.
    """

    def __init__(self, source: Origin, held: Held, size: int) -> None:
        self._source = source
        self._held = held
        self.size = size

    def copy(self, path: bytes) -> None:
        """Write a copy as ``Database.copy`` does, and end the snapshot."""
        try:
            copy(self._held.conn, path, self._source)
        finally:
            self._held.close()
