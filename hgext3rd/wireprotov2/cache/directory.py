# SPDX-License-Identifier: GPL-2.0-or-later
"""A cacher in a directory, shared by the processes of one machine.

Entries are files ``entries/<2 digits>/<38 digits>``. They are written under
another name and renamed, so a reader sees a whole one or none. The modification
time of a file says when it was last used, and eviction removes the oldest.
Nothing is synced to disk: an entry that a crash tears does not match the
checksum in it. Nothing here knows what an entry holds.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager

from . import base

DEFAULT_SIZE = 2 * 1024 * 1024 * 1024

#: Eviction removes entries until this share of the size is left, so that it is
#: rarely needed.
KEEP = 0.9
#: After writing this share of the size, a process measures the directory. N
#: processes together exceed the size by at most N times as much.
SCAN_SHARE = 1 / 16
#: Seconds for which an entry counts as just used. A hit within this time does
#: not write the modification time again.
FRESH = 600
#: Seconds after which a temporary file or lock file belongs to a dead process.
STALE = 3600
#: Seconds to wait for another process that computes the same key, and between
#: two attempts to get its lock.
PATIENCE = 60.0
POLL = 0.05
#: Seconds for which ``usage`` repeats what it found. Looking at 10,000 entries
#: takes 30 ms of CPU time.
USAGE_LIFETIME = 60.0


class DirectoryCacher(base.Cacher):
    """Keeps about ``size`` bytes in files below ``path``."""

    def __init__(self, path: bytes, size: int = DEFAULT_SIZE) -> None:
        self._entries = os.path.join(path, b'entries')
        self._temporary = os.path.join(path, b'tmp')
        self._locks = os.path.join(path, b'locks')
        self._size = size
        self._lock = threading.Lock()
        # Bytes written since the directory was measured; None before the first
        # write, which measures it.
        self._unscanned: int | None = None
        # What the directory held, and the monotonic time until which that is
        # repeated.
        self._usage: tuple[base.Usage, float] | None = None

    def _file(self, key: bytes) -> bytes:
        return os.path.join(self._entries, key[:2], key[2:])

    def get(self, key: bytes) -> bytes | None:
        """Return the data under ``key``, or None. Raises ``CacherError``."""
        return self.head(key, -1)

    def head(self, key: bytes, size: int) -> bytes | None:
        """Return the first ``size`` bytes under ``key``, or None.

        A negative size means all. Raises ``CacherError``.
        """
        try:
            with open(self._file(key), 'rb') as stream:
                data = stream.read(size)
                age = time.time() - os.fstat(stream.fileno()).st_mtime
        except FileNotFoundError:
            return None
        except OSError as e:
            raise base.CacherError(
                f'cannot read cache entry: {e.strerror}'
            ) from e
        if age > FRESH:
            # On read-only media this fails, and the entry is evicted sooner.
            with contextlib.suppress(OSError):
                os.utime(self._file(key))
        return data

    def put(self, key: bytes, data: bytes) -> None:
        """Keep ``data``, unless it is larger than the whole cache.

        Raises ``CacherError``.
        """
        if len(data) > self._size:
            return
        target = self._file(key)
        try:
            os.makedirs(self._temporary, exist_ok=True)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            self._write(target, data)
            self._account(len(data))
        except OSError as e:
            raise base.CacherError(
                f'cannot write cache entry: {e.strerror}'
            ) from e

    def remove(self, key: bytes) -> None:
        """Forget what is under ``key``. Raises ``CacherError``."""
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._file(key))
        except OSError as e:
            raise base.CacherError(
                f'cannot remove cache entry: {e.strerror}'
            ) from e

    def _write(self, target: bytes, data: bytes) -> None:
        fd, temporary = tempfile.mkstemp(dir=self._temporary)
        try:
            with os.fdopen(fd, 'wb') as stream:
                stream.write(data)
            os.chmod(temporary, 0o666 & ~_UMASK)
            os.replace(temporary, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise

    def _account(self, written: int) -> None:
        """Count written bytes; evict entries when there may be too many."""
        with self._lock:
            if self._unscanned is not None:
                self._unscanned += written
                if self._unscanned < self._size * SCAN_SHARE:
                    return
            self._unscanned = 0
        self.evict()

    def evict(self) -> None:
        """Remove the entries unused for longest if there are too many.

        One process does so at a time; others go on without waiting. Raises
        ``OSError`` if the directory itself is not accessible.
        """
        os.makedirs(self._locks, exist_ok=True)
        with _locked(os.path.join(self._locks, b'evict'), 0) as mine:
            if not mine:
                return
            self._remove_stale()
            self._remove_oldest()

    def _remove_oldest(self) -> None:
        files = list(_walk(self._entries))
        total = sum(size for _time, size, _path in files)
        if total <= self._size:
            return
        files.sort()
        for _time, size, path in files:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            total -= size
            if total <= self._size * KEEP:
                return

    def _remove_stale(self) -> None:
        """Remove temporary files and locks of processes that died."""
        limit = time.time() - STALE
        for folder in (self._temporary, self._locks):
            with contextlib.suppress(FileNotFoundError):
                for item in os.scandir(folder):
                    with contextlib.suppress(FileNotFoundError):
                        if item.stat().st_mtime < limit:
                            os.unlink(item.path)

    def lease(self, key: bytes) -> AbstractContextManager[None]:
        """Return a context that holds the lock file of ``key``.

        It is entered without the lock after ``PATIENCE`` seconds.
        """
        return self._lease(key)

    @contextlib.contextmanager
    def _lease(self, key: bytes) -> Iterator[None]:
        try:
            os.makedirs(self._locks, exist_ok=True)
        except OSError:
            # A directory that cannot be written to needs no lock.
            yield
            return
        with _locked(os.path.join(self._locks, key), PATIENCE):
            yield

    def usage(self) -> base.Usage:
        """Return what the directory holds, or held within the last minute.

        Raises ``CacherError``.
        """
        known = self._usage
        if known is not None and time.monotonic() < known[1]:
            return known[0]
        try:
            sizes = [size for _time, size, _path in _walk(self._entries)]
        except OSError as e:
            raise base.CacherError(
                f'cannot measure the cache: {e.strerror}'
            ) from e
        found = base.Usage(len(sizes), sum(sizes), self._size)
        self._usage = found, time.monotonic() + USAGE_LIFETIME
        return found


# The only portable way to read the umask is to set it, and other threads would
# see that. So it is read once, when the module is imported.
_UMASK = os.umask(0o022)
os.umask(_UMASK)


def _walk(folder: bytes) -> Iterator[tuple[float, int, bytes]]:
    """Yield (modification time, bytes on disk, path) of every entry."""
    with contextlib.suppress(FileNotFoundError):
        for shard in os.scandir(folder):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                for item in os.scandir(shard.path):
                    with contextlib.suppress(FileNotFoundError):
                        status = item.stat()
                        yield status.st_mtime, status.st_size, item.path


@contextlib.contextmanager
def _locked(path: bytes, patience: float) -> Iterator[bool]:
    """Hold a lock file; yield whether this process has the lock.

    Waits for the lock for up to ``patience`` seconds. The file is removed when
    the lock is released. A lock on a file that was removed in the meantime
    excludes nobody, so it is taken again.
    """
    deadline = time.monotonic() + patience
    fd = -1
    try:
        while True:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                held = False
            else:
                held = _same_file(fd, path)
                if held:
                    break
            os.close(fd)
            fd = -1
            if time.monotonic() >= deadline:
                break
            time.sleep(POLL)
    except OSError:
        held = False
        if fd >= 0:
            os.close(fd)
            fd = -1
    try:
        yield held
    finally:
        if fd >= 0:
            if held:
                with contextlib.suppress(OSError):
                    os.unlink(path)
            os.close(fd)


def _same_file(fd: int, path: bytes) -> bool:
    """Return whether ``path`` still is the open file ``fd``."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False


def from_settings(settings: base.Settings) -> DirectoryCacher:
    """Return the cacher that ``[wireprotov2]`` describes."""
    path = settings.get(b'directory.path', None)
    if not path:
        path = os.path.join(settings.folder, b'wireprotov2')
    size = settings.get_size(b'directory.size', DEFAULT_SIZE)
    return DirectoryCacher(path, size)
