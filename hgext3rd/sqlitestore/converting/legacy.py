# SPDX-License-Identifier: GPL-2.0-or-later
"""Read the database of the extension that came with Mercurial until 6.9.

This module has only what a conversion needs: all revisions of each path, in
order. The format is that of ``hgext/sqlitestore.py`` in Mercurial 6.9. Its
repositories have the requirement ``exp-sqlite-001`` and a database
``.hg/store/db.sqlite`` with three tables:

filepath
    ``id``, ``path``
fileindex
    ``id``, ``pathid``, ``revnum``, ``p1rev``, ``p2rev``, ``linkrev``,
    ``flags`` (1: censored; 2, 4: a parent was left out by a shallow clone),
    ``deltaid``, ``deltabaseid`` (the ``fileindex.id`` of the base, or NULL when
    the delta is a full text), ``node``
delta
    ``id``, ``compression`` (1: none, 2: zstd, 3: zlib), ``hash``, ``delta``
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from mercurial import mdiff, pycompat
from mercurial.i18n import _

from ...amalgam import lru
from .. import errors
from ..database import uris
from ..formats import statements

FILENAME = b'db.sqlite'
SCHEMA_VERSION = 1

CENSORED = 1
MISSING_PARENTS = 2 | 4

# Bytes of texts kept as bases of the deltas that follow.
TEXT_CACHE = 32 << 20


class LegacyRevision(NamedTuple):
    """One revision. Parents are revision numbers, -1 for none."""

    node: bytes
    p1: int
    p2: int
    linkrev: int
    censored: bool
    text: bytes


class LegacyDatabase:
    """The database at ``path``, opened for reading.

    Methods raise StoreUnavailable if the database cannot be read or converted,
    and CorruptStore if it is damaged.
    """

    def __init__(self, path: bytes) -> None:
        import sqlite3

        self.path = path
        self._texts: lru.LRU[int, bytes] = lru.LRU(TEXT_CACHE)
        if not os.path.exists(path):
            raise errors.StoreUnavailable(_(b'%s is missing') % path)
        try:
            self._db = sqlite3.connect(uris.uri(path, 'mode=ro'), uri=True)
            (version,) = self._db.execute(
                statements.SELECT_SCHEMA_VERSION
            ).fetchone()
        except sqlite3.Error as exc:
            raise self._damaged(str(exc)) from exc
        if version != SCHEMA_VERSION:
            raise errors.StoreUnavailable(
                _(b'%s has unknown schema version %d') % (path, version)
            )

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def paths(self) -> list[tuple[int, bytes]]:
        """Return (id, path) of all files, in the order of paths."""
        return [
            (i, bytes(path))
            for i, path in self._rows(statements.LEGACY_SELECT_PATHS, ())
        ]

    def revisions(self, path_id: int) -> Iterator[LegacyRevision]:
        """Yield the revisions of a file, in order."""
        for rid, node, p1, p2, linkrev, flags in self._rows(
            statements.LEGACY_SELECT_REVISIONS, (path_id,)
        ):
            if flags & MISSING_PARENTS:
                raise errors.StoreUnavailable(
                    _(b'cannot convert a shallow clone'),
                    hint=_(b'clone it in full'),
                )
            yield LegacyRevision(
                bytes(node),
                p1,
                p2,
                linkrev,
                bool(flags & CENSORED),
                self._text(rid),
            )

    def _text(self, rid: int) -> bytes:
        """Return the text of the revision with this ``fileindex.id``."""
        deltas: list[bytes] = []
        current: int | None = rid
        text = None
        while current is not None:
            text = self._texts.get(current)
            if text is not None:
                break
            rows = self._rows(statements.LEGACY_SELECT_DELTA, (current,))
            if not rows or len(deltas) > 1 << 20:
                raise self._damaged('revision %d is missing' % current)
            current, compression, data = rows[0]
            deltas.append(self._decompress(compression, bytes(data)))
        if text is None:
            text = deltas.pop()
        if deltas:
            deltas.reverse()
            text = bytes(mdiff.patches(text, deltas))
        self._texts.put(rid, text, len(text))
        return text

    def _decompress(self, compression: int, data: bytes) -> bytes:
        try:
            if compression == 1:
                return data
            if compression == 2:
                import zstandard

                try:
                    unpacked: bytes = zstandard.decompress(data)
                except zstandard.ZstdError as exc:
                    raise self._damaged(str(exc)) from exc
                return unpacked
            if compression == 3:
                return zlib.decompress(data)
        except zlib.error as exc:
            raise self._damaged(str(exc)) from exc
        raise self._damaged('unknown compression %d' % compression)

    def _rows(self, sql: str, params: tuple[Any, ...]) -> list[Any]:
        import sqlite3

        try:
            return self._db.execute(sql, params).fetchall()
        except sqlite3.Error as exc:
            raise self._damaged(str(exc)) from exc

    def mismatch(self, path: bytes, rev: int) -> errors.CorruptStore:
        """Return the error for a text that does not match its node."""
        return errors.CorruptStore(
            _(b'integrity check failed on %s:%d') % (path, rev),
            hint=_(b'restore %s from a backup') % self.path,
        )

    def _damaged(self, message: str) -> errors.CorruptStore:
        return errors.CorruptStore(
            _(b'%s: %s') % (self.path, pycompat.bytestr(message)),
            hint=_(b'restore the file from a backup'),
        )
