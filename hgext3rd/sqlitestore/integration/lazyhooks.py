# SPDX-License-Identifier: GPL-2.0-or-later
"""Wrapping parts of modules that are not loaded yet.

Mercurial imports its modules on demand. Wrapping a function of one loads it,
with all it imports: that would add a quarter to ``hg version``. Here the wrap
waits until the module is used.
"""

from __future__ import annotations

import importlib.util
import weakref
from collections.abc import Callable
from typing import Any

_LazyModule: Any = getattr(importlib.util, '_LazyModule', None)


class _Loader:
    """A module's loader, followed by a call."""

    def __init__(self, loader: Any, action: Callable[[Any], None]) -> None:
        self._loader = loader
        # With a strong one the modules would keep each other alive when the
        # process ends, and taking them apart one by one takes 3 ms.
        self._action = weakref.ref(action)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def exec_module(self, module: Any) -> None:
        """Load the module, then wrap it."""
        self._loader.exec_module(module)
        action = self._action()
        if action is not None:
            action(module)


def when_loaded(module: Any, action: Callable[[Any], None]) -> None:
    """Call ``action(module)`` now, or as soon as a lazy module is loaded.

    ``action`` must be a function of a module: it is not kept alive here.
    """
    if _LazyModule is None or object.__getattribute__(
        module, '__class__'
    ) is not (_LazyModule):
        action(module)
        return
    # Reading an attribute in the usual way would load it.
    spec = object.__getattribute__(module, '__spec__')
    spec.loader = _Loader(spec.loader, action)
