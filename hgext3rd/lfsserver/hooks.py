# SPDX-License-Identifier: GPL-2.0-or-later
"""All changes that this extension makes to Mercurial, each with its reason.

The only other one is a subclass: ``hgweb.connection`` extends the request
handler of ``hg serve``, and ``init_server`` installs it.

Most hg processes do not serve requests. What serving needs is imported when a
server starts, so that enabling the extension hardly slows down other commands.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mercurial import commands, extensions

from ..amalgam import compat, doctor, loading, memory, wrapping
from ..amalgam.serving import collectors, offers, responses

# Modules that only requests need. Most of them import further modules.
REQUEST_MODULES = (
    f'{__package__}.hgweb.wsgi',
    f'{__package__}.hgweb.connected',
    f'{__package__}.hgweb.direct',
    f'{__package__}.hgweb.connection',
    f'{__package__}.hgweb.page',
    f'{__package__}.stores.local',
    f'{__package__}.integration.metrics',
)


def uisetup(ui: Any) -> None:
    """Wrap hgweb in a process that serves; otherwise wrap ``hg serve``."""
    if loading.is_serving():
        loading.stop_lazy_loading(REQUEST_MODULES)
        _wrap_hgweb()
    else:
        # An hg process can become a server only by this command.
        extensions.wrapcommand(commands.table, b'serve', serve)
    collectors.register('lfsserver', samples)
    # One command for all extensions: the first of them adds it.
    doctor.register(
        commands.table, f'{__package__}.integration.doctor', REQUEST_MODULES
    )
    offers.register(
        'lfsserver',
        offers.Offer('lfs', 1, has_page, section, page_values, unlock),
    )


def has_page(repo: Any) -> bool:
    """Return whether a repository has the page ``lfs``."""
    serves = repo.ui.configbool(b'lfsserver', b'serve')
    return bool(serves and loading.is_enabled(repo.ui, b'lfsserver'))


def section(rctx: Any) -> Any:
    """Return what the page ``lfs`` shows."""
    from .hgweb import page

    return page.section(rctx)


def page_values(repo: Any) -> Any:
    """Return the figures of a repository for the summary of a server."""
    from .hgweb import page

    return page.values(repo)


def unlock(rctx: Any) -> bytes:
    """Do what a form of the page ``lfs`` asks for."""
    from .hgweb import page

    return page.unlock(rctx)


def samples(repo: Any) -> Any:
    """Return the samples of a repository for monitoring."""
    from .integration import metrics as lfs_metrics

    return lfs_metrics.samples(repo)


def reposetup(ui: Any, repo: Any) -> None:
    """Check the locks of files in pushes if the configuration says so."""
    if not repo.local():
        return
    ui = repo.ui
    # Nobody could remove a lock without the API for locks.
    if ui.configbool(b'lfsserver', b'enforce-locks') and ui.configbool(
        b'lfsserver', b'locks'
    ):
        # Runs when the changesets can be read, and may still be refused.
        ui.setconfig(
            b'hooks', b'pretxnchangegroup.lfs-locks', check_locks, b'lfsserver'
        )


def check_locks(ui: Any, repo: Any, hooktype: bytes, **args: Any) -> None:
    """Refuse a push that touches files which other users have locked."""
    from .integration import pushes

    pushes.check_locks(ui, repo, **args)


def serve(orig: Any, *args: Any, **opts: Any) -> Any:
    """Wrap hgweb before the server starts, and load all modules it needs."""
    if loading.serves_http(opts):
        _wrap_hgweb()
        loading.stop_lazy_loading(REQUEST_MODULES)
    return orig(*args, **opts)


@loading.once
def _wrap_hgweb() -> None:
    """Wrap the functions of hgweb, once per process."""
    memory.return_large_blocks()

    from mercurial import config, hg, wireprotoserver
    from mercurial import ui as uimod
    from mercurial.hgweb import request, server

    from ..amalgam import hooks as shared_hooks

    shared_hooks.add_pages()

    # To answer LFS requests without what hgweb does for its pages.
    for application in (
        compat.hgweb_module().hgweb,
        compat.hgwebdir_module().hgwebdir,
    ):
        extensions.wrapfunction(application, '__call__', call_application)
    # To notice changes of all files that a configuration consists of.
    extensions.wrapfunction(uimod.ui, 'readconfig', read_config)
    extensions.wrapfunction(config.config, 'read', read_config)
    # To answer the others. hgweb calls this function before it interprets the
    # path of a request, whether it serves one repository or several.
    extensions.wrapfunction(
        wireprotoserver, 'handlewsgirequest', handle_request
    )
    # To apply changed permissions at once. hgweb keeps a repository open with
    # its configuration until history changes.
    extensions.wrapfunction(hg.cachedlocalrepo, '_repostate', repository_state)
    # To accept queries for locks whose path is not ASCII, which hgweb's parser
    # cannot decode, and to put the body of a request into an object that can be
    # refused.
    extensions.wrapfunction(
        request, 'parserequestfromenv', parse_request_from_env
    )
    # To close blobs and release slots when a client goes away, and to answer
    # without waiting for the rest of the body.
    extensions.wrapfunction(request.wsgiresponse, 'sendresponse', send_response)
    # To transfer large bodies: the request handler of hg serve cannot stream
    # them, and keeps connections open that it should close.
    extensions.wrapfunction(server.MercurialHTTPServer, '__init__', init_server)


@wrapping.own_addresses_only
def call_application(
    orig: Any, self: Any, env: Any, start_response: Any
) -> Any:
    """Answer LFS requests, and pass all others on."""
    from .hgweb import direct

    reply = direct.respond(self, env, start_response)
    return orig(self, env, start_response) if reply is None else reply


def read_config(
    orig: Any, self: Any, path: bytes, *args: Any, **kwargs: Any
) -> Any:
    """Note which file is read."""
    from .hgweb import configfiles

    configfiles.note(path)
    return orig(self, path, *args, **kwargs)


@wrapping.own_addresses_only
def handle_request(
    orig: Any, rctx: Any, req: Any, res: Any, checkperm: Any
) -> Any:
    """Answer LFS requests, and pass all others on."""
    from .hgweb import wsgi

    return wsgi.handle(rctx, req, res, checkperm) or orig(
        rctx, req, res, checkperm
    )


def repository_state(orig: Any, self: Any) -> Any:
    """Make hgweb reopen a repository when its configuration changes."""
    from .hgweb import configfiles

    state, mtime = orig(self)
    files = configfiles.files_of(self._repo)
    return (state, configfiles.states(files)), mtime


@wrapping.own_addresses_only
def parse_request_from_env(
    orig: Any, env: Any, *args: Any, **kwargs: Any
) -> Any:
    """Keep the query and the body of an LFS request from hgweb."""
    from .hgweb import wsgi

    return orig(wsgi.prepare(env), *args, **kwargs)


@wrapping.own_addresses_only
def send_response(orig: Any, response: Any) -> Iterator[bytes]:
    """Send a response at once, and close its body however that ends."""
    from .hgweb import wsgi

    wsgi.refuse_rest(response)
    return responses.send(orig, response)


def init_server(
    orig: Any,
    self: Any,
    ui: Any,
    app: Any,
    addr: Any,
    handler: Any,
    **kwargs: Any,
) -> None:
    """Create the server with a request handler that supports LFS."""
    from .hgweb import connected, connection

    timeout = ui.configint(b'lfsserver', b'timeout') or None
    # Python's default is 5. A single client opens more connections than that
    # at once, and some of them would be reset.
    self.request_queue_size = connection.BACKLOG
    orig(
        self,
        ui,
        app,
        addr,
        connection.connection_class(handler, timeout, connected.responder(app)),
        **kwargs,
    )
    if hasattr(self.socket, 'do_handshake_on_connect'):
        # The thread that accepts connections would wait for the handshake of a
        # silent client. Without it, the first read does the handshake.
        self.socket.do_handshake_on_connect = False
