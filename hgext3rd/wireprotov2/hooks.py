# SPDX-License-Identifier: GPL-2.0-or-later
"""Every place where this extension changes Mercurial, each with its reason.

Functions and attributes of modules are changed here and nowhere else: those of
Mercurial, and ``shutil.rmtree()`` while a clone runs. The other changes are
subclasses, given to single objects:

* a repository of limited depth and its store: ``shallow.repo``; its files:
  ``shallow.storage``, which also wraps the flag processors of each file;
* a repository during a pull from a server that offers version 2:
  ``pull.session``; its ui while history is applied ahead: ``pull.report``;
* an HTTP or ssh peer whose server offers version 2: ``peer``; the capabilities
  of any HTTP peer: ``client.handshake``;
* the HTTP handlers of any HTTP peer, and the ui of its HTTPS handler:
  ``client.pace``, ``client.connections``; the password manager of those that
  log in, while they send a request of version 2: ``client.logins``;
* the changelog while packs are applied: ``segments.bulkunpacker``.

One object is changed in place: a request of hgweb whose body is not read to its
end, in ``compat``.

Every command that runs with the extension imports this module: keep it light.
Modules of this extension are imported inside the functions that use them. An
import that Mercurial makes lazy still searches for the file, and 25 of them took
a millisecond of every command.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

from mercurial import (
    bundlecaches,
    changegroup,
    cmdutil,
    commands,
    context,
    discovery,
    error,
    exchange,
    extensions,
    httppeer,
    logcmdutil,
    merge,
    revlogutils,
    scmutil,
    sshpeer,
    streamclone,
    wireprotoserver,
    wireprotov1server,
)
from mercurial.hgweb import request as hgwebrequest
from mercurial.hgweb import server as hgwebserver
from mercurial.i18n import _
from mercurial.node import hex
from mercurial.revlogutils import rewrite

from ..amalgam import compat as shared_compat
from ..amalgam import doctor, loading, memory, wrapping
from ..amalgam.serving import offers, responses
from . import compat, requirements


def uisetup(ui: object) -> None:
    """Make the changes that every process needs, once per process."""
    if loading.is_serving():
        from .server import hgserve

        hgserve.load_modules()
        _setup_server()
        _setup_bundles()
    else:
        # Only "hg serve" turns an hg process into a server.
        extensions.wrapcommand(commands.table, b'serve', _serve)
    # A response that was cached before a file was censored must not be used
    # afterwards.
    extensions.afterloaded(b'censor', _wrap_censor)
    # Let Mercurial open repositories of limited depth.
    compat.feature_setup_functions().add(_feature_setup)
    # "hg verify" reports how many file revisions it could not check. It must not
    # fetch them.
    extensions.wrapcommand(commands.table, b'verify', _verify)
    # The narrow extension has an option --depth for servers with that
    # extension. If it is disabled, this extension adds the option.
    entries = [
        extensions.wrapcommand(commands.table, b'clone', _clone),
        extensions.wrapcommand(commands.table, b'pull', _pull),
    ]
    entries[0][1].append(_lazy_option())

    def add_depth(loaded: bool) -> None:
        if not loaded:
            for entry in entries:
                entry[1].append(_depth_option())

    extensions.afterloaded(b'narrow', add_depth)
    # The first peer of a process sets up the client.
    schemes = compat.peer_schemes()
    for scheme in (b'http', b'https'):
        schemes[scheme] = _PeerFactory(schemes[scheme], _setup_http)
    schemes[b'ssh'] = _PeerFactory(schemes[b'ssh'], _setup_ssh)
    # One command for all extensions: the first of them adds it.
    doctor.register(commands.table, f'{__package__}.server.doctor', ())
    # Keep interrupted clones.
    loading.when_loaded(compat.clone_module(), _wrap_clone)
    offers.register(
        'wireprotov2', offers.Offer('storage', 2, _has_section, _section)
    )


def reposetup(ui: object, repo: Any) -> None:
    """Set up a repository; repair a clone that was killed."""
    if not repo.local():
        return
    config = repo.ui
    if config.configlist(b'wireprotov2', b'clonebundles') and (
        not config.hasconfig(b'server', b'pullbundle')
    ):
        # Mercurial then sends pull bundles to clients that lack much.
        config.setconfig(b'server', b'pullbundle', True, b'wireprotov2')
    if any(
        name not in (b'wait', b'source')
        for name, _value in config.configitems(b'replicas', ignoresub=True)
    ):
        # Tell the replicas of each change.
        config.setconfig(
            b'hooks',
            b'txnclose.amalgam-replicas',
            _tell_replicas,
            b'wireprotov2',
        )
    if loading.is_loaded('hgext.lfs.wrapper'):
        # A clone becomes one of limited depth later.
        _setup_lfs()
    if requirements.SHALLOW in repo.requirements:
        from .pull import ondemand
        from .shallow import repo as shallow_repo

        shallow_repo.adopt(repo)
        ondemand.register(repo)
        _setup_reading()
    if repo.vfs.exists(requirements.UNFINISHED):
        from .pull import resume

        # Roll back what a killed clone left, before anything reads it.
        resume.recover(repo)


def _tell_replicas(ui: Any, repo: Any, **changes: Any) -> None:
    from .replicas import notify

    notify.after_transaction(ui, repo, **changes)


# -- the server


def _has_section(repo: Any) -> bool:
    from .server import wsgi

    return wsgi.serves(repo.ui)


def _section(rctx: Any) -> Any:
    from .server import page

    return page.section(rctx)


def _setup_server() -> None:
    """Wrap the functions that answer requests."""
    from ..amalgam import hooks as shared_hooks

    memory.return_large_blocks()
    shared_hooks.add_pages()
    _setup_replica()
    # /api/ and the upgrade handshake exist beside the version 1 commands.
    extensions.wrapfunction(
        wireprotoserver, 'handlewsgirequest', _handlewsgirequest
    )
    # The metrics of all repositories of a server are outside of them.
    extensions.wrapfunction(
        shared_compat.hgwebdir_module().hgwebdir, '_runwsgi', _run_directory
    )
    _setup_limits()
    # The body of a response ends with the response, also if the client has gone
    # away.
    extensions.wrapfunction(
        hgwebrequest.wsgiresponse, 'sendresponse', responses.send
    )


@loading.once
def _setup_replica() -> None:
    """Obey the command that makes a replica pull, and say so."""
    from .replicas import follow

    follow.register()
    extensions.wrapfunction(
        wireprotov1server, '_capabilities', _advertise_following
    )


def _advertise_following(orig: Any, repo: Any, proto: Any) -> list[bytes]:
    from .replicas import follow

    found: list[bytes] = orig(repo, proto)
    if follow.follows(repo.ui):
        found.append(follow.COMMAND)
    return found


def _setup_limits() -> None:
    """Let clones and pulls of version 1 wait until they may be computed."""
    extensions.wrapfunction(exchange, 'getbundlechunks', _getbundlechunks)
    extensions.wrapfunction(changegroup, 'makechangegroup', _compute)
    extensions.wrapfunction(streamclone, 'generatev1wireproto', _compute)


@wrapping.own_addresses_only
def _handlewsgirequest(orig: Any, *args: Any) -> bool:
    from .server import hgserve, wsgi

    hgserve.load_modules()
    return wsgi.handlewsgirequest(orig, *args)


@wrapping.own_addresses_only
def _run_directory(orig: Any, app: Any, req: Any, res: Any) -> Any:
    from .server import hgserve, wsgi

    hgserve.load_modules()
    if wsgi.answer_directory(app, req, res):
        return res.sendresponse()
    return orig(app, req, res)


def _getbundlechunks(orig: Any, *args: Any, **kwargs: Any) -> Any:
    # A pull that found nothing asks for bookmarks and phases in this way.
    if not kwargs.get('cg', True):
        return orig(*args, **kwargs)
    try:
        return _compute(orig, *args, **kwargs)
    except error.LookupError as e:
        # Mercurial would answer with status 500 and a traceback in the log.
        raise error.Abort(
            _(b'unknown revision %s') % _shown(e.name),
            hint=_(b'the server may be a replica that is behind; try again'),
        ) from e


def _shown(name: bytes) -> bytes:
    return hex(name) if len(name) == 20 else name


def _compute(orig: Any, *args: Any, **kwargs: Any) -> Any:
    from .server import load

    load.take_for_current()
    return orig(*args, **kwargs)


def _setup_bundles() -> None:
    """Tell clients of clone bundles, over HTTP and ssh; send pull bundles."""
    extensions.wrapfunction(
        wireprotov1server, '_capabilities', _advertise_bundles
    )

    # Pull bundles are not for everybody, and a list may be wrong.
    extensions.wrapfunction(
        wireprotov1server, 'find_pullbundle', _find_pullbundle
    )


def _find_pullbundle(orig: Any, repo: Any, *args: Any) -> Any:
    from .server import pullbundles, wsgi

    if not wsgi.enabled(repo.ui):
        return orig(repo, *args)
    return pullbundles.find(orig, repo, *args)


def _advertise_bundles(orig: Any, repo: Any, proto: Any) -> list[bytes]:
    from .server import wsgi

    # The extension clonebundles of Mercurial does the same.
    found: list[bytes] = orig(repo, proto)
    if wsgi.enabled(repo.ui) and repo.vfs.exists(bundlecaches.CB_MANIFEST_FILE):
        for name in (b'clonebundles', b'clonebundles_manifest'):
            if name not in found:
                found.append(name)
    return found


def _setup_ssh_server() -> None:
    """Answer version 2 over ssh, and limit what version 1 computes."""
    from .server import ssh

    ssh.register()
    _setup_replica()
    extensions.wrapfunction(wireprotov1server, '_capabilities', _advertise_ssh)
    extensions.wrapfunction(wireprotov1server, 'dispatch', _dispatch_ssh)
    _setup_limits()


def _advertise_ssh(orig: Any, repo: Any, proto: Any) -> list[bytes]:
    from .proto import tunnel
    from .server import ssh

    found: list[bytes] = orig(repo, proto)
    if ssh.serves(repo.ui):
        versions = b','.join(tunnel.VERSIONS)
        found.append(b'%s=%s' % (tunnel.CAPABILITY, versions))
    return found


def _dispatch_ssh(orig: Any, repo: Any, *args: Any, **kwargs: Any) -> Any:
    from .server import load, ssh, wsgi

    if not wsgi.enabled(repo.ui):
        return orig(repo, *args, **kwargs)
    return load.answer_ssh(orig, repo, ssh.log(repo.ui), *args, **kwargs)


def _serve(orig: Any, ui: Any, repo: Any, **opts: Any) -> Any:
    from .server import hgserve

    _setup_bundles()
    if opts.get('stdio'):
        _setup_ssh_server()
    if not loading.serves_http(opts):
        return orig(ui, repo, **opts)
    _setup_server()
    hgserve.load_modules()
    handler = hgwebserver._httprequesthandler
    timeout = ui.configint(b'wireprotov2', b'limit.idle-time')
    if timeout:
        # Without it, "hg serve" waits for a silent client forever. The standard
        # library reads this attribute for each connection.
        handler.timeout = timeout
    # "hg serve" fails on invalid lengths. When it closes a connection, a client
    # that is still sending may lose the answer.
    extensions.wrapfunction(
        handler, 'do_hgweb', wrapping.own_addresses_only(hgserve.do_hgweb)
    )
    # Clients that disconnect or stop reading must leave no traceback.
    extensions.wrapfunction(handler, 'do_write', hgserve.do_write)
    extensions.wrapfunction(
        handler, 'handle_one_request', hgserve.handle_one_request
    )
    # Clients that send a header byte by byte must not keep a thread.
    extensions.wrapfunction(handler, 'parse_request', hgserve.parse_request)
    return orig(ui, repo, **opts)


def _wrap_censor(loaded: bool) -> None:
    if loaded:
        from . import censoring

        extensions.wrapfunction(
            extensions.find(b'censor'), '_docensor', censoring.wrapped
        )


# -- commands


def _feature_setup(ui: object, supported: set[bytes]) -> None:
    supported.add(requirements.SHALLOW)


# Mercurial calls only those functions whose module is an enabled extension.
_feature_setup.__module__ = __package__


def _depth_option() -> tuple[bytes, bytes, bytes, bytes, bytes]:
    what = _(b'fetch the files of this many generations only')
    return (b'', b'depth', b'', what, _(b'N'))


def _lazy_option() -> tuple[bytes, bytes, None, bytes]:
    return (
        b'',
        b'lazy',
        None,
        _(b'fetch the content of files when it is read'),
    )


def _clone(orig: Any, ui: Any, *args: Any, **opts: Any) -> Any:
    if opts.pop('lazy', None):
        for other in ('depth', 'stream'):
            if opts.get(other):
                raise error.InputError(
                    _(b'--lazy and --%s cannot be used together')
                    % other.encode()
                )
        from .pull import deepen

        opts['depth'] = deepen.LAZY
    if opts.get('depth'):
        # Without a pull, the files of a local repository would be copied. The
        # pull reports an error if the source cannot limit the depth.
        _setup_client()
        _setup_reading()
        opts['pull'] = True
    return orig(ui, *args, **opts)


def _pull(orig: Any, ui: Any, repo: Any, *args: Any, **opts: Any) -> Any:
    depth = opts.get('depth')
    if not depth:
        return orig(ui, repo, *args, **opts)
    _setup_client()

    def pull_with_depth(
        pull: Any, destination: Any, *args: Any, **kwargs: Any
    ) -> Any:
        # Pulls of subrepositories have no depth.
        if destination.unfiltered() is repo.unfiltered():
            kwargs['depth'] = kwargs.get('depth') or depth
        return pull(destination, *args, **kwargs)

    # "hg pull" does not pass the option on, as "hg clone" does.
    with extensions.wrappedfunction(exchange, 'pull', pull_with_depth):
        return orig(ui, repo, *args, **opts)


def _verify(orig: Any, ui: Any, repo: Any, **opts: Any) -> Any:
    if requirements.SHALLOW not in repo.requirements:
        return orig(ui, repo, **opts)
    from .shallow import account, demand

    with demand.paused(repo):
        result = orig(ui, repo, **opts)
    account.report_missing(ui, repo)
    return result


def _wrap_clone(module: Any) -> None:
    extensions.wrapfunction(module, 'clone', _keep_interrupted_clone)


def _keep_interrupted_clone(orig: Any, *args: Any, **kwargs: Any) -> Any:
    from .pull import resume

    # When clone() fails, it removes its destination, and no option prevents
    # that. So the function it uses for this is replaced while it runs.
    with extensions.wrappedfunction(
        shutil, 'rmtree', resume.remove_unless_kept
    ):
        return orig(*args, **kwargs)


# -- the client


class _PeerFactory:
    """Stands in for the module that makes peers of some kind.

    Calls ``setup``, which others may have called, before it makes a peer.
    """

    def __init__(self, module: Any, setup: Callable[[], None]) -> None:
        self._module = module
        self._setup = setup

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)

    def make_peer(self, *args: Any, **kwargs: Any) -> Any:
        _setup_client()
        self._setup()
        return self._module.make_peer(*args, **kwargs)


@loading.once
def _setup_client() -> None:
    """Wrap the functions that pull from peers."""
    from .pull import parents, steps

    # A pull has a session. It limits the depth, and keeps and marks what an
    # interrupted clone has fetched.
    extensions.wrapfunction(exchange, 'pull', steps.pull)
    # Apply history in segments, in place of clone bundles, or in batches before
    # Mercurial discovers what is missing.
    extensions.wrapfunction(exchange, '_maybeapplyclonebundle', steps.run_ahead)
    # The discovery may then have nothing left to do.
    extensions.wrapfunction(
        discovery, 'findcommonincoming', steps.find_common_incoming
    )
    # Mercurial's own hook for extensions that change the getbundle call.
    extensions.wrapfunction(
        exchange, '_pullbundle2extraprepare', steps.prepare_getbundle
    )
    # Incoming file revisions are checked without their texts where possible.
    if hasattr(revlogutils, 'InboundRevision'):  # hg >= 7.1
        extensions.wrapfunction(
            rewrite, 'filter_delta_issue6528', parents.filter_deltas
        )


@loading.once
def _setup_http() -> None:
    """Wrap the functions that make peers over HTTP, with and without TLS."""
    from . import peer

    # The handshake of every HTTP peer asks for version 2 as well.
    extensions.wrapfunction(httppeer, 'performhandshake', _performhandshake)
    # The class of the peer decides which version is used for what.
    extensions.wrapfunction(httppeer, '_make_peer', peer.make_http_peer)


@loading.once
def _setup_ssh() -> None:
    """Let peers over ssh use version 2."""
    from . import peer
    from .server import ssh

    ssh.register()
    extensions.wrapfunction(sshpeer, 'make_peer', peer.make_ssh_peer)


def _performhandshake(
    orig: Any, ui: Any, url: bytes, opener: Any, requestbuilder: Any
) -> Any:
    from .client import connections, handshake, pace

    if not ui.configbool(b'wireprotov2', b'client'):
        return orig(ui, url, opener, requestbuilder)
    # A clone opens more connections. They must not repeat the warnings and
    # questions of this one.
    connections.talk_once(ui, opener)
    # A server that sends a byte now and then must not hold the client forever.
    pace.limit(opener, ui.configwith(float, b'http', b'timeout'))
    return handshake.perform(orig, ui, url, opener, requestbuilder)


# -- repositories whose files may lack data


@loading.once
def _setup_reading() -> None:
    """Fetch missing data of files for commands before they read it.

    Data that is read all the same is fetched by ``shallow.storage``.
    """
    from .shallow import prefetch, reading

    # Mercurial's own hook: diff, cat, export, archive, revert and others.
    scmutil.fileprefetchhooks.add(b'wireprotov2', prefetch.files)
    # Updates and merges call that hook when they have begun, and for one of the
    # three versions that a merge reads.
    extensions.wrapfunction(merge, 'calculateupdates', reading.calculateupdates)
    # "hg log -p" calls it for one changeset after the other.
    extensions.wrapfunction(logcmdutil, 'displayrevs', reading.displayrevs)
    extensions.wrapfunction(logcmdutil, 'displaygraph', reading.displaygraph)
    # Export calls it for changesets without their parents.
    extensions.wrapfunction(
        cmdutil, '_prefetchchangedfiles', reading.prefetchchangedfiles
    )
    # These do not call it: annotate (also of hgweb), grep and churn, files.
    extensions.wrapfunction(context.basefilectx, 'annotate', reading.annotate)
    extensions.wrapfunction(scmutil, 'walkchangerevs', reading.walkchangerevs)
    extensions.wrapfunction(cmdutil, 'files', reading.files)
    # Bundles, pushes, pulls and strips all call this function. A server has
    # sent nothing yet when it runs, so it can still report an error.
    extensions.wrapfunction(changegroup, 'makestream', reading.makestream)


@loading.once
def _setup_lfs() -> None:
    """Keep lfs from taking revisions without data for large files.

    They have the same flag. Data that is fetched for them is the content of the
    file, also if it is a large one on the server.
    """
    from hgext.lfs import wrapper

    extensions.wrapfunction(wrapper, '_islfs', _islfs)


def _islfs(orig: Any, storage: Any, node: Any = None, rev: Any = None) -> Any:
    found = orig(storage, node=node, rev=rev)
    if not found or not hasattr(storage, 'shallow_repo'):
        return found
    from .shallow import absence

    return not absence.is_absent(
        storage, storage.rev(node) if rev is None else rev
    )
