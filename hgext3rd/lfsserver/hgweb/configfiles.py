# SPDX-License-Identifier: GPL-2.0-or-later
"""The configuration files of a repository, and whether they have changed."""

from __future__ import annotations

import os
from typing import Any

# Files below .hg. A share has its own files, and also uses those of its source.
NAMES = (b'hgrc', b'hgrc-not-shared')

# The modification time (ns), size and inode of a file; None if it is missing.
FileState = tuple[int, int, int] | None


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
    return found.st_mtime_ns, found.st_size, found.st_ino
