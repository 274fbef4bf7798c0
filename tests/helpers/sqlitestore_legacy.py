# SPDX-License-Identifier: GPL-2.0-or-later
"""Making repositories in the format of the old extension ``sqlitestore``.

That extension came with Mercurial until 6.9. The format follows the description
in ``converting/legacy.py``, so that no such Mercurial is needed.
``test-sqlitestore-convert-hg60.t`` uses a real one.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import zlib
from typing import Any

import zstandard
from mercurial import hg, manifest, mdiff, scmutil
from mercurial import ui as uimod

SCHEMA = """
    CREATE TABLE filepath (id INTEGER PRIMARY KEY, path BLOB NOT NULL);
    CREATE UNIQUE INDEX filepath_path ON filepath (path);
    CREATE TABLE delta (
        id INTEGER PRIMARY KEY, compression INTEGER NOT NULL,
        hash BLOB UNIQUE ON CONFLICT ABORT, delta BLOB NOT NULL);
    CREATE TABLE fileindex (
        id INTEGER PRIMARY KEY, pathid INTEGER REFERENCES filepath(id),
        revnum INTEGER NOT NULL, p1rev INTEGER NOT NULL,
        p2rev INTEGER NOT NULL, linkrev INTEGER NOT NULL,
        flags INTEGER NOT NULL, deltaid INTEGER REFERENCES delta(id),
        deltabaseid INTEGER REFERENCES fileindex(id), node BLOB NOT NULL);
    CREATE UNIQUE INDEX fileindex_pathrevnum ON fileindex (pathid, revnum);
    CREATE UNIQUE INDEX fileindex_pathnode ON fileindex (pathid, node);
    PRAGMA user_version = 1;
    PRAGMA journal_mode = WAL;
"""

ENCODERS = (
    (1, lambda data: data),
    (2, zstandard.ZstdCompressor().compress),
    (3, zlib.compress),
)

REQUIREMENTS = {b'exp-sqlite-001', b'exp-sqlite-comp-001=zstd'}


def make_legacy(path: bytes) -> None:
    """Rewrite the repository at ``path`` in the format of that extension.

    Each revision becomes a delta of the revision before. The encodings of the
    old format take turns.
    """
    repo = hg.repository(uimod.ui.load(), path).unfiltered()
    store = repo.store.rawvfs.base
    db = sqlite3.connect(os.path.join(os.fsdecode(store), 'db.sqlite'))
    db.executescript(SCHEMA)
    names = {name for rev in repo for name in repo[rev].manifest()}
    for name in sorted(names):
        _add_file(db, name, repo.file(name))
    db.commit()
    db.close()
    _write_manifests(repo)
    others = {r for r in repo.requirements if not r.startswith(b'sqlitestore')}
    scmutil.writereporequirements(repo, others | REQUIREMENTS)
    repo.sqlitestore.db.close()
    repo.close()
    os.unlink(os.path.join(store, b'history.sqlite'))


def _write_manifests(repo: Any) -> None:
    """Write the manifests as revlogs, which they are in that format."""
    source = repo.manifestlog.getstorage(b'').get_revlog()
    log = manifest.manifestrevlog(repo.nodeconstants, repo.svfs)
    target = log.get_revlog()
    with repo.lock(), repo.transaction(b'legacy') as tr:
        for rev in source:
            target.addrawrevision(
                source.rawdata(rev),
                tr,
                source.linkrev(rev),
                *map(source.node, source.parentrevs(rev)),
                source.node(rev),
                source.flags(rev),
            )


def _add_file(db: sqlite3.Connection, name: bytes, flog: Any) -> None:
    path_id = db.execute(
        'INSERT INTO filepath (path) VALUES (?)', (name,)
    ).lastrowid
    base, text = None, b''
    for rev in flog:
        node = flog.node(rev)
        old, text = text, flog.rawdata(node)
        delta = text if base is None else mdiff.textdiff(old, text)
        compression, encode = ENCODERS[rev % len(ENCODERS)]
        p1, p2 = flog.parentrevs(rev)
        delta_id = _add_delta(db, compression, encode(delta), delta)
        graph = (path_id, rev, p1, p2, flog.linkrev(rev), 0)
        row = (*graph, delta_id, base, node)
        base = db.execute(
            'INSERT INTO fileindex (pathid, revnum, p1rev, p2rev, linkrev,'
            ' flags, deltaid, deltabaseid, node)'
            ' VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)',
            row,
        ).lastrowid


def _add_delta(
    db: sqlite3.Connection, compression: int, data: bytes, delta: bytes
) -> int:
    """Store a delta unless an equal one is stored, and return its id."""
    digest = hashlib.sha1(delta).digest()
    db.execute(
        'INSERT OR IGNORE INTO delta (compression, hash, delta)'
        ' VALUES (?, ?, ?)',
        (compression, digest, data),
    )
    row = db.execute('SELECT id FROM delta WHERE hash = ?', (digest,))
    found: int = row.fetchone()[0]
    return found
