# SPDX-License-Identifier: GPL-2.0-or-later
"""Texts of one file that are needed again while revisions are added to it.

Knows nothing of transactions, or of how texts are stored.
"""

from __future__ import annotations

from ...amalgam.lru import LRU
from ..reading.fileindex import FileIndex
from ..reading.store import Store

# Bytes of texts to keep.
TEXT_CACHE = 1 << 20


class RecentTexts:
    """The texts of a file's revisions, of which the last used are kept.

    The objects that add revisions to the file share one instance.
    """

    def __init__(self, store: Store, index: FileIndex) -> None:
        self._store = store
        self._index = index
        self._kept: LRU[int, bytes] = LRU(TEXT_CACHE)

    def text(self, rev: int) -> bytes:
        """Return the raw text of a revision, and keep it."""
        text = self._kept.get(rev)
        if text is None:
            text = self._store.chain_text(self._index, rev)
            self._kept.put(rev, text, len(text))
        return text

    def known(self, rev: int) -> bytes | None:
        """Return the raw text of a revision if it is kept, else None."""
        return self._kept.peek(rev)

    def keep(self, rev: int, text: bytes) -> None:
        """Keep the raw text of a revision."""
        self._kept.put(rev, text, len(text))
