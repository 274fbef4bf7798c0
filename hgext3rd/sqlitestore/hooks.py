# SPDX-License-Identifier: GPL-2.0-or-later
"""Every place where this extension changes Mercurial.

Imported whenever the extension is loaded: keep it light.
"""

from __future__ import annotations

import os
from typing import Any

from mercurial import (
    bundlerepo,
    cmdutil,
    error,
    extensions,
    localrepo,
    scmutil,
    statichttprepo,
    streamclone,
    unionrepo,
    upgrade,
    verify,
)
from mercurial.i18n import _
from mercurial.revlogutils import debug as revlog_debug
from mercurial.revlogutils import rewrite

from . import requirements
from .integration import coremodules, debug, lazyhooks, repository

FILE_INDEX = b'fileindex-v1'


def feature_setup(ui: Any, supported: set[bytes]) -> None:
    """Tell core which requirements we can handle."""
    supported.add(requirements.REQUIREMENT)
    for name in requirements.COMPRESSIONS:
        supported.add(requirements.COMPRESSION_PREFIX + name)
        # so that they can be converted
        supported.add(requirements.LEGACY_COMPRESSION_PREFIX + name)
    supported.add(requirements.LEGACY_REQUIREMENT)


def uisetup(ui: Any) -> None:
    """Wrap what must be in place before any repository is opened."""
    for module, action in (
        (localrepo, _hook_localrepo),
        (bundlerepo, _hook_bundlerepo),
        (unionrepo, _hook_unionrepo),
        (statichttprepo, _hook_statichttp),
        (streamclone, _hook_streamclone),
        (verify, _hook_verify),
        (cmdutil, _hook_cmdutil),
        (scmutil, _hook_scmutil),
        (rewrite, _hook_rewrite),
        (revlog_debug, _hook_revlog_debug),
        (upgrade, _hook_upgrade),
        (coremodules.creation_module(), _hook_creation),
        (coremodules.copy_store_module(), _hook_copy_store),
    ):
        lazyhooks.when_loaded(module, action)
    extensions.afterloaded(b'narrow', _hook_narrow)
    extensions.afterloaded(b'keyword', _hook_keyword)


def reposetup(ui: Any, repo: Any) -> None:
    """Adopt the repository whose opening loaded this extension.

    A program that opens a repository before it loads extensions has core load
    them from within makelocalrepository(), too late for our wrap of it.
    """
    if repo.local():
        _adopt(repo)


def _adopt(repo: Any) -> None:
    if requirements.LEGACY_REQUIREMENT in repo.requirements:
        repository.adopt_legacy(repo)
    else:
        repository.adopt(repo)


def _hook_localrepo(module: Any) -> None:
    # our requirements are known
    module.featuresetupfuncs.add(_feature_setup_entry(feature_setup))
    # repo.file(): core's repository class names its file storage outright
    extensions.wrapfunction(module, 'makelocalrepository', make_repository)
    # a new repository gets its (empty) database
    extensions.wrapfunction(module, 'createrepository', create_repository)


def _hook_creation(module: Any) -> None:
    name = coremodules.creation_function(module)
    # new-repo-backend=sqlite: our requirements beside core's
    extensions.wrapfunction(module, name, new_repo_requirements)


def _hook_scmutil(module: Any) -> None:
    # core tells which files it is about to read
    module.fileprefetchhooks.add(b'sqlitestore', prefetch_files)


def prefetch_files(repo: Any, revmatches: Any) -> None:
    """Read many files of our repositories at once."""
    if _is_ours(repo):
        from .reading import prefetch

        repo = repo.unfiltered()
        prefetch.prefetch(repo, repo.sqlitestore, revmatches)


def _hook_copy_store(module: Any) -> None:
    name = coremodules.copy_store_function(module)
    # unshare copies the store of the source by a list of file names
    extensions.wrapfunction(module, name, copy_store)


def _hook_rewrite(module: Any) -> None:
    # it replaces the revlogs of files
    extensions.wrapfunction(module, 'repair_issue6528', repair_issue6528)


def repair_issue6528(orig: Any, ui: Any, repo: Any, **kwargs: Any) -> Any:
    """Say how files in SQLite are repaired: as revlogs."""
    if _is_ours(repo):
        raise error.StateError(
            _(b'the file history of this repository is not in revlogs'),
            hint=_(
                b"repair it between 'hg admin::sqlite-convert --to revlog'"
                b' and --to sqlite'
            ),
        )
    return orig(ui, repo, **kwargs)


def _hook_keyword(loaded: bool) -> None:
    if loaded:
        # the keyword extension makes revlogs of files itself
        extensions.wrapfunction(
            extensions.find(b'keyword'), 'kwfilelog', keyword_file
        )


def keyword_file(
    orig: Any, opener: Any, kwt: Any, path: bytes, *args: Any, **kwargs: Any
) -> Any:
    """A file whose keywords are expanded, of our kind in our repositories."""
    if not _is_ours(kwt.repo):
        return orig(opener, kwt, path, *args, **kwargs)
    from . import compat
    from .filelog import keywords

    # where core would have the revlog
    kwargs.pop('radix', None)
    store = kwt.repo.unfiltered().sqlitestore
    writable = compat.file_writable(**kwargs)
    return keywords.make_class(orig)(store, opener, kwt, path, writable)


