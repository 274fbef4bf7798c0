# SPDX-License-Identifier: GPL-2.0-or-later
"""Uploads in progress that can be resumed, in an object store.

What arrives is stored as objects of a few MiB, each under the offset at which it
begins. The complete upload is read back, verified, and stored as a blob. Two
requests for the same upload may overlap; reading skips what is there twice.
Nothing here knows HTTP.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import obstore

from .. import errors
from .blobs import PARTS_LIFETIME
from .content import Block
from .objectclient import from_thread, translated_errors

PARTIAL = 'partial'

# Bytes of an object. This much is lost when the server is killed, and held in
# memory for each upload.
PART = 8 * 1024 * 1024


class ObjectParts:
    """The uploads below ``partial/``; implements ResumableUploads.

    ``read`` yields the bytes of an object: it takes the key, the first byte and
    the end. ``store`` stores a blob: it takes its oid, content and size.
    """

    def __init__(
        self,
        client: Any,
        read: Callable[[str, int, int], Iterator[bytes]],
        store: Callable[[str, Iterable[Block], int], object],
    ) -> None:
        self._client = client
        self._read = read
        self._store = store

    def _parts(self, folder: str) -> list[Mapping[str, Any]]:
        with translated_errors():
            found: list[Mapping[str, Any]] = []
            for page in obstore.list(self._client, folder):
                found.extend(page)
        return sorted(found, key=lambda item: item['path'])

    def _spans(self, oid: str, size: int) -> list[tuple[str, int, int]]:
        """Return key, first byte and end of what follows without a gap."""
        spans = []
        position = 0
        for item in self._parts(_folder(oid, size)):
            start = int(item['path'].rpartition('/')[2])
            end = start + item['size']
            if start > position:
                break
            if end > position:
                spans.append((item['path'], position - start, item['size']))
                position = end
        return spans

    def offset(self, oid: str, size: int) -> int:
        """See ResumableUploads."""
        spans = self._spans(oid, size)
        return sum(end - start for _key, start, end in spans)

    def append(
        self, oid: str, size: int, offset: int, blocks: Iterable[Block]
    ) -> int:
        """See ResumableUploads."""
        if self.offset(oid, size) != offset:
            raise errors.Conflict('the upload continues at another offset')
        if not offset:
            self._remove_old()
        held = bytearray()
        try:
            for block in blocks:
                held += block
                if len(held) >= PART:
                    offset = self._flush(oid, size, offset, held)
        finally:
            offset = self._flush(oid, size, offset, held)
        if offset == size:
            self.finish(oid, size)
        return offset

    def _flush(self, oid: str, size: int, offset: int, held: bytearray) -> int:
        """Store and empty ``held``; return the offset after it."""
        if held:
            key = f'{_folder(oid, size)}/{offset:020d}'
            with translated_errors():
                obstore.put(self._client, key, bytes(held), use_multipart=False)
            offset += len(held)
            held.clear()
        return offset

    def finish(self, oid: str, size: int) -> None:
        """See ResumableUploads."""
        spans = self._spans(oid, size)
        if sum(end - start for _key, start, end in spans) < size:
            return
        content = (
            block
            for key, start, end in spans
            for block in self._read(key, start, end)
        )
        try:
            self._store(oid, from_thread(content), size)
        except errors.Invalid:
            self._remove(_folder(oid, size))
            raise
        self._remove(_folder(oid, size))

    def _remove(self, folder: str) -> None:
        for item in self._parts(folder):
            with translated_errors(), suppress(FileNotFoundError):
                obstore.delete(self._client, item['path'])

    def _remove_old(self) -> None:
        self.sweep(time.time() - PARTS_LIFETIME)

    def sweep(self, before: float) -> int:
        """Remove uploads that got nothing since ``before``; return how many."""
        newest: dict[str, float] = {}
        for item in self._parts(PARTIAL):
            folder = item['path'].rpartition('/')[0]
            modified = item['last_modified'].timestamp()
            newest[folder] = max(newest.get(folder, 0), modified)
        old = [folder for folder, time_ in newest.items() if time_ < before]
        for folder in old:
            self._remove(folder)
        return len(old)

    def sizes(self) -> Iterator[tuple[str, int]]:
        """Yield the oid and the bytes of each stored part."""
        for item in self._parts(PARTIAL):
            yield item['path'].split('/')[1].partition('-')[0], item['size']


def _folder(oid: str, size: int) -> str:
    return f'{PARTIAL}/{oid}-{size}'
