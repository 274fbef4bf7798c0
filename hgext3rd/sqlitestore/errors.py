# SPDX-License-Identifier: GPL-2.0-or-later
"""The errors that the store raises on purpose.

All of them are errors that Mercurial's dispatch knows. A user therefore sees
one ``abort:`` line with a hint, never a traceback. Nothing else lives here.
"""

from __future__ import annotations

from mercurial import error


class StoreUnavailable(error.Abort):
    """The database cannot be opened, locked or written; nothing is damaged."""


class CorruptStore(error.StorageError):
    """Stored bytes are damaged: a page, a frame, an index or a delta."""


class Moved(CorruptStore):
    """A frame or row that an index refers to does not exist.

    If another process repacked the database after the index was read, a fresh
    index has the new location. Otherwise the content is missing.
    """
