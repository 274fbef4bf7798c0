# SPDX-License-Identifier: GPL-2.0-or-later
"""Translate exceptions of ``sqlite3`` into errors that name the file.

Knows nothing of connections. ``sqlite3`` is imported only when there is an
exception to translate.
"""

from __future__ import annotations

from mercurial import pycompat
from mercurial.i18n import _

from .. import errors

# SQLite's limit on Unix is 512 bytes, the name of the log included.
LONGEST_PATH = 500

# Result codes of SQLite, see https://www.sqlite.org/rescode.html. The module
# sqlite3 has them since Python 3.11.
ERROR = 1
PERMISSION = 3
BUSY = 5
LOCKED = 6
READ_ONLY = 8
IO_ERROR = 10
FULL = 13
CANNOT_OPEN = 14
PROTOCOL = 15

# Extended code: the index of the log cannot be made as large as necessary.
NO_SPACE_FOR_INDEX = IO_ERROR | 19 << 8

# Before Python 3.11, exceptions have no code. These are SQLite's fixed texts of
# the codes above.
_CODES = {
    'access permission denied': PERMISSION,
    'database is locked': BUSY,
    'database table is locked': LOCKED,
    'attempt to write a readonly database': READ_ONLY,
    'disk I/O error': IO_ERROR,
    'database or disk is full': FULL,
    'unable to open database file': CANNOT_OPEN,
    'locking protocol': PROTOCOL,
}

# What SQLite reports when it cannot write to the files beside the database, or
# create them: the disk or a quota is full, there are no more inodes, or the
# file system became read-only.
_CANNOT_WRITE = frozenset((PERMISSION, READ_ONLY, IO_ERROR, FULL, CANNOT_OPEN))


def code_of(exc: Exception) -> int:
    """Return SQLite's code for an exception of ``sqlite3``.

    It is an extended code if Python knows that. Its low byte is the primary
    code.
    """
    code: int | None = getattr(exc, 'sqlite_errorcode', None)
    if code is None:
        return _CODES.get(str(exc), ERROR)
    return code


def cannot_write(exc: Exception) -> bool:
    """Return whether a query that does not write could succeed without writing.

    A real failure of the disk has the same codes. Reading then fails again.
    """
    return code_of(exc) & 0xFF in _CANNOT_WRITE


def is_read_only(exc: Exception) -> bool:
    """Return whether SQLite refused to write to what was opened for reading.

    Extended codes have other reasons, such as a file that was moved.
    """
    return code_of(exc) == READ_ONLY


def translated(path: bytes, exc: Exception) -> Exception:
    """Return the error to raise for an exception that ``sqlite3`` raised.

    Exceptions that are not from ``sqlite3`` are returned as they are.
    """
    import sqlite3

    if isinstance(exc, OverflowError):
        # Parameters come from the database, so it contains a wrong number.
        return errors.CorruptStore(
            _(b'%s: a number is out of range') % path,
            hint=_(b"run 'hg verify'; restore the file from a backup"),
        )
    if not isinstance(exc, sqlite3.Error):
        return exc
    message = pycompat.bytestr(str(exc))
    if isinstance(exc, sqlite3.OperationalError):
        return errors.StoreUnavailable(
            _(b'cannot use %s: %s') % (path, message),
            hint=_hint(path, code_of(exc)),
        )
    return errors.CorruptStore(
        _(b'%s: %s') % (path, message),
        hint=_(b"run 'hg verify'; restore the file from a backup"),
    )


def _hint(path: bytes, code: int) -> bytes:
    """Return the hint for an OperationalError with this code."""
    primary = code & 0xFF
    hint: bytes
    if primary in (BUSY, LOCKED, PROTOCOL):
        hint = _(b'another process holds it; try again')
    elif primary == FULL or code == NO_SPACE_FOR_INDEX:
        hint = _(b'free some disk space')
    elif primary == CANNOT_OPEN and len(path) > LONGEST_PATH:
        hint = _(b'SQLite cannot open files with such a long path')
    elif primary in (READ_ONLY, CANNOT_OPEN, PERMISSION):
        hint = _(b'check the permissions of the file and its directory')
    elif primary == IO_ERROR:
        hint = _(b'check the disk, and whether it is full')
    else:
        hint = _(b"run 'hg verify'")
    return hint


def changing(path: bytes) -> errors.StoreUnavailable:
    """Return the error for a file that changed during every attempt to read."""
    return errors.StoreUnavailable(
        _(b'cannot read %s: it changes all the time') % path,
        hint=_(b'another process writes to it; try again'),
    )
