# SPDX-License-Identifier: GPL-2.0-or-later
"""The cache of blobs that core's lfs extension shares between repositories.

The cache belongs to the user who runs the server. Nothing depends on its
content: entries that cannot be read or written are skipped.
"""

from __future__ import annotations

import os
from contextlib import suppress

from .content import hash_file
from .files import FileCreator


class UserCache:
    """The cache below the directory ``root``: blobs are at ``ab/cdef…``.

    ``creator`` creates new files and directories.
    """

    def __init__(self, root: str, creator: FileCreator) -> None:
        self._root = root
        self._creator = creator

    def _path(self, oid: str) -> str:
        return os.path.join(self._root, oid[:2], oid[2:])

    def take(self, oid: str, target: str) -> bool:
        """Link an intact blob to ``target`` and return whether it exists."""
        source = self._path(oid)
        try:
            with open(source, 'rb', buffering=0) as file:
                if hash_file(file) != oid:
                    return False
        except OSError:
            return False
        self._creator.link(source, target)
        return True

    def offer(self, oid: str, source: str, *, repaired: bool) -> None:
        """Add a blob from the file at ``source``.

        ``repaired`` says that the blob replaces a corrupt one. It then also
        replaces the entry of the cache, which may have been the same file.
        """
        path = self._path(oid)
        with suppress(OSError):
            if repaired:
                with suppress(FileNotFoundError):
                    os.unlink(path)
            self._creator.link(source, path)

    def remove(self, oid: str) -> None:
        """Remove the entry for a blob that has been deleted."""
        with suppress(OSError):
            os.unlink(self._path(oid))

    def remove_same(self, oid: str, path: str) -> None:
        """Remove the entry for a blob if it is the same file as ``path``."""
        entry = self._path(oid)
        with suppress(OSError):
            if os.path.samefile(entry, path):
                os.unlink(entry)
