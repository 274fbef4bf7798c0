# SPDX-License-Identifier: GPL-2.0-or-later
"""Cut the power at every system call, and look at what may be on the disk.

After each call that concerns the database, it must be whole and have what it
had before. From the moment that Mercurial writes the changelog, it must have
what was added. The number of syncs is checked as well.
"""

from __future__ import annotations

import gc
import os
import pathlib
import sqlite3

import pytest

pytest.importorskip('mercurial')

from helpers import power
from helpers import sqlitestore_crashes as crashes
from helpers.sqlitestore_crashes import hg_command

# How many states of the disk to try after each call.
STATES = int(os.environ.get('POWER_STATES', '6'))

DATABASE = '.hg/store/history.sqlite'

pytestmark = pytest.mark.needs('strace')

COMMAND = """
import sys
from helpers.sqlitestore_crashes import hg_command
args, sys.argv = sys.argv[1:], ['hg']
code, out = hg_command(*(arg.encode() for arg in args))
assert code == 0, out
"""

# Another connection begins to read between the opening of the database and the
# commit, so that the log cannot be copied.
READER = """
import sqlite3, sys
from hgext3rd.sqlitestore.database import connection
path, done = sys.argv[1:]
db = connection.Database(path.encode())
db.row('SELECT count(*) FROM path')
reader = sqlite3.connect(path, isolation_level=None)
reader.execute('BEGIN')
reader.execute('SELECT count(*) FROM path').fetchone()
db.begin()
db.execute("INSERT INTO path VALUES (0, x'61', 100)")
db.commit()
with open(done, 'wb') as file:
    file.write(b'done')
reader.close()
db.close()
"""

Content = dict[str, set[tuple[object, ...]]]


