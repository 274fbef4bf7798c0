# SPDX-License-Identifier: GPL-2.0-or-later
"""Read databases with flipped bits, garbage in a page, or a missing end.

Every read must return what was written, or fail with an error that names the
file; ``hg verify`` must report the damage. The environment variable
``DAMAGE_TRIALS`` says how many databases to damage in each way.
"""

from __future__ import annotations

import gc
import os
import pathlib
import random
import sqlite3
import sys

import pytest

pytest.importorskip('mercurial')

from helpers import sqlitestore_crashes as crashes
from helpers.sqlitestore_crashes import copy_tree, hg_command
from mercurial import error, hg
from mercurial import ui as uimod
from mercurial.utils import stringutil

TRIALS = int(os.environ.get('DAMAGE_TRIALS', '12'))

# Seconds after which a check counts as an endless loop, which is an error.
PATIENCE = 120

pytestmark = pytest.mark.skipif(not hasattr(os, 'fork'), reason='needs fork')

# Commands that may fail on a damaged database, but must print the reason.
MORE = (
    (b'admin::sqlite-stats',),
    (b'update', b'-q', b'-C', b'2'),
    (b'strip', b'-q', b'--no-backup', b'15'),
    (b'censor', b'-r', b'1', b'lines', b'--no-check-heads'),
    (b'admin::sqlite-repack', b'-q'),
    (b'admin::sqlite-convert', b'-q', b'--to', b'revlog'),
)

Contents = dict[tuple[bytes, bytes], bytes]


