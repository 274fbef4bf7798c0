# SPDX-License-Identifier: GPL-2.0-or-later
"""Refuses pushes of changesets that touch files locked by other users.

``hooks`` registers ``check_locks`` as a hook that runs while the changesets of
a push are in a transaction. Nothing here knows HTTP or SQLite.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

from mercurial import encoding, error
from mercurial.i18n import _
from mercurial.node import bin
from mercurial.utils import procutil, stringutil

from .. import errors
from ..api.locking import ANONYMOUS
from ..stores import configured

# The sources of changesets that somebody pushed: through a server, and by the
# path of the repository.
PUSHES = (b'serve', b'push')

# The variable of ``hg push --pushvars`` that overrides locks, as a hook gets it.
OVERRIDE = 'USERVAR_LFS_FORCE'

# Files that are named to the user. The rest is only counted.
MAX_NAMED = 20

# Bytes of the message that a bundle can carry to the client.
MAX_MESSAGE = 255


def pusher(url: bytes, environ: Mapping[bytes, bytes]) -> str:
    """Return who pushes, by the name that the user's locks have as owner.

    ``url`` describes the client, as Mercurial gives it to hooks. Over HTTP, the
    server in front has authenticated the user. Over ssh and by path, it is
    REMOTE_USER of ``environ``, which servers with one account for all users
    set, or the user of the operating system.
    """
    if url.startswith((b'remote:http:', b'remote:https:')):
        name = unquote_to_bytes(url.rpartition(b':')[2])
        return name.decode('utf-8', 'replace') or ANONYMOUS
    name = environ.get(b'REMOTE_USER') or procutil.getuser()
    return name.decode('utf-8', 'replace')


def check_locks(
    ui: Any,
    repo: Any,
    node: bytes,
    source: bytes = b'',
    url: bytes = b'',
    **args: Any,
) -> None:
    """Raise Abort if new changesets touch files that others have locked.

    The changesets are ``node`` and all that follow it. ``args`` are the further
    arguments of the hook.
    """
    if source not in PUSHES:
        return
    user = pusher(url, encoding.environ)
    try:
        owners = configured.lock_store(repo).owners(excluding=user)
    except errors.LfsServerError as failure:
        ui.warn(b'%s\n' % failure.full_text.encode('utf-8', 'replace'))
        raise error.Abort(_(b'LFS locks cannot be checked')) from failure
    if not owners:
        return
    held = _touched(repo, node) & {path.encode('utf-8') for path in owners}
    if not held:
        return
    lines = [
        _(b'%s is locked by %s')
        % (path, owners[path.decode('utf-8')].encode('utf-8', 'replace'))
        for path in sorted(held)
    ]
    for line in lines[:MAX_NAMED]:
        ui.log(b'lfsserver', b'push: %s\n', line)
        ui.warn(b'%s\n' % line)
    if len(lines) > MAX_NAMED:
        ui.warn(_(b'%d more files are locked\n') % (len(lines) - MAX_NAMED))
    if stringutil.parsebool(args.get(OVERRIDE, b'')):
        ui.warn(_(b'locks of %d files overridden\n') % len(held))
        return
    hint = _(b"'git lfs unlock --force' removes a lock")
    if ui.configbool(b'push', b'pushvars.server'):
        hint = _(b'use --pushvars LFS_FORCE=yes to override the locks')
    message = _(b'push refused: %s') % lines[0]
    if len(lines) > 1:
        message += _(b' (and %d more)') % (len(lines) - 1)
    if len(message) > MAX_MESSAGE:
        message = _(b'push refused: %d files are locked') % len(lines)
    raise error.Abort(message, hint=hint)


def _touched(repo: Any, node: bytes) -> set[bytes]:
    """Return the paths that changesets touch, from ``node`` to the newest."""
    changelog = repo.unfiltered().changelog
    paths: set[bytes] = set()
    for rev in range(changelog.rev(bin(node)), len(changelog)):
        paths.update(changelog.readfiles(changelog.node(rev)))
    return paths
