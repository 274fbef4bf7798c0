# SPDX-License-Identifier: GPL-2.0-or-later
"""The checks of one file that ``hg verify`` runs.

Checks of the database as a whole are in ``reading.verify``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mercurial import error, revlog
from mercurial.i18n import _
from mercurial.node import short
from mercurial.utils import storageutil, stringutil


def problems(file: Any, state: Any) -> Iterator[Any]:
    """Yield the problems found by reading every revision of a file.

    ``file`` is a SQLiteRevlog; ``state`` and the problems are those of core's
    ``ifilestorage.verifyintegrity``. Revisions are read in the order in which
    they are stored, so the base of each delta was read just before.
    """
    state[b'skipread'] = set()
    state[b'safe_renamed'] = set()
    found: list[tuple[int, bytes]] = []
    places = zip(file.idx.frames, file.idx.places, file, strict=True)
    for _frame, _place, rev in sorted(places):
        try:
            expected, size = file.rawsize(rev), _verified_size(file, rev, state)
            if expected != size:
                problem = _(b'unpacked size is %d, %d expected')
                found.append((rev, problem % (size, expected)))
        except error.CensoredNodeError:
            if state[b'erroroncensored']:
                found.append((rev, _(b'censored file data')))
                state[b'skipread'].add(file.node(rev))
        except Exception as exc:
            # Any failure is a problem of this revision only. The others must
            # still be verified.
            problem = _(b'unpacking %s: %s') % (
                short(file.node(rev)),
                stringutil.forcebytestr(exc),
            )
            found.append((rev, problem))
            state[b'skipread'].add(file.node(rev))
    for rev, problem in sorted(found):
        yield revlog.revlogproblem(error=problem, node=file.node(rev))


def _verified_size(file: Any, rev: int, state: Any) -> int:
    """Return the bytes of a raw text after comparing it with its node."""
    flags = file.flags(rev)
    if flags:
        # Extensions such as lfs wrap this function: they verify revisions
        # whose text is stored elsewhere.
        skip = state.get(b'skipflags', 0) & flags
        revlog._verify_revision(file, skip, state, file.node(rev))
    text = file.rawdata(rev)
    known = file.idx.metadata_size(rev)
    if known is not None and known != (storageutil.parsemeta(text)[1] or 0):
        raise error.StorageError(_(b'wrong size of metadata in the index'))
    return len(text)
