# SPDX-License-Identifier: GPL-2.0-or-later
"""A cheaper answer to whether a file revision's parents are swapped.

Mercurial before 5.9 could store the parents of revisions with copy metadata in
the wrong order (its issue 6528), so every incoming file revision is checked:
one with metadata has its first parent null, one without has not. Mercurial
reconstructs texts to see the metadata. While pieces are applied to a new
repository all revisions in it have passed that check; their parents then tell
whether they have metadata, and most deltas do not touch it.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from typing import Any

from mercurial.node import nullrev

# the two bytes at the start of a text that has metadata
MARKER_SIZE = 2

_first_hunk = struct.Struct('>l').unpack_from
_HUNK_SIZE = 12

_trusted = False


@contextlib.contextmanager
def trusted() -> Iterator[None]:
    """Take the repository's file revisions to have been checked."""
    global _trusted
    _trusted = True
    try:
        yield
    finally:
        _trusted = False


def filter_deltas(orig: Any, revlog: Any, deltas: Any) -> Iterator[Any]:
    """Wrapped ``rewrite.filter_delta_issue6528``: ask it only if need be."""
    if not _trusted:
        yield from orig(revlog, deltas)
        return
    # One call a file revision: this is a twentieth of a clone's CPU, where
    # what it replaces is an eighth.
    null = revlog.nullid
    index = revlog.index
    for delta in deltas:
        no_p1 = delta.p1 == null
        if no_p1 == (delta.p2 == null):
            # with both parents or neither there is nothing to swap
            yield delta
        elif _has_metadata(revlog, index, null, delta) is no_p1:
            yield delta
        else:
            yield from orig(revlog, iter((delta,)))


def _has_metadata(
    revlog: Any, index: Any, null: bytes, delta: Any
) -> bool | None:
    """Return whether a revision has metadata; None if that takes its text."""
    data = delta.delta
    base = delta.delta_base
    if (
        data is None
        or base == null
        or len(data) < _HUNK_SIZE
        or _first_hunk(data)[0] < MARKER_SIZE
    ):
        return None
    rev = index.get_rev(base)
    if rev is None:
        return None
    p1, p2 = revlog.parentrevs(rev)
    if (p1 == nullrev) == (p2 == nullrev):
        return None
    return bool(p1 == nullrev)
