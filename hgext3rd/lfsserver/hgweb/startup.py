# SPDX-License-Identifier: GPL-2.0-or-later
"""What ``hg serve`` loads before its first request.

Mercurial imports lazily, and two threads that use a lazy module first at the
same moment get in each other's way: requests then fail at random.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys

from mercurial import demandimport

# What only requests import; most of it brings more along.
_MODULES = (
    'mercurial.hgweb.hgweb_mod',
    'mercurial.hgweb.hgwebdir_mod',
    'mercurial.hgweb.webcommands',
    'mercurial.profiling',
    'hgext3rd.lfsserver.hgweb.wsgi',
    'hgext3rd.lfsserver.hgweb.fastpath',
    'hgext3rd.lfsserver.hgweb.connection',
    'hgext3rd.lfsserver.stores.local',
)


def load_modules() -> None:
    """Import all of it now, and all that has been promised so far.

    What cannot be imported here is left to whoever needs it.
    """
    with demandimport.deactivated():
        for name in _MODULES:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
        promised = getattr(importlib.util, '_LazyModule', None)
        for module in list(sys.modules.values()):
            if type(module) is promised:
                with contextlib.suppress(Exception):
                    # any attribute makes it load
                    module.__doc__  # noqa: B018
