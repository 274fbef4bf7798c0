# SPDX-License-Identifier: GPL-2.0-or-later
"""Kill Mercurial at every step of a command, and check the repository.

A command runs in a forked child that kills itself with SIGKILL before its Nth
step. A step is an SQL statement, a file opened for writing, or a rename,
removal, link, truncation or sync of a file. Forking takes a tenth of a second,
less than a new process, so that thousands of steps can be tried.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import pathlib
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable
from typing import Any

import hgdemandimport
import pytest
from mercurial import dispatch, hg, util
from mercurial import ui as uimod
from mercurial import vfs as vfsmod

hgdemandimport.disable()

# In hg <= 7.1, dispatch itself has the class.
make_request = (
    getattr(dispatch, 'request', None) or dispatch.main_script.request
)

HGRC = b"""
[ui]
username = test
interactive = no
rollback = yes
[extensions]
sqlitestore =
strip =
censor =
[censor]
policy = ignore
[storage]
new-repo-backend = sqlite
sqlite.auto-repack = no
[experimental]
evolution = createmarkers,allowunstable
"""

FILE_STEPS = (
    'fsync',
    'link',
    'mkdir',
    'remove',
    'rename',
    'replace',
    'rmdir',
    'sync',
    'truncate',
    'unlink',
)

# Functions of ``os`` that mercurial.util has under the same or other names.
UTIL_STEPS = ('rename', 'unlink', 'copyfile')


def configure(
    folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch, more: bytes = b''
) -> None:
    """Make commands in this process use the configuration HGRC and ``more``."""
    rc = folder / 'hgrc'
    rc.write_bytes(HGRC + more)
    monkeypatch.setenv('HGRCPATH', str(rc))
    monkeypatch.setenv('HGPLAIN', '1')
    monkeypatch.setattr(sys, 'argv', ['hg'])
    # Commands change the directory; monkeypatch restores it after the test.
    monkeypatch.chdir(folder)


def hg_command(*args: bytes) -> tuple[int, bytes]:
    """Run an hg command in this process; return (exit code, output)."""
    out = io.BytesIO()
    request = make_request(list(args), fin=io.BytesIO(), fout=out, ferr=out)
    code = dispatch.dispatch(request)
    return int(code or 0), out.getvalue()


class Steps:
    """Counts the steps of this process.

    Before step ``last``, unless it is None, the process gets a signal.
    """

    def __init__(self, last: int | None, signum: int) -> None:
        self.count = 0
        self.last = last
        self.signum = signum

    def step(self) -> None:
        """Count a step. Called before each one."""
        self.count += 1
        if self.count - 1 == self.last:
            os.kill(os.getpid(), self.signum)

    def install(self) -> None:
        """Wrap every function that changes files, so that it calls ``step``."""
        for name in FILE_STEPS:
            self._wrap(os, name)
        for name in UTIL_STEPS:
            self._wrap(util, name)
        self._wrap_open()
        self._wrap_connect()

    def _wrap(self, owner: Any, name: str) -> None:
        orig = getattr(owner, name)

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            self.step()
            return orig(*args, **kwargs)

        setattr(owner, name, wrapper)

    def _wrap_open(self) -> None:
        orig = vfsmod.vfs.__call__

        def wrapper(
            vfs: Any, path: bytes, mode: bytes = b'rb', *args: Any, **kw: Any
        ) -> Any:
            if mode not in (b'r', b'rb'):
                self.step()
            return orig(vfs, path, mode, *args, **kw)

        vfsmod.vfs.__call__ = wrapper

    def _wrap_connect(self) -> None:
        steps = self

        class Connection(sqlite3.Connection):
            """Counts each statement as a step."""

            def execute(self, *args: Any) -> Any:
                steps.step()
                return super().execute(*args)

            def executemany(self, *args: Any) -> Any:
                steps.step()
                return super().executemany(*args)

            def backup(self, target: Any, **kwargs: Any) -> None:
                inner = kwargs.pop('progress', None)

                def progress(*args: Any) -> None:
                    steps.step()
                    if inner is not None:
                        inner(*args)

                # Even a small database takes several steps of two pages.
                kwargs['pages'] = 2
                super().backup(target, progress=progress, **kwargs)

            def close(self) -> None:
                steps.step()
                super().close()

        orig = sqlite3.connect

        def connect(*args: Any, **kwargs: Any) -> Any:
            return orig(*args, factory=Connection, **kwargs)

        sqlite3.connect = connect


def crash(
    args: tuple[bytes, ...],
    last: int | None,
    expected: int = 0,
    signum: int = signal.SIGKILL,
) -> int | None:
    """Run a command in a child process that gets a signal at step ``last``.

    Return the number of steps that the command took, or None if it got the
    signal. Without the signal its exit code must be ``expected``.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        with contextlib.suppress(BaseException):
            os.close(reading)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            steps = Steps(last, signum)
            steps.install()
            code, out = hg_command(*args)
            os.write(writing, b'%d %d\n%s' % (steps.count, code, out))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, 'rb') as fp:
        report = fp.read()
    status = os.waitpid(pid, 0)[1]
    if os.WIFSIGNALED(status):
        return None
    assert report, 'the harness failed in the child'
    head, out = report.split(b'\n', 1)
    count, code = map(int, head.split())
    if last is not None and count > last:
        return None
    assert code == expected, (code, out)
    return count


