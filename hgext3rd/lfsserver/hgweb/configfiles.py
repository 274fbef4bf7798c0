# SPDX-License-Identifier: GPL-2.0-or-later
"""The files that decide how a repository is served, and whether they changed.

While a configuration is read, hooks in Mercurial's parser call ``note``, so that
files which others include are known as well. Nothing here knows what the files
say.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mercurial import encoding, pycompat, util

# Files below .hg. A share has its own files, and also uses those of its source.
NAMES = (b'hgrc', b'hgrc-not-shared')

# Files below .hg that say what a repository is. They are also written anew for
# a repository that takes the place of another.
_IDENTITY = (b'requires', b'sharedpath', b'store/requires')

# The modification and change times (ns), size and inode of a file; None if it
# is missing.
FileState = tuple[int, int, int, int] | None

# Seconds during which a file can be written twice without getting another
# time: a tick of the kernel's clock, or the resolution of file systems that
# keep whole seconds.
_TICK = 0.1
_SECOND = 2.0

_local = threading.local()


def files_of(repo: Any) -> list[bytes]:
    """Return the paths where ``repo`` may have configuration files."""
    return [
        os.path.join(folder, name)
        for folder in sorted({repo.path, repo.sharedpath})
        for name in NAMES
    ]


def states(files: list[bytes]) -> tuple[FileState, ...]:
    """Return a value that changes when a file is written or removed."""
    return tuple(_state(path) for path in files)


def _state(path: bytes) -> FileState:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino


def _identity(folder: bytes) -> tuple[int, int] | None:
    """Return the device and the inode of a directory, or None without one."""
    try:
        found = os.stat(folder)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _is_settled(state: FileState, now: float) -> bool:
    """Return whether any later change gives the file another state."""
    if state is None:
        return True
    changed = state[1]
    coarse = changed % 1_000_000_000 == 0
    return abs(now - changed / 1e9) > (_SECOND if coarse else _TICK)


class Watch:
    """The states of files; each was taken before the file was read."""

    def __init__(self) -> None:
        self._states: dict[bytes, FileState] = {}
        # Directories whose content may change.
        self._identities: dict[bytes, tuple[int, int] | None] = {}
        self._settled = True

    def add(self, path: bytes) -> None:
        """Watch a file, which is about to be read, or a directory."""
        if path not in self._states:
            state = self._states[path] = _state(path)
            self._settled = self._settled and _is_settled(state, time.time())

    def add_repository(self, root: bytes) -> None:
        """Watch what tells the repository at ``root`` from another one."""
        folder = os.path.join(root, b'.hg')
        self._identities[folder] = _identity(folder)
        for name in _IDENTITY:
            self.add(os.path.join(folder, name))

    def add_folders(self) -> None:
        """Watch the folders from which Mercurial reads every file."""
        variable = encoding.environ.get(b'HGRCPATH')
        if variable is not None:
            for entry in variable.split(pycompat.ospathsep):
                path = util.expandpath(entry)
                if os.path.isdir(path):
                    self.add(path)
            return
        for path in list(self._states):
            folder, name = os.path.split(path)
            if name == b'hgrc':
                self.add(os.path.join(folder, b'hgrc.d'))

    def holds(self) -> bool:
        """Return whether no file has changed.

        Returns False as well as long as a change could remain unnoticed.
        """
        return (
            self._settled
            and all(_state(path) == was for path, was in self._states.items())
            and all(
                _identity(path) == was for path, was in self._identities.items()
            )
        )


@contextmanager
def recorded() -> Iterator[Watch]:
    """Watch the configuration files that this thread reads in the block."""
    previous = getattr(_local, 'watch', None)
    _local.watch = watch = Watch()
    try:
        yield watch
    finally:
        _local.watch = previous


def note(path: bytes) -> None:
    """Watch a file that this thread is about to read."""
    watch = getattr(_local, 'watch', None)
    if watch is not None:
        watch.add(path)
