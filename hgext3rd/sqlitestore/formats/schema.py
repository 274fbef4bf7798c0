# SPDX-License-Identifier: GPL-2.0-or-later
"""The tables of ``.hg/store/history.sqlite``, their version and their ids.

docs/sqlite-format.rst specifies what the rows mean. Statements other than those
that create the tables are in ``statements``. This is the only module that
knows how ids are composed:

* the *global id* of a revision is ``path id << 32 | revision``, so the
  revisions of one file are one range of ids;
* the id of a piece of a large frame is ``frame id << 16 | number``, with
  numbers from 1: the first piece is in the row of the frame itself.
"""

from __future__ import annotations

FILENAME = b'history.sqlite'

# "AmlF". file(1) and SQLite's tools show it as the type of the database.
APPLICATION_ID = 0x416D6C46

# Every change that makes older versions misread the tables increases this.
SCHEMA_VERSION = 3

PAGE_SIZE = 4096

# Values of the counter ``wipe``: there is nothing to do, deleted content is to be
# overwritten in free pages and in the log, or in the log only.
WIPE_NOTHING, WIPE_ALL, WIPE_LOG = range(3)

# The largest value that a row may hold. SQLite limits a value to 1,000,000,000
# bytes by default.
MAX_VALUE = 64 << 20

# Bytes of a piece of a large frame. SQLite and its Python module each copy a
# value before they write it, so small pieces limit the memory that is needed in
# addition to the text itself.
PIECE_SIZE = 8 << 20

REV_BITS = 32
REV_MASK = (1 << REV_BITS) - 1

# SQLite's largest integer is 2**63 - 1.
MAX_PATH_ID = (1 << (63 - REV_BITS)) - 1

PIECE_BITS = 16

# The kinds of paths. A directory of manifests is what Mercurial calls a tree:
# b'' for the flat manifest and the root, otherwise a name that ends with a
# slash.
FILE = 0
DIRECTORY = 1

CREATE = (
    # The primary key is the table: paths are stored once, in order.
    # kind: FILE or DIRECTORY.
    """CREATE TABLE path (
        kind INTEGER NOT NULL,
        path BLOB NOT NULL,
        id INTEGER NOT NULL,
        PRIMARY KEY (kind, path)
    ) WITHOUT ROWID""",
    # Loose revisions: one row each, until a repack seals them.
    # base: 0 = full text; k > 0 = delta of revision rev-k of the same file;
    # -g = delta of the revision with global id g (the source of a copy).
    # frame: 0, or the frame that holds a text too large for one value.
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
    # Finds the deltas, in other files, of a revision to be stripped.
    'CREATE INDEX rev_foreign ON rev (base) WHERE base < 0',
    # Index runs: id is the global id of the first of n sealed revisions.
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
    # The data of large frames after the first piece: see piece_id.
    """CREATE TABLE piece (
        id INTEGER PRIMARY KEY,
        data BLOB NOT NULL
    )""",
    # Finds a revision with the same large text: digest is the first 8 bytes
    # of the SHA-256 of the text, as a signed integer.
    """CREATE TABLE content (
        digest INTEGER PRIMARY KEY,
        rev INTEGER NOT NULL
    )""",
    # The next path id and the next frame id, which are never reused; and
    # whether free space still holds censored content (see writing/censor.py).
    """CREATE TABLE counter (
        name TEXT NOT NULL PRIMARY KEY,
        value INTEGER NOT NULL
    ) WITHOUT ROWID""",
    # The Mercurial transaction that wrote last: see writing/writer.py.
    """CREATE TABLE txn (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        kind TEXT NOT NULL,
        changesets INTEGER NOT NULL,
        path INTEGER NOT NULL,
        frame INTEGER NOT NULL
    )""",
    # How many revisions each file had before that transaction.
    'CREATE TABLE mark (path INTEGER PRIMARY KEY, n INTEGER NOT NULL)',
    "INSERT INTO counter VALUES ('frame', 1), ('path', 1), ('wipe', 0)",
    'PRAGMA application_id = %d' % APPLICATION_ID,
    'PRAGMA user_version = %d' % SCHEMA_VERSION,
)


def display_name(kind: int, path: bytes) -> bytes:
    """Return the name of a path in messages, the same as with revlogs."""
    if kind == FILE:
        return path
    return b'meta/%s00manifest' % path if path else b'00manifest'


def global_id(path: int, rev: int) -> int:
    """Return the global id of revision ``rev`` of the file with id ``path``."""
    return path << REV_BITS | rev


def split_id(gid: int) -> tuple[int, int]:
    """Return (path id, revision) of a global id."""
    return gid >> REV_BITS, gid & REV_MASK


def file_bounds(path: int) -> tuple[int, int]:
    """Return the first and the last global id that a file can have."""
    return path << REV_BITS, path << REV_BITS | REV_MASK


def piece_id(frame: int, number: int) -> int:
    """Return the id of piece ``number`` (from 1) of a frame."""
    return frame << PIECE_BITS | number


def piece_bounds(frame: int) -> tuple[int, int]:
    """Return the first and the last id that pieces of a frame can have."""
    return frame << PIECE_BITS | 1, (frame + 1 << PIECE_BITS) - 1
