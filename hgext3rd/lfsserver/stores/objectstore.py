# SPDX-License-Identifier: GPL-2.0-or-later
"""Blobs in an object store: S3, GCS, Azure, or whatever obstore opens.

Verified blobs are ``objects/ab/cdef…`` below the URL, the layout of the local
store.  What clients upload by signed links goes to ``incoming/<oid>`` first
and becomes a blob when its content has been checked: a signed link cannot
spoil or replace one.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, S3Store, from_url

from .. import errors
from .blobs import Blob, Checked, Link, Piece, is_oid

OBJECTS = 'objects'
INCOMING = 'incoming'
QUARANTINE = 'quarantine'

# Bytes fetched by one request while a blob streams through; what a transfer
# costs in memory.  A request a block also means that a slow client never
# makes the store's connection time out.
READ_BLOCK = 4 * 1024 * 1024

# Blobs up to this size are stored by one request.
PART = 8 * 1024 * 1024

# S3 allows 10,000 parts.
MAX_PARTS = 9_000

# Parts of one upload on their way at a time, each of them in memory.
MAX_PARTS_AT_ONCE = 2

# Largest object S3 copies by one request.
MAX_COPY = 5 * 1024**3

# Requests at a time while the objects of a batch are looked up.
LOOKUPS = 16

RETRIES = 3
RETRY_TIMEOUT = timedelta(seconds=15)

_SIGNING = (S3Store, GCSStore, AzureStore)

# One a configuration; the clients inside pool their connections.  Keyed by
# process, for they do not survive a fork.
_open: dict[Any, ObjectStore] = {}
_open_lock = threading.Lock()


def open_store(
    url: str, options: Mapping[str, str], *, signed: bool
) -> ObjectStore:
    """The store at ``url``; ``options`` are those of obstore for its kind.

    The option ``public-endpoint`` is ours: the endpoint in signed links, where
    clients reach the store under another address.  Raises StoreUnavailable.
    """
    key = (os.getpid(), url, tuple(sorted(options.items())), signed)
    with _open_lock:
        if key not in _open:
            _open[key] = _new_store(url, dict(options), signed)
        return _open[key]


def _new_store(url: str, options: dict[str, str], signed: bool) -> ObjectStore:
    public = options.pop('public-endpoint', None)
    store = _connect(url, options)
    signer = None
    if signed and isinstance(store, _SIGNING):
        signer = store
        if public is not None:
            signer = _connect(url, {**options, 'endpoint': public})
    return ObjectStore(store, signer)


def _connect(url: str, options: Mapping[str, str]) -> Any:
    if urlsplit(url).scheme == 'file':
        arguments: dict[str, Any] = {'mkdir': True}
    else:
        arguments = {
            'config': dict(options),
            'retry_config': {
                'max_retries': RETRIES,
                'retry_timeout': RETRY_TIMEOUT,
            },
        }
        if options.get('endpoint', '').startswith('http:'):
            # who writes such an address means it
            arguments['client_options'] = {'allow_http': True}
    try:
        return from_url(url, **arguments)
    except (BaseError, ValueError, OSError) as error:
        raise errors.StoreUnavailable(
            'the blob store cannot be opened', detail=_first_line(error)
        ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].strip()


@contextmanager
def translated() -> Iterator[None]:
    """Turn errors of obstore into ours."""
    try:
        yield
    except FileNotFoundError:
        raise errors.NotFound('the object does not exist') from None
    except (BaseError, OSError) as error:
        raise errors.StoreUnavailable(
            'the blob store failed', detail=_first_line(error)
        ) from error


def _key(oid: str) -> str:
    return f'{OBJECTS}/{oid[:2]}/{oid[2:]}'


class ObjectStore:
    """Blobs in ``store``; links are signed by ``signer``, if there is one."""

    def __init__(self, store: Any, signer: Any = None) -> None:
        self._store = store
        self._signer = signer

    def _head(self, key: str) -> Mapping[str, Any] | None:
        try:
            found: Mapping[str, Any] = obstore.head(self._store, key)
        except FileNotFoundError:
            return None
        return found

    def _blob(self, oid: str) -> Blob | None:
        found = self._head(_key(oid))
        if found is None and self._signer is not None:
            # Core's lfs client uploads by links, but never verifies.
            with suppress(errors.Invalid):
                self.settle(oid)
                found = self._head(_key(oid))
        if found is None:
            return None
        return Blob(oid, found['size'], found['last_modified'].timestamp())

    def examine(self, oids: Iterable[str]) -> Mapping[str, Blob]:
        """See BlobStore; what is in ``objects`` has been hashed before."""
        wanted = list(oids)
        with translated():
            if len(wanted) < 2:
                blobs = [self._blob(oid) for oid in wanted]
            else:
                with ThreadPoolExecutor(LOOKUPS) as pool:
                    blobs = list(pool.map(self._blob, wanted))
        return {blob.oid: blob for blob in blobs if blob is not None}

    def read(self, blob: Blob, start: int, stop: int) -> Iterable[bytes]:
        return self._blocks(_key(blob.oid), start, stop)

    def _blocks(self, key: str, start: int, stop: int) -> Iterator[bytes]:
        while start < stop:
            end = min(start + READ_BLOCK, stop)
            with translated():
                block = obstore.get_range(
                    self._store, key, start=start, end=end
                )
            if len(block) != end - start:
                raise errors.StoreUnavailable('a blob has been truncated')
            yield bytes(block)
            start = end

    def put(self, oid: str, pieces: Iterable[Piece], size: int | None) -> bool:
        checked = Checked(pieces)
        if self.examine([oid]):
            for _piece in checked:
                pass
            checked.finish(oid, size)
            return False
        self._upload(_key(oid), oid, checked, size)
        return True

    def _upload(
        self, key: str, oid: str, checked: Checked, size: int | None
    ) -> None:
        part = max(PART, (size or 0) // MAX_PARTS)
        parts = _parts(checked, part)
        first = next(parts, b'')
        if len(first) < part:
            checked.finish(oid, size)
            with translated():
                obstore.put(self._store, key, first, use_multipart=False)
            return

        def rest() -> Iterator[bytes]:
            yield first
            yield from parts
            # raising here makes obstore give up the multipart upload
            checked.finish(oid, size)

        with translated():
            obstore.put(
                self._store,
                key,
                rest(),
                use_multipart=True,
                chunk_size=part,
                max_concurrency=MAX_PARTS_AT_ONCE,
            )

    def _list(self, folder: str) -> Iterator[Mapping[str, Any]]:
        for page in obstore.list(self._store, folder):
            yield from page

    def walk(self) -> Iterator[Blob]:
        with translated():
            for item in self._list(OBJECTS):
                oid = ''.join(item['path'].split('/')[1:])
                if is_oid(oid):
                    modified = item['last_modified'].timestamp()
                    yield Blob(oid, item['size'], modified)

    def _hash(self, key: str, size: int) -> str:
        digest = hashlib.sha256()
        for block in self._blocks(key, 0, size):
            digest.update(block)
        return digest.hexdigest()

    def rehash(self, oid: str) -> bool:
        with translated():
            found = obstore.head(self._store, _key(oid))
            return self._hash(_key(oid), found['size']) == oid

    def _delete(self, key: str) -> None:
        with suppress(FileNotFoundError):
            obstore.delete(self._store, key)

    def delete(self, oid: str) -> None:
        with translated():
            self._delete(_key(oid))

    def quarantine(self, oid: str) -> str:
        target = f'{QUARANTINE}/{oid}'
        with translated():
            obstore.copy(self._store, _key(oid), target)
            self._delete(_key(oid))
        return target

    def sweep(self, before: float) -> int:
        with translated():
            old = [
                item['path']
                for item in self._list(INCOMING)
                if item['last_modified'].timestamp() < before
            ]
            for path in old:
                self._delete(path)
        return len(old)

    def link(self, method: str, oid: str, lifetime: int) -> Link | None:
        if self._signer is None:
            return None
        key = _key(oid) if method == 'GET' else f'{INCOMING}/{oid}'
        with translated():
            href = obstore.sign(
                self._signer, method, key, timedelta(seconds=lifetime)
            )
        header = {}
        if method == 'PUT' and isinstance(self._signer, AzureStore):
            header['x-ms-blob-type'] = 'BlockBlob'
        return Link(href, header)

    def settle(self, oid: str) -> None:
        incoming = f'{INCOMING}/{oid}'
        with translated():
            found = self._head(incoming)
            if found is None:
                return
            if self._head(_key(oid)) is None:
                self._take_in(oid, incoming, found)
            self._delete(incoming)

    def _take_in(
        self, oid: str, incoming: str, found: Mapping[str, Any]
    ) -> None:
        """Make an object that has been uploaded a blob; Invalid if wrong."""
        size = found['size']
        if self._hash(incoming, size) != oid:
            self._delete(incoming)
            raise errors.Invalid('the content does not match its oid')
        if size > MAX_COPY:
            blocks = _elsewhere(self._blocks(incoming, 0, size))
            self._upload(_key(oid), oid, Checked(blocks), size)
            return
        obstore.copy(self._store, incoming, _key(oid))
        # The link may have been used again while we were reading.
        after = self._head(incoming)
        if after is None or after['e_tag'] != found['e_tag']:
            self._delete(_key(oid))
            raise errors.Invalid('the content changed while it was checked')


def _elsewhere(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """``blocks``, made by another thread: obstore cannot call itself."""
    with ThreadPoolExecutor(1) as pool:
        while block := pool.submit(next, blocks, b'').result():
            yield block


def _parts(pieces: Iterable[Piece], size: int) -> Iterator[bytes]:
    """``pieces`` rearranged: all of ``size`` bytes but the last."""
    buffer = bytearray()
    for piece in pieces:
        buffer += piece
        while len(buffer) >= size:
            yield bytes(memoryview(buffer)[:size])
            del buffer[:size]
    if buffer:
        yield bytes(buffer)
