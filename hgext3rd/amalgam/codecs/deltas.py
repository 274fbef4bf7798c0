# SPDX-License-Identifier: GPL-2.0-or-later
"""Pure functions on deltas and on the texts they apply to.

A delta is a sequence of hunks, as in revlogs and changegroups. A hunk is three
big-endian integers of 4 bytes (start, end, size), followed by the ``size``
bytes that replace those from ``start`` to ``end`` in the base. Core's ``mdiff``
makes deltas and applies them; ``writing.bases`` chooses their bases.

This module knows nothing of SQLite or Mercurial.
"""

from __future__ import annotations

import hashlib
import struct

# The numbers of a hunk: start, end, size.
HUNK = struct.Struct('>lll')


def content_digest(text: bytes) -> int:
    """Return the key of a text in the ``content`` table.

    It is the first 8 bytes of the SHA-256, as a signed little-endian integer.
    """
    (value,) = struct.unpack('<q', hashlib.sha256(text).digest()[:8])
    return int(value)


def inserted_text(delta: bytes) -> bytes | None:
    """Return the text of a delta that inserts it into an empty base.

    Return None for a delta of any other form.
    """
    if len(delta) >= HUNK.size:
        start, end, size = HUNK.unpack_from(delta)
        if not start and not end and size == len(delta) - HUNK.size:
            return delta[HUNK.size :]
    return None


def replacing_text(delta: bytes, size: int) -> bytes | None:
    """Return the text of a delta that replaces all of a base of ``size`` bytes.

    Return None for a delta of any other form.
    """
    if not delta:
        return None if size else b''
    if len(delta) >= HUNK.size:
        start, end, inserted = HUNK.unpack_from(delta)
        if (start, end, inserted) == (0, size, len(delta) - HUNK.size):
            return delta[HUNK.size :]
    return None


def invert(delta: bytes, text: bytes) -> bytes:
    """Return the delta that undoes ``delta``.

    ``delta`` applies to ``text`` and makes another text. The result applies to
    that other text and makes ``text``. This is much faster than a diff.
    """
    hunks = []
    offset = moved = 0
    while offset < len(delta):
        start, end, size = HUNK.unpack_from(delta, offset)
        offset += HUNK.size + size
        hunks.append(
            HUNK.pack(start + moved, start + moved + size, end - start)
        )
        hunks.append(text[start:end])
        moved += size - (end - start)
    return b''.join(hunks)


def trim(delta: bytes, text: bytes) -> bytes:
    """Return a smaller delta with the same result.

    ``delta`` applies to ``text``. Diffs replace whole lines; each hunk of the
    result replaces only the bytes from the first difference to the last.
    """
    hunks = []
    offset = 0
    while offset < len(delta):
        start, end, size = HUNK.unpack_from(delta, offset)
        offset += HUNK.size
        new = delta[offset : offset + size]
        offset += size
        old = text[start:end]
        if old and new:
            head = _common_length(old, new)
            tail = _common_length(old[head:][::-1], new[head:][::-1])
            start += head
            end -= tail
            new = new[head : len(new) - tail]
        hunks.append(HUNK.pack(start, end, len(new)))
        hunks.append(new)
    return b''.join(hunks)


def _common_length(one: bytes, other: bytes) -> int:
    """Return the length of the common prefix of two byte strings."""
    # A binary search compares slices in C instead of single bytes in Python.
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
