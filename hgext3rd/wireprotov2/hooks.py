# SPDX-License-Identifier: GPL-2.0-or-later
"""Every place where this extension changes Mercurial, each with its reason."""

from __future__ import annotations

import sys
import types
from typing import Any

from mercurial import (
    changegroup,
    commands,
    discovery,
    exchange,
    extensions,
    httppeer,
    revlogutils,
    wireprotoserver,
)
from mercurial.hgweb import server as hgwebserver
from mercurial.i18n import _
from mercurial.revlogutils import rewrite

from ..amalgam import wrapping
from . import censoring, compat, peer, requirements
from .pull import parents, resume
from .server import hgserve, wsgi
from .shallow import checks, storage
from .shallow import repo as shallow_repo

#: in .hg of an unfinished clone, as in ``resume``
MARKER = b'wireprotov2-unfinished'


def uisetup(ui: object) -> None:
    """Wrap Mercurial once per process."""
    if any(map(_is_loaded, compat.SERVING_MODULES)):
        # in a WSGI server, or enabled by a repository that it serves
        hgserve.load_modules()
        _setup_server()
    else:
        # nothing else makes a server of an hg process
        extensions.wrapcommand(commands.table, b'serve', _serve)
    # a response cached before a file was censored must not survive that
    extensions.afterloaded(b'censor', _wrap_censor)
    # repositories of limited depth: they open, and say what is not there
    compat.feature_setup_functions().add(_feature_setup)
    extensions.wrapcommand(commands.table, b'verify', _verify)
    # --depth, which the narrow extension has for servers of its own kind
    entries = [
        extensions.wrapcommand(commands.table, b'clone', _clone),
        extensions.wrapcommand(commands.table, b'pull', _pull),
    ]

    def add_depth(loaded: bool) -> None:
        if not loaded:
            for entry in entries:
                entry[1].append(_depth_option())

    extensions.afterloaded(b'narrow', add_depth)
    # the first HTTP peer of a process brings the client with it
    schemes = compat.peer_schemes()
    for scheme in (b'http', b'https'):
        schemes[scheme] = _Peers(schemes[scheme])


# what follows imports what it needs when called, not with every command


def _is_loaded(name: str) -> bool:
    """Whether a module is more than a promise to import it."""
    module = sys.modules.get(name)
    return module is not None and type(module) is types.ModuleType


def _setup_server() -> None:
    """Wrap what answers requests."""
    # /api/ and the upgrade handshake live beside the version 1 commands
    extensions.wrapfunction(
        wireprotoserver, 'handlewsgirequest', _handlewsgirequest
    )


@wrapping.own_addresses_only
def _handlewsgirequest(orig: Any, *args: Any) -> bool:
    hgserve.load_modules()
    return wsgi.handlewsgirequest(orig, *args)


def _serve(orig: Any, ui: Any, repo: Any, **opts: Any) -> Any:
    _setup_server()
    hgserve.prepare(ui)
    # lengths that are no numbers, and answers to clients that still send
    extensions.wrapfunction(
        hgwebserver._httprequesthandler,
        'do_hgweb',
        wrapping.own_addresses_only(hgserve.do_hgweb),
    )
    return orig(ui, repo, **opts)


def _feature_setup(ui: object, supported: set[bytes]) -> None:
    supported.add(requirements.SHALLOW)


# Mercurial asks functions of modules that are extensions
_feature_setup.__module__ = __package__


def _depth_option() -> tuple[bytes, bytes, bytes, bytes, bytes]:
    what = _(b'fetch the files of so many generations only')
    return (b'', b'depth', b'', what, _(b'N'))


def _clone(orig: Any, ui: Any, *args: Any, **opts: Any) -> Any:
    if opts.get('depth'):
        # whatever the source is, a pull will tell whether it can
        _setup_client()
        opts['pull'] = True
    return orig(ui, *args, **opts)


def _pull(orig: Any, ui: Any, repo: Any, *args: Any, **opts: Any) -> Any:
    if opts.get('depth'):
        _setup_client()
        storage.set_depth_of_command(repo, opts['depth'])
    return orig(ui, repo, *args, **opts)


def _verify(orig: Any, ui: Any, repo: Any, **opts: Any) -> Any:
    result = orig(ui, repo, **opts)
    if requirements.SHALLOW in repo.requirements:
        checks.report_missing(ui, repo)
    return result


def _wrap_censor(loaded: bool) -> None:
    if loaded:
        extensions.wrapfunction(
            extensions.find(b'censor'), '_docensor', censoring.wrapped
        )


class _Peers:
    """Stands for the module that makes HTTP peers until one is wanted."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)

    def make_peer(self, *args: Any, **kwargs: Any) -> Any:
        _setup_client()
        return self._module.make_peer(*args, **kwargs)


_client_is_set_up = False


def _setup_client() -> None:
    """Wrap what makes HTTP peers and pulls from them."""
    global _client_is_set_up
    if _client_is_set_up:
        return
    _client_is_set_up = True
    # the handshake of every HTTP peer asks for version 2 in passing
    extensions.wrapfunction(httppeer, 'performhandshake', peer.performhandshake)
    # only here is the peer made whose class decides what it speaks
    extensions.wrapfunction(httppeer, '_make_peer', peer.make_peer)
    # pieces of history come before the discovery of what is missing
    extensions.wrapfunction(
        exchange, '_maybeapplyclonebundle', peer.maybe_pull_pieces
    )
    # ... and may leave nothing to discover
    extensions.wrapfunction(
        discovery, 'findcommonincoming', peer.find_common_incoming
    )
    # what an interrupted clone has is kept and marked
    extensions.wrapfunction(exchange, 'pull', peer.exchange_pull)
    # a failed clone is removed with rmtree, which must spare what was kept
    compat.clone_module().shutil = resume.Keeper()
    # checks of incoming file revisions, where they need not read texts
    if hasattr(revlogutils, 'InboundRevision'):  # hg >= 7.1
        extensions.wrapfunction(
            rewrite, 'filter_delta_issue6528', parents.filter_deltas
        )
    # Mercurial's own hook for extensions that change a getbundle call
    extensions.wrapfunction(
        exchange, '_pullbundle2extraprepare', peer.prepare_getbundle
    )


_sending_is_set_up = False


def _setup_sending() -> None:
    """Wrap what sends changesets from a repository of limited depth."""
    global _sending_is_set_up
    if _sending_is_set_up:
        return
    _sending_is_set_up = True
    # bundles, pushes, pulls and strips; an error is still passed on here
    extensions.wrapfunction(changegroup, 'makestream', _makestream)


def _makestream(
    orig: Any, repo: Any, outgoing: Any, *args: Any, **kwargs: Any
) -> Any:
    if storage.is_shallow(repo):
        checks.check_outgoing(repo, outgoing)
    return orig(repo, outgoing, *args, **kwargs)


def reposetup(ui: object, repo: Any) -> None:
    """Repair a clone whose process was killed, before anything reads it."""
    if not repo.local():
        return
    if requirements.SHALLOW in repo.requirements:
        shallow_repo.adopt(repo)
        _setup_client()
        _setup_sending()
    if repo.vfs.exists(MARKER):
        resume.recover(repo)
