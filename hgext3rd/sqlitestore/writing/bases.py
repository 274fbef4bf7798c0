# SPDX-License-Identifier: GPL-2.0-or-later
"""Choosing what a loose revision is stored as.

Candidates for the base are the parents, the revision before (on the other
branch it is often closer than a parent) and, for a copy, its source: copies
have a null first parent, and without the source each would be a full text.
The smallest stored form wins, unless the chain below it is used up. Chains of
sealed revisions are bounded by their frame; only rows count here.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from mercurial import mdiff

from ..formats import index, schema

if TYPE_CHECKING:
    from ..reading.store import Store

# Rows a read may fetch, and their size relative to the text: beyond this a
# full text is stored again. A repack seals such chains into frames.
MAX_ROWS = 200
MAX_CHAIN_RATIO = 3
MAX_CHAIN_BYTES = 64 << 10

# A delta this much smaller than its text is taken without trying others.
GOOD_RATIO = 32

# A delta may be stored this much larger: it is what exchange sends, and a
# small text compresses too well to tell.
DELTA_BONUS = 64

# Diffing costs several times the text in memory; larger texts are compressed
# on their own.
MAX_DIFF_SIZE = 256 << 20

# Texts this large are looked up by content: the same file under another path
# is then stored as an empty delta. Smaller ones do not pay for the lookup row.
CONTENT_SIZE = 16 << 10

_HUNK = struct.Struct('>lll')


class Choice(NamedTuple):
    """``place`` as in index.FileIndex, ``chunk`` the stored data."""

    place: int
    chunk: bytes


def content_digest(text: bytes) -> int:
    """The key of a text in the ``content`` table."""
    (value,) = struct.unpack('<q', hashlib.sha256(text).digest()[:8])
    return int(value)


def invert(delta: bytes, text: bytes) -> bytes:
    """The delta back to ``text``, to which ``delta`` is to be applied.

    Takes a fraction of the time of a diff.
    """
    hunks = []
    offset = moved = 0
    while offset < len(delta):
        start, end, size = _HUNK.unpack_from(delta, offset)
        offset += _HUNK.size + size
        hunks.append(
            _HUNK.pack(start + moved, start + moved + size, end - start)
        )
        hunks.append(text[start:end])
        moved += size - (end - start)
    return b''.join(hunks)


def trim(delta: bytes, text: bytes) -> bytes:
    """``delta`` of ``text`` without what its hunks do not change.

    Diffs replace whole lines; here only what differs within them remains.
    """
    hunks = []
    offset = 0
    while offset < len(delta):
        start, end, size = _HUNK.unpack_from(delta, offset)
        offset += _HUNK.size
        new = delta[offset : offset + size]
        offset += size
        old = text[start:end]
        if old and new:
            head = _common(old, new)
            tail = _common(old[head:][::-1], new[head:][::-1])
            start += head
            end -= tail
            new = new[head : len(new) - tail]
        hunks.append(_HUNK.pack(start, end, len(new)))
        hunks.append(new)
    return b''.join(hunks)


def _common(one: bytes, other: bytes) -> int:
    """The length of the common prefix; by halves, to compare at C speed."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def chain_cost(store: Store, idx: index.FileIndex, rev: int) -> tuple[int, int]:
    """(rows, bytes) that reading a revision fetches from loose rows."""
    count = size = 0
    while True:
        rows, below = idx.loose_chain(rev)
        count += len(rows)
        size += sum(idx.stored.get(r, 0) for r in rows)
        if below is None or count > MAX_ROWS:
            return count, size
        path_id, rev = schema.split_id(below)
        if path_id == idx.path_id:
            return count, size
        idx = store.index_of(path_id)
        if idx.frames[rev]:
            return count, size


class Candidate(NamedTuple):
    """A possible base: its file's index, number, and how to refer to it."""

    idx: index.FileIndex
    rev: int
    place: int


def choose(
    store: Store,
    text: bytes,
    candidates: Iterable[Candidate],
    encode: index.Encoder,
    known: dict[tuple[int | None, int], bytes],
) -> Choice:
    """How to store ``text``.

    ``encode`` makes a chunk of data; ``known`` holds texts at hand, by
    (path id, revision).
    """
    best: Choice | None = None
    size = len(text)
    if size <= MAX_DIFF_SIZE:
        for candidate in candidates:
            idx, rev, place = candidate
            if idx.core[rev][2] > MAX_DIFF_SIZE:
                continue
            rows, stored = chain_cost(store, idx, rev)
            limit = max(MAX_CHAIN_BYTES, MAX_CHAIN_RATIO * size)
            if rows >= MAX_ROWS or stored >= limit:
                continue
            base = known.get((idx.path_id, rev))
            if base is None:
                base = store.chain_text(idx, rev)
            if base == text:
                return Choice(place, b'')
            delta = mdiff.textdiff(base, text)
            if len(delta) > size + DELTA_BONUS:
                continue
            chunk = encode(delta)
            if best is None or len(chunk) < len(best.chunk):
                best = Choice(place, chunk)
            if len(chunk) * GOOD_RATIO <= size:
                return best
    if best is not None and len(best.chunk) * 8 <= size:
        # Compression alone hardly ever gains that much.
        return best
    chunk = encode(text)
    if best is None or len(chunk) + DELTA_BONUS < len(best.chunk):
        return Choice(0, chunk)
    return best
