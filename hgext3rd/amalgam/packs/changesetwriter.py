# SPDX-License-Identifier: GPL-2.0-or-later
"""Write the changesets of a pack: blocks of texts and parents.

This module knows nothing of lines and frames, and performs no I/O.
"""

from __future__ import annotations

from mercurial import mdiff

from ..codecs import chunks, deltas
from . import layout, tablewriter
from .layout import NULL, Revision
from .texts import Texts

#: Bytes of texts at which a block of changesets ends. Repetitions are found
#: within a block.
TEXT_BYTES = 4 << 20


class ChangesetWriter:
    """Collects changesets, and makes blocks of them.

    ``positions`` has the position of each changeset by its node.
    """

    def __init__(self, texts: Texts, codec: chunks.Codec) -> None:
        self._texts = texts
        self._codec = codec
        self.positions: dict[bytes, int] = {}
        self._outside: dict[bytes, int] = {}
        self._outside_written = 0
        # The texts that are in no block yet, each divided into three parts.
        self._pending: list[tuple[bytes, bytes, bytes]] = []
        self._pending_size = 0
        self._columns: list[list[int]] = [[], [], [], [], []]
        self._last = (NULL, b'')

    @property
    def full(self) -> bool:
        """Whether a block ends here."""
        return self._pending_size >= TEXT_BYTES

    def text(self, revision: Revision) -> bytes:
        """Return the text of the next changeset."""
        text = self._text(revision.base, revision.delta)
        self._last = (revision.node, text)
        return text

    def add(
        self, node: bytes, p1: bytes, p2: bytes, flags: int, text: bytes
    ) -> None:
        """Add the next changeset."""
        position = len(self.positions)
        parts = divided(text)
        for column, value in zip(
            self._columns,
            (
                self._reference(p1, position),
                self._reference(p2, position),
                flags,
                len(text),
                len(parts[1]),
            ),
            strict=True,
        ):
            column.append(value)
        self.positions[node] = position
        self._pending.append(parts)
        self._pending_size += len(text)

    def _text(self, base: bytes, delta: bytes) -> bytes:
        if base == NULL:
            text = deltas.inserted_text(delta)
            if text is not None:
                return text
            known = b''
        elif base == self._last[0]:
            known = self._last[1]
        else:
            known = self._texts.full_text(layout.CHANGESETS, b'', base)
        return bytes(mdiff.patches(known, [delta])) if delta else known

    def _reference(self, node: bytes, position: int) -> int:
        if node == NULL:
            return 0
        known = self.positions.get(node)
        if known is not None:
            return position - known
        return position + 1 + self._outside.setdefault(node, len(self._outside))

    def take(self) -> list[bytes]:
        """Return blocks of the changesets since the last call, and no more."""
        if not self._pending:
            return []
        blocks = []
        outside = list(self._outside)[self._outside_written :]
        if outside:
            self._outside_written += len(outside)
            blocks.append(layout.block(layout.OUTSIDE, b''.join(outside)))
        blocks.append(
            layout.block(
                layout.CHANGESETS,
                layout.join(
                    b'%d' % len(self._pending),
                    tablewriter.encode(self._codec, self._columns),
                    self._codec.encode(
                        b''.join(
                            b''.join(part)
                            for part in zip(*self._pending, strict=True)
                        )
                    ),
                ),
            )
        )
        self._pending, self._pending_size = [], 0
        self._columns = [[], [], [], [], []]
        return blocks


def divided(text: bytes) -> tuple[bytes, bytes, bytes]:
    """Return the three parts in which the text of a changeset is stored.

    They are the node of the manifest, user and date, and the rest. Each part
    resembles those of other changesets more than the parts beside it.
    """
    head = text[: layout.TEXT_HEAD]
    rest = text[layout.TEXT_HEAD :]
    end = rest.find(b'\n', rest.find(b'\n') + 1) + 1
    return head, rest[:end], rest[end:]
