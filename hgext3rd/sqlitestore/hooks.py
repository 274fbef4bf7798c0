# SPDX-License-Identifier: GPL-2.0-or-later
"""Every change this extension makes to Mercurial, with its reason.

A change to a module is made by one of the ``_change_*`` functions below, which
run when Mercurial loads that module. The functions that take the place of
Mercurial's are in ``integration``.

Four kinds of objects get a subclass of the class they have, as is usual in
Mercurial extensions:

======================================  ======================================
repositories                            ``repository.adopt``
repositories in the old format          ``repository.adopt_legacy``
repositories read over static HTTP      ``statichttp.adopt``
the ``store`` object of a repository    ``storeentries.extend``
======================================  ======================================

The only other attribute that is assigned is ``repo.requirements``: after a
conversion it is set to the requirements on disk
(``repository.follow_conversion``, ``convert.convert``).

Imported whenever the extension is loaded: keep it light. Imports from
``integration`` are inside the functions, so that a command loads only the
modules it needs.
"""

from __future__ import annotations

from typing import Any

from mercurial import (
    bundlerepo,
    changegroup,
    cmdutil,
    commands,
    extensions,
    localrepo,
    scmutil,
    statichttprepo,
    streamclone,
    transaction,
    unionrepo,
    upgrade,
    verify,
    wireprotoserver,
    wireprotov1server,
)
from mercurial.hgweb import request as hgweb_request
from mercurial.hgweb import server as hgweb_server
from mercurial.revlogutils import debug as revlog_debug
from mercurial.revlogutils import nodemap, rewrite

from ..amalgam import compat, doctor, loading, memory, wrapping
from ..amalgam.serving import collectors, offers, responses
from . import requirements
from .integration import coremodules

# Modules that are imported when a repository is used. Requests use
# repositories in threads. Most of these modules import further ones.
REQUEST_MODULES = (
    'sqlite3',
    f'{__package__}.revlogs.filelog',
    f'{__package__}.revlogs.manifests',
    f'{__package__}.integration.metrics',
    f'{__package__}.integration.page',
    f'{__package__}.integration.repository',
    f'{__package__}.integration.storeentries',
    f'{__package__}.integration.streams',
    f'{__package__}.reading.prefetch',
    f'{__package__}.reading.resting',
    f'{__package__}.repacking.automatic',
    f'{__package__}.writing.filewriter',
    f'{__package__}.writing.ingest',
    f'{__package__}.writing.recovery',
)


def uisetup(ui: Any) -> None:
    """Arrange for each change to be made when its module is loaded.

    Wrapping a function of a module that is not loaded yet would load it, with
    everything it imports, and add a quarter to the time of ``hg version``.
    """
    if loading.is_serving():
        _prepare_server()
    else:
        # To load all modules before the threads of a server start. An hg
        # process can become a server only by this command.
        extensions.wrapcommand(commands.table, b'serve', _serve)
    for module, change in (
        (localrepo, _change_localrepo),
        (coremodules.creation_module(), _change_creation),
        (coremodules.copy_store_module(), _change_copy_store),
        (scmutil, _change_scmutil),
        (transaction, _change_transaction),
        (bundlerepo, _change_bundlerepo),
        (unionrepo, _change_unionrepo),
        (statichttprepo, _change_statichttprepo),
        (streamclone, _change_streamclone),
        (changegroup, _change_changegroup),
        (wireprotov1server, _change_wireprotov1server),
        (wireprotoserver, _change_wireprotoserver),
        (compat.hgweb_module(), _change_hgweb),
        (hgweb_request, _change_hgweb_request),
        (hgweb_server, _change_hgweb_server),
        (verify, _change_verify),
        (upgrade, _change_upgrade),
        (cmdutil, _change_cmdutil),
        (revlog_debug, _change_revlog_debug),
        (nodemap, _change_nodemap),
        (rewrite, _change_rewrite),
    ):
        loading.when_loaded(module, change)
    extensions.afterloaded(b'narrow', _change_narrow)
    extensions.afterloaded(b'keyword', _change_keyword)
    collectors.register('sqlitestore', _samples)
    # One command for all extensions: the first of them adds it.
    doctor.register(
        commands.table, f'{__package__}.integration.doctor', REQUEST_MODULES
    )
    offers.register(
        'sqlitestore', offers.Offer('storage', 1, _has_page, _section, _values)
    )


def _samples(repo: Any) -> Any:
    from .integration import metrics as database_metrics

    return database_metrics.samples(repo)


def _has_page(repo: Any) -> bool:
    return loading.is_enabled(repo.ui, b'sqlitestore')


def _section(rctx: Any) -> Any:
    from .integration import page

    return page.section(rctx)


def _values(repo: Any) -> Any:
    from .integration import page

    return page.values(repo)


def _serve(orig: Any, *args: Any, **opts: Any) -> Any:
    if loading.serves_http(opts):
        _prepare_server()
    return orig(*args, **opts)