def contents(path: bytes) -> dict[bytes, bytes]:
    """Return a digest of all file contents of each changeset, by node."""
    repo = hg.repository(uimod.ui.load(), path).unfiltered()
    found = digests(repo, [repo[rev] for rev in repo])
    repo.close()
    return found


def digests(repo: Any, ctxs: list[Any]) -> dict[bytes, bytes]:
    """Return a digest of all file contents of these changesets, by node."""
    found = {}
    for ctx in ctxs:
        digest = hashlib.sha1()
        for name in sorted(ctx.manifest()):
            fctx = ctx[name]
            flog = repo.file(name)
            if flog.iscensored(flog.rev(fctx.filenode())):
                digest.update(name + b' censored')
            else:
                text = flog.read(fctx.filenode())
                digest.update(name + text + fctx.flags())
        found[ctx.node()] = digest.digest()
    return found


def copy_tree(source: bytes, target: bytes) -> None:
    """Replace ``target`` by a copy of the folder ``source``."""
    # Commands leave this process in one of these folders.
    os.chdir('/')
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(os.fsdecode(source), os.fsdecode(target), symlinks=True)


class Scenario:
    """A command to kill in a repository, and what must be true afterwards.

    ``allowed``
        changesets that may be missing afterwards
    ``code``
        the exit code of the command when it is not killed
    ``also``
        called after each kill and recovery, for further checks
    ``before``
        the result of ``contents`` before the command, for a repository that
        ``contents`` cannot read
    ``repair``
        does what a user would do after a kill, instead of ``hg recover``
    """

    # The signal that kills the command.
    signum: int = signal.SIGKILL

    def __init__(
        self,
        path: bytes,
        args: tuple[bytes, ...],
        allowed: frozenset[bytes] = frozenset(),
        code: int = 0,
        also: Callable[[], None] = lambda: None,
        before: dict[bytes, bytes] | None = None,
        repair: Callable[[], object] | None = None,
    ) -> None:
        self.path = path
        self.args = args
        self.allowed = allowed
        self.code = code
        self.also = also
        self.repair = repair
        self.pristine = path + b'.pristine'
        copy_tree(path, self.pristine)
        self.before = contents(path) if before is None else before

    def run(self, points: int | None) -> int:
        """Kill at all steps, or at ``points`` of them; return how many."""
        total = self.total()
        chosen = spread(total, points)
        killed = 0
        for number, last in enumerate(chosen):
            killed += self.kill(last)
            self.look(last, number)
        # The number of steps varies a little with the state of caches and of
        # the write-ahead log.
        assert killed * 5 >= len(chosen) * 4, (killed, len(chosen))
        return killed

    def total(self) -> int:
        """Run the command to its end and note its result.

        Return the number of its steps.
        """
        copy_tree(self.pristine, self.path)
        total = crash(self.args, None, self.code)
        assert total, 'the command did not finish'
        self.expected = contents(self.path)
        return total

    def kill(self, last: int) -> bool:
        """Run the command until step ``last``, in a fresh copy.

        Return whether the command was killed before its end.
        """
        copy_tree(self.pristine, self.path)
        return crash(self.args, last, self.code, self.signum) is None

    def hg(self, *args: bytes) -> tuple[int, bytes]:
        """Run another command in the repository."""
        return hg_command(b'--cwd', self.path, *args)

    def look(self, last: int, number: int) -> None:
        """Check the repository after the kill at step ``last``."""
        where = self.args, last
        out = b''
        empty = number % 3 == 1 and not self.repair
        if self.repair:
            self.repair()
        elif empty:
            # A changeset without files must not be mistaken for the one whose
            # transaction was interrupted.
            self.hg(b'branch', b'-qf', b'after')
            code, out = self.hg(b'commit', b'-qm', b'no files', b'-X', b'.')
        if not empty or b'hg recover' in out:
            self.hg(b'recover', b'--no-verify')
        code, out = self.hg(b'verify', b'-q')
        assert code == 0 and not out, (where, out)
        after = contents(self.path)
        for node, digest in self.before.items():
            if node not in after:
                assert node in self.allowed, (where, node.hex())
            else:
                possible = digest, self.expected.get(node)
                assert after[node] in possible, (where, node.hex())
        self.also()
        # The repository must still be usable.
        with open(os.path.join(self.path, b'more'), 'ab') as fp:
            fp.write(b'more')
        code, out = self.hg(b'commit', b'-qAm', b'more')
        assert code in (0, 1), (where, out)
        if number % 5 == 2:
            code, out = self.hg(b'verify', b'-q')
            assert code == 0 and not out, (where, out)


def spread(total: int, points: int | None) -> list[int]:
    """Return all of ``range(total)``, or ``points`` of them spread evenly.

    The last two are always among them, because commands switch from the old to
    the new state at the end.
    """
    if points is None or total <= points:
        return list(range(total))
    evenly = {number * total // points for number in range(points)}
    return sorted(evenly | {total - 1, total - 2})
