# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the supported Mercurial versions keep what hooks.py wraps.

Apart from compat.py because it must not load anything.
"""

from __future__ import annotations

from typing import Any

from mercurial import hg, localrepo


def creation_hooks(action: Any) -> list[tuple[Any, Any]]:
    """[(module, action on it)] for the function that chooses requirements."""
    try:
        from mercurial.repo import creation
    except ImportError:
        # hg <= 7.1
        return [(localrepo, lambda m: action(m, 'newreporequirements'))]
    return [(creation, lambda m: action(m, 'new_repo_requirements'))]


def copy_store_hooks(action: Any) -> list[tuple[Any, Any]]:
    """[(module, action on it)] for the function that unshare copies with."""
    try:
        from mercurial.cmd_impls import clone
    except ImportError:
        # hg <= 7.1
        return [(hg, lambda m: action(m, 'copystore'))]
    return [(clone, lambda m: action(m, 'copy_store'))]