def _prepare_server() -> None:
    from ..amalgam import hooks as shared_hooks

    loading.stop_lazy_loading(REQUEST_MODULES)
    memory.return_large_blocks()
    shared_hooks.add_pages()


def reposetup(ui: Any, repo: Any) -> None:
    """Adopt the repository whose opening loaded this extension.

    When a program opens a repository before it loads extensions, Mercurial
    loads them from within makelocalrepository(). Wrapping that function is too
    late then for this first repository.
    """
    if repo.local():
        from .integration import repository

        repository.adopt_any(repo)


def feature_setup(ui: Any, supported: set[bytes]) -> None:
    """Add the requirements that this extension supports to ``supported``."""
    supported.add(requirements.REQUIREMENT)
    supported.add(requirements.LEGACY_REQUIREMENT)
    for name in requirements.COMPRESSIONS:
        supported.add(requirements.COMPRESSION_PREFIX + name)
        # Repositories in the old format are opened to be converted.
        supported.add(requirements.LEGACY_COMPRESSION_PREFIX + name)


# Mercurial calls such a function only if ``__module__`` names a loaded
# extension, which is the package.
feature_setup.__module__ = __package__


# Opening and creating repositories


def _change_localrepo(module: Any) -> None:
    from .integration import creation, repository

    # Repositories with the requirements of this extension can be opened.
    module.featuresetupfuncs.add(feature_setup)
    # repo.file() must return files in SQLite. Mercurial's repository class
    # always returns its own class of files.
    extensions.wrapfunction(
        module, 'makelocalrepository', repository.make_repository
    )
    # A new repository gets its (empty) database.
    extensions.wrapfunction(
        module, 'createrepository', creation.create_repository
    )


def _change_creation(module: Any) -> None:
    from .integration import creation

    # With new-repo-backend=sqlite, new repositories get the requirements of
    # this extension.
    extensions.wrapfunction(
        module,
        coremodules.creation_function(module),
        creation.new_repo_requirements,
    )


def _change_scmutil(module: Any) -> None:
    from .integration import prefetching

    # Mercurial announces which files it is about to read: read them at once.
    module.fileprefetchhooks.add(b'sqlitestore', prefetching.prefetch_files)


def _change_transaction(module: Any) -> None:
    # On a full disk, a transaction may fail to abort.
    extensions.wrapfunction(module.transaction, '_abort', _abort_transaction)


def _abort_transaction(orig: Any, tr: Any) -> None:
    callbacks = tr._abortcallback
    try:
        orig(tr)
    except OSError:
        from .writing import writer

        writer.after_failed_abort(tr, callbacks)
        raise


# Repositories of other classes


def _change_bundlerepo(module: Any) -> None:
    from .integration import overlays

    # Bundle repositories open the revlogs of files themselves.
    extensions.wrapfunction(
        module.bundlerepository, 'file', overlays.bundle_file
    )
    # They open the revlogs of manifests as well.
    extensions.wrapfilecache(
        module.bundlerepository, b'manifestlog', overlays.bundle_manifestlog
    )


def _change_unionrepo(module: Any) -> None:
    from .integration import overlays

    # Union repositories open the revlogs of files themselves.
    extensions.wrapfunction(module.unionrepository, 'file', overlays.union_file)
    # They open the revlogs of manifests as well.
    extensions.wrapfilecache(
        module.unionrepository, b'manifestlog', overlays.union_manifestlog
    )


def _change_statichttprepo(module: Any) -> None:
    from .integration import statichttp

    # These repositories have a class of their own, which reads revlogs.
    extensions.wrapfunction(
        module.statichttprepository, '__init__', statichttp.init_repository
    )


# Copying the store


def _change_copy_store(module: Any) -> None:
    from .integration import copies

    # "hg unshare" copies the store of its source by a list of file names.
    extensions.wrapfunction(
        module, coremodules.copy_store_function(module), copies.copy_store
    )


def _change_streamclone(module: Any) -> None:
    from .integration import copies, streams

    # A local clone makes hard links, but the database is changed in place.
    extensions.wrapfunction(module, '_copy_files', copies.copy_files)
    # The first version of streams reads files after it released the lock.
    extensions.wrapfunction(module, 'generatev1', streams.generate_v1)
    # A stream clone may give a repository the requirements of this extension,
    # or take them away.
    for name in ('applybundlev1', 'applybundlev2', 'applybundlev3'):
        extensions.wrapfunction(module, name, streams.apply_stream)
    # So may the first version of streams where it does not come in a bundle.
    extensions.wrapfunction(
        module, 'maybeperformlegacystreamclone', streams.apply_legacy_stream
    )


# Serving


def _change_changegroup(module: Any) -> None:
    from .integration import serving

    # If the database cannot be read, servers must say so before they send.
    extensions.wrapfunction(module, 'makestream', serving.make_stream)


