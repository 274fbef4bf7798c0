# SPDX-License-Identifier: GPL-2.0-or-later
"""A store of blobs in a directory, in the layout of core's lfs extension.

A blob is the file ``objects/ab/cdef…`` below the root. ``objects``, or each
directory in it, may be a link or a mount point. This module knows
neither HTTP nor Mercurial.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

from ...amalgam import durable
from .. import errors
from ..formats.oids import is_oid
from .blobs import Blob
from .content import Block, CheckedContent, FileSlice, hash_file
from .files import FileCreator, NewFile, names_in, translated_errors
from .localparts import LocalParts, part_oid
from .usage import LocalUsage, Usage
from .usercache import UserCache
from .verdicts import Verdict, VerdictCache

OBJECTS = 'objects'

# The names of uploads in progress begin with this. They are in the directory
# that will have the blob, which may be on another file system than the root.
UNFINISHED = '.upload-'

QUARANTINE = 'quarantine'

# Seconds after which the name of a new blob is on the disk for certain. Another
# thread or process may have made the name and still wait for the disk.
_UNSURE = 60.0


class LocalStore:
    """The blobs below the directory ``root``.

    ``verdicts`` remembers which files have been hashed. ``creator`` creates new
    files and directories. ``cache`` is an additional source of blobs, which
    also receives new ones.

    Implements BlobStore and BlobMaintenance.
    """

    def __init__(
        self,
        root: str,
        verdicts: VerdictCache,
        creator: FileCreator,
        cache: UserCache | None = None,
    ) -> None:
        self._root = root
        self._objects = os.path.join(root, OBJECTS)
        self._verdicts = verdicts
        self._creator = creator
        self._cache = cache
        # The directories of blobs whose own names have been synced.
        self._lasting: set[str] = set()
        #: uploads that can be resumed
        self.partials = LocalParts(self._objects, creator, self.adopt)

    def path(self, oid: str) -> str:
        """Return the path of a blob, whether it exists or not."""
        return os.path.join(self._objects, oid[:2], oid[2:])

    def examine(self, oids: Iterable[str]) -> Mapping[str, Blob]:
        """See BlobStore."""
        with translated_errors():
            states = {}
            for oid in oids:
                state = self._state(oid)
                if state is not None:
                    states[oid] = state
            return self._judge(states)

    def _judge(self, states: Mapping[str, os.stat_result]) -> dict[str, Blob]:
        """Return blobs by oid; hash the files without a valid verdict."""
        known = self._verdicts.get(states)
        fresh = {}
        found = {}
        for oid, state in states.items():
            verdict = known.get(oid)
            if verdict is None or not verdict.holds(state):
                try:
                    verdict = fresh[oid] = self._hash(oid)
                except FileNotFoundError:
                    continue
            found[oid] = Blob(
                oid, verdict.size, verdict.mtime / 1e9, verdict.intact
            )
        self._verdicts.add(fresh)
        return found

    def _hash(self, oid: str) -> Verdict:
        with open(self.path(oid), 'rb', buffering=0) as file:
            state = os.fstat(file.fileno())
            intact = hash_file(file) == oid
        return Verdict(state.st_size, state.st_mtime_ns, intact)

    def _state(self, oid: str) -> os.stat_result | None:
        """Return the state of a blob's file; look for it in the cache, too."""
        path = self.path(oid)
        try:
            return os.stat(path)
        except FileNotFoundError:
            self._require_disk()
            if self._cache is None or not self._cache.take(oid, path):
                return None
        return os.stat(path)

    def _require_disk(self) -> None:
        """Raise StoreUnavailable if the target of a linked store is gone."""
        if os.path.islink(self._objects) and not os.path.isdir(self._objects):
            raise errors.StoreUnavailable(
                'the blob store failed',
                detail=f'{self._objects} is a link to a missing directory',
            )

    def read(self, blob: Blob, start: int, stop: int) -> Iterable[bytes]:
        """Return a FileSlice; see BlobStore."""
        with translated_errors():
            file = open(self.path(blob.oid), 'rb', buffering=0)
        return FileSlice(file, start, stop - start)

    def put(self, oid: str, blocks: Iterable[Block], size: int | None) -> bool:
        """See BlobStore; also raises OutOfSpace."""
        checked = CheckedContent(blocks)
        known = self.examine([oid]).get(oid)
        if known is not None and known.intact:
            for _block in checked:
                pass
            checked.finish(oid, size)
            self.secure([oid])
            return False
        with translated_errors():
            path = self.path(oid)
            directory = os.path.dirname(path)
            parents = self._make_shard(directory)
            _check_room(directory, size)
            with NewFile(directory, UNFINISHED) as new:
                for block in checked:
                    new.write(block)
                checked.finish(oid, size)
                state = new.install(path, self._creator.file_mode, parents)
            self._lasting.add(directory)
            self._added(oid, state, repaired=known is not None)
        return known is None

    def secure(self, oids: Iterable[str]) -> None:
        """See BlobStore."""
        after = time.time() - _UNSURE
        with translated_errors():
            directories = set()
            for oid in oids:
                path = self.path(oid)
                with suppress(FileNotFoundError):
                    if os.stat(path).st_ctime > after:
                        directories.add(os.path.dirname(path))
            for directory in directories:
                self._sync_shard(directory)

    def _make_shard(self, directory: str) -> Sequence[str]:
        """Create a directory for blobs; return what must be synced with it.

        Another thread or process may have just made it, and not synced it yet.
        """
        created = self._creator.make_unsynced(directory)
        if directory in self._lasting and not created:
            return ()
        return self._objects, self._root, os.path.dirname(self._root)

    def _sync_shard(self, directory: str) -> None:
        """Make sure that the names in a directory for blobs, and its own, last."""
        for name in (directory, *self._make_shard(directory)):
            durable.sync_directory(name)
        self._lasting.add(directory)

    def adopt(self, oid: str, path: str, fd: int) -> None:
        """Make a blob of the verified file at ``path``, open as ``fd``."""
        target = self.path(oid)
        repaired = os.path.exists(target)
        os.fchmod(fd, self._creator.file_mode)
        os.fsync(fd)
        os.replace(path, target)
        self._sync_shard(os.path.dirname(target))
        self._added(oid, os.fstat(fd), repaired=repaired)

    def _added(
        self, oid: str, state: os.stat_result, *, repaired: bool
    ) -> None:
        """Note that there is a verified file for a blob."""
        if self._cache is not None:
            self._cache.offer(oid, self.path(oid), repaired=repaired)
        self._verdicts.add(
            {oid: Verdict(state.st_size, state.st_mtime_ns, True)}
        )

    def usage(self) -> Usage:
        """See BlobMaintenance."""
        return LocalUsage(self._objects, part_oid)

    def walk(self) -> Iterator[Blob]:
        """See BlobMaintenance; other files in the directory are skipped."""
        with translated_errors():
            for directory in self._shards():
                for name in names_in(directory):
                    oid = os.path.basename(directory) + name
                    if not is_oid(oid):
                        continue
                    with suppress(FileNotFoundError):
                        state = os.stat(self.path(oid))
                        yield Blob(oid, state.st_size, state.st_mtime)

    def _shards(self) -> Iterator[str]:
        """Yield the directories that have blobs."""
        for shard in names_in(self._objects):
            directory = os.path.join(self._objects, shard)
            if len(shard) == 2 and os.path.isdir(directory):
                yield directory

    def rehash(self, oid: str) -> bool:
        """See BlobMaintenance."""
        with translated_errors():
            verdict = self._hash(oid)
        self._verdicts.add({oid: verdict})
        return verdict.intact

    def delete(self, oid: str) -> None:
        """See BlobMaintenance.

        The blob is also deleted from the cache, which would bring it back.
        Other repositories have names of their own for it.
        """
        if self._cache is not None:
            self._cache.remove(oid)
        with translated_errors(), suppress(FileNotFoundError):
            os.unlink(self.path(oid))
        self._verdicts.discard(oid)

    def quarantine(self, oid: str) -> str:
        """See BlobMaintenance; returns the new path."""
        directory = os.path.join(self._root, QUARANTINE)
        target = os.path.join(directory, oid)
        with translated_errors():
            if self._cache is not None:
                self._cache.remove_same(oid, self.path(oid))
            self._creator.move(self.path(oid), target)
        self._verdicts.discard(oid)
        return target

    def sweep(self, before: float) -> int:
        """See BlobMaintenance."""
        count = 0
        with translated_errors():
            for directory in self._shards():
                for name in names_in(directory):
                    if not name.startswith(UNFINISHED):
                        continue
                    path = os.path.join(directory, name)
                    with suppress(FileNotFoundError):
                        if os.stat(path).st_mtime < before:
                            os.unlink(path)
                            count += 1
        return count


def _check_room(directory: str, size: int | None) -> None:
    """Raise OSError if a file of ``size`` bytes does not fit."""
    if size is None:
        return
    room = os.statvfs(directory)
    if size > room.f_bavail * room.f_frsize:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
