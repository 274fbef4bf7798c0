# SPDX-License-Identifier: GPL-2.0-or-later
"""Working with Mercurial's lazy modules.

Mercurial imports modules on demand: a lazy module is loaded when one of its
attributes is first read. Commands start faster that way, but there are two
problems, which this module solves:

* wrapping a function of a lazy module loads the module, with everything it
  imports. ``when_loaded`` waits until other code loads it;
* loading is not safe if two threads are the first to use a lazy module: one
  of them sees a module without attributes. A process that serves requests in
  threads calls ``stop_lazy_loading`` before it starts.

Imported whenever an extension is loaded: keep it light.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import os
import sys
import threading
import types
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from mercurial import extensions

_LazyModule: Any = getattr(importlib.util, '_LazyModule', None)

# Modules that only serving processes import.
_SERVING_MODULES = (
    'mercurial.hgweb.hgweb_mod_inner',
    'mercurial.hgweb.hgwebdir_mod_inner',
    'mercurial.hgweb.hgweb_mod',  # hg <= 7.1
    'mercurial.hgweb.hgwebdir_mod',  # hg <= 7.1
)

# Mercurial's modules that requests use but only import when they do. The larger
# ones of them import many more.
_REQUEST_MODULES = (
    *_SERVING_MODULES,
    'mercurial.bundle2',
    'mercurial.changegroup',
    'mercurial.exchange',
    'mercurial.hgweb.webcommands',
    'mercurial.narrowspec',
    'mercurial.profiling',
    'mercurial.streamclone',
    'mercurial.templatefilters',
    'mercurial.templatekw',
    'mercurial.wireprotov1server',
)

_lock = threading.Lock()
_once = threading.RLock()
_loaded: set[str] = set()


def _after_fork() -> None:
    """Renew the locks, which a thread of the parent may have held."""
    global _lock, _once
    _lock = threading.Lock()
    _once = threading.RLock()


os.register_at_fork(after_in_child=_after_fork)


def once(function: Callable[[], None]) -> Callable[[], None]:
    """Decorate a function that changes Mercurial, and must do so only once.

    Threads that call it at the same time wait for the first.
    """
    done = False

    @functools.wraps(function)
    def wrapper() -> None:
        nonlocal done
        if done:
            return
        with _once:
            if not done:
                function()
                done = True

    return wrapper


def is_loaded(name: str) -> bool:
    """Return whether the module ``name`` is imported and loaded."""
    module = sys.modules.get(name)
    return module is not None and type(module) is types.ModuleType


def is_enabled(ui: Any, extension: bytes) -> bool:
    """Return whether a configuration enables an extension that is loaded.

    One process may have repositories with different extensions.
    """
    return any(name == extension for name, _mod in extensions.extensions(ui))


def is_serving() -> bool:
    """Return whether this process has loaded hgweb.

    It is then a WSGI server, or ``hg serve`` has already started and opens a
    repository whose own configuration enables an extension.
    """
    return any(map(is_loaded, _SERVING_MODULES))


def serves_http(opts: Mapping[str, Any]) -> bool:
    """Return whether ``hg serve`` with these options answers HTTP requests.

    Servers for ssh and command servers handle one request after the other, and
    the first process of ``--daemon`` only starts another.
    """
    if opts.get('stdio') or opts.get('cmdserver'):
        return False
    return not opts.get('daemon') or bool(opts.get('daemon_postexec'))


def stop_lazy_loading(names: Iterable[str]) -> None:
    """Load all modules that requests need, and import eagerly from then on.

    ``names`` are the modules that only requests import, beside Mercurial's
    own. They are loaded before the first request, which would otherwise take
    longer, and before a server with several processes forks. Every lazy module
    is loaded as well, and no later import is lazy: Python's own imports are
    safe in threads.

    Threads that call this at the same time wait for the first. Modules that
    cannot be imported are skipped; the code that needs them gets the error.
    """
    names = {*_REQUEST_MODULES, *names}
    if names <= _loaded:
        return
    from mercurial import demandimport

    with _lock, demandimport.deactivated():
        if names <= _loaded:
            return
        # "deactivated" alone would turn lazy imports on again at the end, and a
        # thread that leaves it does so while others still import.
        demandimport.disable()
        for name in sorted(names):
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
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
