# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether the users of a repository can read and write its files.

Judges owners and modes, and tries nothing: the command may run as root, who can
do everything. Access control lists are not looked at.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator

from mercurial import util
from mercurial.i18n import _

from .findings import Finding, User, problem, warning

# The most entries of a folder that are looked at. What is wrong is usually wrong
# for many.
MOST_ENTRIES = 10_000


def user_named(name: bytes) -> User:
    """Return the user with this name. Raises KeyError."""
    import pwd

    return _user(pwd.getpwnam(os.fsdecode(name)))


def user_of(uid: int) -> User:
    """Return the user with this id."""
    import pwd

    try:
        return _user(pwd.getpwuid(uid))
    except KeyError:
        gids = frozenset(os.getgroups()) if uid == os.geteuid() else frozenset()
        return User(b'%d' % uid, uid, gids)


def _user(entry: object) -> User:
    name, uid, gid = entry.pw_name, entry.pw_uid, entry.pw_gid  # type: ignore[attr-defined]
    return User(os.fsencode(name), uid, frozenset(os.getgrouplist(name, gid)))


def is_shared(folder: bytes) -> bool:
    """Return whether the group of ``folder`` may write to it."""
    return bool(os.stat(folder).st_mode & stat.S_IWGRP)


def would_exclude_group(folder: bytes) -> bool:
    """Return whether the group shares ``folder``, but not what is made now."""
    return is_shared(folder) and bool(util.umask & stat.S_IWGRP)


def group_named(gid: int) -> bytes:
    """Return the name of a group, or its number."""
    import grp

    try:
        return os.fsencode(grp.getgrgid(gid).gr_name)
    except KeyError:
        return b'%d' % gid


def entries(folder: bytes, depth: int = 1) -> Iterator[bytes]:
    """Yield ``folder`` and what is in it, ``depth`` levels down.

    Folders that do not exist or cannot be read have no entries.
    """
    yield folder
    try:
        with os.scandir(folder) as found:
            names = sorted(entry.path for entry in found)[:MOST_ENTRIES]
    except OSError:
        return
    for path in names:
        if depth > 1 and os.path.isdir(path) and not os.path.islink(path):
            yield from entries(path, depth - 1)
        else:
            yield path


def judge(
    paths: Iterable[bytes], user: User, pattern: os.stat_result
) -> Iterator[Finding]:
    """Yield what is wrong with the owners and modes of ``paths``.

    ``user`` must be able to write all of them. If the folder whose state is
    ``pattern`` can be written by its group, so must be the others. Paths that do
    not exist are fine.
    """
    shared = bool(pattern.st_mode & stat.S_IWGRP)
    refused: list[bytes] = []
    closed: list[bytes] = []
    sticky: list[bytes] = []
    unset: list[bytes] = []
    public: list[bytes] = []
    for path in paths:
        try:
            state = os.stat(path)
        except OSError:
            continue
        mode = state.st_mode
        folder = stat.S_ISDIR(mode)
        if not user.may(state, 7 if folder else 6):
            refused.append(path)
        elif shared and (
            state.st_gid != pattern.st_gid
            or mode & 0o060 != 0o060
            or (folder and not mode & stat.S_IXGRP)
        ):
            closed.append(path)
        elif shared and folder and not mode & stat.S_ISGID:
            unset.append(path)
        if folder and mode & stat.S_ISVTX and shared:
            sticky.append(path)
        elif mode & stat.S_IWOTH:
            public.append(path)
    if refused:
        yield problem(
            _(b'%s cannot write %s') % (user.name, _some(refused)),
            _(b'change owner or mode, for example: chown -R %s %s')
            % (user.name, os.path.commonpath(refused)),
        )
    if closed:
        folder_path = os.path.commonpath(closed)
        yield problem(
            _(b'the group of the store cannot write %s') % _some(closed),
            _(b'chgrp -R %s %s; chmod -R g+rwX %s')
            % (group_named(pattern.st_gid), folder_path, folder_path),
        )
    if unset:
        yield warning(
            _(b'new files would not belong to the group of the store in %s')
            % _some(unset),
            _(b'find %s -type d -exec chmod g+s {} +')
            % os.path.commonpath(unset),
        )
    if sticky:
        yield problem(
            _(b'users cannot replace files of each other in %s')
            % _some(sticky),
            _(b'remove the sticky bit: chmod -t %s') % sticky[0],
        )
    if public:
        yield problem(
            _(b'everybody on this machine can write %s') % _some(public),
            _(b'chmod -R o-w %s') % os.path.commonpath(public),
        )


def _some(paths: list[bytes]) -> bytes:
    """Return the first path, and how many more there are."""
    if len(paths) == 1:
        return paths[0]
    return _(b'%s and %d more') % (paths[0], len(paths) - 1)
