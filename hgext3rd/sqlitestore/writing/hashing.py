# SPDX-License-Identifier: GPL-2.0-or-later
"""The node of a text that enters the store.

A node is the SHA-1 of the parents' nodes and the text. Mercurial's own function
also detects the traces of collision attacks, which takes three times as long as
SHA-1 itself. ``node_of`` leaves the detection out for texts that are ASCII. Of
two colliding texts, at least one still goes through the detection and is
refused, so they never both get in.

*What is detected.* Mercurial's function knows 32 disturbance vectors
(``sha1_dvs`` in its ``sha1dc/lib/ubc_check.c``), each with a constant of 16
words. For each block of 64 bytes it asks whether this block collides with
another, its partner, which is the block XOR the constant. The relation is
symmetric: the partner has the same trace.

*What ASCII excludes.* In each constant, at least 6 of the 16 words have a bit of
the mask 0x80808080, and at least 5 of the first 14 words. So a block and its
partner differ in the highest bit of several bytes, and at least one of the two
has bytes that are not ASCII. This is also true of the last block, which has
padding and the length: the length is in the last two words, and the padding has
one byte of 0x80, which is in one word of each partner. That leaves 3 words.

The first block begins with the parents' nodes, which are not ASCII. It is always
examined. So is every text that is not ASCII, and every short text, because that
takes less time.

This module knows nothing of files and databases.
"""

from __future__ import annotations

import hashlib

from mercurial.utils import hashutil, storageutil

# Bytes of the smallest text for which plain SHA-1 is faster. For smaller ones,
# examining the first block apart takes longer than it saves.
SMALL = 1 << 10

# Bytes of the text in the first block, after two nodes of 20 bytes.
_IN_FIRST_BLOCK = 64 - 2 * 20


def node_of(text: bytes, p1: bytes, p2: bytes) -> bytes:
    """Return the node of a text with these parents.

    Use this for every text that enters the store. Raises OverflowError, as
    Mercurial's function does, if it finds the trace of an attack.
    """
    if len(text) >= SMALL and text.isascii():
        block = (p1 + p2 if p1 < p2 else p2 + p1) + text[:_IN_FIRST_BLOCK]
        sha = hashlib.sha1(block, usedforsecurity=False)
        if hashutil.sha1(block).digest() == sha.digest():
            sha.update(memoryview(text)[_IN_FIRST_BLOCK:])
            return sha.digest()
    node: bytes = storageutil.hashrevisionsha1(text, p1, p2)
    return node
