# SPDX-License-Identifier: GPL-2.0-or-later
"""Repositories read over static HTTP, from a server without Mercurial.

SQLite reads pages all over the file, so the database is fetched whole, to a
temporary folder, when the first file is opened. A clone reads all of it in any
case. Revisions read from the copy are checked like all others.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import urllib.error
import urllib.request
import weakref
from typing import TYPE_CHECKING, Any

from mercurial import error, localrepo, pycompat, util
from mercurial.i18n import _

from ...amalgam import sidefiles
from .. import errors, requirements
from ..formats import schema

if TYPE_CHECKING:
    from ..reading.store import Store

# Bytes per read of a response.
BLOCK_SIZE = 1 << 18

# How often to fetch a database that changes while it is fetched.
ATTEMPTS = 3

# The header fields that tell versions of a file apart.
_VALIDATORS = ('Content-Length', 'Last-Modified', 'ETag')


def init_repository(orig: Any, repo: Any, *args: Any, **kwargs: Any) -> None:
    """Initialize a repository, and adopt it if its files are in SQLite."""
    orig(repo, *args, **kwargs)
    if requirements.uses_sqlite(repo):
        adopt(repo)


def adopt(repo: Any) -> None:
    """Give a repository object a class that reads files from SQLite."""
    base = repo.__class__

    class staticsqliterepository(base):  # type: ignore[misc,valid-type]
        """A repository whose file history is in a copy of its database."""

        @util.propertycache
        def sqlitestore(self) -> Store:
            """The store. The database is fetched here; raises Abort."""
            return _fetch_store(self)

        @localrepo.unfilteredpropertycache
        def manifestlog(self) -> Any:
            """The manifests of the repository."""
            from ..revlogs import manifests

            root = manifests.SQLiteManifest(
                self.sqlitestore, self.nodeconstants, self.svfs
            )
            return manifests.SQLiteManifestLog(
                self.svfs, self, root, self.narrowmatch()
            )

        def file(self, path: bytes, *args: Any, **kwargs: Any) -> Any:
            """Return the filelog of ``path``."""
            from ..revlogs import filelog

            if path.startswith(b'/'):
                path = path[1:]
            files = self.unfiltered().sqlitestore
            return filelog.SQLiteFilelog(files, self.svfs, path, False)

    repo.__class__ = staticsqliterepository
    # Mercurial has assigned the manifests in revlogs, of which there are none.
    del repo.manifestlog


def _fetch_store(repo: Any) -> Store:
    """Return a file store over a copy of the database of ``repo``.

    The copy is removed together with the repository object.
    """
    from ..reading import store

    folder = tempfile.mkdtemp(prefix='hg-static-')
    path = os.path.join(folder, os.fsdecode(schema.FILENAME))
    ref = weakref.ref(repo)

    def changesets() -> int:
        return len(ref().changelog)  # type: ignore[union-attr]

    try:
        _RemoteDatabase(repo).fetch(path)
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


def _forget(files: Store, folder: str) -> None:
    files.db.close()
    shutil.rmtree(folder, ignore_errors=True)


class _RemoteDatabase:
    """The database and its write-ahead log at the address of a repository."""

    def __init__(self, repo: Any) -> None:
        self._ui = repo.ui
        reader = repo.vfs(b'store/' + schema.FILENAME)
        self._opener = reader.opener
        self._url = pycompat.strurl(reader.url)

    def fetch(self, path: str) -> None:
        """Write both files to ``path``, as they were at one moment.

        Raises StoreUnavailable or Abort.
        """
        for _attempt in range(ATTEMPTS):
            before = self._state()
            if before[0] is None:
                raise errors.StoreUnavailable(
                    _(b'%s does not exist') % pycompat.bytestr(self._url),
                    hint=_(b'it holds the file history of the repository'),
                )
            self._copy('', path)
            if before[1] is not None:
                self._copy(sidefiles.LOG, path)
            if self._state() == before:
                return
        raise errors.StoreUnavailable(
            _(b'%s keeps changing while it is read')
            % pycompat.bytestr(self._url),
            hint=_(b'try again when nobody writes to the repository'),
        )

    def _state(self) -> list[tuple[str | None, ...] | None]:
        """Return what identifies the versions of both files.

        None stands for a file that does not exist.
        """
        found: list[tuple[str | None, ...] | None] = []
        for suffix in ('', sidefiles.LOG):
            response = self._request('HEAD', suffix)
            fields = None
            if response is not None:
                with response:
                    fields = tuple(map(response.headers.get, _VALIDATORS))
            found.append(fields)
        return found

    def _copy(self, suffix: str, path: str) -> None:
        """Download one of the files, if it exists."""
        response = self._request('GET', suffix)
        if response is None:
            return
        with response, open(path + suffix, 'wb') as target:
            size = response.headers.get('Content-Length')
            size = int(size) if size and size.isdigit() else None
            with self._ui.makeprogress(
                _(b'fetching'), unit=_(b'bytes'), total=size
            ) as progress:
                while block := response.read(BLOCK_SIZE):
                    target.write(block)
                    progress.increment(step=len(block))
            if size is not None and target.tell() != size:
                raise self._failed(suffix, 'the response was cut off')

    def _request(self, method: str, suffix: str) -> Any:
        """Return the response, or None if there is no such file.

        Raises Abort if the request fails.
        """
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
        """Return the exception for a request that failed."""
        return error.Abort(
            _(b'cannot fetch %s: %s')
            % (
                pycompat.bytestr(self._url + suffix),
                pycompat.bytestr(reason),
            )
        )
