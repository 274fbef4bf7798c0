# SPDX-License-Identifier: GPL-2.0-or-later
"""All SQL of this extension, except the statements that create tables.

Parameters are always bound. A name says what a statement does: ``SELECT`` for
values, ``HAS`` for a row if something exists, ``COUNT`` for numbers. Names that
begin with ``LEGACY`` are for the database of the extension that came with
Mercurial until 6.9. ``schema`` and docs/sqlite-format.rst explain the tables.

Kinds of transactions (``txn.kind``) are here as well, because they are values
that statements store.
"""

from __future__ import annotations

from . import schema

ADD = 'add'
STRIP = 'strip'

# transactions and connections

BEGIN = 'BEGIN IMMEDIATE'
# A read transaction: the snapshot is taken by the first read.
BEGIN_SNAPSHOT = 'BEGIN'
COMMIT = 'COMMIT'
ROLLBACK = 'ROLLBACK'
VACUUM = 'VACUUM'

SELECT_APPLICATION_ID = 'PRAGMA application_id'
SELECT_SCHEMA_VERSION = 'PRAGMA user_version'
SELECT_DATA_VERSION = 'PRAGMA data_version'
SELECT_PAGE_SIZE = 'PRAGMA page_size'
SELECT_FREE_PAGES = 'PRAGMA freelist_count'
SET_PAGE_SIZE = 'PRAGMA page_size = %d' % schema.PAGE_SIZE
SET_WAL_MODE = 'PRAGMA journal_mode = WAL'
# Writes the first page as it is.
REWRITE_FIRST_PAGE = 'PRAGMA user_version = %d' % schema.SCHEMA_VERSION
# Before anything is read: SQLite then needs no file for the index of the log.
LOCK_ALONE = 'PRAGMA locking_mode = exclusive'
SET_UNTRUSTED = 'PRAGMA trusted_schema = OFF'
# By value of storage.sqlite.synchronous; a PRAGMA takes no bound parameters.
SET_SYNCHRONOUS = {
    b'off': 'PRAGMA synchronous = off',
    b'normal': 'PRAGMA synchronous = normal',
    b'full': 'PRAGMA synchronous = full',
    b'extra': 'PRAGMA synchronous = extra',
}
# Moves the write-ahead log into the database. Its first column is not 0 if a
# reader of another process prevented that.
EMPTY_LOG = 'PRAGMA wal_checkpoint(TRUNCATE)'
# The same, as far as possible without waiting for readers.
SHRINK_LOG = 'PRAGMA wal_checkpoint(PASSIVE)'
# Only the program for which the log is kept moves it into the database. If the
# log is begun anew before that program has read it, its copy lacks pages.
KEEP_LOG = 'PRAGMA wal_autocheckpoint = 0'
QUICK_CHECK = 'PRAGMA quick_check(1)'
# The parameter limits the number of problems: one damaged page yields many.
INTEGRITY_CHECK = 'PRAGMA integrity_check(20)'

COUNT_SCHEMA = 'SELECT count(*) FROM sqlite_schema'
SELECT_SIZE = (
    'SELECT page_count * page_size FROM pragma_page_count, pragma_page_size'
)
HAS_CODE = """
    SELECT 1 FROM sqlite_master WHERE type IN ('trigger', 'view') LIMIT 1"""

# counter, txn and mark

SELECT_COUNTERS = 'SELECT name, value FROM counter'
SELECT_COUNTER = 'SELECT value FROM counter WHERE name = ?'
UPDATE_COUNTER = 'UPDATE counter SET value = ? WHERE name = ?'
INCREASE_COUNTER = 'UPDATE counter SET value = value + ? WHERE name = ?'
# The mark of the last complete repack (see ``repacking.run``).
REPLACE_PACKED = "INSERT OR REPLACE INTO counter VALUES ('packed', ?)"
# How many repacks were completed, and the POSIX time of the last one.
REPACKS = 'repacks'
REPACKED = 'repacked'
REPLACE_COUNTER = 'INSERT OR REPLACE INTO counter VALUES (?, ?)'
# Without this table, processes that have the database open cannot write.
DROP_COUNTERS = 'DROP TABLE counter'

SELECT_TXN = 'SELECT kind, changesets, path, frame FROM txn'
INSERT_TXN = 'INSERT INTO txn VALUES (1, ?, ?, ?, ?)'
# For a backup: path and frame are not used when a strip is undone.
REPLACE_TXN = 'INSERT OR REPLACE INTO txn VALUES (1, ?, ?, 1, 1)'
UPDATE_TXN_KIND = 'UPDATE txn SET kind = ?'
DELETE_TXN = 'DELETE FROM txn'
SELECT_MARKS = 'SELECT path, n FROM mark'
INSERT_MARK = 'INSERT OR IGNORE INTO mark VALUES (?, ?)'
DELETE_MARKS = 'DELETE FROM mark'

# path