def _hook_bundlerepo(module: Any) -> None:
    # bundle repositories make revlogs of files themselves
    extensions.wrapfunction(module.bundlerepository, 'file', bundle_file)


def _hook_unionrepo(module: Any) -> None:
    # so do union repositories
    extensions.wrapfunction(module.unionrepository, 'file', union_file)


def _hook_statichttp(module: Any) -> None:
    # these repositories have a class of their own, and read revlogs
    extensions.wrapfunction(
        module.statichttprepository, '__init__', init_static
    )


def _hook_streamclone(module: Any) -> None:
    # a local clone would link the database, which is changed in place
    extensions.wrapfunction(module, '_copy_files', copy_files)
    # the oldest kind of stream reads files after giving up the lock
    extensions.wrapfunction(module, 'generatev1', generate_v1)
    # a stream clone may turn a new repository into ours, or ours into another
    for name in ('applybundlev1', 'applybundlev2', 'applybundlev3'):
        extensions.wrapfunction(module, name, apply_stream)
    # so may the oldest kind, which is no bundle
    extensions.wrapfunction(
        module, 'maybeperformlegacystreamclone', apply_legacy_stream
    )


def _hook_cmdutil(module: Any) -> None:
    # debug commands about the layout of revlogs would fail on our objects
    extensions.wrapfunction(module, 'openrevlog', debug.open_revlog)


def _hook_revlog_debug(module: Any) -> None:
    # so would the list of all revlogs
    extensions.wrapfunction(module, 'debug_revlog_stats', debug.revlog_stats)


def _hook_verify(module: Any) -> None:
    # the database has more to check than the content of files
    extensions.wrapfunction(module.verifier, '_verifyfiles', verify_files)


def _hook_upgrade(module: Any) -> None:
    from .integration import upgraderepo

    # debugupgraderepo changes formats, not the backend
    extensions.wrapfunction(
        module, 'upgraderepo', upgraderepo.upgrade_repository
    )
    # what it is made of, which nothing else uses
    lazyhooks.when_loaded(module.upgrade_actions, _hook_upgrade_actions)
    lazyhooks.when_loaded(module.upgrade_engine, _hook_upgrade_engine)


def _hook_upgrade_actions(module: Any) -> None:
    from .integration import upgraderepo

    # it knows all requirements it may meet
    extensions.wrapfunction(
        module, 'supporteddestrequirements', upgraderepo.known_requirements
    )
    # what it lists as about to be processed
    extensions.wrapfunction(
        module.UpgradeOperation, '__init__', upgraderepo.plan_operation
    )


def _hook_upgrade_engine(module: Any) -> None:
    from .integration import upgraderepo

    # it copies revlogs one by one, the other files of the store, and swaps
    # the old store for the new one
    for name, function in (
        ('_perform_clone', upgraderepo.copy_history),
        ('_files_to_copy_post_revlog_clone', upgraderepo.other_files),
        ('_replacestores', upgraderepo.replace_stores),
    ):
        extensions.wrapfunction(module, name, function)


def _hook_narrow(loaded: bool) -> None:
    if loaded:
        from hgext.narrow import narrowcommands

        # core removes the files of revlogs that left a narrow clone
        extensions.wrapfunction(narrowcommands, '_narrow', narrow)


def make_repository(orig: Any, *args: Any, **kwargs: Any) -> Any:
    """Give a repository our class."""
    repo = orig(*args, **kwargs)
    _adopt(repo)
    return repo


def _feature_setup_entry(function: Any) -> Any:
    """Core calls only functions that belong to a loaded extension's module."""
    function.__module__ = __package__
    return function


def new_repo_requirements(orig: Any, ui: Any, createopts: Any) -> set[bytes]:
    """The requirements of a new repository."""
    if createopts.get(b'backend') != requirements.BACKEND:
        return orig(ui, createopts)
    compression = requirements.compression_requirement(ui)
    names: set[bytes] = orig(ui, {**createopts, b'backend': b'revlogv1'})
    if b'sharedrepo' in createopts:
        # the source decides
        return names
    if b'store' not in names:
        # the format before Mercurial 0.9.2 (see create_repository)
        return names
    if FILE_INDEX in names:
        # It lists revlogs of files; the database is such a list itself.
        names = names - {FILE_INDEX} | {b'fncache', b'dotencode'}
    return names | {requirements.REQUIREMENT, compression}


def _lacks_store(ui: Any) -> bool:
    """Whether our backend is configured together with ``usestore = no``."""
    backend = ui.config(b'storage', b'new-repo-backend')
    return backend == requirements.BACKEND and not ui.configbool(
        b'format', b'usestore'
    )


