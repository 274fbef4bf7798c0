# SPDX-License-Identifier: GPL-2.0-or-later
"""What can go wrong in the store, as Mercurial's dispatch understands it.

Everything raised on purpose is one of these two, so that a user sees one
``abort:`` line with a hint and never a traceback. Nothing else lives here.
"""

from __future__ import annotations

from mercurial import error


class StoreUnavailable(error.Abort):
    """The database cannot be opened, locked or written; nothing is damaged."""


class CorruptStore(error.StorageError):
    """Stored bytes contradict themselves: a page, a frame or an index."""


class Moved(CorruptStore):
    """Content is not where an index says.

    Either another process repacked after the index was read, and a fresh index
    knows better, or it is missing.
    """
