# SPDX-License-Identifier: GPL-2.0-or-later
"""Differences between Mercurial's versions that several extensions meet."""

from __future__ import annotations

from typing import Any


def writable_file(repo: Any, path: bytes) -> Any:
    """Return the filelog of ``path``, opened for writing."""
    try:
        return repo.file(path, writable=True)
    except TypeError:
        # hg <= 7.0: every file is writable.
        return repo.file(path)
