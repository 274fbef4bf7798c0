# SPDX-License-Identifier: GPL-2.0-or-later
"""The files that SQLite keeps beside a database.

See https://www.sqlite.org/tempfiles.html. Nothing here imports ``sqlite3``.
"""

from __future__ import annotations

import contextlib
import os
from typing import TypeVar

# The write-ahead log, and the index of it that processes share.
LOG = '-wal'
SHARED = '-shm'

# The files that a database in WAL mode may have beside it.
SUFFIXES = (LOG, SHARED)

# Left by a database in another journal mode.
JOURNAL = '-journal'

AnyPath = TypeVar('AnyPath', bytes, str)


def beside(path: AnyPath, suffix: str) -> AnyPath:
    """Return the path of the side file with ``suffix``."""
    if isinstance(path, bytes):
        return path + suffix.encode('ascii')
    return path + suffix


def files_of(path: AnyPath) -> tuple[AnyPath, ...]:
    """Return the paths of a database in WAL mode and of its side files."""
    return path, beside(path, LOG), beside(path, SHARED)


def remove(path: AnyPath) -> None:
    """Remove a database and its side files, those that exist.

    Raises OSError if a file exists and cannot be removed.
    """
    for name in files_of(path) + (beside(path, JOURNAL),):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
