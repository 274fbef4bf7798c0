# SPDX-License-Identifier: GPL-2.0-or-later
"""Keeping the data of file revisions that arrives in a response.

Whatever the server sends, only data that was missing and has the right hash is
kept. A file can only have revisions that the repository knows, and each once, so
no response is endless. Memory is bounded by a few texts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mercurial import error, mdiff, policy
from mercurial.i18n import _
from mercurial.node import nullid
from mercurial.utils import storageutil

from ..proto.errors import CBORError
from ..shallow import absence, demand, texts
from .records import FULLTEXT_HEADER, RevisionRecord

mpatch = policy.importmod('mpatch')

#: Bytes of texts that are kept because deltas may need them.
RECENT_BYTES = 16 << 20

#: Why the data of a revision was not kept, by path and node.
Refusals = dict[tuple[bytes, bytes], bytes]


class Arrival:
    """Keeps data that arrives for ``repo``, and counts it.

    ``refusals`` gets the reasons why data was not kept.
    """

    def __init__(self, repo: Any, refusals: Refusals) -> None:
        self._repo = repo
        self.refusals = refusals
        #: how many revisions got their data
        self.count = 0

    def take(self, path: bytes, revisions: Iterator[RevisionRecord]) -> None:
        """Keep what is missing of the ``revisions`` of a file.

        Raises ``CBORError`` if they are not revisions of that file.
        """
        repo = self._repo
        if not repo.narrowmatch()(path):
            raise CBORError(b'sent a file that was not asked for')
        inner = absence.of_file(repo, path)
        recent: dict[bytes, bytes] = {}
        size = 0
        seen = set()
        for record in revisions:
            node = record.node
            if node in seen or not inner.hasnode(node):
                raise CBORError(b'sent a revision that was not asked for')
            seen.add(node)
            text = self._text(inner, record, recent)
            if text is None:
                continue
            recent[node] = text
            size += len(text)
            while size > RECENT_BYTES and len(recent) > 1:
                size -= len(recent.pop(next(iter(recent))))
            if absence.is_missing(repo, inner, node):
                self.keep(path, node, text)

    def _text(
        self, inner: Any, record: RevisionRecord, recent: dict[bytes, bytes]
    ) -> bytes | None:
        """Return the text of a revision; None if the base of its delta failed."""
        if record.base == nullid:
            return bytes(record.delta[FULLTEXT_HEADER:])
        base = recent.get(record.base)
        if base is None:
            try:
                with demand.paused(self._repo):
                    base = bytes(inner.revision(record.base))
            except error.StorageError:
                return None
        try:
            return bytes(mdiff.patches(base, [record.delta]))
        except mpatch.mpatchError:
            raise CBORError(b'sent a damaged delta') from None

    def keep(self, path: bytes, node: bytes, text: bytes) -> None:
        """Keep the text of a revision that is missing, if it is right."""
        inner = absence.of_file(self._repo, path)
        try:
            texts.write_text(self._repo, inner, inner.rev(node), text)
        except error.StorageError:
            reason = _(b'the server sent other data')
            if is_tombstone(text):
                reason = _(b'the server has censored it')
            self.refusals[path, node] = reason
        else:
            self.count += 1


def is_tombstone(text: bytes) -> bool:
    """Return whether ``text`` stands in place of data that was censored."""
    try:
        return bool(storageutil.iscensoredtext(text))
    except ValueError:
        # Damaged metadata are none.
        return False
