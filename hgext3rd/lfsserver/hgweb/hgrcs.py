# SPDX-License-Identifier: GPL-2.0-or-later
"""The configuration files of a repository, and whether they have changed."""

from __future__ import annotations

import os
from typing import Any

# Files below .hg, also of the source of a share.
NAMES = (b'hgrc', b'hgrc-not-shared')

# What tells states of a file apart; None if there is no file.
State = tuple[int, int, int] | None


def files_of(repo: Any) -> list[bytes]:
    """Where ``repo`` may have configuration files."""
    return [
        os.path.join(folder, name)
        for folder in sorted({repo.path, repo.sharedpath})
        for name in NAMES
    ]


def states(files: list[bytes]) -> tuple[State, ...]:
    """What changes when one of ``files`` is written, made or removed."""
    return tuple(_state(path) for path in files)


def _state(path: bytes) -> State:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
