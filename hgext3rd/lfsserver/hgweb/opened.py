# SPDX-License-Identifier: GPL-2.0-or-later
"""Repositories that stay open between requests, with hgweb's permission check.

A repository is opened anew when a file of its configuration changes, or when
another takes its place. Nothing here knows how a request arrived.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mercurial.hgweb import common as hgwebcommon

from ...amalgam import compat
from . import configfiles
from .endpoints import EndpointFactory


@dataclass(frozen=True, slots=True)
class PermissionRequest:
    """The attributes of a request that hgweb's permission check reads."""

    method: bytes
    urlscheme: bytes
    remoteuser: bytes | None


class PermissionContext:
    """The part of a request context that hgweb's permission check reads.

    Threads share it: reading the configuration is thread-safe.
    """

    def __init__(self, repo: Any) -> None:
        self.repo = repo
        self.allowpull = self.configbool(b'web', b'allow-pull')

    # Like hgweb, this trusts the owners of repositories to decide who may read
    # them.
    def configbool(self, section: bytes, name: bytes) -> Any:
        return self.repo.ui.configbool(section, name, untrusted=True)

    def configlist(self, section: bytes, name: bytes) -> Any:
        return self.repo.ui.configlist(section, name, untrusted=True)

    def check(
        self, operation: bytes, method: bytes, scheme: bytes, user: bytes | None
    ) -> None:
        """Raise hgweb's ErrorResponse unless ``operation`` is allowed."""
        if operation == b'upload':
            # hgweb's check demands that uploads have this method.
            method = b'PUT'
        request = PermissionRequest(method, scheme, user)
        hgwebcommon.checkauthz(self, request, operation)


class SharedLog:
    """Writes lines to the log of a repository that threads share.

    The log of Mercurial drops a line that another thread writes at the same
    time. Some logs look at the working directory, which may have changed.
    """

    def __init__(self, repo: Any) -> None:
        self._repo = repo
        self._lock = threading.Lock()

    def __call__(self, line: str) -> None:
        ui = self._repo.ui
        with self._lock:
            # The attribute is empty while a line is written.
            if not ui._loggers:
                return
            self._repo.invalidateall()
            ui.log(b'lfsserver', b'%s\n', line.encode('utf-8', 'replace'))


@dataclass(frozen=True, slots=True)
class OpenedRepository:
    """A repository, opened while ``watch`` held.

    ``endpoints`` is None if its configuration demands that hgweb answers. Only
    one thread at a time may use ``log`` of ``repo.ui``, so use the one here.
    """

    watch: configfiles.Watch
    context: PermissionContext
    log: Callable[[str], None]
    endpoints: EndpointFactory | None

    @property
    def ui(self) -> Any:
        """The configuration of the repository."""
        return self.context.repo.ui


def open_at(baseui: Any, root: bytes) -> OpenedRepository:
    """Open the repository at ``root`` with the configuration ``baseui``.

    Raises what Mercurial raises if that is impossible.
    """
    with configfiles.recorded() as watch:
        watch.add_repository(root)
        repo = compat.open_repository(baseui, root)
        if repo.sharedpath != repo.path:
            watch.add_repository(repo.sharedpath[: -len(b'/.hg')])
    ui = repo.ui
    direct = ui.configbool(b'lfsserver', b'serve') and not ui.configbool(
        b'profiling', b'enabled'
    )
    log = SharedLog(repo)
    return OpenedRepository(
        watch,
        PermissionContext(repo),
        log,
        EndpointFactory(repo, log) if direct else None,
    )
