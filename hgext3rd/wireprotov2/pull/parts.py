# SPDX-License-Identifier: GPL-2.0-or-later
"""What has arrived of segments, kept until they are applied.

A small segment is kept in memory. A large one is a file in a folder of the
repository, so that its download can continue in a later process. The name of
the file says what the bytes are part of; nothing in the file is trusted. Nothing
here knows how segments are fetched.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import shutil
import tempfile
import threading
from collections.abc import Collection, Iterator
from typing import IO, Any

from mercurial.node import hex

#: The folder, in ``.hg``.
FOLDER = b'wireprotov2-parts'

#: Segments of more bytes are files.
IN_MEMORY = 1024 * 1024

#: Bytes that ``content`` yields at a time.
READ_SIZE = 1024 * 1024


class Parts:
    """The parts of segments in the repository whose ``.hg`` is ``vfs``."""

    def __init__(self, vfs: Any) -> None:
        self._folder: bytes = vfs.join(FOLDER)
        self._vfs = vfs
        # Threads that fetch segments may go on after ``forget``.
        self._lock = threading.Lock()
        self._closed = False

    def size(self) -> int:
        """Return the bytes of all files, of this process and earlier ones."""
        total = 0
        for name in self._names():
            with contextlib.suppress(OSError):
                total += os.stat(os.path.join(self._folder, name)).st_size
        return total

    def keep_only(self, names: Collection[bytes]) -> None:
        """Remove what belongs to other segments than ``names``."""
        wanted = set(map(hex, names))
        for name in self._names():
            if name.partition(b'-')[0] not in wanted:
                self._remove(name)

    def remove(self, segment: bytes) -> None:
        """Remove what is there of a segment."""
        for name in self._names():
            if name.partition(b'-')[0] == hex(segment):
                self._remove(name)

    def forget(self) -> None:
        """Remove everything, and write no files from now on."""
        with self._lock:
            self._closed = True
            shutil.rmtree(self._folder, ignore_errors=True)

    def find(self, segment: bytes) -> Part:
        """Return what earlier processes got of a segment, or an empty part."""
        part = Part(self, segment)
        for name in self._names():
            if name.partition(b'-')[0] == hex(segment):
                part.load(name)
                break
        return part

    def open(self, name: bytes) -> IO[bytes] | None:
        """Return the file ``name``, created if need be.

        Return None if it cannot be used: another process writes to it, it
        belongs to another user, or the parts were forgotten.
        """
        path = os.path.join(self._folder, name)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        with self._lock:
            if self._closed:
                return None
            try:
                self._vfs.makedirs(FOLDER)
                stream = os.fdopen(os.open(path, flags, 0o666), 'r+b')
            except OSError:
                return None
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                stream.close()
                return None
            return stream

    def _names(self) -> list[bytes]:
        try:
            return os.listdir(self._folder)
        except OSError:
            return []

    def _remove(self, name: bytes) -> None:
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(self._folder, name))


class Part:
    """The first bytes of a segment of ``size`` bytes with the digest ``sha256``.

    ``received`` is how many there are. As long as that is zero, size and digest
    have no meaning. An instance is used by one thread at a time.
    """

    def __init__(self, parts: Parts, segment: bytes) -> None:
        self._parts = parts
        self._segment = segment
        self._name = b''
        self._stream: IO[bytes] = io.BytesIO()
        self.size = 0
        self.sha256 = b''
        self.received = 0
        #: the most bytes that were there at any time
        self.most = 0

    def load(self, name: bytes) -> None:
        """Take what is in the file ``name``, whatever process wrote it."""
        try:
            _segment, digest, size = name.split(b'-')
            self.sha256, self.size = bytes.fromhex(digest.decode()), int(size)
        except ValueError:
            self._parts._remove(name)
            return
        stream = self._parts.open(name)
        if stream is None:
            return
        self._name, self._stream = name, stream
        # The last byte is always fetched again: until then, nothing says that
        # the others belong to what the server has now.
        self.received = max(0, min(stream.seek(0, 2), self.size - 1))
        self.cut(self.received)
        self.most = self.received

    def begin(self, size: int, sha256: bytes) -> None:
        """Forget what is there, and expect ``size`` bytes."""
        self.drop()
        self.size, self.sha256 = size, sha256
        if size > IN_MEMORY:
            name = b'%s-%s-%d' % (hex(self._segment), hex(sha256), size)
            stream = self._parts.open(name)
            if stream is None:
                self._stream = tempfile.TemporaryFile(prefix='hg-segment-')
            else:
                self._name, self._stream = name, stream
                self._stream.truncate(0)

    def is_of(self, size: object, sha256: object) -> bool:
        """Return whether the bytes are the first of this payload."""
        return bool(self.received) and (self.size, self.sha256) == (
            size,
            sha256,
        )

    def cut(self, size: int) -> None:
        """Keep the first ``size`` bytes."""
        self._stream.truncate(size)
        self._stream.seek(size)
        self.received = size

    def write(self, data: bytes) -> None:
        """Add bytes, which are in the file when this returns."""
        self._stream.write(data)
        self._stream.flush()
        self.received += len(data)
        self.most = max(self.most, self.received)

    def content(self, read_size: int = READ_SIZE) -> Iterator[bytes]:
        """Yield the bytes that are there, ``read_size`` at a time."""
        self._stream.seek(0)
        left = self.received
        while left and (data := self._stream.read(min(left, read_size))):
            left -= len(data)
            yield data
        self._stream.seek(self.received)

    def drop(self) -> None:
        """Forget what is there, also in the file."""
        if self._name:
            self._parts._remove(self._name)
        self._stream.close()
        self._name, self._stream = b'', io.BytesIO()
        self.received = 0

    def finished(self) -> IO[bytes]:
        """Return the stream, at its beginning.

        Closing it leaves the file, see ``drop``.
        """
        self._stream.seek(0)
        return self._stream

    def close(self) -> None:
        """Close the file and leave it for a later process."""
        self._stream.close()
