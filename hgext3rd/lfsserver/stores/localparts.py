# SPDX-License-Identifier: GPL-2.0-or-later
"""Uploads in progress that can be resumed, in the directories of blobs.

An upload is a file beside the blob that it becomes, and grows: its size is the
offset at which the client goes on. The newest request of a client wins: it
renames the file, and requests before it, which may hang on a dead connection in
another process, notice that and stop. So nobody can write to a file that has
become a blob. Nothing here knows HTTP.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

from .. import errors
from .blobs import PARTS_LIFETIME
from .content import Block, hash_file
from .files import FileCreator, names_in, translated_errors

# The names of the files begin with this. Names of all uploads in progress begin
# with a part of it.
PREFIX = '.upload-part-'

# Seconds between two searches for uploads that have expired.
_SEARCH_INTERVAL = 3600.0


def part_oid(shard: str, name: str) -> str | None:
    """Return the oid of the upload in the file ``name`` of a directory.

    Returns None for other files.
    """
    if not name.startswith(PREFIX):
        return None
    return shard + name[len(PREFIX) :].partition('-')[0]


class LocalParts:
    """The uploads below the directory ``objects``; implements ResumableUploads.

    Files and directories are made by ``creator``. ``adopt`` makes a blob of a
    complete and verified file: it takes the oid, the path and a descriptor.
    """

    def __init__(
        self,
        objects: str,
        creator: FileCreator,
        adopt: Callable[[str, str, int], None],
    ) -> None:
        self._objects = objects
        self._creator = creator
        self._adopt = adopt
        self._searched = float('-inf')

    def _find(self, oid: str, size: int) -> str | None:
        """Return the path of an upload, or None if it has not begun."""
        prefix = f'{PREFIX}{oid[2:]}-{size}-'
        directory = os.path.join(self._objects, oid[:2])
        for name in names_in(directory):
            if name.startswith(prefix):
                return os.path.join(directory, name)
        return None

    def _path(self, oid: str, size: int) -> str:
        name = f'{PREFIX}{oid[2:]}-{size}-{secrets.token_hex(8)}'
        return os.path.join(self._objects, oid[:2], name)

    def offset(self, oid: str, size: int) -> int:
        """See ResumableUploads."""
        with translated_errors():
            path = self._find(oid, size)
            if path is None:
                return 0
            with suppress(FileNotFoundError):
                return os.stat(path).st_size
        return 0

    def append(
        self, oid: str, size: int, offset: int, blocks: Iterable[Block]
    ) -> int:
        """See ResumableUploads."""
        with translated_errors():
            fd, path = self._take(oid, size)
        try:
            if os.fstat(fd).st_size != offset:
                raise errors.Conflict('the upload continues at another offset')
            for block in blocks:
                with translated_errors(), _owned(fd, path):
                    view = memoryview(block)
                    while view:
                        count = os.pwrite(fd, view, offset)
                        view = view[count:]
                        offset += count
            if offset == size:
                self._finish(oid, fd, path)
            return offset
        finally:
            with suppress(OSError):
                if not os.fstat(fd).st_size:
                    os.unlink(path)
            os.close(fd)

    def _take(self, oid: str, size: int) -> tuple[int, str]:
        """Open the file of an upload under a new name; begin a new upload."""
        path = self._path(oid, size)
        known = self._find(oid, size)
        if known is not None:
            with suppress(FileNotFoundError):
                fd = os.open(known, os.O_RDWR)
                try:
                    with _owned(fd, known):
                        os.rename(known, path)
                except BaseException:
                    os.close(fd)
                    raise
                return fd, path
        self._remove_old()
        self._creator.make_directories(os.path.dirname(path))
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        os.fchmod(fd, self._creator.file_mode)
        return fd, path

    def finish(self, oid: str, size: int) -> None:
        """See ResumableUploads."""
        with translated_errors():
            if self.offset(oid, size) < size:
                return
            fd, path = self._take(oid, size)
        try:
            self._finish(oid, fd, path)
        finally:
            os.close(fd)

    def _finish(self, oid: str, fd: int, path: str) -> None:
        with translated_errors(), _owned(fd, path):
            with open(path, 'rb', buffering=0) as file:
                intact = hash_file(file) == oid
            if intact:
                self._adopt(oid, path, fd)
            else:
                os.unlink(path)
        if not intact:
            raise errors.Invalid('the content does not match its oid')

    def _remove_old(self) -> None:
        """Remove the uploads that have expired; look only once in a while."""
        if time.monotonic() - self._searched < _SEARCH_INTERVAL:
            return
        self._searched = time.monotonic()
        before = time.time() - PARTS_LIFETIME
        for shard in names_in(self._objects):
            directory = os.path.join(self._objects, shard)
            with suppress(NotADirectoryError):
                for name in names_in(directory):
                    path = os.path.join(directory, name)
                    with suppress(FileNotFoundError):
                        if (
                            part_oid(shard, name)
                            and os.stat(path).st_mtime < before
                        ):
                            os.unlink(path)


@contextmanager
def _owned(fd: int, path: str) -> Iterator[None]:
    """Lock the file; raise Conflict if a newer request has taken it over."""
    fcntl.flock(fd, fcntl.LOCK_EX)
    try:
        try:
            state = os.stat(path)
        except FileNotFoundError:
            state = None
        if state is None or not os.path.samestat(state, os.fstat(fd)):
            raise errors.Conflict('a newer request continues this upload')
        yield
    finally:
        fcntl.flock(fd, fcntl.LOCK_UN)
