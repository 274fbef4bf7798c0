# SPDX-License-Identifier: GPL-2.0-or-later
"""What an encoder of packs asks a repository for: the interface only."""

from __future__ import annotations

from typing import Protocol


class Texts(Protocol):
    """The texts of a repository. ``kind`` is that of a line."""

    def full_text(self, kind: bytes, name: bytes, node: bytes) -> bytes:
        """Return the raw text of a revision.

        ``kind`` may also be ``layout.CHANGESETS``.
        """

    def raw_size(self, kind: bytes, name: bytes, node: bytes) -> int:
        """Return the number of bytes of that text."""

    def is_base(self, kind: bytes, name: bytes, node: bytes) -> bool:
        """Return whether receivers have the same raw text of a revision.

        They may have another one of a censored revision.
        """
