# SPDX-License-Identifier: GPL-2.0-or-later
"""Every place where this extension changes what Mercurial does.

Most hg processes serve nothing: what serving needs is imported when it
starts, so that enabling the extension costs other commands next to nothing.
"""

from __future__ import annotations

import sys
import types
from typing import Any

from mercurial import commands, extensions

from . import compat

_wrapped = False


def uisetup(ui: Any) -> None:
    if any(_is_loaded(name) for name in compat.SERVING_MODULES):
        # a WSGI server, or a repository that enables the extension is served
        _wrap_hgweb()
    else:
        # nothing else makes a server of an hg process
        extensions.wrapcommand(commands.table, b'serve', _serve)


def _is_loaded(name: str) -> bool:
    """Whether a module is there, and not a promise of demandimport."""
    return type(sys.modules.get(name)) is types.ModuleType


def _serve(orig: Any, *args: Any, **opts: Any) -> Any:
    from .hgweb import startup

    _wrap_hgweb()
    startup.load_modules()
    return orig(*args, **opts)


def _wrap_hgweb() -> None:
    global _wrapped
    if _wrapped:
        return
    _wrapped = True

    from mercurial import hg, wireprotoserver
    from mercurial.hgweb import request, server

    # hgweb asks this function first, in single and in multi-repository mode.
    extensions.wrapfunction(
        wireprotoserver, 'handlewsgirequest', handlewsgirequest
    )
    # It keeps a repository with its configuration until history changes.
    extensions.wrapfunction(hg.cachedlocalrepo, '_repostate', repostate)
    # It fails for the query of a lock whose path is not ASCII.
    extensions.wrapfunction(request, 'parserequestfromenv', parserequestfromenv)
    # The request handler of hg serve cannot stream, nor close when it should.
    extensions.wrapfunction(server.MercurialHTTPServer, '__init__', initserver)


def handlewsgirequest(
    orig: Any, rctx: Any, req: Any, res: Any, checkperm: Any
) -> Any:
    """Answer LFS requests ourselves, leave all others to the rest."""
    from .hgweb import wsgi

    return wsgi.handle(rctx, req, res, checkperm) or orig(
        rctx, req, res, checkperm
    )


def repostate(orig: Any, self: Any) -> Any:
    """Have hgweb open repositories anew when who may do what changes."""
    from .hgweb import hgrcs

    state, mtime = orig(self)
    return (state, hgrcs.states(hgrcs.files_of(self._repo))), mtime


def parserequestfromenv(orig: Any, env: Any, *args: Any, **kwargs: Any) -> Any:
    """Keep queries that are not ASCII from hgweb's parser."""
    from .hgweb import wsgi

    return orig(wsgi.hide_query(env), *args, **kwargs)


def initserver(
    orig: Any,
    self: Any,
    ui: Any,
    app: Any,
    addr: Any,
    handler: Any,
    **kwargs: Any,
) -> None:
    """Give ``hg serve`` a request handler that is fit for large bodies."""
    from .hgweb import connection, fastpath

    timeout = ui.configint(b'lfsserver', b'timeout') or None
    # Python's default of 5 is less than one client opens: some are reset
    self.request_queue_size = connection.BACKLOG
    orig(
        self,
        ui,
        app,
        addr,
        connection.connection_class(handler, timeout, fastpath.answerer(app)),
        **kwargs,
    )
