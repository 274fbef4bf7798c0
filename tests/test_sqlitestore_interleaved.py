# SPDX-License-Identifier: GPL-2.0-or-later
"""Let another process write between any two statements of a reading command.

What a reader gets must be what the repository had before or has afterwards,
never a mixture. Each command is run once for each of its statements, and the
other process writes just before that statement.
"""

from __future__ import annotations

import os
import pathlib
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip('mercurial')

from helpers import sqlitestore_crashes as crashes
from helpers.sqlitestore_crashes import contents, hg_command

from hgext3rd.sqlitestore.formats import schema

pytestmark = pytest.mark.skipif(not hasattr(os, 'fork'), reason='needs fork')

FILES = 3
# The newest changeset, before the other process commits.
NEWEST = b'%d' % (2 * FILES - 1)
# Bytes of the pieces of large frames.
PIECE = 16 << 10


@pytest.fixture(autouse=True)
def configuration(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Configure the commands that this process runs."""
    crashes.configure(tmp_path, monkeypatch)
    monkeypatch.setattr(schema, 'PIECE_SIZE', PIECE)


def write(path: bytes, name: bytes, data: bytes) -> None:
    """Replace a file of a working directory."""
    with open(os.path.join(path, name), 'wb') as file:
        file.write(data)


def hg(path: bytes, *args: bytes) -> bytes:
    """Run a command, assert that it succeeds, and return its output."""
    code, out = hg_command(b'--cwd', path, *args)
    assert code == 0, out
    return out


class Other:
    """Another process, which runs a function of a number when told to."""

    def __init__(self, function: Callable[[int], object]) -> None:
        reading, self._writing = os.pipe()
        self._reading, writing = os.pipe()
        self._pid = os.fork()
        if not self._pid:
            os.close(self._writing)
            code = 1
            try:
                while number := os.read(reading, 8):
                    function(int(number))
                    os.write(writing, b'.')
                code = 0
            except BaseException as exc:
                os.write(2, repr(exc).encode() + b'\n')
            finally:
                os._exit(code)
        os.close(reading)
        os.close(writing)

    def run(self, number: int) -> None:
        """Run the function with ``number``, and wait until it returns."""
        os.write(self._writing, b'%d' % number)
        assert os.read(self._reading, 1) == b'.', 'the other process failed'

    def end(self) -> None:
        """End the process."""
        os.close(self._writing)
        os.close(self._reading)
        assert os.waitpid(self._pid, 0)[1] == 0


class Statements:
    """Counts SQL queries, and calls ``before`` before one of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.last = -1
        self.before: Callable[[], object] = lambda: None
        statements = self

        class Connection(sqlite3.Connection):
            """Counts the queries."""

            def execute(self, sql: str, *args: Any) -> Any:
                if sql.lstrip().startswith('SELECT'):
                    statements.step()
                return super().execute(sql, *args)

        connect = sqlite3.connect
        monkeypatch.setattr(
            sqlite3,
            'connect',
            lambda *args, **kwargs: connect(
                *args, factory=Connection, **kwargs
            ),
        )

    def step(self) -> None:
        """Count a statement."""
        self.count += 1
        if self.count == self.last:
            self.before()


@pytest.fixture
def path(tmp_path: pathlib.Path) -> bytes:
    """Return a repository with small files and one that has several pieces.

    Some of its revisions are loose.
    """
    path = os.fsencode(tmp_path / 'repo')
    assert hg_command(b'init', path)[0] == 0
    noise = random.Random(4)
    write(path, b'large', noise.randbytes(3 * PIECE))
    for number in range(FILES):
        write(path, b'f%d' % number, b'%d\n' % number * 200)
        hg(path, b'commit', b'-qAm', b'c%d' % number)
    hg(path, b'admin::sqlite-repack', b'-q')
    for number in range(FILES):
        write(path, b'f%d' % number, b'again %d\n' % number * 200)
        hg(path, b'commit', b'-qm', b'again %d' % number)
    return path


def read_all(path: bytes) -> None:
    """Read all texts by a new repository object."""
    assert contents(path)


def bundle(path: bytes) -> None:
    """Bundle all history, and unbundle it elsewhere, which checks it."""
    hg(path, b'bundle', b'-qa', b'../all.hg', b'-t', b'none-v2')
    copy = os.path.join(os.path.dirname(path), b'copy')
    shutil.rmtree(copy, ignore_errors=True)
    assert hg_command(
        b'init', copy, b'--config', b'storage.new-repo-backend=revlogv1'
    ) == (0, b'')
    hg(copy, b'unbundle', b'-q', b'../all.hg')


def files(path: bytes) -> dict[bytes, bytes]:
    """Return the files of a working directory."""
    found = {}
    for name in os.listdir(path):
        if not name.startswith(b'.hg'):
            with open(os.path.join(path, name), 'rb') as file:
                found[name] = file.read()
    return found


def archive(path: bytes) -> None:
    """Write all files of the newest changeset."""
    before = files(path)
    target = os.path.join(os.path.dirname(path), b'archive')
    hg(path, b'archive', b'-qr', NEWEST, target)
    assert files(target) == before


def sizes(path: bytes) -> None:
    """List the sizes of the files of the newest changeset."""
    before = files(path)
    out = hg(path, b'files', b'-r', NEWEST, b'-T', b'{path} {size}\n')
    found = dict(line.split() for line in out.splitlines())
    assert found == {name: b'%d' % len(before[name]) for name in before}


def stats(path: bytes) -> None:
    """Show the statistics of the database."""
    assert hg(path, b'admin::sqlite-stats')


def segments(path: bytes) -> None:
    """Make the segments of clones."""
    shutil.rmtree(os.path.join(path, b'../cache'), ignore_errors=True)
    options = [
        b'--config=extensions.wireprotov2=',
        b'--config=wireprotov2.cacher=directory',
        b'--config=wireprotov2.cacher.directory.path=../cache',
    ]
    hg(path, b'admin::wire-warm', *options)


READING = {
    'segments': segments,
    'texts': read_all,
    'bundle': bundle,
    'archive': archive,
    'sizes': sizes,
    'stats': stats,
}


@pytest.fixture
def other(path: bytes) -> Iterator[Other]:
    """Return a process that commits and repacks."""

    def change(number: int) -> None:
        write(path, b'f0', b'%d\n' % number)
        hg(path, b'commit', b'-qm', b'%d' % number)
        kind = (b'--max',) if number % 2 else ()
        hg(path, b'admin::sqlite-repack', b'-q', *kind)

    other = Other(change)
    yield other
    other.end()


@pytest.mark.parametrize('name', READING)
def test_repack_between(
    path: bytes, other: Other, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading finds everything if it is moved before any statement."""
    untouched = path + b'.untouched'
    crashes.copy_tree(path, untouched)
    statements = Statements(monkeypatch)
    while statements.count >= statements.last:
        crashes.copy_tree(untouched, path)
        statements.count = 0
        statements.last = max(1, statements.last + 1)
        statements.before = lambda: other.run(statements.last)
        READING[name](path)
    assert statements.last > 5
