# SPDX-License-Identifier: GPL-2.0-or-later
"""The lists and files of bundles that Mercurial serves itself.

Shared by clone bundles and pull bundles. Nothing here knows what is in them.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mercurial import bundlecaches, encoding, error
from mercurial import lock as lockmod
from mercurial import vfs as vfsmod
from mercurial.i18n import _
from mercurial.utils import stringutil

#: The lock of who changes lists and bundles, in ``.hg``.
LOCK = b'wireprotov2-bundles.lock'

#: The folder of pull bundles, in ``.hg``; by default, clone bundles that
#: Mercurial serves itself are there as well.
FOLDER = b'bundle-cache'

#: An attribute of the lines that were written here.
MARK = b'AMALGAM=1'


@dataclass(slots=True)
class BundleChanges:
    """How many bundles were ``made``, and how many ``removed``."""

    made: int = 0
    removed: int = 0


@contextlib.contextmanager
def locked(repo: Any) -> Iterator[bool]:
    """Hold the lock; yield whether this is possible now."""
    try:
        lock = lockmod.lock(repo.vfs, LOCK, timeout=0)
    except error.LockHeld:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def files(repo: Any) -> Any:
    """Return ``.hg`` as a vfs for files that are written without the wlock."""
    return vfsmod.vfs(repo.path)


def folder(repo: Any) -> bytes:
    """Return the folder of pull bundles."""
    path: bytes = repo.vfs.join(FOLDER)
    return path


@contextlib.contextmanager
def temporary(parent: bytes) -> Iterator[bytes]:
    """Make a folder on the file system of ``parent``; remove it at the end."""
    with tempfile.TemporaryDirectory(
        prefix=b'.new-', dir=parent, ignore_cleanup_errors=True
    ) as path:
        yield path


def write(repo: Any, name: bytes, lines: Sequence[bytes]) -> None:
    """Put ``lines`` into the list ``name`` in place of those written before.

    The lines of others come first. Those among them that Mercurial cannot read,
    which would make clones fail, are left out with a warning.
    """
    old = repo.vfs.tryread(name)
    kept = []
    for line in old.splitlines():
        if MARK in line.split(b' '):
            continue
        try:
            bundlecaches.parseclonebundlesmanifest(repo, line)
        except ValueError:
            repo.ui.warn(
                _(b'warning: removing a line of %s that cannot be read: %s\n')
                % (repo.vfs.join(name), stringutil.escapestr(line))
            )
            continue
        kept.append(line)
    new = b''.join(line + b'\n' for line in [*kept, *lines])
    if new == old:
        return
    if not new:
        repo.vfs.tryunlink(name)
        return
    try:
        with files(repo)(name, b'wb', atomictemp=True) as stream:
            stream.write(new)
    except OSError as e:
        raise failure(_(b'list'), name, e) from None


def failure(what: bytes, name: bytes, cause: Exception) -> error.Abort:
    """Return the error that reports that something cannot be made."""
    if isinstance(cause, error.Abort):
        reason = cause.message
    elif isinstance(cause, OSError):
        reason = encoding.strtolocal(cause.strerror or str(cause))
    else:
        reason = encoding.strtolocal(str(cause))
    return error.Abort(
        _(b'cannot make the %s %s: %s') % (what, name, reason),
        hint=_(b'clients get the bundles that were there before'),
    )
