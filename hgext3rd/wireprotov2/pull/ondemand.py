# SPDX-License-Identifier: GPL-2.0-or-later
"""The source of missing file data: the paths a repository came from.

``shallow.demand`` calls it with the revisions that are needed. It asks the
default path, or several, for all of them in a few requests, or copies them if
the path is a repository on this machine. ``textrequests`` knows the requests.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from mercurial import error, phases
from mercurial.i18n import _
from mercurial.node import nullrev
from mercurial.utils import stringutil, urlutil

from .. import compat
from ..client import failures
from ..client.endpoint import Endpoint, endpoint_of
from ..shallow import absence, demand
from . import textrequests
from .arriving import Arrival, Refusals

#: Up to so many files are named with their nodes. Requests for more name
#: changesets, and are the same for all repositories that need them.
FEW_FILES = 4

#: The most files and changesets in a request that names changesets. Servers
#: take 10,000 patterns, and matching them costs more than other files do.
MOST_FILES = 5000
MOST_CHANGESETS = 500

#: Seconds for which a server that could not be reached is not asked again.
PATIENCE = 30

#: The nodes of each path that are missing.
Files = dict[bytes, list[bytes]]


class OnDemand:
    """Fetches data for ``repo``; the interface is ``shallow.demand.Source``."""

    def __init__(self, repo: Any) -> None:
        self._repo = repo
        # Connections are kept for later calls.
        self._remotes: dict[bytes, Any] = {}
        # Why a path could not be used, and until when that is remembered.
        self._failed: dict[bytes, tuple[float, bytes]] = {}
        self._refusals: Refusals = {}
        self._asked = b''

    def __call__(self, wanted: demand.Missing) -> None:
        """Fetch ``wanted``; see ``shallow.demand.Source``."""
        ui = self._repo.ui
        self._refusals.clear()
        paths = list(ui.paths.get(b'default') or ())
        if not paths:
            raise demand.Unobtainable(
                _(b'the repository has no default path to fetch it from')
            )
        urls = [urlutil.hidepassword(path.loc) for path in paths]
        if not ui.configbool(b'wireprotov2', b'on-demand'):
            raise demand.Unobtainable(
                _(b'wireprotov2.on-demand keeps it from being fetched from %s')
                % b', '.join(urls)
            )
        reasons = []
        for number, (path, url) in enumerate(zip(paths, urls, strict=True)):
            if number:
                # The path before may have had a part of it.
                wanted = {
                    rev: left
                    for rev, files in wanted.items()
                    if (left := self._missing(files))
                }
            if not wanted:
                return
            self._asked = url
            self._refusals.clear()
            reason = self._try(path, url, wanted)
            if reason:
                reasons.append(reason)
        if len(reasons) == len(paths):
            raise demand.Unobtainable(b'; '.join(reasons))

    def refusal(self, path: bytes, node: bytes) -> bytes:
        """Return why the last call has not provided a revision."""
        reason = self._refusals.get((path, node)) or _(
            b'the server did not send it'
        )
        return _(b'%s: %s') % (self._asked, reason)

    def lend(self, remote: Any) -> None:
        """Use the connection of a pull for what its command fetches later."""
        path = remote.path
        if path is not None:
            self._remotes.setdefault(urlutil.hidepassword(path.loc), remote)

    def close(self) -> None:
        """End the connections."""
        while self._remotes:
            _url, remote = self._remotes.popitem()
            remote.close()

    def _missing(self, files: Any) -> Files:
        repo = self._repo
        found: Files = {}
        for path, nodes in files.items():
            inner = absence.of_file(repo, path)
            missing = [n for n in nodes if absence.is_missing(repo, inner, n)]
            if missing:
                found[path] = missing
        return found

    def _try(self, path: Any, url: bytes, wanted: dict[int, Files]) -> bytes:
        """Fetch from one path; return why that failed, b'' if it did not."""
        until, reason = self._failed.get(url, (0.0, b''))
        if time.monotonic() < until:
            return reason
        ui = self._repo.ui
        try:
            remote = self._remotes.get(url)
            if remote is None:
                remote = self._remotes[url] = compat.peer(self._repo, path)
            other = remote.local()
            if other is not None:
                self._copy(other, wanted)
                return b''
            endpoint = endpoint_of(remote)
            if endpoint is None or endpoint.api is None:
                reason = _(b'%s: the server cannot send single files') % url
            else:
                endpoint.describe()
                self._fetch(endpoint, wanted)
                return b''
        except failures.RemoteFailure as exc:
            reason = exc.message
        except (error.RepoError, error.Abort, OSError) as exc:
            # The reason of a URLError is another exception.
            text = stringutil.forcebytestr(getattr(exc, 'reason', exc))
            reason = text if url in text else b'%s: %s' % (url, text)
        reason = b' '.join(reason.split())
        self._remotes.pop(url, None)
        self._failed[url] = time.monotonic() + PATIENCE, reason
        ui.debug(b'%s\n' % reason)
        return reason

    def _copy(self, other: Any, wanted: dict[int, Files]) -> None:
        """Copy data from the repository ``other`` of this machine."""
        repo, other = self._repo, other.unfiltered()
        arrival = Arrival(repo, self._refusals)
        files = _by_path(wanted)
        if absence.is_shallow(other):
            # It may be able to fetch all of them together.
            node, get_rev = repo.changelog.node, other.changelog.index.get_rev
            demand.provide(
                other,
                {get_rev(node(rev)) or 0: part for rev, part in wanted.items()},
            )
        for path, nodes in files.items():
            store = absence.of_file(other, path)
            for node in filter(store.hasnode, nodes):
                arrival.keep(path, node, bytes(store.revision(node)))

    def _fetch(self, endpoint: Endpoint, wanted: dict[int, Files]) -> None:
        """Fetch ``wanted`` from a server."""
        repo = self._repo
        client = endpoint.client(ask=True)
        arrival = Arrival(repo, self._refusals)
        files = _by_path(wanted)
        if len(files) > FEW_FILES:
            for revs, paths in self._requests(wanted):
                node = repo.changelog.node
                try:
                    textrequests.by_changeset(
                        repo,
                        client,
                        {
                            b'type': b'changesetexplicit',
                            b'nodes': [node(rev) for rev in revs],
                        },
                        paths,
                        arrival,
                    )
                except failures.CommandRefused as exc:
                    # It may not know one of the changesets any more.
                    repo.ui.debug(b'%s\n' % exc.message)
            files = {
                path: nodes
                for path, nodes in (
                    (
                        path,
                        [n for n in nodes if (path, n) not in self._refusals],
                    )
                    for path, nodes in self._missing(files).items()
                )
                if nodes
            }
        if files:
            textrequests.by_node(repo, client, files, arrival)
        repo.ui.log(
            b'wireprotov2',
            b'fetched data of %d file revisions from %s\n',
            arrival.count,
            client.url,
        )

    def _requests(
        self, wanted: dict[int, Files]
    ) -> Iterator[tuple[list[int], list[bytes] | None]]:
        """Yield the changesets, and the paths, of each request.

        None as paths means all files.
        """
        groups: dict[int, set[bytes]] = {}
        for rev, files in wanted.items():
            if rev == nullrev:
                continue
            for known, found in self._anchors(rev, files).items():
                groups.setdefault(known, set()).update(found)
        revs = sorted(groups)
        for start in range(0, len(revs), MOST_CHANGESETS):
            batch = revs[start : start + MOST_CHANGESETS]
            paths = sorted({path for rev in batch for path in groups[rev]})
            if len(batch) == 1 and self._is_most(batch[0], paths):
                yield batch, None
                continue
            for first in range(0, len(paths), MOST_FILES):
                yield batch, paths[first : first + MOST_FILES]

    def _is_most(self, rev: int, paths: list[bytes]) -> bool:
        """Return whether ``paths`` are most of the files of a changeset."""
        repo = self._repo
        manifest = repo[rev].manifest()
        count = sum(1 for path in manifest if repo.narrowmatch()(path))
        return 2 * len(paths) > count

    def _anchors(self, rev: int, files: Files) -> dict[int, set[bytes]]:
        """Return changesets that the server knows and that have ``files``.

        Those are public ones; it may not have the others.
        """
        repo = self._repo
        found: dict[int, set[bytes]] = {}
        rest = dict(files)
        heads = [rev]
        if repo[rev].phase() != phases.public:
            heads = list(repo.revs(b'heads(::%d and public())', rev))
        for known in heads:
            manifest = repo[known].manifest()
            for path, nodes in files.items():
                if manifest.get(path) in nodes and path in rest:
                    found.setdefault(known, set()).add(path)
                    if len(nodes) == 1:
                        del rest[path]
        for path, nodes in rest.items():
            inner = absence.of_file(repo, path)
            for node in nodes:
                link = inner.linkrev(inner.rev(node))
                found.setdefault(link, set()).add(path)
        return found


def _by_path(wanted: dict[int, Files]) -> Files:
    """Return the nodes of each path, of whatever changeset they are."""
    files: Files = {}
    for part in wanted.values():
        for path, nodes in part.items():
            files.setdefault(path, []).extend(nodes)
    return files


def register(repo: Any) -> None:
    """Make an instance fetch what is missing in ``repo``."""
    unfiltered = repo.unfiltered()
    if unfiltered.shallow_source is None:
        unfiltered.shallow_source = OnDemand(unfiltered)


def lend(repo: Any, remote: Any) -> None:
    """Let ``repo`` use the connection of a pull that is over.

    A repository object that became one of limited depth by a stream clone has
    nothing to fetch with until it is opened anew.
    """
    source = getattr(repo.unfiltered(), 'shallow_source', None)
    if isinstance(source, OnDemand):
        source.lend(remote)
