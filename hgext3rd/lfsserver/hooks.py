# SPDX-License-Identifier: GPL-2.0-or-later
"""Every place where this extension changes what Mercurial does."""

from __future__ import annotations

from typing import Any

from mercurial import extensions, wireprotoserver
from mercurial.hgweb import request as hgwebrequest
from mercurial.hgweb import server as hgwebserver

from . import serve, web


def handlewsgirequest(
    orig: Any, rctx: Any, req: Any, res: Any, checkperm: Any
) -> Any:
    """Answer LFS requests ourselves, leave all others to the rest."""
    return web.handle(rctx, req, res, checkperm) or orig(
        rctx, req, res, checkperm
    )


def parserequestfromenv(orig: Any, env: Any, *args: Any, **kwargs: Any) -> Any:
    """Keep queries that are not ASCII from hgweb's parser."""
    return orig(web.hide_query(env), *args, **kwargs)


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
    timeout = ui.configint(b'lfsserver', b'timeout') or None
    orig(
        self,
        ui,
        app,
        addr,
        serve.connection_class(handler, timeout),
        **kwargs,
    )


def extsetup(ui: Any) -> None:
    # hgweb asks this function first, in single and in multi-repository mode.
    extensions.wrapfunction(
        wireprotoserver, 'handlewsgirequest', handlewsgirequest
    )
    # It fails for the query of a lock whose path is not ASCII.
    extensions.wrapfunction(
        hgwebrequest, 'parserequestfromenv', parserequestfromenv
    )
    # The request handler of hg serve cannot stream, nor close when it should.
    extensions.wrapfunction(
        hgwebserver.MercurialHTTPServer, '__init__', initserver
    )