SELECT_PATHS = 'SELECT path FROM path WHERE kind = ?'
SELECT_PATHS_AND_IDS = 'SELECT path, id FROM path WHERE kind = ?'
SELECT_ALL_PATHS = 'SELECT kind, path, id FROM path'
SELECT_PATH_IDS = 'SELECT id FROM path'
SELECT_PATH_ID = 'SELECT id FROM path WHERE kind = ? AND path = ?'
SELECT_PATH_OF_ID = 'SELECT kind, path FROM path WHERE id = ?'
HAS_PATHS_BETWEEN = """
    SELECT 1 FROM path WHERE kind = ? AND path >= ? AND path < ? LIMIT 1"""
COUNT_PATHS = 'SELECT count(*) FROM path WHERE kind = ?'
INSERT_PATH = 'INSERT INTO path (kind, path, id) VALUES (?, ?, ?)'
DELETE_PATH = 'DELETE FROM path WHERE kind = ? AND path = ?'
DELETE_PATHS_FROM = 'DELETE FROM path WHERE id >= ?'

# Everything about the paths of a kind, except frames.
_OF_KIND = f'>> {schema.REV_BITS} IN (SELECT id FROM path WHERE kind = ?)'
DELETE_KIND = (
    f'DELETE FROM content WHERE rev {_OF_KIND}',
    f'DELETE FROM rev WHERE id {_OF_KIND}',
    f'DELETE FROM idx WHERE id {_OF_KIND}',
    'DELETE FROM path WHERE kind = ?',
)

# Paths of a kind from a path on, in order, and what belongs to them.
_NEXT = """(
        SELECT path, id FROM path WHERE kind = ?1 AND path >= ?2
        ORDER BY path LIMIT ?3) AS p"""
_OF_NEXT = (
    f'r.id BETWEEN p.id << {schema.REV_BITS}'
    f' AND (p.id << {schema.REV_BITS}) + {schema.REV_MASK}'
)

# rev: loose revisions

SELECT_LOOSE_PLACES = 'SELECT id, base, frame FROM rev'
# All loose revisions, without their nodes and parents.
SELECT_LOOSE_SIZES = """
    SELECT id, linkrev, rawsize, frame, base, length(data) FROM rev ORDER BY id"""
# The parameter is a JSON list of global ids: one query for a whole chain.
SELECT_LOOSE_DATA = """
    SELECT rev.id, rev.base, rev.frame, rev.data FROM json_each(?) AS wanted
    JOIN rev ON rev.id = wanted.value"""
SELECT_LARGE_LOOSE = 'SELECT id, frame FROM rev WHERE frame > 0'
SELECT_FRAMES_OF_LOOSE = 'SELECT DISTINCT frame FROM rev WHERE frame > 0'
# Few rows have a base in another file. The partial index finds them by a range
# of -base.
SELECT_DEPENDENTS = """
    SELECT id FROM rev WHERE base < 0 AND base <= ? AND base > ?"""
HAS_LOOSE = 'SELECT 1 FROM rev LIMIT 1'
HAS_MORE_LOOSE = 'SELECT 1 FROM rev LIMIT 1 OFFSET ?'
INSERT_LOOSE = 'INSERT INTO rev VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)'
UPDATE_LOOSE = 'UPDATE rev SET base = ?, frame = ?, data = ? WHERE id = ?'
UPDATE_FULL_TEXT = """
    UPDATE rev SET flags = ?, rawsize = ?, base = 0, frame = ?, data = ?
    WHERE id = ?"""
DELETE_LOOSE = 'DELETE FROM rev WHERE id >= ? AND id < ?'

# idx: index runs

SELECT_RUNS = 'SELECT id, n, data FROM idx WHERE id BETWEEN ? AND ?'
SELECT_ALL_RUNS = 'SELECT id, n, data FROM idx'
SELECT_RUNS_IN_ORDER = 'SELECT id, n, data FROM idx ORDER BY id'
# The index runs of one kind of paths. SQLite reads the data of these only.
SELECT_RUNS_OF_KIND = f"""
    SELECT id, n, data FROM idx WHERE id >> {schema.REV_BITS} IN (
        SELECT id FROM path WHERE kind = ?)"""
SELECT_LAST_RUN = """
    SELECT id, n, data FROM idx WHERE id >= ? AND id < ?
    ORDER BY id DESC LIMIT 1"""
# The index of one path, or of some that follow one another: the runs, and then
# the loose revisions, whose first column is null. One statement reads both: a
# repack between two statements would hide the revisions that it moves. A row
# with nulls stands for a path without runs.
_LOOSE_COLUMNS = """
    r.id, node, p1, p2, linkrev, flags, rawsize, frame, base, length(r.data)"""