def _change_wireprotov1server(module: Any) -> None:
    from .integration import serving

    # A stream that fails over HTTP ends with the error, not before it.
    extensions.wrapfunction(module, 'dispatch', serving.dispatch)


def _change_wireprotoserver(module: Any) -> None:
    # If the database cannot be read, hgweb must know before it renders a page.
    extensions.wrapfunction(module, 'handlewsgirequest', _handle_request)


@wrapping.own_addresses_only
def _handle_request(orig: Any, *args: Any) -> bool:
    from .integration import serving

    return serving.handle_request(orig, *args)


def _change_hgweb(module: Any) -> None:
    from .integration import serving

    # hgweb would take trouble of the storage for a lack of permission. Between
    # requests, repositories keep little open and in memory.
    extensions.wrapfunction(module.hgweb, '_runwsgi', serving.run_wsgi)
    extensions.wrapfunction(
        module.requestcontext, 'sendtemplate', serving.send_template
    )


def _change_hgweb_request(module: Any) -> None:
    # A body that reads the database ends with its response, also if the client
    # goes away.
    extensions.wrapfunction(module.wsgiresponse, 'sendresponse', responses.send)


def _change_hgweb_server(module: Any) -> None:
    from .integration import serving

    # A response that fails must not look complete.
    handler = module._httprequesthandler
    extensions.wrapfunction(handler, '_start_response', serving.start_response)
    extensions.wrapfunction(handler, 'do_write', serving.do_write)


# Maintenance and debugging


def _change_verify(module: Any) -> None:
    from .integration import verification

    # The database needs more checks than those of the contents of manifests ...
    extensions.wrapfunction(
        module.verifier, '_verifymanifest', verification.verify_manifest
    )
    # ... and of files.
    extensions.wrapfunction(
        module.verifier, '_verifyfiles', verification.verify_files
    )


def _change_upgrade(module: Any) -> None:
    from .integration import upgraderepo

    # "hg debugupgraderepo" changes formats, but must not change the backend.
    extensions.wrapfunction(
        module, 'upgraderepo', upgraderepo.upgrade_repository
    )
    # Only upgrades use these two modules.
    loading.when_loaded(module.upgrade_actions, _change_upgrade_actions)
    loading.when_loaded(module.upgrade_engine, _change_upgrade_engine)


def _change_upgrade_actions(module: Any) -> None:
    from .integration import upgraderepo

    # An upgrade refuses requirements that it does not know.
    extensions.wrapfunction(
        module, 'supporteddestrequirements', upgraderepo.known_requirements
    )
    # The list of what will be processed must not name filelogs.
    extensions.wrapfunction(
        module.UpgradeOperation, '__init__', upgraderepo.plan_operation
    )


def _change_upgrade_engine(module: Any) -> None:
    from .integration import upgraderepo

    # An upgrade copies revlogs one by one ...
    extensions.wrapfunction(module, '_perform_clone', upgraderepo.copy_history)
    # ... then the other files of the store ...
    extensions.wrapfunction(
        module, '_files_to_copy_post_revlog_clone', upgraderepo.other_files
    )
    # ... and replaces the old store by the new one.
    extensions.wrapfunction(
        module, '_replacestores', upgraderepo.replace_stores
    )


def _change_cmdutil(module: Any) -> None:
    from .integration import debug

    # Debug commands about the layout of a revlog would fail on other objects.
    extensions.wrapfunction(module, 'openrevlog', debug.open_revlog)


def _change_revlog_debug(module: Any) -> None:
    from .integration import debug

    # The list of all revlogs would fail as well.
    extensions.wrapfunction(module, 'debug_revlog_stats', debug.revlog_stats)


def _change_rewrite(module: Any) -> None:
    from .integration import debug

    # "hg debug-repair-issue6528" replaces the revlogs of files.
    extensions.wrapfunction(module, 'repair_issue6528', debug.repair_issue6528)


def _change_nodemap(module: Any) -> None:
    from .integration import debug

    # "hg debugupgraderepo" writes a file that finds nodes in a revlog.
    extensions.wrapfunction(module, 'persist_nodemap', debug.persist_nodemap)
    # That command and stream clones delete it.
    extensions.wrapfunction(module, 'delete_nodemap', debug.delete_nodemap)


# Extensions that come with Mercurial


def _change_narrow(loaded: bool) -> None:
    if loaded:
        from hgext.narrow import narrowcommands

        from .integration import narrowing

        # The extension removes the revlogs of files that leave the narrowspec.
        extensions.wrapfunction(narrowcommands, '_narrow', narrowing.narrow)


def _change_keyword(loaded: bool) -> None:
    if loaded:
        from .integration import keywords

        # The extension opens the revlogs of files itself.
        extensions.wrapfunction(
            extensions.find(b'keyword'), 'kwfilelog', keywords.open_file
        )
