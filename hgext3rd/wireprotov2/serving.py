# SPDX-License-Identifier: GPL-2.0-or-later
"""What a server process needs before its first request.

Mercurial imports lazily, and its lazy modules are not safe against two threads
using them first at the same moment: requests then fail at random.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import threading
from typing import Any

from mercurial import demandimport
from mercurial.hgweb import server as hgwebserver

from . import compat

_lock = threading.Lock()
_loaded = False

# Mercurial's modules that only requests import, the larger of which import
# many more.
_NEEDED = (
    'mercurial.bundle2',
    'mercurial.changegroup',
    'mercurial.exchange',
    *compat.SERVING_MODULES,
    'mercurial.hgweb.webcommands',
    'mercurial.narrowspec',
    'mercurial.profiling',
    'mercurial.streamclone',
    'mercurial.templatefilters',
    'mercurial.templatekw',
    'mercurial.wireprotov1server',
    'hgext3rd.wireprotov2.server',
    'hgext3rd.wireprotov2.cache.directory',
    'hgext3rd.wireprotov2.cache.memory',
)


def load_modules() -> None:
    """Import all that requests use, once; threads wait for the one that does.

    A module that cannot be imported here is left to those who use it.
    """
    global _loaded
    if _loaded:
        return
    with _lock, demandimport.deactivated():
        if _loaded:
            return
        for name in _NEEDED:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
        lazy = importlib.util._LazyModule  # type: ignore[attr-defined]
        # loading one may add more to the list; these are loaded eagerly
        for module in list(sys.modules.values()):
            if type(module) is lazy:
                # any attribute makes it load
                with contextlib.suppress(Exception):
                    module.__doc__  # noqa: B018
        _loaded = True


def serve(orig: Any, ui: Any, repo: Any, **opts: Any) -> Any:
    """``hg serve``: load modules first, do not wait for clients forever."""
    load_modules()
    timeout = ui.configint(b'wireprotov2', b'limit.idle-time')
    if timeout:
        # read by the standard library's handler for each connection
        hgwebserver._httprequesthandler.timeout = timeout
    return orig(ui, repo, **opts)