@pytest.fixture(scope='module')
def pristine(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[bytes, Contents]:
    """Return a repository, partly in frames, and all its file revisions."""
    folder = tmp_path_factory.mktemp('damage')
    rc = folder / 'hgrc'
    rc.write_bytes(crashes.HGRC)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('HGRCPATH', str(rc))
        patch.setenv('HGPLAIN', '1')
        patch.setattr(sys, 'argv', ['hg'])
        return make_history(folder)


def make_history(folder: pathlib.Path) -> tuple[bytes, Contents]:
    """Make the repository of ``pristine``."""
    path = os.fsencode(folder / 'repo')
    assert hg_command(b'init', path)[0] == 0
    noise = random.Random(6)
    for number in range(16):
        with open(os.path.join(path, b'noise'), 'wb') as file:
            file.write(noise.randbytes(3_000))
        for name in (b'lines', b'dir-%d' % (number % 3)):
            with open(os.path.join(path, name), 'ab') as file:
                file.write(b'line %d of %s\n' % (number, name) * 40)
        if number == 7:
            hg_command(b'--cwd', path, b'copy', b'-q', b'lines', b'copy')
        code, out = hg_command(b'--cwd', path, b'commit', b'-qAm', b'c')
        assert code == 0, out
        if number == 9:
            hg_command(b'-R', path, b'admin::sqlite-repack', b'-q')
    gc.collect()
    db = sqlite3.connect(os.fsdecode(database(path)))
    db.execute('PRAGMA wal_checkpoint(TRUNCATE)')
    db.close()
    found, errors = read(path)
    assert not errors
    assert len(found) > 40
    return path, found


@pytest.fixture(autouse=True)
def configuration(
    pristine: tuple[bytes, Contents], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Configure the commands that this process runs."""
    rc = os.path.join(os.path.dirname(pristine[0]), b'hgrc')
    monkeypatch.setenv('HGRCPATH', os.fsdecode(rc))
    monkeypatch.setenv('HGPLAIN', '1')
    monkeypatch.setattr(sys, 'argv', ['hg'])


def database(path: bytes) -> bytes:
    """Return the path of a repository's database."""
    return os.path.join(path, b'.hg/store/history.sqlite')


def read(path: bytes) -> tuple[Contents, list[bytes]]:
    """Return all file revisions that can be read, and the errors of others.

    If a manifest cannot be read, its files are left out.
    """
    repo = hg.repository(uimod.ui.load(), path).unfiltered()
    found: Contents = {}
    errors: list[bytes] = []
    for rev in repo:
        try:
            manifest = repo[rev].manifest()
        except (error.StorageError, error.Abort) as exc:
            errors.append(stringutil.forcebytestr(exc))
            assert b'manifest' in errors[-1] or b'history.sqlite' in errors[-1]
            continue
        for name in repo[rev].files():
            if name not in manifest:
                continue
            try:
                text = repo.file(name).read(manifest[name])
            except (error.StorageError, error.Abort) as exc:
                errors.append(stringutil.forcebytestr(exc))
                assert name in errors[-1] or b'history.sqlite' in errors[-1], (
                    errors[-1]
                )
            else:
                found[name, manifest[name]] = text
    return found, errors


def examine(path: bytes, wanted: Contents) -> str:
    """Read a damaged repository, and return the first mistake, or ''."""
    found, errors = read(path)
    for key, text in found.items():
        if wanted[key] != text:
            return f'wrong content of {key!r}'
    if not errors:
        assert len(found) == len(wanted)
    code, out = hg_command(b'-R', path, b'verify', b'-q')
    if errors and not code:
        return f'verify is content with {errors!r}'
    if code and code != 1 and b'abort: ' not in out:
        return f'verify says {out!r}'
    if b'Unknown exception' in out:
        return f'verify says {out!r}'
    for args in MORE:
        code, out = hg_command(b'--cwd', path, *args)
        if b'Unknown exception' in out or (code and b'abort: ' not in out):
            return f'{args!r} says {out!r}'
    return ''


def check(path: bytes, wanted: Contents, what: str) -> None:
    """Examine a repository in a child process, which must not be killed."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        said = 'it died'
        try:
            signal_after(PATIENCE)
            said = examine(path, wanted)
        except BaseException as exc:
            said = f'{type(exc).__name__}: {exc}'
            tb = exc.__traceback__
            while tb is not None:
                code = tb.tb_frame.f_code
                said += f'\n{code.co_filename}:{tb.tb_lineno}'
                tb = tb.tb_next
        finally:
            os.write(writing, said.encode('utf-8', 'replace')[:60_000])
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, 'rb') as file:
        said = file.read().decode()
    status = os.waitpid(pid, 0)[1]
    assert status == 0, what
    assert not said, (what, said)


def signal_after(seconds: int) -> None:
    """Kill this process if it takes too long."""
    import signal

    signal.alarm(seconds)


def damaged(
    pristine: tuple[bytes, Contents], kind: str, number: int
) -> tuple[bytes, str]:
    """Damage a copy of the repository; return (path, description)."""
    chance = random.Random(f'{kind} {number}')
    path = pristine[0] + b'-damaged'
    copy_tree(pristine[0], path)
    name = database(path)
    size = os.path.getsize(name)
    where = chance.randrange(size)
    if kind == 'truncate':
        os.truncate(name, where)
        return path, f'cut at {where}'
    with open(name, 'r+b') as file:
        file.seek(where)
        if kind == 'flip':
            (byte,) = file.read(1)
            byte ^= 1 << chance.randrange(8)
            data = bytes([byte])
        elif kind == 'zero':
            where -= where % 512
            data = bytes(512)
        else:
            data = chance.randbytes(chance.randrange(1, 200))
        file.seek(where)
        file.write(data)
    return path, f'{kind} {number} at {where}, {len(data)} bytes'


@pytest.mark.parametrize('kind', ['flip', 'garbage', 'zero', 'truncate'])
def test_damage(pristine: tuple[bytes, Contents], kind: str) -> None:
    for number in range(TRIALS):
        path, what = damaged(pristine, kind, number)
        check(path, pristine[1], what)


@pytest.mark.parametrize(
    'table, column',
    [
        ('rev', 'data'),
        ('rev', 'node'),
        ('rev', 'base'),
        ('rev', 'p1'),
        ('rev', 'p2'),
        ('rev', 'linkrev'),
        ('rev', 'flags'),
        ('rev', 'rawsize'),
        ('rev', 'frame'),
        ('idx', 'data'),
        ('idx', 'n'),
        ('idx', 'id'),
        ('frame', 'data'),
        ('frame', 'head'),
        ('path', 'id'),
        ('path', 'path'),
        ('content', 'rev'),
    ],
)
def test_wrong_values(
    pristine: tuple[bytes, Contents], table: str, column: str
) -> None:
    """The pages are intact, but a stored value was changed."""
    for number in range(max(1, TRIALS // 8)):
        chance = random.Random(f'{table} {column} {number}')
        path = pristine[0] + b'-damaged'
        copy_tree(pristine[0], path)
        db = sqlite3.connect(os.fsdecode(database(path)))
        key = {'path': 'path', 'content': 'digest'}.get(table, 'id')
        rows = db.execute(f'SELECT {key}, {column} FROM {table}').fetchall()
        if not rows:
            db.close()
            continue
        chosen, old = chance.choice(rows)
        if isinstance(old, bytes):
            value = bytearray(old)
            for _time in range(chance.randrange(1, 4)):
                if value:
                    value[chance.randrange(len(value))] ^= chance.randrange(256)
            new: object = bytes(value[: chance.choice([None, None, -1, 3])])
        else:
            new = chance.choice(
                [
                    0,
                    -1,
                    old + 1,
                    old - 1,
                    1 << 31,
                    1 << 40,
                    -(1 << 40),
                    None,
                    'x',
                ]
            )
        try:
            db.execute(
                f'UPDATE {table} SET {column} = ? WHERE {key} = ?',
                (new, chosen),
            )
            db.commit()
        except sqlite3.Error:
            db.rollback()
            db.close()
            continue
        db.execute('PRAGMA wal_checkpoint(TRUNCATE)')
        db.close()
        what = f'{table}.{column} of {chosen!r}: {old!r} became {new!r}'
        check(path, pristine[1], what)
