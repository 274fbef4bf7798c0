# SPDX-License-Identifier: GPL-2.0-or-later
"""Creation of files and directories for stores on a file system.

New files appear complete, synced and under their final name, or not at all.
Nothing here knows blobs or their layout.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from ...amalgam import durable
from .. import errors
from .content import Block

# The errors of a full disk, of an exceeded quota and of a file that exceeds the
# limit for its size.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

# Bytes that are copied at a time.
_COPY_BLOCK = 1024 * 1024


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn errors of the file system into errors of this package."""
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


class NewFile:
    """A temporary file, which is deleted unless ``install`` names it.

    Use it as a context manager.
    """

    def __init__(self, directory: str, prefix: str) -> None:
        name = prefix + secrets.token_hex(8)
        self._directory = directory
        self._name = os.path.join(directory, name)
        self._fd = os.open(
            self._name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600
        )

    def write(self, block: Block) -> None:
        """Append a block."""
        view = memoryview(block)
        while view:
            view = view[os.write(self._fd, view) :]

    def install(
        self, target: str, mode: int, parents: Sequence[str] = ()
    ) -> os.stat_result:
        """Sync the file, rename it to ``target`` and return its state.

        ``parents`` are directories above whose names have to be synced, too.
        """
        os.fchmod(self._fd, mode)
        os.fsync(self._fd)
        os.replace(self._name, target)
        for directory in (self._directory, *parents):
            durable.sync_directory(directory)
        return os.fstat(self._fd)

    def __enter__(self) -> NewFile:
        return self

    def __exit__(self, *exc: object) -> None:
        os.close(self._fd)
        with suppress(FileNotFoundError):
            os.unlink(self._name)


class FileCreator:
    """Creates files and directories with the permissions of a store.

    Files get ``file_mode``. Directories get ``directory_mode``, or the default
    of the umask if it is None.
    """

    def __init__(
        self, file_mode: int = 0o644, directory_mode: int | None = None
    ) -> None:
        self.file_mode = file_mode
        self._directory_mode = directory_mode

    def make_directories(self, path: str) -> None:
        """Create a directory and its missing parents, and sync their names."""
        for parent in self.make_unsynced(path):
            durable.sync_directory(parent)

    def make_unsynced(self, path: str) -> list[str]:
        """Create a directory and its missing parents.

        Returns the directories that have to be synced so that they last.
        """
        if os.path.isdir(path):
            return []
        parent = os.path.dirname(path)
        parents = self.make_unsynced(parent)
        with suppress(FileExistsError):
            os.mkdir(path)
            if self._directory_mode is not None:
                os.chmod(path, self._directory_mode)
        return [parent, *parents]

    def make_file(self, path: str) -> None:
        """Create an empty file and its missing parents, unless it exists."""
        if os.path.exists(path):
            return
        self.make_directories(os.path.dirname(path))
        with suppress(FileExistsError):
            fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                os.fchmod(fd, self.file_mode)
            finally:
                os.close(fd)

    def link(self, source: str, target: str) -> None:
        """Give a file a second name, or copy it where that is impossible.

        An existing target is kept.
        """
        self.make_directories(os.path.dirname(target))
        try:
            os.link(source, target)
        except FileExistsError:
            return
        except OSError:
            self._copy(source, target)

    def move(self, source: str, target: str) -> None:
        """Rename a file, also to another file system, and sync its new name."""
        directory = os.path.dirname(target)
        self.make_directories(directory)
        try:
            os.replace(source, target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            self._copy(source, target)
            os.unlink(source)
        durable.sync_directory(directory)

    def _copy(self, source: str, target: str) -> None:
        with (
            open(source, 'rb', buffering=0) as file,
            NewFile(os.path.dirname(target), '.') as new,
        ):
            while data := file.read(_COPY_BLOCK):
                new.write(data)
            new.install(target, self.file_mode)


# For files that nobody but the user of this process has to change.
PRIVATE = FileCreator()


def names_in(directory: str) -> list[str]:
    """Return the sorted names in a directory; none if it does not exist."""
    try:
        return sorted(os.listdir(directory))
    except FileNotFoundError:
        return []
