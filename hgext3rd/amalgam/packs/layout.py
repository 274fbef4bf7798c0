# SPDX-License-Identifier: GPL-2.0-or-later
"""The layout of a pack: blocks, tables and references.

A pack holds the changesets of a segment with their manifests and files, in the
form in which a database stores them. docs/packs.rst specifies it. It begins
with ``MAGIC``, a byte with the version and a byte of flags; blocks follow. A
block is a byte that says its kind, the length of its content (32 bits,
big-endian), and the content. Content that consists of several values gives the
length of each value but the last in 32 bits before it.

A *line* is the history of one thing in a pack: of the root manifest, of a
directory of a tree manifest, or of a file. Lines of manifests come first.
A line has revisions, numbered from 0 within the pack.

A *reference* is how a revision names a parent. It is an integer: 0 is the null
revision, k up to the number of the revision is the revision k before it, and
larger numbers count in the list of the nodes that are outside of the pack.

This module performs no I/O and knows neither repositories nor the wire.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from .errors import PackError

MAGIC = b'HGPK'
#: Every change that older readers would misread increases this.
VERSION = 2
#: The flag of packs of repositories with tree manifests.
TREES = 1

#: Kinds of blocks.
CHANGESETS = b'C'
OUTSIDE = b'O'
NAMES = b'N'
FRAME = b'F'
CONTINUATION = b'P'
INDEX = b'I'
END = b'E'

#: Kinds of lines, the first byte of the content of a block NAMES.
MANIFEST = b'm'
FILE = b'f'

NULL = b'\0' * 20
NODE_SIZE = 20

HEAD = struct.Struct('>4sBB')
BLOCK = struct.Struct('>cI')
LENGTH = struct.Struct('>I')

#: The most bytes in a block. Content of frames is cut into pieces that are
#: smaller, and all tables of a block together stay below it by far.
MOST_BLOCK = 80 << 20

#: The most rows of a table, and the most entries of frames and lines that wait
#: for an index. An index has 16,000 revisions or a single line, and no line has
#: more revisions than its segments have changesets. A segment has at most
#: 50,000 of them, and a span of 64 MB hardly a third of this number.
MOST_ROWS = 1 << 20

#: The most bytes of a frame, decompressed, without its largest entry.
MOST_FRAME = 256 << 20

#: The most bytes of the texts of a block of changesets without the largest. An
#: encoder ends a block at 4 MB.
MOST_TEXTS = 16 << 20

#: The most bytes of one text of a changeset.
MOST_TEXT = 256 << 20

#: The most bytes of the names in a block.
MOST_NAMES = 32 << 20

#: The most bytes of all names. Each takes up to ten times its bytes in memory,
#: but a line also has content, which takes more bytes in the pack.
MOST_ALL_NAMES = 256 << 20

#: How many lines manifests may have in addition to the bytes that these take in
#: the pack. A line has a digest, so it takes 20 bytes or more, except for files
#: of the same content; these have paths that take a byte or more. In memory,
#: 65,536 lines take about 20 MB.
FREE_LINES = 1 << 16

#: The largest size of a text, which is what Mercurial's storages can express.
MOST_SIZE = (1 << 31) - 1


#: Bytes at the start of the text of a changeset: the node of its manifest as
#: digits, and a line feed. They are stored apart from the rest.
TEXT_HEAD = 41


class Revision(NamedTuple):
    """One revision as a changegroup describes it.

    ``link`` is the node of its changeset. ``base`` is the node that ``delta``
    applies to. All nodes have 20 bytes.
    """

    node: bytes
    p1: bytes
    p2: bytes
    link: bytes
    base: bytes
    delta: bytes
    flags: int


class StoredRevision(NamedTuple):
    """One revision as storage has it.

    ``link`` is the node of its changeset. ``base`` is the node that ``delta``
    applies to, or None if ``delta`` is the text. ``size`` is that of the text.
    """

    node: bytes
    p1: bytes
    p2: bytes
    link: bytes
    base: bytes | None
    delta: bytes
    flags: int
    size: int


def block(kind: bytes, content: bytes) -> bytes:
    """Return a block."""
    return BLOCK.pack(kind, len(content)) + content


def join(*values: bytes) -> bytes:
    """Return several values as the content of a block."""
    parts = []
    for value in values[:-1]:
        parts.append(LENGTH.pack(len(value)))
        parts.append(value)
    parts.append(values[-1])
    return b''.join(parts)


def cut(content: bytes, count: int) -> list[bytes]:
    """Return the ``count`` values in the content of a block.

    Raises PackError if there are fewer.
    """
    values = []
    position = 0
    for _number in range(count - 1):
        start = position + LENGTH.size
        if start > len(content):
            raise PackError('a block is cut short')
        position = start + LENGTH.unpack_from(content, position)[0]
        if position > len(content):
            raise PackError('a block is cut short')
        values.append(content[start:position])
    values.append(content[position:])
    return values
