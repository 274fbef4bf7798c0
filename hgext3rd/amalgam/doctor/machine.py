# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks of the repository and of the machine, whatever extension is enabled."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from typing import Any

from mercurial import extensions, util
from mercurial.i18n import _

from .. import metadata
from . import filesystems, packages, permissions
from .findings import Check, Examined, Finding, ok, problem, warning

#: The oldest Python that is tested.
OLDEST_PYTHON = (3, 10)

#: Extensions that do something again, or against what is done here.
CONFLICTS = {
    b'remotefilelog': _(
        b'its clones keep no files; use a lazy clone (hg clone --lazy)'
    ),
    b'infinitepush': _(
        b'it keeps pushes out of the store, where no cache looks'
    ),
}


def versions(examined: Examined) -> Iterator[Finding]:
    """Look at the versions of Mercurial and Python, and name the others."""
    mercurial = util.version()
    tested = metadata.testedwith.split()
    told = _(b'Mercurial %s, Python %s, hg-amalgam %s') % (
        mercurial,
        platform.python_version().encode(),
        metadata.__version__,
    )
    if sys.version_info < OLDEST_PYTHON:
        yield problem(told, _(b'use Python 3.10 or newer'))
    elif b'.'.join(mercurial.split(b'+')[0].split(b'.')[:2]) not in tested:
        yield warning(
            told, _(b'use a Mercurial that is tested: %s') % b', '.join(tested)
        )
    else:
        yield ok(told)


def modules(examined: Examined) -> Iterator[Finding]:
    """Import all that requests need."""
    yield from packages.judge(_(b'requests'), examined.needed)


def conflicts(examined: Examined) -> Iterator[Finding]:
    """Look for extensions that do not work well together with these."""
    enabled = {name for name, _module in extensions.extensions(examined.ui)}
    for name, reason in sorted(CONFLICTS.items()):
        if name in enabled:
            yield warning(
                _(b'the extension %s is enabled on a server') % name, reason
            )


def late_extensions(examined: Examined) -> Iterator[Finding]:
    """Look for extensions that only the hgrc of the repository enables."""
    inside = [
        name
        for name, _module in extensions.extensions(examined.ui)
        if _module_is_ours(name)
        and examined.ui.configsource(b'extensions', name).startswith(
            examined.repo.path
        )
    ]
    if inside:
        yield warning(
            _(b'only the repository enables %s: the first request loads it')
            % b', '.join(sorted(inside)),
            _(
                b'enable it in the configuration of the server: threads must not '
                b'import modules at the same time'
            ),
        )


def _module_is_ours(name: bytes) -> bool:
    module: Any = extensions.find(name)
    own = __package__.rpartition('.')[0].rpartition('.')[0]
    return bool(module.__name__.startswith(own + '.'))


def repository_permissions(examined: Examined) -> Iterator[Finding]:
    """Look at owners and modes of what Mercurial writes."""
    repo = examined.repo
    store = repo.spath
    pattern = os.stat(store)
    paths = [
        *permissions.entries(repo.path),
        *permissions.entries(store),
        *permissions.entries(repo.cachevfs.base),
    ]
    found = list(
        permissions.judge(dict.fromkeys(paths), examined.user, pattern)
    )
    yield from found
    if not found:
        name = examined.user.name
        yield ok(
            _(b'%s and the group of the store can write it') % name
            if permissions.is_shared(store)
            else _(b'%s can write the store') % name
        )
    closed = _closed_folder(repo.path, examined)
    if closed is not None:
        yield problem(
            _(b'%s cannot enter %s') % (examined.user.name, closed),
            _(b'give that user the permission x for the folder'),
        )


def _closed_folder(path: bytes, examined: Examined) -> bytes | None:
    """Return the topmost folder above ``path`` that the user cannot enter."""
    closed = None
    folder = os.path.realpath(path)
    while folder != b'/':
        folder = os.path.dirname(folder)
        if not examined.user.may(os.stat(folder), 1):
            closed = folder
    return closed


def creation_mask(examined: Examined) -> Iterator[Finding]:
    """Look at the umask, if several users share the store."""
    if permissions.would_exclude_group(examined.repo.spath):
        yield warning(
            _(b'the store is shared by a group, and the umask is %03o')
            % util.umask,
            _(
                b'use the umask 002 for all that write, servers included '
                b'(UMask=0002 in a unit of systemd)'
            ),
        )


def acting_user(examined: Examined) -> Iterator[Finding]:
    """Look at who runs this."""
    if not examined.acting:
        yield warning(
            _(b'run by another user than %s: nothing was written as a trial')
            % examined.user.name,
            _(b'run it as the user that serves: sudo -u %s hg admin::doctor')
            % examined.user.name,
        )


def repository_disk(examined: Examined) -> Iterator[Finding]:
    """Look at the file systems of the repository."""
    repo = examined.repo
    store = repo.spath
    found = [
        *filesystems.judge_lasting(store, _(b'the store')),
        *filesystems.judge_space(store),
    ]
    yield from found
    if not found:
        yield ok(
            _(b'%s, %s free')
            % (
                filesystems.kind_of(store) or _(b'unknown file system'),
                _free(store),
            )
        )


def _free(path: bytes) -> bytes:
    state = os.statvfs(path)
    free: bytes = util.bytecount(state.f_bavail * state.f_frsize)
    return free


def unfinished(examined: Examined) -> Iterator[Finding]:
    """Look for a transaction that was not finished."""
    svfs = examined.repo.svfs
    # A transaction in progress has a journal as well, and a lock.
    if svfs.exists(b'journal') and not os.path.lexists(svfs.join(b'lock')):
        yield problem(
            _(b'a transaction was interrupted'), _(b"run 'hg recover'")
        )


CHECKS = (
    Check(b'versions', _(b'Mercurial, Python'), versions, once=True),
    Check(b'modules', _(b'what requests import'), modules, once=True),
    Check(b'conflicts', _(b'other extensions'), conflicts),
    Check(b'loading', _(b'where extensions are enabled'), late_extensions),
    Check(b'user', _(b'who runs this command'), acting_user, once=True),
    Check(
        b'permissions',
        _(b'owners and modes in .hg'),
        repository_permissions,
    ),
    Check(b'umask', _(b'the mask for new files'), creation_mask),
    Check(b'disk', _(b'file system of the store'), repository_disk),
    Check(b'transaction', _(b'leftovers of writers'), unfinished),
)
