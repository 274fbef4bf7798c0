# SPDX-License-Identifier: GPL-2.0-or-later
"""Repositories read over static HTTP, from a server that knows no Mercurial.

SQLite reads pages here and there, so the database is fetched whole, to a
temporary folder, when the first file is asked for: a clone reads all of it in
any case.  What comes out of it is checked like any other revision.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import urllib.error
import urllib.request
import weakref
from typing import Any

from mercurial import error, pycompat, util
from mercurial.i18n import _

from .. import errors, requirements
from ..filelog import filelog
from ..formats import schema
from ..reading import store

PIECE = 1 << 18

# How often to fetch again what changed while it was fetched.
ATTEMPTS = 3

# What tells versions of a file apart.
_VALIDATORS = ('Content-Length', 'Last-Modified', 'ETag')


def adopt(repo: Any) -> None:
    """Have a repository of core's class for static HTTP read our files."""
    base = repo.__class__

    class staticsqliterepository(base):  # type: ignore[misc,valid-type]
        """A repository whose file history is in a copy of its database."""

        @util.propertycache
        def sqlitestore(self) -> store.Store:
            """The file store; fetched here. Raises Abort."""
            return _fetch_store(self)

        def file(self, path: bytes, *args: Any, **kwargs: Any) -> Any:
            if path.startswith(b'/'):
                path = path[1:]
            files = self.unfiltered().sqlitestore
            return filelog.SQLiteFilelog(files, self.svfs, path, False)

    repo.__class__ = staticsqliterepository


def _fetch_store(repo: Any) -> store.Store:
    folder = tempfile.mkdtemp(prefix='hg-static-')
    path = os.path.join(folder, os.fsdecode(schema.FILENAME))
    ref = weakref.ref(repo)

    def changesets() -> int:
        return len(ref().changelog)  # type: ignore[union-attr]

    try:
        _Source(repo).fetch(path)
        files = store.Store(
            os.fsencode(path),
            requirements.compression_of(repo.requirements),
            b'off',
            changesets,
            requirements.busy_seconds(repo.ui),
            None,
        )
    except BaseException:
        shutil.rmtree(folder)
        raise
    weakref.finalize(repo, _forget, files, folder)
    return files


def _forget(files: store.Store, folder: str) -> None:
    files.db.close()
    shutil.rmtree(folder, ignore_errors=True)


class _Source:
    """The database and its log, at the address of a repository."""

    def __init__(self, repo: Any) -> None:
        self._ui = repo.ui
        reader = repo.vfs(b'store/' + schema.FILENAME)
        self._opener = reader.opener
        self._url = pycompat.strurl(reader.url)

    def fetch(self, path: str) -> None:
        """Write both to ``path``, as they were at one moment."""
        for _attempt in range(ATTEMPTS):
            before = self._state()
            if before[0] is None:
                raise errors.StoreUnavailable(
                    _(b'%s is not there') % pycompat.bytestr(self._url),
                    hint=_(b'it holds the file history'),
                )
            self._copy('', path)
            if before[1] is not None:
                self._copy('-wal', path)
            if self._state() == before:
                return
        raise errors.StoreUnavailable(
            _(b'%s changes while it is read') % pycompat.bytestr(self._url),
            hint=_(b'try again when nobody writes to it'),
        )

    def _state(self) -> list[tuple[str | None, ...] | None]:
        """Which versions of both files there are; None for none."""
        found: list[tuple[str | None, ...] | None] = []
        for suffix in ('', '-wal'):
            response = self._request('HEAD', suffix)
            fields = None
            if response is not None:
                with response:
                    fields = tuple(map(response.headers.get, _VALIDATORS))
            found.append(fields)
        return found

    def _copy(self, suffix: str, path: str) -> None:
        response = self._request('GET', suffix)
        if response is None:
            return
        with response, open(path + suffix, 'wb') as target:
            size = response.headers.get('Content-Length')
            size = int(size) if size and size.isdigit() else None
            with self._ui.makeprogress(
                _(b'fetching'), unit=_(b'bytes'), total=size
            ) as progress:
                while piece := response.read(PIECE):
                    target.write(piece)
                    progress.increment(step=len(piece))
            if size is not None and target.tell() != size:
                raise self._failed(suffix, 'the response was cut off')

    def _request(self, method: str, suffix: str) -> Any:
        """The response; None if there is no such file. Raises Abort."""
        request = urllib.request.Request(self._url + suffix, method=method)
        try:
            return self._opener.open(request)
        except urllib.error.HTTPError as exc:
            exc.close()
            if exc.code == 404:
                return None
            raise self._failed(suffix, str(exc)) from exc
        except urllib.error.URLError as exc:
            raise self._failed(suffix, str(exc.reason)) from exc

    def _failed(self, suffix: str, reason: str) -> error.Abort:
        return error.Abort(
            _(b'cannot fetch %s: %s')
            % (
                pycompat.bytestr(self._url + suffix),
                pycompat.bytestr(reason),
            )
        )