_NULLS = ', '.join(['NULL'] * 8)
SELECT_INDEX = f"""
    SELECT data, id, n, {_NULLS} FROM idx WHERE id BETWEEN ?1 AND ?2
    UNION ALL
    SELECT NULL, {_LOOSE_COLUMNS} FROM rev AS r WHERE id BETWEEN ?1 AND ?2"""
SELECT_INDEXES_OF_NEXT = f"""
    SELECT p.path, p.id, r.data, r.id, r.n, {_NULLS}
    FROM {_NEXT} LEFT JOIN idx AS r ON {_OF_NEXT}
    UNION ALL
    SELECT NULL, p.id, NULL, {_LOOSE_COLUMNS}
    FROM {_NEXT} JOIN rev AS r ON {_OF_NEXT}"""
COUNT_SEALED = 'SELECT coalesce(sum(n), 0) FROM idx'
INSERT_RUN = 'INSERT INTO idx VALUES (?, ?, ?)'
UPDATE_RUN = 'UPDATE idx SET n = ?, data = ? WHERE id = ?'
DELETE_RUNS = 'DELETE FROM idx WHERE id >= ? AND id < ?'

# frame and piece

SELECT_FRAME = 'SELECT head, data FROM frame WHERE id = ?'
SELECT_FRAME_IDS = 'SELECT id FROM frame'
SELECT_HEAD = 'SELECT head FROM frame WHERE id = ?'
SELECT_HEADS = 'SELECT id, head FROM frame'
# Frame id, head, and bytes of all pieces.
SELECT_FRAME_SIZES = f"""
    SELECT f.id, f.head, length(f.data) + coalesce((
        SELECT sum(length(p.data)) FROM piece AS p
        WHERE p.id > f.id << {schema.PIECE_BITS}
        AND p.id < (f.id + 1) << {schema.PIECE_BITS}), 0)
    FROM frame AS f"""
# The newest frames only, so that it takes no longer as history grows.
COUNT_NEW_FRAMES = """
    SELECT count(*), coalesce(sum(size), 0) FROM (
        SELECT length(data) AS size FROM frame ORDER BY id DESC LIMIT ?)"""
INSERT_FRAME = 'INSERT INTO frame VALUES (?, ?, ?)'
DELETE_FRAME = 'DELETE FROM frame WHERE id = ?'
DELETE_FRAMES_FROM = 'DELETE FROM frame WHERE id >= ?'
SELECT_PIECES = 'SELECT data FROM piece WHERE id BETWEEN ? AND ? ORDER BY id'
SELECT_FRAMES_OF_PIECES = (
    'SELECT DISTINCT id >> %d FROM piece' % schema.PIECE_BITS
)
HAS_PIECE = 'SELECT 1 FROM piece WHERE id = ?'
INSERT_PIECE = 'INSERT INTO piece VALUES (?, ?)'
DELETE_PIECES = 'DELETE FROM piece WHERE id BETWEEN ? AND ?'
DELETE_PIECES_FROM = 'DELETE FROM piece WHERE id >= ?'

# content

SELECT_CONTENT = 'SELECT rev FROM content WHERE digest = ?'
SELECT_CONTENT_REVS = 'SELECT rev FROM content'
INSERT_CONTENT = 'INSERT OR IGNORE INTO content VALUES (?, ?)'
DELETE_CONTENT = 'DELETE FROM content WHERE rev >= ? AND rev < ?'

# sizes of tables

TABLES = ('frame', 'piece', 'idx', 'rev', 'path', 'content')
COUNT_ROWS = {name: 'SELECT count(*) FROM %s' % name for name in TABLES}
# Bytes of the pages of each table and its indexes. Some builds of SQLite have
# no dbstat table.
SELECT_TABLE_SIZES = """
    SELECT m.tbl_name, sum(d.pgsize) FROM dbstat AS d
    JOIN sqlite_schema AS m ON m.name = d.name
    WHERE d.aggregate = TRUE GROUP BY m.tbl_name"""
# Bytes in the rows of each table, where there is no dbstat.
SELECT_PAYLOAD = {
    'frame': 'SELECT sum(length(head) + length(data)) FROM frame',
    'piece': 'SELECT sum(length(data)) FROM piece',
    'idx': 'SELECT sum(length(data)) FROM idx',
    'rev': 'SELECT sum(length(data) + 48) FROM rev',
    'path': 'SELECT sum(length(path) + 8) FROM path',
    'content': 'SELECT count(*) * 16 FROM content',
}

# the database of the extension that came with Mercurial until 6.9

LEGACY_SELECT_PATHS = 'SELECT id, path FROM filepath ORDER BY path'
LEGACY_SELECT_REVISIONS = """
    SELECT id, node, p1rev, p2rev, linkrev, flags FROM fileindex
    WHERE pathid = ? ORDER BY revnum"""
LEGACY_SELECT_DELTA = """
    SELECT f.deltabaseid, d.compression, d.delta FROM fileindex AS f
    JOIN delta AS d ON d.id = f.deltaid WHERE f.id = ?"""
