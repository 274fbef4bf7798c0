# SPDX-License-Identifier: GPL-2.0-or-later
"""A cheaper check of whether the parents of a file revision are swapped.

Mercurial before 5.9 could store the parents of revisions with copy metadata in
the wrong order (its issue 6528), so Mercurial checks every incoming file
revision: with metadata, the first parent must be null, without metadata it must
not. To see the metadata, Mercurial reconstructs the text. While history is
applied to a new repository, all revisions in it have passed that check. Then
their parents tell whether they have metadata, and most deltas do not change it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from mercurial.node import nullrev

from .session import PullSession

# The size of the marker at the start of a text with metadata (``filelog``).
MARKER_SIZE = 2

_first_hunk = struct.Struct('>l').unpack_from
_HUNK_SIZE = 12


def filter_deltas(orig: Any, revlog: Any, deltas: Any) -> Iterator[Any]:
    """Yield ``deltas``, corrected where their parents are swapped.

    Wrapped around ``rewrite.filter_delta_issue6528`` (``orig``), which is
    called only for the deltas that cannot be decided here.
    """
    if not PullSession.any_parents_checked():
        yield from orig(revlog, deltas)
        return
    # Plain and inline, because it runs for each file revision: it takes a
    # twentieth of the CPU of a clone, and what it replaces takes an eighth.
    null = revlog.nullid
    index = revlog.index
    for delta in deltas:
        no_p1 = delta.p1 == null
        if no_p1 == (delta.p2 == null):
            # With two parents or none, there is nothing to swap.
            yield delta
        elif _has_metadata(revlog, index, null, delta) is no_p1:
            yield delta
        else:
            yield from orig(revlog, iter((delta,)))


def _has_metadata(
    revlog: Any, index: Any, null: bytes, delta: Any
) -> bool | None:
    """Return whether a revision has metadata, None if only its text tells."""
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
