# SPDX-License-Identifier: GPL-2.0-or-later
"""Blobs as files, in the layout of Mercurial's own lfs extension.

``objects/ab/cdef…`` below the root; a blob may also be found in a second
tree of the same layout, the cache which that extension shares between all
repositories of a user.  Files appear complete, synced and under their final
name, or not at all.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress

from .. import errors
from .blobs import Blob, Checked, FileSlice, Link, Piece, hash_file, is_oid
from .verified import Verdict, Verified

OBJECTS = 'objects'
INCOMING = 'incoming'
QUARANTINE = 'quarantine'

# What the system says when there is no room: the disk, a quota, a limit.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

_COPY_CHUNK = 1024 * 1024


@contextmanager
def translated() -> Iterator[None]:
    """Turn errors of the file system into ours."""
    try:
        yield
    except FileNotFoundError:
        raise errors.NotFound('the object does not exist') from None
    except OSError as error:
        if error.errno in _FULL:
            raise errors.OutOfSpace(
                'there is not enough space left for the object'
            ) from error
        raise errors.StoreUnavailable(
            'the blob store failed', detail=str(error)
        ) from error


class _Incoming:
    """A file being written; it has left the directory once closed."""

    def __init__(self, directory: str, prefix: str) -> None:
        self._fd, self._name = tempfile.mkstemp(prefix=prefix, dir=directory)

    def write(self, piece: Piece) -> None:
        view = memoryview(piece)
        while view:
            view = view[os.write(self._fd, view) :]

    def install(self, target: str, mode: int) -> os.stat_result:
        """Sync the file and give it its final name."""
        os.fchmod(self._fd, mode)
        os.fsync(self._fd)
        os.replace(self._name, target)
        _sync_directory(os.path.dirname(target))
        return os.fstat(self._fd)

    def close(self) -> None:
        os.close(self._fd)
        with suppress(FileNotFoundError):
            os.unlink(self._name)

    def __enter__(self) -> _Incoming:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _sync_directory(path: str) -> None:
    """Make a rename inside of ``path`` survive a power loss."""
    opened = os.open(path, os.O_RDONLY)
    try:
        # Some network file systems cannot sync a directory; what they keep
        # is out of our hands.
        with suppress(OSError):
            os.fsync(opened)
    finally:
        os.close(opened)


class LocalStore:
    """A directory of blobs.

    ``root`` holds ``objects``; ``cache`` is the root of the shared cache
    (blobs directly below), or None; ``verified`` remembers hashes.
    ``file_mode`` and ``directory_mode`` are the permissions of what is
    created, the latter None for what the umask says.
    """

    def __init__(
        self,
        root: str,
        verified: Verified,
        *,
        cache: str | None = None,
        file_mode: int = 0o644,
        directory_mode: int | None = None,
    ) -> None:
        self._root = root
        self._objects = os.path.join(root, OBJECTS)
        self._incoming = os.path.join(root, INCOMING)
        self._cache = cache
        self._verified = verified
        self._file_mode = file_mode
        self._directory_mode = directory_mode

    def path(self, oid: str) -> str:
        """Where the file of the blob is, or would be."""
        return os.path.join(self._objects, oid[:2], oid[2:])

    def examine(self, oids: Iterable[str]) -> Mapping[str, Blob]:
        with translated():
            states = {}
            for oid in oids:
                state = self._state(oid)
                if state is not None:
                    states[oid] = state
            return self._judge(states)

    def _judge(self, states: Mapping[str, os.stat_result]) -> dict[str, Blob]:
        known = self._verified.get(states)
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
        self._verified.add(fresh)
        return found

    def _hash(self, oid: str) -> Verdict:
        with open(self.path(oid), 'rb', buffering=0) as file:
            state = os.fstat(file.fileno())
            intact = hash_file(file) == oid
        return Verdict(state.st_size, state.st_mtime_ns, intact)

    def _state(self, oid: str) -> os.stat_result | None:
        """The blob's file, fetched from the shared cache if need be."""
        path = self.path(oid)
        try:
            return os.stat(path)
        except FileNotFoundError:
            if not self._take_cached(oid):
                return None
        return os.stat(path)

    def _take_cached(self, oid: str) -> bool:
        """Link a blob from the shared cache, if it is there and intact."""
        if self._cache is None:
            return False
        source = os.path.join(self._cache, oid[:2], oid[2:])
        try:
            with open(source, 'rb', buffering=0) as file:
                if hash_file(file) != oid:
                    return False
        except OSError:
            # nothing depends on what a cache has
            return False
        self._link(source, self.path(oid))
        return True

    def _offer_cached(self, oid: str, mended: bool) -> None:
        """Let the shared cache have a new blob; it may decline.

        What replaces a corrupt blob also replaces the cache's: they may have
        been one file.
        """
        if self._cache is None:
            return
        cached = os.path.join(self._cache, oid[:2], oid[2:])
        with suppress(OSError):
            if mended:
                with suppress(FileNotFoundError):
                    os.unlink(cached)
            self._link(self.path(oid), cached)

    def _makedirs(self, path: str) -> None:
        if os.path.isdir(path):
            return
        self._makedirs(os.path.dirname(path))
        with suppress(FileExistsError):
            os.mkdir(path)
            if self._directory_mode is not None:
                os.chmod(path, self._directory_mode)

    def _link(self, source: str, target: str) -> None:
        """Give a file a second name, or copy it where that is impossible."""
        directory = os.path.dirname(target)
        self._makedirs(directory)
        try:
            os.link(source, target)
        except FileExistsError:
            return
        except OSError:
            with (
                open(source, 'rb', buffering=0) as file,
                _Incoming(directory, '.') as new,
            ):
                while data := file.read(_COPY_CHUNK):
                    new.write(data)
                new.install(target, self._file_mode)

    def read(self, blob: Blob, start: int, stop: int) -> Iterable[bytes]:
        with translated():
            file = open(self.path(blob.oid), 'rb', buffering=0)
        return FileSlice(file, start, stop - start)

    def put(self, oid: str, pieces: Iterable[Piece], size: int | None) -> bool:
        checked = Checked(pieces)
        known = self.examine([oid]).get(oid)
        if known is not None and known.intact:
            for _piece in checked:
                pass
            checked.finish(oid, size)
            return False
        with translated():
            self._makedirs(self._incoming)
            self._check_room(size)
            with _Incoming(self._incoming, f'{oid[:16]}-') as new:
                for piece in checked:
                    new.write(piece)
                checked.finish(oid, size)
                path = self.path(oid)
                self._makedirs(os.path.dirname(path))
                state = new.install(path, self._file_mode)
            self._offer_cached(oid, mended=known is not None)
        self._verified.add(
            {oid: Verdict(state.st_size, state.st_mtime_ns, True)}
        )
        return known is None

    def _check_room(self, size: int | None) -> None:
        """Refuse what cannot fit before a byte of it is received."""
        if size is None:
            return
        room = os.statvfs(self._incoming)
        if size > room.f_bavail * room.f_frsize:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def walk(self) -> Iterator[Blob]:
        with translated():
            for shard in _names(self._objects):
                directory = os.path.join(self._objects, shard)
                if len(shard) != 2 or not os.path.isdir(directory):
                    continue
                for name in _names(directory):
                    oid = shard + name
                    if not is_oid(oid):
                        continue
                    with suppress(FileNotFoundError):
                        state = os.stat(self.path(oid))
                        yield Blob(oid, state.st_size, state.st_mtime)

    def rehash(self, oid: str) -> bool:
        with translated():
            verdict = self._hash(oid)
        self._verified.add({oid: verdict})
        return verdict.intact

    def delete(self, oid: str) -> None:
        with translated(), suppress(FileNotFoundError):
            os.unlink(self.path(oid))
        self._verified.discard(oid)

    def quarantine(self, oid: str) -> str:
        directory = os.path.join(self._root, QUARANTINE)
        target = os.path.join(directory, oid)
        with translated():
            self._makedirs(directory)
            os.replace(self.path(oid), target)
            _sync_directory(directory)
        self._verified.discard(oid)
        return target

    def sweep(self, before: float) -> int:
        count = 0
        with translated():
            for name in _names(self._incoming):
                path = os.path.join(self._incoming, name)
                with suppress(FileNotFoundError):
                    if os.stat(path).st_mtime < before:
                        os.unlink(path)
                        count += 1
        return count

    def link(self, method: str, oid: str, lifetime: int) -> Link | None:
        return None

    def settle(self, oid: str) -> None:
        """Nothing to do: all content comes through ``put``."""


def _names(path: str) -> list[str]:
    try:
        return sorted(os.listdir(path))
    except FileNotFoundError:
        return []
