# SPDX-License-Identifier: GPL-2.0-or-later
"""The repositories of hgweb's applications, by the paths of requests.

hgweb has two applications: one for a single repository and one for several. The
latter opens a repository anew for each request. Here, they stay open. Nothing
here knows LFS.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from mercurial import error, pathutil

from ...amalgam import compat
from ...amalgam.lru import LRU
from . import configfiles
from .opened import OpenedRepository, open_at

# Repositories of an application that stay open. Each takes about 50 kB.
MAX_OPENED = 2000

# A repository, its name and the path of the request below it.
Found = tuple[OpenedRepository, bytes, bytes]


class Application(Protocol):
    """The repositories of an application; threads share it."""

    def find(self, path: bytes) -> Found | None:
        """Return the repository of a request, which is as current as its files.

        ``path`` is below the application, without slashes at its ends. Returns
        None if no repository is there, or if hgweb shows a page of its own.
        Raises what Mercurial raises if a configuration cannot be read or a
        repository cannot be opened.
        """


def application_of(app: Any) -> Application | None:
    """Return the repositories of a WSGI application.

    Returns None for other applications than Mercurial's own.
    """
    if type(app) is compat.hgweb_module().hgweb:
        return SingleRepository(app)
    if type(app) is compat.hgwebdir_module().hgwebdir:
        return SeveralRepositories(app)
    return None


class SingleRepository:
    """The repository of the hgweb application ``app``."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._opened: OpenedRepository | None = None
        self._lock = threading.Lock()

    def find(self, path: bytes) -> Found | None:
        """See Application."""
        opened = self._opened
        if opened is None or not opened.watch.holds():
            with self._lock:
                opened = self._opened
                if opened is None or not opened.watch.holds():
                    opened = self._opened = self._open()
        return opened, b'', path

    def _open(self) -> OpenedRepository:
        with self._app._obtainrepo() as known:
            baseui, root = known.baseui, known.root
        return open_at(baseui, root)


class SeveralRepositories:
    """The repositories of the hgwebdir application ``app``.

    hgwebdir reads its configuration again after some seconds; this reads it when
    a file has changed.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self._watch: configfiles.Watch | None = None
        self._listed: Any = None
        self._roots: Mapping[bytes, bytes] = {}
        self._opened: LRU[bytes, OpenedRepository] = LRU(MAX_OPENED)
        self._lock = threading.Lock()

    def find(self, path: bytes) -> Found | None:
        """See Application."""
        if self._watch is None or not self._watch.holds():
            with self._lock:
                if self._watch is None or not self._watch.holds():
                    self._read()
        located = self._locate(path)
        if located is None:
            return None
        name, root = located
        with self._lock:
            opened = self._opened.get(root)
        if opened is None or not opened.watch.holds():
            with self._lock:
                opened = self._opened.get(root)
                if opened is None or not opened.watch.holds():
                    opened = self._open(name, root)
                    if opened is None:
                        return None
                    self._opened.put(root, opened, 1)
        return opened, name, path[len(name) :].strip(b'/')

    def _read(self) -> None:
        """Let hgwebdir read its configuration, and close all repositories."""
        self._opened.clear()
        self._watch = None
        with configfiles.recorded() as watch:
            self._refresh()
            watch.add_folders()
        self._watch = watch

    def _refresh(self) -> None:
        before = self._app.lastrefresh
        # hgwebdir reads again at its next look.
        self._app.lastrefresh = 0
        try:
            self._app.refresh()
        except BaseException:
            self._app.lastrefresh = before
            raise

    def _locate(self, path: bytes) -> tuple[bytes, bytes] | None:
        """Return name and root of the repository for ``path``, if there is one.

        The name is the longest one, as in hgwebdir.
        """
        if path.startswith(b'static/'):
            return None
        listed = self._app.repos
        if listed is not self._listed:
            self._roots = dict(listed)
            self._listed = listed
        roots = self._roots
        for name in _prefixes(path):
            if root := roots.get(name):
                return name, root
        return None

    def _open(self, name: bytes, root: bytes) -> OpenedRepository | None:
        """Open a repository, or return None if it is not served any more."""
        try:
            return open_at(self._app.ui.copy(), root)
        except (OSError, error.RepoError):
            # hgwebdir finds out after some seconds.
            self._refresh()
            if name not in dict(self._app.repos):
                return None
            raise


def _prefixes(path: bytes) -> Iterator[bytes]:
    yield path
    yield from pathutil.finddirs(path)
