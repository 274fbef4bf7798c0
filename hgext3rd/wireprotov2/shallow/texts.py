# SPDX-License-Identifier: GPL-2.0-or-later
"""The data of file revisions that arrived after the revisions themselves.

It is kept in two files of the store that only grow: the texts, each compressed
by itself, and a list of where they are. A text is named by its node and does not
change, so whoever has one may add it: with a transaction or without, whether or
not the repository is locked. A lock of these two files is held for as long as a
write takes. What a process leaves behind that dies in between counts as missing
and is fetched again. Nothing here knows how a repository stores its other
revisions.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import struct
import tempfile
from collections.abc import Iterator
from typing import IO, Any

import zstandard
from mercurial import vfs as vfsmod

#: The folder of these files, relative to the store.
FOLDER = b'shallow'

#: Entries of the list: node, position of the text, bytes that it takes.
_ENTRY = struct.Struct('>20sQI')

#: Compressed bytes that wait to be written together.
FLUSH_BYTES = 4 << 20

LEVEL = 3

#: What the name of the lock ends with.
LOCK_SUFFIX = b'.lock'

#: Errors with which a repository refuses to be written to.
_READ_ONLY = frozenset((errno.EACCES, errno.EPERM, errno.EROFS))


class LateTexts:
    """The texts that arrived later, in the store behind ``vfs``.

    ``name`` is that of the two files. Texts that are in ``others`` count too.
    """

    def __init__(
        self,
        vfs: Any,
        name: bytes = b'texts',
        others: LateTexts | None = None,
    ) -> None:
        self._vfs = vfs
        self._others = others
        self._list = b'%s/%s.i' % (FOLDER, name)
        self._data = b'%s/%s.d' % (FOLDER, name)
        self._lock = b'%s/%s%s' % (FOLDER, name, LOCK_SUFFIX)
        self._places: dict[bytes, tuple[int, int]] = {}
        # Bytes of the list that were read, and the file they were read from.
        self._read = 0
        self._identity: tuple[int, int] | None = None
        self._stream: IO[bytes] | None = None
        # What could not be written, or is not written yet.
        self._waiting: dict[bytes, bytes] = {}
        self._waiting_bytes = 0
        self._writable = True

    def __contains__(self, node: bytes) -> bool:
        if node in self._waiting or node in self._places:
            return True
        self._refresh()
        return node in self._places or (
            self._others is not None and node in self._others
        )

    def read(self, node: bytes) -> bytes | None:
        """Return a text, unverified, or None if there is none."""
        data = self._waiting.get(node)
        if data is None:
            if node not in self:
                return None
            if node not in self._places and self._others is not None:
                return self._others.read(node)
            data = self._stored(node)
        try:
            text: bytes = zstandard.ZstdDecompressor().decompress(data)
        except zstandard.ZstdError:
            # It was cut short, perhaps by a power failure.
            self._places.pop(node, None)
            return None
        return text

    def _stored(self, node: bytes) -> bytes:
        start, size = self._places[node]
        try:
            if self._stream is None:
                self._stream = self._vfs(self._data, b'rb')
            return os.pread(self._stream.fileno(), size, start)
        except FileNotFoundError:
            return b''

    def add(self, node: bytes, text: bytes) -> None:
        """Keep a text, which the caller has verified. Call ``flush`` later."""
        data = zstandard.ZstdCompressor(
            level=LEVEL, write_checksum=True
        ).compress(text)
        self._waiting[node] = data
        self._waiting_bytes += len(data)
        if self._writable and self._waiting_bytes >= FLUSH_BYTES:
            self.flush()

    def discard(self, node: bytes) -> None:
        """Forget a text that is not what its node says."""
        self._waiting.pop(node, None)
        self._places.pop(node, None)

    def flush(self) -> None:
        """Write what was added.

        In a repository that cannot be written to, it stays in memory.
        """
        if not self._waiting or not self._writable:
            return
        try:
            with self._locked():
                self._append()
        except OSError as exc:
            if exc.errno not in _READ_ONLY:
                raise
            self._writable = False
            return
        self._waiting.clear()
        self._waiting_bytes = 0

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other processes from writing to the two files."""
        self._vfs.makedirs(FOLDER)
        with self._vfs(self._lock, b'ab') as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield

    def _append(self) -> None:
        self._refresh()
        new = [node for node in self._waiting if node not in self._places]
        # Opening a file to append to it gives it an inode of its own, if a
        # clone has a hard link to it.
        with self._vfs(self._data, b'ab') as stream:
            at = stream.seek(0, os.SEEK_END)
            entries = []
            for node in new:
                data = self._waiting[node]
                stream.write(data)
                entries.append(_ENTRY.pack(node, at, len(data)))
                at += len(data)
        with self._vfs(self._list, b'ab') as stream:
            rest = stream.seek(0, os.SEEK_END) % _ENTRY.size
            if rest:
                # A process died while it wrote an entry.
                stream.write(b'\0' * (_ENTRY.size - rest))
            stream.write(b''.join(entries))
        self._refresh()

    def _refresh(self) -> None:
        """Read what was added to the list since it was read last."""
        try:
            status = self._vfs.stat(self._list)
            identity = status.st_dev, status.st_ino
            if identity != self._identity or status.st_size < self._read:
                # It is another file, which may have the same beginning.
                self._forget()
                self._identity = identity
            if status.st_size == self._read:
                return
            with self._vfs(self._list, b'rb') as stream:
                stream.seek(self._read)
                data = stream.read()
        except FileNotFoundError:
            self._forget()
            return
        data = data[: len(data) // _ENTRY.size * _ENTRY.size]
        self._read += len(data)
        for node, start, size in _ENTRY.iter_unpack(data):
            if size:
                self._places[node] = start, size

    def _forget(self) -> None:
        self._places.clear()
        self._read = 0
        self.close()

    def close(self) -> None:
        """Close files; they are opened again when they are needed."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def of_repo(repo: Any) -> LateTexts:
    """Return the texts that arrived later in ``repo``."""
    unfiltered = repo.unfiltered()
    found = vars(unfiltered).get('shallow_texts')
    if found is None:
        # A vfs of its own: that of the store warns of writes without a lock.
        vfs = vfsmod.vfs(raw_vfs(unfiltered).join(b''))
        vfs.createmode = unfiltered.store.createmode
        found = LateTexts(vfs)
        object.__setattr__(unfiltered, 'shallow_texts', found)
    return found


@contextlib.contextmanager
def kept_apart(repo: Any) -> Iterator[None]:
    """Keep what arrives meanwhile in a folder that is removed at the end.

    This is for data that moves into the storage of files at once.
    """
    repo = repo.unfiltered()
    texts = of_repo(repo)
    folder = tempfile.mkdtemp(prefix='hg-files-')
    try:
        repo.shallow_texts = apart = LateTexts(
            vfsmod.vfs(os.fsencode(folder)), others=texts
        )
        yield
        apart.close()
    finally:
        repo.shallow_texts = texts
        shutil.rmtree(folder, ignore_errors=True)


def raw_vfs(repo: Any) -> Any:
    """Return the vfs of the store in which names are never encoded."""
    return getattr(repo.store, 'rawvfs', repo.store.vfs)


def has_text(repo: Any, node: bytes) -> bool:
    """Return whether the data of a file revision has arrived later."""
    return node in of_repo(repo)


def read_text(repo: Any, node: bytes) -> bytes | None:
    """Return data that arrived later, unverified, or None."""
    return of_repo(repo).read(node)


def write_text(repo: Any, storage: Any, rev: int, text: bytes) -> None:
    """Keep ``text``, the data of the revision ``rev`` of ``storage``.

    It is written when ``flush`` of the texts is called, or with more of them.
    Raises ``StorageError`` if the data does not match the node.
    """
    node = storage.node(rev)
    storage.checkhash(text, node, rev=rev)
    of_repo(repo).add(node, text)
