# SPDX-License-Identifier: GPL-2.0-or-later
"""Differences between Mercurial's versions that several extensions meet."""

from __future__ import annotations

from typing import Any


def open_repository(ui: Any, path: bytes, create: bool = False) -> Any:
    """Return the repository at ``path``, which is created with ``create``."""
    try:
        from mercurial.repo import factory

        opener = factory.repository
    except (ImportError, AttributeError):  # hg <= 7.1
        from mercurial import hg

        opener = hg.repository
    return opener(ui, path, create=create)


def hgweb_module() -> Any:
    """Return the module of the application that serves one repository."""
    try:
        from mercurial.hgweb import hgweb_mod_inner as module
    except ImportError:
        from mercurial.hgweb import hgweb_mod as module  # hg <= 7.1
    return module


def hgwebdir_module() -> Any:
    """Return the module of the application that serves several repositories."""
    try:
        from mercurial.hgweb import hgwebdir_mod_inner as module
    except ImportError:
        from mercurial.hgweb import hgwebdir_mod as module  # hg <= 7.1
    return module


def writable_file(repo: Any, path: bytes) -> Any:
    """Return the filelog of ``path``, opened for writing."""
    try:
        return repo.file(path, writable=True)
    except TypeError:
        # hg <= 7.0: every file is writable.
        return repo.file(path)
