# SPDX-License-Identifier: GPL-2.0-or-later
"""Files as core's keyword extension has them."""

from __future__ import annotations

import functools
from typing import Any

from ..reading.store import Store
from .filelog import SQLiteFilelog


@functools.cache
def make_class(base: Any) -> Any:
    """The class of such files; ``base`` is that of the extension."""

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
            # not base's, which opens a revlog
            SQLiteFilelog.__init__(self, store, opener, path, writable)
            self.kwt = kwt
            self.path = path

    return KeywordSQLiteFilelog
