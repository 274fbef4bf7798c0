# SPDX-License-Identifier: GPL-2.0-or-later
"""What the primary knows of a replica: one small file for each of them.

The file can be lost or damaged without harm: the next attempt writes it anew. It
is replaced as a whole, so a reader never sees half of it. Nothing here speaks to a
replica.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from mercurial import bookmarks, error, phases
from mercurial import vfs as vfsmod
from mercurial.i18n import _
from mercurial.node import bin, hex
from mercurial.utils import urlutil

#: The folder of states and locks, in ``.hg``.
FOLDER = b'replicas'

VERSION = 1

#: Seconds between attempts: they double from the first to the last value.
FIRST_DELAY = 1
LAST_DELAY = 300

#: Names are parts of the names of files.
_NAME = re.compile(rb'[A-Za-z0-9_-][A-Za-z0-9._-]*\Z')

#: The options of the section that are not names of replicas.
_OPTIONS = (b'wait', b'source')


@dataclass(frozen=True, slots=True)
class ReplicaState:
    """What was found at a replica.

    ``url`` is its URL without password. ``heads`` are the heads that it had, in
    hexadecimal, as far as the primary knows them. ``offered`` is what ``offer()``
    returned for that which the replica has confirmed; empty if it never has. All
    moments are POSIX times, 0 if there was none: ``success`` is when an attempt
    that succeeded had begun, ``attempt`` the same of the last attempt, ``behind``
    when the first of those that failed since then had begun, ``next`` when it is
    tried again. ``failures`` counts attempts that failed, and ``error`` says why the
    last one did.
    """

    url: str
    heads: tuple[str, ...] = ()
    offered: str = ''
    success: float = 0
    attempt: float = 0
    behind: float = 0
    next: float = 0
    failures: int = 0
    error: str = ''

    def has_confirmed(self, offered: str) -> bool:
        """Return whether the replica has that for which ``offer()`` stands."""
        return not self.failures and self.offered == offered

    def confirmed(
        self, began: float, heads: list[bytes], offered: str
    ) -> ReplicaState:
        """Return the state after an attempt that found everything there."""
        return ReplicaState(
            self.url, _texts(heads), offered, success=began, attempt=began
        )

    def failed(
        self,
        began: float,
        ended: float,
        heads: list[bytes] | None,
        reason: bytes,
    ) -> ReplicaState:
        """Return the state after an attempt that failed.

        ``heads`` are those of the replica, or None if they are unknown.
        """
        delay = min(FIRST_DELAY << min(self.failures, 16), LAST_DELAY)
        return replace(
            self,
            heads=self.heads if heads is None else _texts(heads),
            # What was confirmed once may be gone.
            offered=self.offered if heads is None else '',
            attempt=began,
            behind=self.behind or began,
            next=ended + delay,
            failures=self.failures + 1,
            error=reason.decode('utf-8', 'replace'),
        )


def _texts(nodes: list[bytes]) -> tuple[str, ...]:
    return tuple(hex(node).decode() for node in nodes)


def configured(repo: Any) -> dict[bytes, bytes]:
    """Return the URLs of the replicas of a repository, by name.

    Raises ConfigError if a name is not valid.
    """
    found = {}
    for name, url in repo.ui.configitems(b'replicas', ignoresub=True):
        if name in _OPTIONS:
            continue
        if not _NAME.match(name):
            raise error.ConfigError(
                _(b"invalid name of a replica: '%s'") % name,
                hint=_(b'use letters, digits, "-", "_" and "."'),
            )
        if not urlutil.hasscheme(url):
            url = os.path.join(repo.root, os.path.expanduser(url))
        found[name] = url
    return found


def offer(repo: Any) -> str:
    """Return a short text for all that a replica can get from ``repo`` now.

    It differs after every change of visible changesets, phases and bookmarks.
    """
    served = repo.filtered(b'served')
    digest = hashlib.sha256()
    for head in sorted(served.heads()):
        digest.update(head)
    for listed in (bookmarks.listbookmarks(served), phases.listphases(served)):
        digest.update(b'\0')
        for key, value in sorted(listed.items()):
            digest.update(b'%s\0%s\0' % (key, value))
    return digest.hexdigest()


def missing(repo: Any, state: ReplicaState) -> list[int]:
    """Return the visible changesets that a replica lacked when last asked.

    As revision numbers. A replica that was never reached lacks all.
    """
    served = repo.filtered(b'served')
    has_node = served.changelog.hasnode
    common = [n for n in map(bin, state.heads) if has_node(n)]
    to_rev = served.changelog.rev
    revs: list[int] = served.changelog.findmissingrevs(
        [to_rev(n) for n in common], [to_rev(n) for n in served.heads()]
    )
    return revs


def load(repo: Any, name: bytes, url: bytes) -> ReplicaState:
    """Return the state of a replica; an empty one if none is known for ``url``."""
    shown = urlutil.hidepassword(url).decode('utf-8', 'replace')
    empty = ReplicaState(shown)
    data = _vfs(repo).tryread(_file(name, b'.json'))
    try:
        document = json.loads(data)
        if document.pop('version') != VERSION:
            return empty
        document['heads'] = tuple(document['heads'])
        state = ReplicaState(**document)
        if not _is_valid(state):
            return empty
    except (AttributeError, KeyError, TypeError, ValueError):
        return empty
    # Another machine under the same name has nothing yet.
    return state if state.url == shown else empty


def _is_valid(state: ReplicaState) -> bool:
    """Return whether what was read has the types that were written."""
    for field in ('url', 'offered', 'error'):
        if not isinstance(getattr(state, field), str):
            return False
    for field in ('success', 'attempt', 'behind', 'next', 'failures'):
        value = getattr(state, field)
        if not isinstance(value, int | float) or not 0 <= value < 1 << 40:
            return False
    return isinstance(state.failures, int) and all(
        isinstance(head, str) and re.fullmatch('[0-9a-f]{40}', head)
        for head in state.heads
    )


def save(repo: Any, name: bytes, state: ReplicaState) -> None:
    """Store the state of a replica. Raises OSError."""
    document = {'version': VERSION, **asdict(state)}
    with _vfs(repo)(_file(name, b'.json'), b'wb', atomictemp=True) as file:
        file.write(json.dumps(document, indent=1).encode())


@contextlib.contextmanager
def locked(
    repo: Any, name: bytes, purpose: bytes, wait: bool
) -> Iterator[bool]:
    """Hold a lock of a replica, and yield whether it was got.

    The system releases it when the process ends, however it ends. Without
    ``wait``, it is not waited for. Raises OSError if there can be no such file.
    """
    vfs = _vfs(repo)
    if not vfs.isdir(FOLDER):
        vfs.makedirs(FOLDER)
    with vfs(_file(name, b'.' + purpose), b'ab') as file:
        try:
            how = fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB)
            fcntl.flock(file.fileno(), how)
        except BlockingIOError:
            yield False
            return
        yield True


def _vfs(repo: Any) -> Any:
    """Return the ``.hg`` that a repository and its shares have in common."""
    shared = vfsmod.vfs(repo.sharedpath)
    shared.createmode = repo.store.createmode
    return shared


def _file(name: bytes, ending: bytes) -> bytes:
    return FOLDER + b'/' + name + ending
