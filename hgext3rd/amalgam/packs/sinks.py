# SPDX-License-Identifier: GPL-2.0-or-later
"""What a storage offers to take packs in: the interface, and nothing else.

A repository whose storage can take the lines of packs as they are has a method
``pack_sink(tr)``, which returns a ``PackSink``. All other repositories get their
revlogs filled by ``wireprotov2``. A ``PackSink`` also gives content to revisions
of files that the repository has without content.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from .contents import Index, PackedFrame


class PackSink(Protocol):
    """Takes the manifests and files of packs, in their order.

    The first two methods raise ``PackError`` for content that cannot be stored.
    """

    def add_frame(self, frame: PackedFrame) -> None:
        """Take a frame. The index that needs it comes later."""

    def add_index(self, index: Index, linkrevs: Sequence[int]) -> int:
        """Take the index of complete lines; return how many revisions are new.

        ``linkrevs`` are the revisions of the changesets of the pack, by
        position.
        """

    def finish(self) -> None:
        """Free memory: no more packs follow in this transaction."""
