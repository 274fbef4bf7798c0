# SPDX-License-Identifier: GPL-2.0-or-later
"""Working with Mercurial's lazy modules.

Mercurial imports modules on demand: a lazy module is loaded when one of its
attributes is first read. Commands start faster that way, but there are two
problems, which this module solves:

* wrapping a function of a lazy module loads the module, with everything it
  imports. ``when_loaded`` waits until other code loads it;
* loading is not safe if two threads are the first to use a lazy module.
  ``load_modules`` loads everything before threads start.

Imported whenever an extension is loaded: keep it light.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import sys
import threading
import types
import weakref
from collections.abc import Callable, Iterable
from typing import Any

_LazyModule: Any = getattr(importlib.util, '_LazyModule', None)

_lock = threading.Lock()
_loaded: set[str] = set()


def _after_fork() -> None:
    """Renew the lock, which a thread of the parent may have held."""
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)


def is_loaded(name: str) -> bool:
    """Return whether the module ``name`` is imported and loaded."""
    module = sys.modules.get(name)
    return module is not None and type(module) is types.ModuleType


def load_modules(names: Iterable[str]) -> None:
    """Import ``names``, and load every lazy module imported so far.

    Call it before a process serves requests in threads. Threads that call it
    at the same time wait for the first. Modules that cannot be imported are
    skipped; the code that needs them gets the error.
    """
    names = set(names)
    if names <= _loaded:
        return
    from mercurial import demandimport

    with _lock, demandimport.deactivated():
        if names <= _loaded:
            return
        for name in names:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
        # Loading one may add more to sys.modules. Those are not lazy, because
        # demandimport is off here.
        for module in list(sys.modules.values()):
            if type(module) is _LazyModule:
                # Reading any attribute loads the module.
                with contextlib.suppress(Exception):
                    module.__doc__  # noqa: B018
        _loaded.update(names)


class _Loader:
    """The loader of a module, which calls ``action`` after loading it."""

    def __init__(self, loader: Any, action: Callable[[Any], None]) -> None:
        self._loader = loader
        # Strong references would keep the modules alive until the process
        # ends, and the interpreter then needs 3 ms to free them one by one.
        self._action = weakref.ref(action)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def exec_module(self, module: Any) -> None:
        """Load the module, then call the action."""
        self._loader.exec_module(module)
        action = self._action()
        if action is not None:
            action(module)


def when_loaded(module: Any, action: Callable[[Any], None]) -> None:
    """Call ``action(module)`` now, or as soon as a lazy module is loaded.

    ``action`` must be a function at module level: only a weak reference to it
    is kept.
    """
    if _LazyModule is None or object.__getattribute__(
        module, '__class__'
    ) is not (_LazyModule):
        action(module)
        return
    # Reading an attribute in the usual way would load the module.
    spec = object.__getattribute__(module, '__spec__')
    spec.loader = _Loader(spec.loader, action)
