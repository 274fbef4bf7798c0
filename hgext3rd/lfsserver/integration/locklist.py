# SPDX-License-Identifier: GPL-2.0-or-later
"""``hg admin::lfs-locks``: shows the locks of a repository and breaks them.

The administrator acts for nobody, so owners do not matter here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from mercurial import error
from mercurial.i18n import _

from ..stores import configured, locks


def run(
    ui: Any,
    repo: Any,
    fm: Any,
    *,
    paths: Sequence[bytes],
    owners: Sequence[bytes],
    every: bool,
    breaks: bool,
) -> int:
    """List the locks on ``paths`` of ``owners``, and delete them if ``breaks``.

    No paths, or no owners, mean any. ``every`` is needed to break all locks.
    Returns 1 if there is no such lock although paths or owners were given.
    Raises Abort or LfsServerError.
    """
    if breaks and not (paths or owners or every):
        raise error.InputError(
            _(b'name the files or owners whose locks to break'),
            hint=_(b'use --all to break all locks'),
        )
    store = configured.lock_store(repo)
    chosen = _chosen([_text(p) for p in paths], [_text(o) for o in owners])
    count = 0
    with fm:
        for lock in _locks(store):
            if not chosen(lock):
                continue
            if breaks:
                store.delete(lock.id, lock.owner, force=True)
                ui.log(
                    b'lfsserver', b'broke the lock on %s\n', _bytes(lock.path)
                )
            count += 1
            _show(fm, lock, breaks)
    if breaks:
        ui.status(_(b'broke %d locks\n') % count)
    else:
        ui.status(_(b'%d locks\n') % count)
    return 0 if count or not (paths or owners) else 1


def _chosen(
    paths: Sequence[str], owners: Sequence[str]
) -> Callable[[locks.Lock], bool]:
    return lambda lock: (
        (not paths or lock.path in paths or lock.id in paths)
        and (not owners or lock.owner in owners)
    )


def _locks(store: locks.LockStore) -> Iterator[locks.Lock]:
    """Yield all locks, in the order in which they were taken."""
    cursor = None
    while True:
        page = store.page(cursor=cursor, limit=locks.MAX_LIMIT)
        yield from page.locks
        cursor = page.next_cursor
        if cursor is None:
            return


def _show(fm: Any, lock: locks.Lock, broken: bool) -> None:
    fm.startitem()
    fm.write(b'path', b'%s', _bytes(lock.path))
    fm.write(b'owner', b'\t%s', _bytes(lock.owner))
    fm.condwrite(lock.ref, b'ref', b'\t%s', _bytes(lock.ref or ''))
    fm.write(b'id', b'\tID:%s', _bytes(lock.id))
    date = fm.formatdate((lock.locked_at, 0), b'%Y-%m-%d %H:%M:%S UTC')
    fm.write(b'date', b'\t%s\n', date)
    fm.data(broken=broken)


def _text(value: bytes) -> str:
    return value.decode('utf-8', 'replace')


def _bytes(value: str) -> bytes:
    return value.encode('utf-8', 'replace')
