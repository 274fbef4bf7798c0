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


def hgweb_applications() -> tuple[type, type]:
    """Return the WSGI applications for one and for several repositories."""
    try:
        from mercurial.hgweb import hgweb_mod_inner, hgwebdir_mod_inner

        return hgweb_mod_inner.hgweb, hgwebdir_mod_inner.hgwebdir
    except ImportError:  # hg <= 7.1
        from mercurial.hgweb import hgweb_mod, hgwebdir_mod

        return hgweb_mod.hgweb, hgwebdir_mod.hgwebdir
