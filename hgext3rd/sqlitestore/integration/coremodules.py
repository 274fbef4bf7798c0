# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the supported Mercurial versions keep what hooks.py wraps.

Apart from compat.py because it must not load anything.
"""

from __future__ import annotations

from typing import Any

from mercurial import hg, localrepo


def creation_module() -> Any:
    """Where the requirements of a new repository are chosen."""
    try:
        from mercurial.repo import creation
    except ImportError:
        # hg <= 7.1
        return localrepo
    return creation


def creation_function(module: Any) -> str:
    """The name of the function that chooses them."""
    # hg <= 7.1 has the other one
    new, old = 'new_repo_requirements', 'newreporequirements'
    return new if hasattr(module, new) else old


def copy_store_module() -> Any:
    """Where unshare copies the store of its source."""
    try:
        from mercurial.cmd_impls import clone
    except ImportError:
        # hg <= 7.1
        return hg
    return clone


def copy_store_function(module: Any) -> str:
    """The name of the function that copies it."""
    # hg <= 7.1 has the other one
    new, old = 'copy_store', 'copystore'
    return new if hasattr(module, new) else old
