# SPDX-License-Identifier: GPL-2.0-or-later
"""The tables of ``.hg/store/files.sqlite`` and their version.

Only SQL text and numbers live here; docs/sqlite-format.rst specifies what the
rows mean. A *global id* is ``path id << 32 | revision``: the revisions of one
file are one range of it.
"""

from __future__ import annotations

FILENAME = b'files.sqlite'

# "AmlF": file(1) and SQLite tools show it for the database header.
APPLICATION_ID = 0x416D6C46

# Bumped whenever an older reader would misread the tables.
SCHEMA_VERSION = 2

PAGE_SIZE = 4096

# A SQLite value may not exceed 1,000,000,000 bytes by default; pieces this
# small also keep the memory needed beside the text itself low.
PIECE_SIZE = 64 << 20

REV_BITS = 32
REV_MASK = (1 << REV_BITS) - 1

CREATE = (
    # Stored once, in path order, looked up by path.
    """CREATE TABLE path (
        path BLOB NOT NULL PRIMARY KEY,
        id INTEGER NOT NULL
    ) WITHOUT ROWID""",
    # Loose revisions: one row per commit, until a repack seals them.
    # base: 0 = full text; k > 0 = delta of revision rev-k of the same file;
    # negative = delta of the revision with that global id (a copy's source).
    # frame: 0, or the frame holding a text too large for one value.
    """CREATE TABLE rev (
        id INTEGER PRIMARY KEY,
        node BLOB NOT NULL,
        p1 INTEGER NOT NULL,
        p2 INTEGER NOT NULL,
        linkrev INTEGER NOT NULL,
        flags INTEGER NOT NULL,
        rawsize INTEGER NOT NULL,
        base INTEGER NOT NULL,
        frame INTEGER NOT NULL,
        data BLOB NOT NULL
    )""",
    # Who depends on a revision of another file: asked when stripping.
    'CREATE INDEX rev_foreign ON rev (base) WHERE base < 0',
    # Index of sealed revisions; id is the global id of the first of them.
    """CREATE TABLE idx (
        id INTEGER PRIMARY KEY,
        n INTEGER NOT NULL,
        data BLOB NOT NULL
    )""",
    """CREATE TABLE frame (
        id INTEGER PRIMARY KEY,
        head BLOB NOT NULL,
        data BLOB NOT NULL
    )""",
    # What did not fit in frame.data; id is frame << 16 | number from 1.
    """CREATE TABLE piece (
        id INTEGER PRIMARY KEY,
        data BLOB NOT NULL
    )""",
    # Where a large content is stored already: digest is the first 8 bytes of
    # the SHA-256 of the text, as a signed integer.
    """CREATE TABLE content (
        digest INTEGER PRIMARY KEY,
        rev INTEGER NOT NULL
    )""",
    # The next path and frame id, which are never reused; and whether deleted
    # content is still to be wiped from free space (see censor.py).
    """CREATE TABLE counter (
        name TEXT NOT NULL PRIMARY KEY,
        value INTEGER NOT NULL
    ) WITHOUT ROWID""",
    # The Mercurial transaction that wrote last: see transaction.py.
    """CREATE TABLE txn (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        kind TEXT NOT NULL,
        changesets INTEGER NOT NULL,
        path INTEGER NOT NULL,
        frame INTEGER NOT NULL
    )""",
    'CREATE TABLE mark (path INTEGER PRIMARY KEY, n INTEGER NOT NULL)',
    "INSERT INTO counter VALUES ('frame', 1), ('path', 1), ('wipe', 0)",
    'PRAGMA application_id = %d' % APPLICATION_ID,
    'PRAGMA user_version = %d' % SCHEMA_VERSION,
)


def global_id(path: int, rev: int) -> int:
    """The id of revision ``rev`` of the file with path id ``path``."""
    return path << REV_BITS | rev


def split_id(gid: int) -> tuple[int, int]:
    """(path id, revision) of a global id."""
    return gid >> REV_BITS, gid & REV_MASK
