# SPDX-License-Identifier: GPL-2.0-or-later
"""The content of blobs as streams: blocks, file slices, hashing.

Nothing here knows a store, HTTP or Mercurial.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO

from .. import errors

# Bytes that are read or written at a time. Blocks are large enough to make the
# cost per block negligible, and small enough to keep those of hundreds of
# transfers in memory.
BLOCK_SIZE = 256 * 1024

# Anything that a socket, a file or a hash accepts without a copy.
Block = bytes | memoryview


@dataclass(frozen=True, slots=True)
class FileSlice:
    """``count`` bytes of an open file, for servers that can use sendfile."""

    file: IO[bytes]
    start: int
    count: int

    def __iter__(self) -> Iterator[bytes]:
        """Yield the bytes in blocks, and close the file at the end.

        The file is also closed when iteration is abandoned. Raises
        StoreUnavailable if the file is too short.
        """
        with self.file as file:
            if self.start:
                file.seek(self.start)
            left = self.count
            while left:
                data = file.read(min(BLOCK_SIZE, left))
                if not data:
                    raise errors.StoreUnavailable('a blob has been truncated')
                left -= len(data)
                yield data


class CheckedContent:
    """Passes blocks through while it hashes and counts them."""

    def __init__(self, blocks: Iterable[Block]) -> None:
        self._blocks = blocks
        self._digest = hashlib.sha256()
        #: the number of bytes passed through so far
        self.size = 0

    def __iter__(self) -> Iterator[Block]:
        update = self._digest.update
        for block in self._blocks:
            update(block)
            self.size += len(block)
            yield block

    def finish(self, oid: str, size: int | None) -> None:
        """Raise Invalid unless the blocks were exactly the content of ``oid``.

        ``size`` is the announced number of bytes, or None.
        """
        if size is not None and size != self.size:
            raise errors.Invalid(
                f'the content has {self.size} bytes, not the announced {size}'
            )
        if self._digest.hexdigest() != oid:
            raise errors.Invalid('the content does not match its oid')


def hash_file(file: IO[bytes]) -> str:
    """Return the oid of the content of ``file`` from its current position."""
    digest = hashlib.sha256()
    buffer = bytearray(BLOCK_SIZE)
    view = memoryview(buffer)
    while count := file.readinto(buffer):  # type: ignore[attr-defined]
        digest.update(view[:count])
    return digest.hexdigest()
