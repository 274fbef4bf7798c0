# SPDX-License-Identifier: GPL-2.0-or-later
"""Use a repository object after another process changed the storage.

Command servers and hgweb keep repository objects. After a conversion, strip,
censoring, repack or restore by another process, such an object must read and
write the new storage, or refuse with a message.
"""

from __future__ import annotations

import io
import os
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip('mercurial')

from helpers import sqlitestore_crashes as crashes
from helpers.sqlitestore_crashes import hg_command
from mercurial import dispatch, error, exchange, hg
from mercurial import ui as uimod

pytestmark = pytest.mark.skipif(not hasattr(os, 'fork'), reason='needs fork')


@pytest.fixture(autouse=True)
def configuration(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Configure the commands that this process runs."""
    crashes.configure(tmp_path, monkeypatch, b'[extensions]\nshare =\n')


def elsewhere(path: bytes, *args: bytes) -> None:
    """Run a command in another process, and assert that it succeeds."""
    pid = os.fork()
    if not pid:
        out = b'it died'
        try:
            code, out = hg_command(b'--cwd', path, *args)
            if not code:
                os._exit(0)
        finally:
            os.write(2, out)
            os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0


def write(path: bytes, name: bytes, data: bytes) -> None:
    """Replace a file of a working directory."""
    with open(os.path.join(path, name), 'wb') as file:
        file.write(data)


@pytest.fixture(params=['sqlite', 'revlogv1'])
def path(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> bytes:
    """Return a repository with five changesets, in SQLite or in revlogs."""
    path = os.fsencode(tmp_path / 'repo')
    kind = b'storage.new-repo-backend=%s' % request.param.encode()
    elsewhere(b'.', b'init', path, b'--config', kind)
    for number in range(5):
        write(path, b'f', b'%d ' % number * 900)
        write(path, b'late' if number == 4 else b'g', b'%d\n' % number)
        elsewhere(path, b'commit', b'-qAm', b'c%d' % number)
    return path


def contents(repo: Any) -> dict[bytes, list[bytes]]:
    """Return the texts of each changeset as a repository object reads them."""
    return {
        repo[rev].node(): [
            b'censored'
            if repo[rev][name].filelog().iscensored(repo[rev][name].filerev())
            else repo[rev][name].data()
            for name in sorted(repo[rev].manifest())
        ]
        for rev in repo
    }


def open_repository(path: bytes) -> Any:
    """Return a repository object, as a server keeps it."""
    return hg.repository(uimod.ui.load(), path)


def command(repo: Any, *args: bytes) -> tuple[int, bytes]:
    """Run a command on ``repo`` as a command server does."""
    repo.invalidateall()
    out = io.BytesIO()
    os.chdir(repo.root)
    request = crashes.make_request(
        list(args),
        repo=repo,
        fin=io.BytesIO(),
        fout=out,
        ferr=out,
    )
    return int(dispatch.dispatch(request) or 0), out.getvalue()


def is_sqlite(path: bytes) -> bool:
    """Return whether the repository is in SQLite."""
    return os.path.exists(os.path.join(path, b'.hg/store/history.sqlite'))


def to_other_kind(path: bytes) -> None:
    """Convert between SQLite and revlogs."""
    kind = b'revlog' if is_sqlite(path) else b'sqlite'
    elsewhere(path, b'admin::sqlite-convert', b'-q', b'--to', kind)


def there_and_back(path: bytes) -> None:
    """Convert twice, which leaves the requirements as they were."""
    to_other_kind(path)
    to_other_kind(path)


def strip(path: bytes) -> None:
    """Strip the only changeset of a file, and add the file again."""
    elsewhere(path, b'strip', b'-q', b'4', b'--no-backup')
    write(path, b'late', b'later\n')
    elsewhere(path, b'commit', b'-qAm', b'late again')
    write(path, b'latest', b'later\n')
    elsewhere(path, b'commit', b'-qAm', b'later')


def censor(path: bytes) -> None:
    """Censor a file revision."""
    elsewhere(path, b'censor', b'-r', b'1', b'f')


def repack(path: bytes) -> None:
    """Repack, which moves all content."""
    if is_sqlite(path):
        elsewhere(path, b'admin::sqlite-repack', b'-q')
        elsewhere(path, b'admin::sqlite-repack', b'-q', b'--max')


def restore(path: bytes) -> None:
    """Replace the repository's store by a copy."""
    store = os.path.join(path, b'.hg/store')
    shutil.copytree(os.fsdecode(store), os.fsdecode(store + b'.copy'))
    os.rename(store, store + b'.old')
    os.rename(store + b'.copy', store)


def upgrade(path: bytes) -> None:
    """Let core make a new store."""
    options = b'--run', b'--quiet', b'--no-backup', b'--optimize'
    elsewhere(path, b'debugupgraderepo', *options, b're-delta-all')


CONVERSIONS = [to_other_kind, there_and_back]
ACTIONS = [*CONVERSIONS, strip, censor, repack, restore, upgrade]


def skip_core(path: bytes, action: Callable[[bytes], None]) -> None:
    """Skip actions that involve only revlogs."""
    if action not in CONVERSIONS and not is_sqlite(path):
        pytest.skip('all of this is about revlogs')


@pytest.mark.parametrize('action', ACTIONS)
def test_command_server(path: bytes, action: Callable[[bytes], None]) -> None:
    """A command server reads and writes the changed repository."""
    skip_core(path, action)
    repo = open_repository(path)
    before = contents(repo)
    assert len(before) == 5
    action(path)
    expected = contents(open_repository(path))
    # Before it is invalidated, the object may raise an error, but must not
    # return a text that was never there.
    try:
        found = contents(repo)
    except (error.Error, OSError):
        pass
    else:
        for node, texts in found.items():
            assert texts in (before.get(node), expected.get(node))
    repo.invalidateall()
    assert contents(repo) == expected
    write(path, b'late', b'written\n')
    write(path, b'added', b'added\n')
    code, out = command(repo, b'commit', b'-qAm', b'by the server')
    assert code == 0, out
    code, out = hg_command(b'-R', path, b'verify', b'-q')
    assert (code, out) == (0, b'')
    fresh = contents(open_repository(path))
    assert len(fresh) == len(expected) + 1
    assert expected.items() <= fresh.items()
    tip = open_repository(path)[b'tip']
    assert tip[b'late'].data() == b'written\n'
    assert contents(repo) == fresh


@pytest.mark.parametrize('action', [*CONVERSIONS, restore])
def test_push_to_open_repository(
    path: bytes, tmp_path: pathlib.Path, action: Callable[[bytes], None]
) -> None:
    """A server that had opened the repository before receives a push."""
    skip_core(path, action)
    other = os.fsencode(tmp_path / 'other')
    elsewhere(b'.', b'clone', b'-q', b'-r', b'3', path, other)
    write(other, b'f', b'pushed\n')
    write(other, b'pushed', b'pushed\n')
    elsewhere(other, b'commit', b'-qAm', b'pushed')
    repo = open_repository(path)
    contents(repo)
    action(path)
    expected = contents(open_repository(path))
    # Without invalidation, as in a server process that waited for the push.
    repo.ui.pushbuffer(error=True)
    try:
        exchange.pull(repo, hg.peer(repo.ui, {}, other), force=True)
    finally:
        repo.ui.popbuffer()
    code, out = hg_command(b'-R', path, b'verify', b'-q')
    assert (code, out) == (0, b'')
    fresh = contents(open_repository(path))
    assert expected.items() <= fresh.items()
    assert len(fresh) > len(expected)


def test_reader_of_converted(path: bytes) -> None:
    """Objects made before a conversion continue to read, or refuse."""
    repo = open_repository(path)
    fctx = repo[b'tip'][b'f']
    wanted = fctx.data()
    flog, node = repo.file(b'f'), fctx.filenode()
    to_other_kind(path)
    try:
        assert flog.read(node) == wanted
    except (error.Error, OSError):
        pass
    repo.invalidate()
    assert repo.file(b'f').read(node) == wanted


def test_writer_without_extension(path: bytes, tmp_path: pathlib.Path) -> None:
    """A process without the extension cannot write revlogs any more."""
    if is_sqlite(path):
        to_other_kind(path)
    repo = open_repository(path)
    # The class that core gave it, without the extension.
    cls = type(repo.unfiltered())
    repo.unfiltered().__class__ = cls.__mro__[1]
    repo = repo.unfiltered().filtered(b'visible')
    to_other_kind(path)
    write(path, b'f', b'lost?\n')
    code, out = command(repo, b'commit', b'-qm', b'lost?')
    assert code != 0
    # It finds no manifest, and without any it would find no folder for files.
    assert b'no node' in out or b'traverses symbolic link' in out, out
    assert hg_command(b'-R', path, b'verify', b'-q') == (0, b'')


def test_unsafe_share(path: bytes, tmp_path: pathlib.Path) -> None:
    """A share with requirements of its own follows its source."""
    shared = os.fsencode(tmp_path / 'shared')
    unsafe = b'--config', b'format.use-share-safe=no'
    source = path + b'-unsafe'
    elsewhere(b'.', b'clone', b'-q', b'--pull', *unsafe, path, source)
    elsewhere(b'.', b'share', b'-q', *unsafe, source, shared)
    to_other_kind(source)
    write(shared, b'f', b'written in the share\n')
    elsewhere(shared, b'commit', b'-qm', b'in the share')
    tip = open_repository(source)[b'tip']
    assert tip[b'f'].data() == b'written in the share\n'
    assert hg_command(b'-R', source, b'verify', b'-q') == (0, b'')
    assert hg_command(b'-R', shared, b'verify', b'-q') == (0, b'')
