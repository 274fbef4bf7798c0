# SPDX-License-Identifier: GPL-2.0-or-later
"""A store of blobs in an object store that obstore supports, such as S3.

Blobs are the objects ``objects/ab/cdef…`` below the URL of the store, as in the
layout of the local store. An object gets that name only after its content has
been verified. This module knows neither HTTP nor Mercurial.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import obstore

from .. import errors
from ..formats.oids import is_oid
from .blobs import Blob
from .content import Block, CheckedContent
from .objectclient import translated_errors
from .objectparts import ObjectParts
from .usage import ListedUsage, Usage

OBJECTS = 'objects'
INCOMING = 'incoming'
QUARANTINE = 'quarantine'

# Bytes fetched by one request while a blob is streamed. A download needs this
# much memory. Because each block is a separate request, a slow client never
# makes the connection to the store time out.
READ_BLOCK = 4 * 1024 * 1024

# Blobs up to this size (in bytes) are stored by one request. Larger ones are
# multipart uploads with parts of at least this size.
PART = 8 * 1024 * 1024

# Parts of a multipart upload; S3 allows 10,000.
MAX_PARTS = 9_000

# Parts of one upload that are sent at the same time. Each is held in memory.
MAX_PARTS_AT_ONCE = 2

# Concurrent requests while the objects of a batch are looked up.
LOOKUPS = 16


def object_key(oid: str) -> str:
    """Return the key of a blob below the URL of the store."""
    return f'{OBJECTS}/{oid[:2]}/{oid[2:]}'


class ObjectStore:
    """The blobs that obstore's ``client`` reaches.

    Implements BlobStore and BlobMaintenance.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        #: uploads that can be resumed
        self.partials = ObjectParts(client, self._blocks, self.put)

    def _head(self, key: str) -> Mapping[str, Any] | None:
        """Return the metadata of an object, or None if it does not exist."""
        try:
            found: Mapping[str, Any] = obstore.head(self._client, key)
        except FileNotFoundError:
            return None
        return found

    def _blob(self, oid: str) -> Blob | None:
        found = self._head(object_key(oid))
        if found is None:
            return None
        return Blob(oid, found['size'], found['last_modified'].timestamp())

    def examine(self, oids: Iterable[str]) -> Mapping[str, Blob]:
        """See BlobStore.

        Nothing is hashed: content was verified when it was stored.
        """
        wanted = list(oids)
        with translated_errors():
            if len(wanted) < 2:
                blobs = [self._blob(oid) for oid in wanted]
            else:
                with ThreadPoolExecutor(LOOKUPS) as pool:
                    blobs = list(pool.map(self._blob, wanted))
        found = {blob.oid: blob for blob in blobs if blob is not None}
        missing = next((oid for oid in wanted if oid not in found), None)
        if missing is not None:
            self._require_bucket(missing)
        return found

    def _require_bucket(self, missing: str) -> None:
        """Raise StoreUnavailable if blobs are missing because their bucket is.

        The response to HEAD has no body that would tell the difference.
        """
        with suppress(errors.NotFound), translated_errors():
            obstore.get(self._client, object_key(missing))

    def read(self, blob: Blob, start: int, stop: int) -> Iterable[bytes]:
        """See BlobStore; NotFound is raised while the result is iterated."""
        return self._blocks(object_key(blob.oid), start, stop)

    def _blocks(self, key: str, start: int, stop: int) -> Iterator[bytes]:
        while start < stop:
            end = min(start + READ_BLOCK, stop)
            with translated_errors():
                block = obstore.get_range(
                    self._client, key, start=start, end=end
                )
            if len(block) != end - start:
                raise errors.StoreUnavailable('a blob has been truncated')
            yield bytes(block)
            start = end

    def secure(self, oids: Iterable[str]) -> None:
        """See BlobStore; an object that is visible is stored for good."""

    def put(self, oid: str, blocks: Iterable[Block], size: int | None) -> bool:
        """See BlobStore."""
        checked = CheckedContent(blocks)
        if self.examine([oid]):
            for _block in checked:
                pass
            checked.finish(oid, size)
            return False
        self._upload(object_key(oid), oid, checked, size)
        return True

    def _upload(
        self, key: str, oid: str, checked: CheckedContent, size: int | None
    ) -> None:
        """Store ``checked`` at ``key`` if it is the content of ``oid``."""
        part = max(PART, (size or 0) // MAX_PARTS)
        parts = _parts(checked, part)
        first = next(parts, b'')
        if len(first) < part:
            checked.finish(oid, size)
            with translated_errors():
                obstore.put(self._client, key, first, use_multipart=False)
            return

        def all_parts() -> Iterator[bytes]:
            yield first
            yield from parts
            # An exception here makes obstore abort the multipart upload.
            checked.finish(oid, size)

        with translated_errors():
            obstore.put(
                self._client,
                key,
                all_parts(),
                use_multipart=True,
                chunk_size=part,
                max_concurrency=MAX_PARTS_AT_ONCE,
            )

    def _list(self, folder: str) -> Iterator[Mapping[str, Any]]:
        for page in obstore.list(self._client, folder):
            yield from page

    def walk(self) -> Iterator[Blob]:
        """See BlobMaintenance; other objects are skipped."""
        with translated_errors():
            for item in self._list(OBJECTS):
                oid = ''.join(item['path'].split('/')[1:])
                if is_oid(oid):
                    modified = item['last_modified'].timestamp()
                    yield Blob(oid, item['size'], modified)

    def usage(self) -> Usage:
        """See BlobMaintenance."""
        return ListedUsage(self._sizes)

    def _sizes(self) -> tuple[dict[str, int], list[tuple[str, int]]]:
        """Return the sizes of blobs by oid, and those of uploads."""
        blobs = {blob.oid: blob.size for blob in self.walk()}
        with translated_errors():
            uploads = [
                (item['path'].split('/')[1], item['size'])
                for item in self._list(INCOMING)
            ]
        return blobs, [*uploads, *self.partials.sizes()]

    def _hash(self, key: str, size: int) -> str:
        digest = hashlib.sha256()
        for block in self._blocks(key, 0, size):
            digest.update(block)
        return digest.hexdigest()

    def rehash(self, oid: str) -> bool:
        """See BlobMaintenance."""
        with translated_errors():
            found = self._head(object_key(oid))
            if found is None:
                self._require_bucket(oid)
                raise errors.NotFound('the object does not exist')
            return self._hash(object_key(oid), found['size']) == oid

    def _delete(self, key: str) -> None:
        with suppress(FileNotFoundError):
            obstore.delete(self._client, key)

    def delete(self, oid: str) -> None:
        """See BlobMaintenance."""
        with translated_errors():
            self._delete(object_key(oid))

    def quarantine(self, oid: str) -> str:
        """See BlobMaintenance; returns the new key."""
        target = f'{QUARANTINE}/{oid}'
        with translated_errors():
            obstore.copy(self._client, object_key(oid), target)
            self._delete(object_key(oid))
        return target

    def sweep(self, before: float) -> int:
        """See BlobMaintenance.

        This removes uploads by signed links. The store itself has to remove
        unfinished multipart uploads.
        """
        with translated_errors():
            old = [
                item['path']
                for item in self._list(INCOMING)
                if item['last_modified'].timestamp() < before
            ]
            for path in old:
                self._delete(path)
        return len(old) + self.partials.sweep(before)


def _parts(blocks: Iterable[Block], size: int) -> Iterator[bytes]:
    """Yield the content in parts of ``size`` bytes; the last may be shorter."""
    buffer = bytearray()
    for block in blocks:
        buffer += block
        while len(buffer) >= size:
            yield bytes(memoryview(buffer)[:size])
            del buffer[:size]
    if buffer:
        yield bytes(buffer)
