# SPDX-License-Identifier: GPL-2.0-or-later
"""Choose the stored form of a loose revision: a full text or a delta.

Candidates for the base of its delta are the parents, the previous revision (on
another branch, it is often more similar than a parent) and, for a copy, the
source. The smallest stored form wins, unless the chain of deltas below it is
too long already. Only rows count, because chains of sealed revisions are
bounded by their frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from mercurial import mdiff
from mercurial.node import nullrev
from mercurial.revlogutils import constants

from ...amalgam.codecs import chunks
from ..formats import frames, schema
from ..reading.fileindex import FileIndex
from ..reading.store import Store
from . import relatives

# Limits of the chain of rows that a revision is read from: the number of rows,
# and their bytes in relation to the text. A revision beyond these limits is
# stored as a full text. A repack seals chains into frames.
MAX_ROWS = 200
MAX_CHAIN_RATIO = 3
MAX_CHAIN_BYTES = 64 << 10

# Reading a row takes as long as reading this many bytes of text, so the limit of
# rows grows with the text.
BYTES_PER_ROW = 8 << 10

# A delta that is this many times smaller than its text is taken without trying
# other bases.
GOOD_RATIO = 32

# A full text that is this many times larger than the best delta is not even
# compressed: compression alone hardly ever gains so much.
HOPELESS_RATIO = 8

# A delta may take this many bytes more than the full text: exchange sends
# deltas, and small texts compress too well for a meaningful comparison.
DELTA_BONUS = 64

# Diffing takes several times the size of the text in memory, so larger texts
# are compressed without a base.
MAX_DIFF_SIZE = 256 << 20

# A full text with more bytes is stored in pieces: it is then encoded while it
# is written, so that its chunk is never in memory as a whole.
LARGE_TEXT = schema.PIECE_SIZE


class Choice(NamedTuple):
    """How to store a revision.

    ``place`` has the meaning that ``formats.index`` explains for loose
    revisions; ``chunk`` is the data of the row. ``pieces`` are the data of a
    frame for a full text that is too large for a row, otherwise None.
    """

    place: int
    chunk: bytes
    pieces: Iterable[bytes] | None = None


class Candidate(NamedTuple):
    """A possible base: revision ``rev`` of the file with index ``idx``.

    ``place`` is how the row would refer to it. ``delta`` is the delta to the
    new text if the caller has one, otherwise None.
    """

    idx: FileIndex
    rev: int
    place: int
    delta: bytes | None = None


# A revision of the same path, and the delta that makes the new text of it.
Known = tuple[int, bytes]


def candidates(
    store: Store,
    idx: FileIndex,
    path: bytes,
    text: bytes,
    p1: int,
    p2: int,
    digest: int | None,
    known: Known | None = None,
    kind: int = schema.FILE,
) -> Iterator[Candidate]:
    """Yield bases for the next revision of a path, the most promising first.

    ``digest`` is that of ``text``, or None if the text is not to be found by
    its content. ``known`` is a delta that need not be computed. Only files have
    copies.
    """
    seen = set()
    if known is not None and known[0] != nullrev:
        base, delta = known
        seen.add(base)
        yield Candidate(idx, base, len(idx) - base, delta)
    if digest is not None:
        found = relatives.same_content(store, idx, digest, len(text))
        if found is not None and found[0] is not idx:
            yield _in_other_file(*found)
    rev = len(idx)
    for base in (p1, p2, rev - 1):
        if (
            base != nullrev
            and base not in seen
            and not idx.flags(base) & constants.REVIDX_ISCENSORED
        ):
            seen.add(base)
            yield Candidate(idx, base, rev - base)
    if kind != schema.FILE:
        return
    found = relatives.copy_source(store, path, text)
    if found is not None:
        yield _in_other_file(*found)


def _in_other_file(idx: FileIndex, rev: int) -> Candidate:
    return Candidate(idx, rev, -idx.gid(rev))


def chain_cost(store: Store, idx: FileIndex, rev: int) -> tuple[int, int]:
    """Return how many loose rows a revision needs, and their bytes."""
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


def is_short(store: Store, idx: FileIndex, rev: int, size: int) -> bool:
    """Return whether a text of ``size`` bytes may be a delta of ``rev``."""
    rows, stored = chain_cost(store, idx, rev)
    return rows < max(MAX_ROWS, size // BYTES_PER_ROW) and stored < max(
        MAX_CHAIN_BYTES, MAX_CHAIN_RATIO * size
    )


def choose(
    store: Store,
    text: bytes,
    bases: Iterable[Candidate],
    codec: chunks.Codec,
    text_of: Callable[[FileIndex, int], bytes],
) -> Choice:
    """Return how to store ``text``.

    ``text_of`` returns the text of a revision.
    """
    encode = codec.encode
    best: Choice | None = None
    size = len(text)
    if size <= MAX_DIFF_SIZE:
        for idx, rev, place, delta in bases:
            if idx.rawsize(rev) > MAX_DIFF_SIZE:
                continue
            if not is_short(store, idx, rev, size):
                continue
            if delta is None:
                base = text_of(idx, rev)
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
    if best is not None and len(best.chunk) * HOPELESS_RATIO <= size:
        return best
    if size > LARGE_TEXT:
        return _large(text, best, codec)
    chunk = encode(text)
    if best is None or len(chunk) + DELTA_BONUS < len(best.chunk):
        return Choice(0, chunk)
    return best


def _large(text: bytes, best: Choice | None, codec: chunks.Codec) -> Choice:
    """Return ``best``, or the full text in pieces if that is smaller."""
    pieces = frames.encode_data((text,), codec)
    if best is None:
        return Choice(0, b'', pieces)
    encoded = list(pieces)
    if sum(map(len, encoded)) + DELTA_BONUS < len(best.chunk):
        return Choice(0, b'', encoded)
    return best