def create_repository(
    orig: Any,
    ui: Any,
    path: bytes,
    createopts: Any = None,
    requirements: Any = None,
) -> Any:
    """Create a repository, and its database if it is to have one."""
    if (
        requirements is None
        and b'sharedrepo' not in (createopts or {})
        and _lacks_store(ui)
    ):
        # as core does for other options that need a store
        ui.warn(
            _(
                b"ignoring 'storage.new-repo-backend=sqlite' because it is"
                b" incompatible with disabled 'format.usestore' config\n"
            )
        )
    result = orig(ui, path, createopts, requirements)
    from .integration import creation

    creation.create_database(ui, path)
    return result


def copy_files(
    orig: Any, src_vfs_map: Any, dst_vfs_map: Any, entries: Any, progress: Any
) -> Any:
    """Copy the database of a local clone, and let core link the rest."""
    from .integration import storeentries

    others = []
    for item in entries:
        key = item[0]
        if storeentries.is_database(item):
            storeentries.copy_database(
                src_vfs_map[key].join(storeentries.FILENAME),
                dst_vfs_map[key].join(storeentries.FILENAME),
            )
            progress.increment()
        else:
            others.append(item)
    return orig(src_vfs_map, dst_vfs_map, others, progress)


def copy_store(orig: Any, ui: Any, srcrepo: Any, destpath: bytes) -> Any:
    """Copy the database along with the files core knows of."""
    lock = orig(ui, srcrepo, destpath)
    if _is_ours(srcrepo):
        from .integration import storeentries

        storeentries.copy_database(
            srcrepo.svfs.join(storeentries.FILENAME),
            os.path.join(destpath, b'store', storeentries.FILENAME),
        )
    return lock


def generate_v1(orig: Any, repo: Any) -> Any:
    """Stream a snapshot of the database."""
    if not _is_ours(repo):
        return orig(repo)
    from .integration import storeentries

    return storeentries.generate_v1(
        repo, streamclone._walkstreamfiles, streamclone.VolatileManager()
    )


def apply_stream(orig: Any, repo: Any, *args: Any, **kwargs: Any) -> Any:
    """Make the repository object fit what the stream made of it."""
    result = orig(repo, *args, **kwargs)
    _follow_stream(repo)
    return result


def _follow_stream(repo: Any) -> None:
    if _is_ours(repo):
        repository.adopt(repo)
    else:
        from .integration import creation

        creation.remove_database(repo)


def apply_legacy_stream(orig: Any, pullop: Any) -> None:
    """The same, if there was a stream: core asks at each pull."""
    repo = pullop.repo
    before = repo.requirements
    orig(pullop)
    if repo.requirements == before:
        return
    _follow_stream(repo)
    if _is_ours(repo):
        from .integration import creation

        # a shallow clone gets no file history, thus no database
        creation.create_database(repo.ui, repo.root)


def _is_ours(repo: Any) -> bool:
    return requirements.REQUIREMENT in repo.requirements


def bundle_file(
    orig: Any, repo: Any, path: bytes, *args: Any, **kwargs: Any
) -> Any:
    """A file of a bundle repository: from the bundle if it is in there."""
    if not _is_ours(repo):
        return orig(repo, path, *args, **kwargs)
    if not repo._cgfilespos:
        repo._cgunpacker.seek(repo.filestart)
        repo._cgfilespos = bundlerepo._getfilestarts(repo._cgunpacker)
    if path not in repo._cgfilespos:
        return orig(repo, path, *args, **kwargs)
    from .filelog import overlay

    repo._cgunpacker.seek(repo._cgfilespos[path])
    return overlay.bundle_file(repo, path)


def init_static(orig: Any, repo: Any, *args: Any, **kwargs: Any) -> None:
    """Read the database of a repository that is a folder on a web server."""
    orig(repo, *args, **kwargs)
    if _is_ours(repo):
        from .integration import statichttp

        statichttp.adopt(repo)


def union_file(
    orig: Any, repo: Any, path: bytes, *args: Any, **kwargs: Any
) -> Any:
    """A file of a union repository where one or both are ours."""
    from .filelog import overlay

    if _is_ours(repo):
        return overlay.union_file(repo, path)
    if _is_ours(repo.repo2):
        return overlay.union_with_ours(repo, path)
    return orig(repo, path, *args, **kwargs)


def verify_files(orig: Any, verifier: Any, *args: Any, **kwargs: Any) -> Any:
    """Check the database, then let core read every revision."""
    if not _is_ours(verifier.repo):
        return orig(verifier, *args, **kwargs)
    from .reading import verify as checks

    store = verifier.repo.unfiltered().sqlitestore
    fatal = False
    for problem in checks.check(store):
        verifier._err(None, problem.message, problem.path)
        fatal = fatal or problem.fatal
    if fatal:
        return 0, 0
    if verifier.ui.verbose:
        unused = checks.unused_frames(store)
        if unused:
            verifier.ui.write(
                _(b'%d frames are not in use (hg admin::sqlite-repack)\n')
                % unused
            )
    return orig(verifier, *args, **kwargs)


def narrow(orig: Any, ui: Any, repo: Any, *args: Any, **kwargs: Any) -> Any:
    """Remove the rows of files that left, as core removes their revlogs."""
    result = orig(ui, repo, *args, **kwargs)
    if _is_ours(repo):
        from .writing import narrowing

        narrowing.remove_unmatched(repo)
    return result
