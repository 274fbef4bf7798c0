# SPDX-License-Identifier: GPL-2.0-or-later
"""The endpoint of one repository: its stores, limits and transfer slots.

``hgweb.endpoints`` creates endpoints from the configuration; the handlers use
them. Nothing here does I/O.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .. import errors
from ..stores.blobs import Blob, BlobStore, ResumableUploads, SignedLinks
from ..stores.locks import LockStore
from ..stores.promises import FRESH, PromiseStore
from ..stores.quota import Quota
from .messages import MAX_DOCUMENT

# Bytes that a batch document may have per object, including white space. Common
# clients need about 110.
BATCH_OBJECT_BYTES = 256

DEFAULT_MAX_BATCH = 50_000

# The path segments between the address of a repository and those of transfers.
TRANSFER_PREFIX = ('.hg', 'lfs')


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of an endpoint; 0 means no limit.

    ``object_size`` is in bytes, ``batch`` in objects, and the ``lifetime`` of
    links in seconds.
    """

    object_size: int = 0
    batch: int = DEFAULT_MAX_BATCH
    lifetime: int = 3600

    @property
    def batch_document(self) -> int:
        """The largest batch document that is read, in bytes."""
        return MAX_DOCUMENT + self.batch * BATCH_OBJECT_BYTES


class TransferGate:
    """Counts running transfers and refuses those above a limit."""

    def __init__(self) -> None:
        self._running = 0
        self._lock = threading.Lock()

    def enter(self, limit: int) -> TransferSlot:
        """Return one of ``limit`` slots (0 means any number).

        Raises Busy if all are in use.
        """
        with self._lock:
            if limit and self._running >= limit:
                raise errors.Busy(
                    f'too many concurrent transfers (the limit is {limit})',
                    headers={'Retry-After': '1'},
                )
            self._running += 1
        return TransferSlot(self)

    def leave(self) -> None:
        """Take back a slot."""
        with self._lock:
            self._running -= 1


class TransferSlot:
    """The slot of one running transfer.

    The slot is given back by ``release``, or when this object is
    garbage-collected.
    """

    def __init__(self, gate: TransferGate) -> None:
        self._gate: TransferGate | None = gate

    def release(self) -> None:
        """Give the slot back; further calls do nothing."""
        gate, self._gate = self._gate, None
        if gate is not None:
            gate.leave()

    __del__ = release


# What an endpoint counts: transfers by this server, their bytes, and requests
# and objects of batches that it refuses, by status. Stored counts depend on the
# order.
DOWNLOADS = 'downloads'
UPLOADS = 'uploads'
SENT = 'sent bytes'
RECEIVED = 'received bytes'
REFUSALS = {
    status: f'refusals {status}'
    for status in (401, 403, 409, 413, 422, 429, 503, 507)
}
COUNTED = (DOWNLOADS, UPLOADS, SENT, RECEIVED, *REFUSALS.values())


def _count_nothing(counts: Mapping[str, int]) -> None:
    """Take counts that nobody asks for."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Everything that the handlers need to serve one repository.

    ``links`` is None if all content passes through this server, and ``locks``
    is None if locking is disabled. ``quota`` is None without a quota,
    ``partials`` if uploads cannot be resumed, and ``promises`` if nothing
    deletes blobs. ``url`` is the address of the repository as clients see it,
    without a trailing slash. ``admit`` returns a slot for a transfer or raises
    Busy, ``log`` takes a line for the blackbox, ``count`` adds to the counts of
    COUNTED, and ``now`` returns the POSIX time.
    """

    store: BlobStore
    links: SignedLinks | None
    locks: LockStore | None
    limits: Limits
    url: str
    admit: Callable[[], TransferSlot]
    log: Callable[[str], None]
    now: Callable[[], float]
    quota: Quota | None = None
    partials: ResumableUploads | None = None
    promises: PromiseStore | None = None
    count: Callable[[Mapping[str, int]], None] = _count_nothing

    def count_refusal(self, status: int) -> None:
        """Count a refused request, or a refused object of a batch."""
        if status in REFUSALS:
            self.count({REFUSALS[status]: 1})

    def keep(self, blobs: Mapping[str, Blob]) -> Mapping[str, Blob]:
        """Protect intact blobs that a client need not upload.

        They survive a power failure, and garbage collection keeps them until
        their changesets arrive. Returns the blobs that still exist.
        """
        self.store.secure(oid for oid, blob in blobs.items() if blob.intact)
        now = self.now()
        old = {
            oid
            for oid, blob in blobs.items()
            if blob.intact and blob.modified < now - FRESH
        }
        if not old or self.promises is None:
            return blobs
        self.promises.renew(old, now)
        # Some may have been deleted before the promise.
        present = self.store.examine(old)
        return {
            oid: blob
            for oid, blob in blobs.items()
            if oid not in old or oid in present
        }

    def object_url(self, oid: str) -> str:
        """Return the address for the transfer of a blob by this server."""
        return '/'.join((self.url, *TRANSFER_PREFIX, 'objects', oid))

    def upload_url(self, oid: str, size: int) -> str:
        """Return the address for an upload that can be resumed."""
        return '/'.join((self.url, *TRANSFER_PREFIX, 'uploads', oid, str(size)))
