# SPDX-License-Identifier: GPL-2.0-or-later
"""The class of files that core's keyword extension needs.

That extension replaces ``repo.file`` and returns a class of its own, which
opens a revlog. The class here does the same on the database.
"""

from __future__ import annotations

import functools
from typing import Any

from ..reading.store import Store
from .filelog import SQLiteFilelog


@functools.cache
def make_class(base: Any) -> Any:
    """Return the class of files with keywords; ``base`` is the extension's."""

    class KeywordSQLiteFilelog(base, SQLiteFilelog):
        """A file whose keywords are stored unexpanded."""

        def __init__(
            self,
            store: Store,
            opener: Any,
            kwt: Any,
            path: bytes,
            writable: bool,
        ) -> None:
            # The constructor of ``base`` would open a revlog.
            SQLiteFilelog.__init__(self, store, opener, path, writable)
            self.kwt = kwt
            self.path = path

    return KeywordSQLiteFilelog
