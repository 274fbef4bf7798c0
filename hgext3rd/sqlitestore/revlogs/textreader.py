# SPDX-License-Identifier: GPL-2.0-or-later
"""Read raw texts of one file and compare them with their nodes.

As with revlogs, every text is hashed before it is used, so neither a damaged
page nor a mistake in this package can yield wrong content. ``filestore`` runs
flag processors, which turn raw texts into others.
"""

from __future__ import annotations

import contextlib
import hashlib

from mercurial import error, pycompat
from mercurial.i18n import _
from mercurial.node import short
from mercurial.utils import storageutil

from ..reading.store import Store
from ..writing import hashing
from .indexview import IndexView


def has_node(node: bytes, text: bytes, p1: bytes, p2: bytes) -> bool:
    """Return whether a text and its parents have this node.

    This is plain SHA-1, which takes a third of the time of core's function.
    Core's also recognizes texts of collision attacks. Attacks were looked for
    when the text entered the store (see ``writing.hashing``), so plain SHA-1 is
    enough to see whether the store still has that text. If this returns False,
    the caller must call ``hash_text`` as well.
    """
    first, second = (p1, p2) if p1 < p2 else (p2, p1)
    sha = hashlib.sha1(first + second, usedforsecurity=False)
    sha.update(text)
    return sha.digest() == node


def hash_text(text: bytes, p1: bytes, p2: bytes) -> bytes:
    """Return the node of a text with these parents."""
    return hashing.node_of(text, p1, p2)


class TextReader:
    """Reads the texts of the file that ``view`` is the index of.

    ``last`` is the text that was read or written last, as (revision, raw text,
    whether it was compared with its node), or None.
    """

    def __init__(self, store: Store, view: IndexView) -> None:
        self._store = store
        self._view = view
        self.last: tuple[int, bytes, bool] | None = None

    def forget(self) -> None:
        """Forget the last text."""
        self.last = None

    def raw_text(self, rev: int) -> tuple[bytes, bool]:
        """Return the raw text of a revision, and whether it was checked."""
        last = self.last
        if last is not None and last[0] == rev:
            return last[1], last[2]
        known = None if last is None else last[:2]
        text = self._store.chain_text(self._view.idx, rev, known)
        self.last = (rev, text, False)
        return text, False

    def check(self, text: bytes, rev: int) -> None:
        """Raise the error of ``checkhash`` unless a text is that of ``rev``."""
        index = self._view.index
        entry = index[rev]
        p1, p2, node = index[entry[5]][7], index[entry[6]][7], entry[7]
        if not has_node(node, text, p1, p2):
            self.checkhash(text, node, p1, p2, rev)

    def checkhash(
        self,
        text: bytes,
        node: bytes,
        p1: bytes | None = None,
        p2: bytes | None = None,
        rev: int | None = None,
    ) -> None:
        """Raise an error unless ``text`` belongs to ``node``.

        Raises CensoredNodeError for the tombstone of a censored revision, and
        RevlogError, which names the file, for other texts.
        """
        if p1 is None or p2 is None:
            p1, p2 = self._view.parents(node)
        if node == hash_text(text, p1, p2):
            return
        self.last = None
        path = self._view.display_id
        with contextlib.suppress(ValueError):
            # Damaged metadata of a file, which are no tombstone.
            if storageutil.iscensoredtext(text):
                raise error.CensoredNodeError(path, node, text)
        where = short(node) if rev is None else pycompat.bytestr(rev)
        raise error.RevlogError(
            _(b'integrity check failed on %s:%s') % (path, where)
        )
