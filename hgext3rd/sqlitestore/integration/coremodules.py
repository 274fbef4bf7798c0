# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the supported Mercurial versions keep the functions hooks.py wraps.

This module is imported whenever the extension is loaded, so it must not load
any of the modules it names. That is why its functions are not in compat.py.
"""

from __future__ import annotations

from typing import Any

from mercurial import hg, localrepo


def creation_module() -> Any:
    """Return the module that chooses the requirements of a new repository."""
    try:
        from mercurial.repo import creation
    except ImportError:
        # hg <= 7.1
        return localrepo
    return creation


def creation_function(module: Any) -> str:
    """Return the name of the function in ``module`` that chooses them."""
    # The second name is that of hg <= 7.1.
    new, old = 'new_repo_requirements', 'newreporequirements'
    return new if hasattr(module, new) else old


def copy_store_module() -> Any:
    """Return the module that copies a store for "hg unshare"."""
    try:
        from mercurial.cmd_impls import clone
    except ImportError:
        # hg <= 7.1
        return hg
    return clone


def copy_store_function(module: Any) -> str:
    """Return the name of the function in ``module`` that copies it."""
    # The second name is that of hg <= 7.1.
    new, old = 'copy_store', 'copystore'
    return new if hasattr(module, new) else old
