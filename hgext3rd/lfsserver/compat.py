# SPDX-License-Identifier: GPL-2.0-or-later
"""The differences between the supported versions of Mercurial."""

from __future__ import annotations

from typing import Any


def open_repository(ui: Any, path: bytes) -> Any:
    """Return the repository at ``path``."""
    try:
        from mercurial.repo import factory

        opener = factory.repository
    except (ImportError, AttributeError):  # hg <= 7.1
        from mercurial import hg

        opener = hg.repository
    return opener(ui, path)
