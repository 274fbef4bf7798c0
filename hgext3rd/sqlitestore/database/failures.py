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
            hint=_hint(path, message),
        )
    return errors.CorruptStore(
        _(b'%s: %s') % (path, message),
        hint=_(b"run 'hg verify'; restore the file from a backup"),
    )


def _hint(path: bytes, message: bytes) -> bytes:
    """Return the hint for the message of an OperationalError."""
    hint: bytes
    if b'locked' in message or b'busy' in message:
        hint = _(b'another process holds it; try again')
    elif b'full' in message:
        hint = _(b'free some disk space')
    elif b'unable' in message and len(path) > LONGEST_PATH:
        hint = _(b'SQLite cannot open files with such a long path')
    elif b'readonly' in message or b'unable to open' in message:
        hint = _(b'check the permissions of the file and its directory')
    elif b'disk I/O' in message:
        hint = _(b'check the disk')
    else:
        hint = _(b"run 'hg verify'")
    return hint


def changing(path: bytes) -> errors.StoreUnavailable:
    """Return the error for a file that changed during every attempt to read."""
    return errors.StoreUnavailable(
        _(b'cannot read %s: it changes all the time') % path,
        hint=_(b'another process writes to it; try again'),
    )