@pytest.fixture
def repo(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> pathlib.Path:
    """Return a repository with some history, and changes to commit."""
    crashes.configure(tmp_path, monkeypatch)
    path = tmp_path / 'repo'
    hg(b'init', bytes(path))
    for number in range(3):
        (path / f'f{number}').write_text(f'{number}\n' * 900)
        hg(b'--cwd', bytes(path), b'commit', b'-qAm', b'c%d' % number)
    (path / 'f1').write_text('changed\n' * 900)
    (path / 'new').write_bytes(os.urandom(30_000))
    hg(b'--cwd', bytes(path), b'add', b'-q')
    return path


def hg(*args: bytes) -> None:
    """Run a command, and assert that it succeeds."""
    code, out = hg_command(*args)
    assert code == 0, out
    # A log that is still open would be appended to.
    gc.collect()


def content(path: pathlib.Path) -> Content:
    """Return the rows of a database, which must be whole."""
    db = sqlite3.connect(path)
    try:
        # This is the content of a disk already.
        db.execute('PRAGMA synchronous = off')
        assert db.execute('PRAGMA integrity_check').fetchall() == [('ok',)]
        return {
            table: set(db.execute(f'SELECT * FROM {table}'))
            for table in ('path', 'rev', 'idx', 'frame', 'content')
        }
    finally:
        db.close()


def cut(
    database: pathlib.Path,
    code: str,
    arguments: list[str],
    done: pathlib.Path,
    tmp_path: pathlib.Path,
) -> list[str]:
    """Run code, and check what may be on the disk after each call.

    After a write to ``done``, what the code added must be there. Return what
    was synced, in order.
    """
    before = content(database)
    disk = power.Disk(database, seed=7)
    calls = power.trace(code, arguments, tmp_path / 'calls')
    after = content(database)
    assert before != after
    copy = tmp_path / 'disk' / 'x.sqlite'
    copy.parent.mkdir()
    committed = False
    wholes = 0
    for call in calls:
        # A changelog that a hook was shown is renamed.
        committed |= call.path == str(done) and call.name in ('write', 'rename')
        if not disk.apply(call):
            continue
        for data, log in disk.states(STATES):
            for file in copy.parent.iterdir():
                file.unlink()
            copy.write_bytes(data)
            if log is not None:
                copy.with_name('x.sqlite-wal').write_bytes(log)
            found = content(copy)
            assert found == after or (found == before and not committed), call
            wholes += found == after
    assert committed
    assert wholes
    return disk.syncs


def test_commit(repo: pathlib.Path, tmp_path: pathlib.Path) -> None:
    synced = cut(
        repo / DATABASE,
        COMMAND,
        ['--cwd', str(repo), 'commit', '-qm', 'new'],
        repo / '.hg/store/00changelog.i',
        tmp_path,
    )
    assert synced == ['log', 'directory', 'database']


def test_hook(repo: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """The transaction is committed before the hook, in another process."""
    synced = cut(
        repo / DATABASE,
        COMMAND,
        ['--cwd', str(repo), 'commit', '-qm', 'new']
        + ['--config', 'hooks.pretxncommit=true'],
        repo / '.hg/store/00changelog.i',
        tmp_path,
    )
    assert synced == ['log', 'directory', 'database']


def test_pull(repo: pathlib.Path, tmp_path: pathlib.Path) -> None:
    clone = tmp_path / 'clone'
    hg(b'clone', b'-qU', b'--pull', b'-r', b'0', bytes(repo), bytes(clone))
    synced = cut(
        clone / DATABASE,
        COMMAND,
        ['-R', str(clone), 'pull', '-q', str(repo)],
        clone / '.hg/store/00changelog.i',
        tmp_path,
    )
    assert synced == ['log', 'directory', 'database']


def test_while_another_process_has_it_open(
    repo: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """The log exists, and remains."""
    other = sqlite3.connect(repo / DATABASE)
    other.execute('SELECT count(*) FROM path').fetchone()
    before = content(repo / DATABASE)
    calls = power.trace(
        COMMAND,
        ['--cwd', str(repo), 'commit', '-qm', 'new'],
        tmp_path / 'calls',
    )
    disk = power.Disk(repo / DATABASE, seed=7)
    for call in calls:
        disk.apply(call)
    assert content(repo / DATABASE) != before
    other.close()
    # The first sync is for the header of the log.
    assert disk.syncs == ['log', 'directory', 'log']


def test_while_the_log_cannot_be_copied(
    repo: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    done = tmp_path / 'done'
    synced = cut(
        repo / DATABASE,
        READER,
        [str(repo / DATABASE), str(done)],
        done,
        tmp_path,
    )
    assert synced[:2] == ['log', 'directory']


@pytest.mark.parametrize(
    ('synchronous', 'expected'),
    [
        ('off', []),
        ('normal', ['log', 'directory', 'log', 'database']),
        ('extra', ['log', 'directory', 'database']),
    ],
)
def test_other_settings(
    repo: pathlib.Path,
    tmp_path: pathlib.Path,
    synchronous: str,
    expected: list[str],
) -> None:
    disk = power.Disk(repo / DATABASE, seed=7)
    for call in power.trace(
        COMMAND,
        ['--cwd', str(repo), 'commit', '-qm', 'new']
        + ['--config', f'storage.sqlite.synchronous={synchronous}'],
        tmp_path / 'calls',
    ):
        disk.apply(call)
    assert disk.syncs == expected


@pytest.mark.parametrize('kind', ['init', 'clone', 'backup'])
def test_new_files_are_synced_once(
    repo: pathlib.Path, tmp_path: pathlib.Path, kind: str
) -> None:
    new = tmp_path / 'new'
    arguments = {
        'init': ['init', str(new)],
        'clone': ['clone', '-qU', str(repo), str(new)],
        'backup': ['-R', str(repo), 'admin::sqlite-backup', '-q', str(new)],
    }[kind]
    calls = power.trace(COMMAND, arguments, tmp_path / 'calls')
    synced = [
        pathlib.Path(call.path).name
        for call in calls
        if call.name == 'sync' and call.path.startswith(str(tmp_path))
    ]
    assert (
        synced
        == {
            'init': ['history.sqlite'],
            # The copy replaces the database that the clone was created with.
            'clone': ['history.sqlite', 'history.sqlite'],
            'backup': ['new.part', tmp_path.name],
        }[kind]
    )


def test_large_transaction_is_written_once(
    repo: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """SQLite need not go back to what it wrote to the log before."""
    (repo / 'new').write_bytes(os.urandom(4_000_000))
    arguments = ['--cwd', str(repo), 'commit', '-qm', 'large']
    calls = power.trace(COMMAND, arguments, tmp_path / 'calls')
    log = str(repo / DATABASE) + '-wal'
    offsets = [c.number for c in calls if (c.name, c.path) == ('write', log)]
    assert max(offsets) > 4_000_000
    assert len(offsets) == len(set(offsets))
