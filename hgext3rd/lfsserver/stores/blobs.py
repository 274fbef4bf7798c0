# SPDX-License-Identifier: GPL-2.0-or-later
"""The roles of a blob store, each an interface for one kind of user.

Blobs are named by the SHA-256 of their content and never change. Every store
can serve content (BlobStore) and be maintained (BlobMaintenance). Some can also
let clients transfer content without this server (SignedLinks). Nothing here
knows HTTP or Mercurial.

All methods raise StoreUnavailable if the storage itself fails.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from .content import Block
from .usage import Usage

# Seconds without a byte after which an upload that could be resumed expires.
PARTS_LIFETIME = 7 * 24 * 60 * 60


@dataclass(frozen=True, slots=True)
class Blob:
    """A blob in a store: ``size`` is in bytes, ``modified`` a POSIX time.

    ``intact`` is False if the content is known not to match the name.
    """

    oid: str
    size: int
    modified: float
    intact: bool = True


@dataclass(frozen=True, slots=True)
class SignedLink:
    """A signed URL, and the header fields that requests to it need."""

    href: str
    header: Mapping[str, str]


class BlobStore(Protocol):
    """The role that serves requests: look up, read and store content."""

    def examine(self, oids: Iterable[str]) -> Mapping[str, Blob]:
        """Return the existing blobs of ``oids`` by oid, checked for corruption.

        A store hashes content that it has not verified before, and remembers
        the result.
        """

    def read(self, blob: Blob, start: int, stop: int) -> Iterable[bytes]:
        """Return the bytes ``start`` to ``stop`` (exclusive).

        The result is a FileSlice if the store has the blob as a file. Raises
        NotFound if the blob was deleted after ``examine``.
        """

    def put(self, oid: str, blocks: Iterable[Block], size: int | None) -> bool:
        """Store content as ``oid`` and return whether the blob is new.

        ``size`` is the announced number of bytes, or None. ``blocks`` may
        reuse its buffer.

        Raises Invalid if the content does not match ``oid`` or ``size``, and
        passes on the exceptions of ``blocks``. After any exception, the store
        is unchanged. An intact blob is never replaced.
        """

    def secure(self, oids: Iterable[str]) -> None:
        """Wait until existing blobs would survive a power failure.

        They may be visible a moment earlier, while another client still waits.
        """


class BlobMaintenance(Protocol):
    """The role that administrators use."""

    def walk(self) -> Iterator[Blob]:
        """Yield all blobs in no particular order.

        Nothing is hashed, so ``intact`` is always True.
        """

    def rehash(self, oid: str) -> bool:
        """Read a blob again and return whether it matches its name.

        Raises NotFound.
        """

    def delete(self, oid: str) -> None:
        """Delete a blob; do nothing if it does not exist."""

    def quarantine(self, oid: str) -> str:
        """Take a corrupt blob out of service, but keep its bytes.

        Returns the new location, to be shown to people. Raises NotFound.
        """

    def sweep(self, before: float) -> int:
        """Remove leftovers of uploads that were interrupted before ``before``.

        ``before`` is a POSIX time. Returns the number of uploads.
        """

    def usage(self) -> Usage:
        """Return what counts the bytes of the store."""


class SignedLinks(Protocol):
    """The role that lets clients transfer content without this server.

    ``max_upload`` is the size of the largest upload by a link, in bytes.
    """

    max_upload: int

    def link(self, method: str, oid: str, lifetime: int) -> SignedLink:
        """Return a link to GET or PUT a blob for ``lifetime`` seconds."""

    def settle(self, oid: str) -> None:
        """Turn the upload that a client has PUT by a link into a blob.

        Does nothing if there is no such upload. Raises Invalid if the content
        is wrong, and TooLarge if there is too much of it; the upload is then
        deleted.
        """


class ResumableUploads(Protocol):
    """The role that receives blobs in several requests.

    An upload is named by the oid and the announced size. It expires when
    nothing has arrived for PARTS_LIFETIME.
    """

    def offset(self, oid: str, size: int) -> int:
        """Return how many bytes have arrived; 0 if the upload is unknown."""

    def append(
        self, oid: str, size: int, offset: int, blocks: Iterable[Block]
    ) -> int:
        """Store what follows at ``offset`` and return the offset after it.

        The upload becomes a blob when it is complete. What has arrived is kept
        if ``blocks`` raises. Raises Conflict if the upload is not at
        ``offset`` or a newer request continues it, and Invalid if the content
        does not match ``oid``; the upload is then removed.
        """

    def finish(self, oid: str, size: int) -> None:
        """Make a blob of a complete upload; do nothing if it is not complete.

        Raises as ``append`` does.
        """


@dataclass(frozen=True, slots=True)
class StoreRoles:
    """The roles of one store.

    ``links`` is None if the store cannot sign links.
    """

    blobs: BlobStore
    maintenance: BlobMaintenance
    partials: ResumableUploads
    links: SignedLinks | None = None
