# SPDX-License-Identifier: GPL-2.0-or-later
"""What a store of blobs is: the one interface all backends implement.

Blobs are named by the SHA-256 of their content (``oid``, 64 lower-case
hexadecimal digits) and never change.  No HTTP and no Mercurial here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Protocol

from .. import errors

# Pieces in which blobs are read and written.  Large enough that the cost per
# piece vanishes, small enough that hundreds of transfers fit in memory.
CHUNK = 256 * 1024

_OID = re.compile(r'[0-9a-f]{64}\Z')

# Anything a socket, a file or a hash takes without a copy.
Piece = bytes | memoryview


def is_oid(text: str) -> bool:
    """Whether ``text`` is a SHA-256 as LFS writes it: 64 lower-case digits."""
    return _OID.match(text) is not None


@dataclass(frozen=True, slots=True)
class Blob:
    """A blob a store has: ``size`` in bytes, ``modified`` in POSIX seconds.

    ``intact`` is False for content known not to match its name.
    """

    oid: str
    size: int
    modified: float
    intact: bool = True


@dataclass(frozen=True, slots=True)
class Link:
    """A signed URL, and the header fields its requests need."""

    href: str
    header: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class FileSlice:
    """``count`` bytes of an open file, for servers that can use sendfile."""

    file: IO[bytes]
    start: int
    count: int

    def __iter__(self) -> Iterator[bytes]:
        """The bytes themselves, in pieces; ShortBody if the file ends early.

        The file is closed with the last piece, or when iteration stops.
        """
        with self.file as file:
            if self.start:
                file.seek(self.start)
            left = self.count
            while left:
                data = file.read(min(CHUNK, left))
                if not data:
                    raise errors.StoreUnavailable('a blob has been truncated')
                left -= len(data)
                yield data


class BlobStore(Protocol):
    """Content by hash.

    All methods raise StoreUnavailable when the storage itself fails.
    """

    def examine(self, oids: Iterable[str]) -> Mapping[str, Blob]:
        """The blobs that exist among ``oids``, each with its verdict.

        Content never seen before is hashed; later calls remember.
        """

    def read(self, blob: Blob, start: int, stop: int) -> Iterable[bytes]:
        """Bytes ``start`` to ``stop``; a FileSlice where there is a file.

        Raises NotFound if the blob has gone meanwhile.
        """

    def put(self, oid: str, pieces: Iterable[Piece], size: int | None) -> bool:
        """Store content as ``oid`` if it hashes to that, else raise Invalid.

        ``size`` is the expected number of bytes, if known.  Whatever
        ``pieces`` raises is passed on.  After any exception the store is as
        before; a good blob is never replaced.  Returns whether the blob is
        new.  ``pieces`` may reuse its buffer.
        """

    def walk(self) -> Iterator[Blob]:
        """All blobs, in no order; nothing is hashed, ``intact`` is True."""

    def rehash(self, oid: str) -> bool:
        """Read the whole blob again: whether it matches its name.

        Raises NotFound.
        """

    def delete(self, oid: str) -> None:
        """Forget a blob; a missing one is fine."""

    def quarantine(self, oid: str) -> str:
        """Take a corrupt blob out of service, keeping its bytes.

        Returns where it is now, for people.  Raises NotFound.
        """

    def sweep(self, before: float) -> int:
        """Remove what interrupted uploads left behind before a POSIX time.

        Returns how many.
        """

    def link(self, method: str, oid: str, lifetime: int) -> Link | None:
        """How clients GET or PUT the blob without this server.

        None where they have to come here.  ``lifetime`` in seconds.
        """

    def settle(self, oid: str) -> None:
        """Take in what a client PUT by ``link``, if its content is right.

        Raises Invalid for other content, which is then gone.
        """


class Checked:
    """``pieces`` passed through, hashed and counted on the way."""

    def __init__(self, pieces: Iterable[Piece]) -> None:
        self._pieces = pieces
        self._digest = hashlib.sha256()
        self.size = 0

    def __iter__(self) -> Iterator[Piece]:
        update = self._digest.update
        for piece in self._pieces:
            update(piece)
            self.size += len(piece)
            yield piece

    def finish(self, oid: str, size: int | None) -> None:
        """Raise Invalid unless exactly the content of ``oid`` went by."""
        if size is not None and size != self.size:
            raise errors.Invalid(
                f'the content has {self.size} bytes, not {size} as announced'
            )
        if self._digest.hexdigest() != oid:
            raise errors.Invalid('the content does not match its oid')


def hash_file(file: IO[bytes]) -> str:
    """The oid of everything in ``file`` from its position on."""
    digest = hashlib.sha256()
    buffer = bytearray(CHUNK)
    view = memoryview(buffer)
    while count := file.readinto(buffer):  # type: ignore[attr-defined]
        digest.update(view[:count])
    return digest.hexdigest()
